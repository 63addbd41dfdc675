"""Whatever was known, whatever the answer, whatever the look-ups: only a proven absence is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from etl.guard import (
    Belief,
    Control,
    Found,
    GuardRules,
    Inconclusive,
    Known,
    LookUp,
    NotFound,
    Question,
    Rule,
    Surroundings,
    conclude,
    question,
)
from etl.records import Batch, Reject, Slug, Snapshot

IDS = "abcdefgh"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@st.composite
def knowns(draw: st.DrawFn) -> Known:
    """Put each id in one of the three sets, or in none."""
    places = [draw(st.sampled_from(["listed", "listed", "missing", "unlisted", ""])) for _ in IDS]
    chosen = {
        place: frozenset(i for i, at in zip(IDS, places, strict=True) if at == place) for place in places
    }
    return Known(*(chosen.get(place, frozenset()) for place in ("listed", "missing", "unlisted")))


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot[Batch]:
    batches = draw(st.lists(st.sampled_from(IDS), unique=True))
    rejected = draw(st.lists(st.sampled_from([*IDS, None]), max_size=2))
    return Snapshot(
        tuple(Batch(batch_id, 1) for batch_id in batches),
        tuple(Reject(position, "reason", "{}", batch_id) for position, batch_id in enumerate(rejected)),
    )


@st.composite
def answers(draw: st.DrawFn) -> dict[str, LookUp]:
    """Answer for any ids, asked for or not."""
    asked = draw(st.lists(st.sampled_from(IDS), unique=True))
    return {batch_id: draw(look_ups_of(batch_id)) for batch_id in asked}


def look_ups_of(batch_id: str) -> st.SearchStrategy[LookUp]:
    return st.sampled_from([Found(Batch(batch_id, 7)), NotFound(), NotFound(), Inconclusive()])


rules = st.builds(
    GuardRules,
    max_loss_share=st.floats(0, 1),
    min_loss=st.integers(0, 5),
    max_lookups=st.integers(0, 9),
    hold=st.integers(0, 2).map(lambda hours: timedelta(hours=hours)),
)
sinces = st.none() | st.integers(-1, 3).map(lambda hours: NOW - timedelta(hours=hours))


surroundings = st.builds(
    Surroundings,
    is_listed=st.booleans(),
    is_whole=st.booleans(),
    witness=st.none() | st.just(Control("w", Slug("acme", "ships"))),
)


class Case(NamedTuple):
    known: Known
    snapshot: Snapshot[Batch]
    rules: GuardRules
    asked: Question
    look_ups: dict[str, LookUp]
    control: LookUp | None
    belief: Belief

    @property
    def is_vouched(self) -> bool:
        return isinstance(self.control, Found)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    known, snapshot, rule = draw(knowns()), draw(snapshots()), draw(rules)
    asked = question(
        known,
        snapshot,
        rule,
        loss_suspected_since=draw(sinces),
        at=NOW,
        surroundings=draw(surroundings),
        accepted=draw(st.frozensets(st.sampled_from(IDS)) | st.just(frozenset[str]())),
    )
    look_ups = draw(answers() | st.fixed_dictionaries({i: look_ups_of(i) for i in asked.look_up}))
    control = draw(st.just(Found(Batch("c", 7))) | st.none() | look_ups_of("c"))
    return Case(known, snapshot, rule, asked, look_ups, control, conclude(asked, look_ups, control))


@given(cases())
def test_a_present_batch_is_never_gone_nor_missing_nor_asked_for(case: Case) -> None:
    known, asked, belief = case.known, case.asked, case.belief
    absent = (known.listed | known.missing | known.unlisted) - case.snapshot.present
    assert belief.gone | belief.missing | set(asked.look_up) <= absent == asked.absent
    assert {batch.record_id for batch in belief.found} <= absent
    assert not belief.gone & belief.missing


@given(cases())
def test_a_suspect_answer_takes_nothing(case: Case) -> None:
    if case.belief.rule is not None:
        assert (case.belief.gone, case.belief.missing) == (frozenset(), frozenset())


@given(cases())
def test_nothing_is_gone_without_a_404_that_counts_a_second_trusted_absence_or_an_operator(
    case: Case,
) -> None:
    denied = {i for i in case.asked.look_up if isinstance(case.look_ups.get(i), NotFound)}
    proven = denied if case.is_vouched else set[str]()
    assert case.belief.gone <= proven | case.known.missing | case.asked.accepted


@given(cases())
def test_the_control_is_there_as_far_as_the_answer_shows_and_is_asked_for_with_others_only(
    case: Case,
) -> None:
    control = case.asked.control
    if control is not None:
        assert case.asked.look_up
        assert (control.record_id in case.snapshot.present) is (control.slug is None)
    elif case.snapshot.present:
        assert not case.asked.look_up


@given(cases())
def test_no_more_look_ups_than_allowed_and_none_twice(case: Case) -> None:
    asked = case.asked
    assert len(asked.look_up) == len(set(asked.look_up)) <= case.rules.max_lookups
    left_open = asked.lost | asked.stale | asked.unlisted
    assert set(asked.look_up) == left_open or len(asked.look_up) == (
        0 if asked.is_final else case.rules.max_lookups
    )


@given(cases())
def test_a_trusted_answer_explains_every_absence(case: Case) -> None:
    known, belief = case.known, case.belief
    if belief.rule is None:
        assert (known.listed | known.missing) - case.snapshot.present <= belief.gone | belief.missing
        assert belief.missing <= known.listed
        assert case.asked.accepted <= belief.gone


@given(cases())
def test_a_record_that_could_be_any_batch_lets_nothing_be_missing(case: Case) -> None:
    known = case.known
    if case.snapshot.has_unreadable and (known.listed | known.missing) - case.snapshot.present:
        assert case.belief == Belief(rule=Rule.UNREADABLE_RECORD)


@given(cases())
def test_a_list_that_is_shown_to_be_short_is_suspect_and_what_was_found_is_kept(case: Case) -> None:
    found = [i for i in case.asked.look_up if isinstance(case.look_ups.get(i), Found)]
    assert [batch.record_id for batch in case.belief.found] == found
    assert (case.belief.rule is Rule.SHORT_LIST) is bool(set(found) - case.known.unlisted)


@given(cases())
def test_a_listed_batch_that_a_look_up_denies_takes_the_word_from_every_absence(case: Case) -> None:
    control, asked = case.asked.control, case.asked
    is_denied = control is not None and control.slug is None and isinstance(case.control, NotFound)
    if is_denied and (asked.lost or asked.stale):
        assert case.belief.rule is not None


@given(cases())
def test_an_empty_list_is_believed_only_once_it_lasted_and_every_look_up_confirmed_it(case: Case) -> None:
    known, snapshot, asked = case.known, case.snapshot, case.asked
    is_empty = not snapshot.records and not snapshot.rejects
    if known.listed - asked.accepted and is_empty and case.belief.rule is None:
        examined = set(asked.look_up) - known.unlisted
        assert examined
        assert all(isinstance(case.look_ups.get(batch_id), NotFound) for batch_id in examined)
        assert asked.suspicion is Rule.EMPTY_LIST
        assert not asked.is_final
        assert asked.control is not None
        assert case.is_vouched
