"""Whatever was known, whatever the answer, whatever the look-ups: only a proven absence is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from etl.guard import (
    Belief,
    Found,
    GuardRules,
    Inconclusive,
    Known,
    LookUp,
    NotFound,
    Question,
    Rule,
    conclude,
    question,
)
from etl.records import Batch, Reject, Snapshot

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
def snapshots(draw: st.DrawFn) -> Snapshot:
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


@st.composite
def cases(draw: st.DrawFn) -> tuple[Known, Snapshot, GuardRules, Question, dict[str, LookUp], Belief]:
    known, snapshot, rule = draw(knowns()), draw(snapshots()), draw(rules)
    asked = question(known, snapshot, rule, loss_suspected_since=draw(sinces), at=NOW)
    look_ups = draw(answers() | st.fixed_dictionaries({i: look_ups_of(i) for i in asked.look_up}))
    return known, snapshot, rule, asked, look_ups, conclude(known, asked, look_ups)


Case = tuple[Known, Snapshot, GuardRules, Question, dict[str, LookUp], Belief]


@given(cases())
def test_a_present_batch_is_never_gone_nor_missing_nor_asked_for(case: Case) -> None:
    known, snapshot, _, asked, _, belief = case
    absent = (known.listed | known.missing | known.unlisted) - snapshot.present
    assert belief.gone | belief.missing | set(asked.look_up) <= absent
    assert {batch.batch_id for batch in belief.found} <= absent
    assert not belief.gone & belief.missing


@given(cases())
def test_a_suspect_answer_takes_nothing(case: Case) -> None:
    belief = case[-1]
    if belief.rule is not None:
        assert (belief.gone, belief.missing) == (frozenset(), frozenset())


@given(cases())
def test_nothing_is_gone_without_a_404_of_its_own_or_a_second_trusted_absence(case: Case) -> None:
    known, _, _, asked, look_ups, belief = case
    denied = {batch_id for batch_id in asked.look_up if isinstance(look_ups.get(batch_id), NotFound)}
    assert belief.gone <= denied | known.missing


@given(cases())
def test_no_more_look_ups_than_allowed_and_none_twice(case: Case) -> None:
    _, _, rule, asked, _, _ = case
    assert len(asked.look_up) == len(set(asked.look_up)) <= rule.max_lookups
    assert set(asked.look_up) == asked.lost | set(asked.look_up) or len(asked.look_up) == (
        0 if asked.is_final else rule.max_lookups
    )


@given(cases())
def test_a_trusted_answer_explains_every_absence(case: Case) -> None:
    known, snapshot, _, _, _, belief = case
    if belief.rule is None:
        assert (known.listed | known.missing) - snapshot.present <= belief.gone | belief.missing
        assert belief.missing <= known.listed


@given(cases())
def test_a_record_that_could_be_any_batch_lets_nothing_be_missing(case: Case) -> None:
    known, snapshot, _, _, _, belief = case
    if snapshot.has_unreadable and (known.listed | known.missing) - snapshot.present:
        assert belief == Belief(rule=Rule.UNREADABLE_RECORD)


@given(cases())
def test_a_list_that_is_shown_to_be_short_is_suspect_and_what_was_found_is_kept(case: Case) -> None:
    known, _, _, asked, look_ups, belief = case
    found = [batch_id for batch_id in asked.look_up if isinstance(look_ups.get(batch_id), Found)]
    assert [batch.batch_id for batch in belief.found] == found
    assert (belief.rule is Rule.SHORT_LIST) is bool(set(found) - known.unlisted)


@given(cases())
def test_an_empty_list_is_believed_only_once_it_lasted_and_every_look_up_confirmed_it(case: Case) -> None:
    known, snapshot, _, asked, look_ups, belief = case
    if known.listed and not snapshot.batches and not snapshot.rejects and belief.rule is None:
        examined = set(asked.look_up) - known.unlisted
        assert examined
        assert all(isinstance(look_ups.get(batch_id), NotFound) for batch_id in examined)
        assert asked.suspicion is Rule.EMPTY_LIST
        assert not asked.is_final
