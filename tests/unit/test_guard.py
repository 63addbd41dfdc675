"""What may be believed of an absence: every rule, at its threshold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

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
    is_settled,
    question,
)
from etl.records import Batch, Reject, Slug, Snapshot

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALONE = Surroundings()
RULES = GuardRules(max_loss_share=0.5, min_loss=3, max_lookups=4, hold=timedelta(hours=1))


def ids(text: str) -> frozenset[str]:
    return frozenset(text)


def known(listed: str = "", missing: str = "", unlisted: str = "") -> Known:
    return Known(ids(listed), ids(missing), ids(unlisted))


def snapshot(present: str = "", *, rejects: tuple[Reject, ...] = ()) -> Snapshot[Batch]:
    return Snapshot(tuple(Batch(batch_id, 1) for batch_id in present), rejects)


def asked(
    before: Known,
    now: Snapshot[Batch],
    *,
    rules: GuardRules = RULES,
    since: datetime | None = None,
    at: datetime = NOW,
    around: Surroundings = ALONE,
    accepted: str = "",
) -> Question:
    return question(
        before, now, rules, loss_suspected_since=since, at=at, surroundings=around, accepted=ids(accepted)
    )


def found(batch_id: str) -> Found:
    return Found(Batch(batch_id, 7))


def answered(asked_for: Question, **answers: LookUp) -> dict[str, LookUp]:
    return {batch_id: answers.get(batch_id, NotFound()) for batch_id in asked_for.look_up}


def concluded(asked_for: Question, control: LookUp | None = None, **answers: LookUp) -> Belief:
    """Conclude where every look-up is a 404 that is not given, and the control is found."""
    return conclude(asked_for, answered(asked_for, **answers), control or found("c"))


WITNESS = Control("w", Slug("acme", "ships"))
VOUCHED = Surroundings(witness=WITNESS)
LASTED = NOW - RULES.hold
UNREADABLE = Reject(0, "id is missing", "{}")
READABLE = Reject(0, "images is missing", "{}", "a")

# What the answer leaves open.


def test_the_first_answer_leaves_nothing_open() -> None:
    assert asked(Known(), snapshot("abc")) == Question()


def test_an_answer_with_every_batch_leaves_nothing_open() -> None:
    assert asked(known("ab", "c", "d"), snapshot("abcde")) == Question()


def test_an_empty_list_of_a_project_that_was_empty_leaves_nothing_open() -> None:
    assert asked(Known(), snapshot()) == Question()


def test_a_batch_absent_for_the_first_time_is_looked_up() -> None:
    asked_for = asked(known("ab"), snapshot("b"))
    assert asked_for == Question(lost=ids("a"), look_up=("a",), control=Control("b"))


def test_a_batch_absent_for_the_second_time_is_looked_up_too() -> None:
    asked_for = asked(known("b", "a"), snapshot("b"))
    assert asked_for == Question(stale=ids("a"), look_up=("a",), control=Control("b"))


def test_those_just_lost_come_first_then_the_missing_then_those_that_the_list_leaves_out() -> None:
    before = known("dz", missing="b", unlisted="ac")
    assert asked(before, snapshot("z")).look_up == ("d", "b", "a", "c")
    three, two = GuardRules(max_lookups=3), GuardRules(max_lookups=2)
    assert asked(before, snapshot("z"), rules=three).look_up[:2] == ("d", "b")
    assert asked(before, snapshot("z"), rules=two).look_up == ("d", "b")


def test_a_batch_that_the_list_shows_again_is_not_looked_up() -> None:
    assert asked(known("b", unlisted="a"), snapshot("ab")) == Question()


def test_a_record_that_tells_its_id_counts_as_present() -> None:
    assert asked(known("ab"), snapshot("b", rejects=(READABLE,))) == Question()


# Suspicion.


@pytest.mark.parametrize(("before", "since"), [(known("ab"), LASTED), (known("b", "a"), None)])
def test_a_record_that_could_be_any_batch_rules_every_absence_out(
    before: Known, since: datetime | None
) -> None:
    asked_for = asked(before, snapshot("b", rejects=(UNREADABLE,)), since=since)
    assert (asked_for.suspicion, asked_for.is_final) == (Rule.UNREADABLE_RECORD, True)
    assert asked_for.look_up == ()


def test_a_record_that_could_be_any_batch_is_harmless_where_none_is_absent() -> None:
    assert asked(known("b"), snapshot("b", rejects=(UNREADABLE,))) == Question()


def test_an_empty_list_after_a_full_one_is_suspect_however_small() -> None:
    asked_for = asked(known("a"), snapshot())
    assert (asked_for.suspicion, asked_for.is_final, asked_for.look_up) == (Rule.EMPTY_LIST, True, ())


def test_an_empty_list_takes_nothing_more_from_a_project_of_missing_batches() -> None:
    asked_for = asked(known("", "ab"), snapshot())
    assert asked_for == Question(stale=ids("ab"), look_up=("a", "b"))
    assert conclude(asked_for, answered(asked_for)) == Belief(gone=ids("ab"))


def test_a_list_of_rejects_alone_is_not_empty() -> None:
    assert asked(known("ab"), snapshot(rejects=(READABLE,))).suspicion is None


@pytest.mark.parametrize(
    ("listed", "present", "suspicion"),
    [
        ("abcdef", "abc", None),
        ("abcde", "ab", Rule.LARGE_LOSS),
        ("abc", "c", None),
        ("abcd", "d", Rule.LARGE_LOSS),
    ],
    ids=["just the share", "over the share", "one less than the number", "just the number"],
)
def test_a_loss_is_large_over_the_share_and_from_the_number_on(
    listed: str, present: str, suspicion: Rule | None
) -> None:
    assert asked(known(listed), snapshot(present)).suspicion is suspicion


def test_the_share_is_of_what_the_last_answer_listed() -> None:
    assert asked(known("abcd", unlisted="uvwxyz"), snapshot("d")).suspicion is Rule.LARGE_LOSS
    assert asked(known("abcdef", missing="uvwxyz"), snapshot("abc")).suspicion is None


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_may_be_all_or_nothing(share: float) -> None:
    rules = GuardRules(max_loss_share=share, min_loss=1)
    expected = Rule.LARGE_LOSS if share == 0 else None
    assert asked(known("abcdefgh"), snapshot("a"), rules=rules).suspicion is expected


@pytest.mark.parametrize(
    ("since", "is_final"),
    [
        (None, True),
        (NOW, True),
        (LASTED + timedelta(microseconds=1), True),
        (LASTED, False),
        (NOW + timedelta(days=1), True),
    ],
)
def test_a_loss_is_cross_examined_once_it_has_lasted(since: datetime | None, *, is_final: bool) -> None:
    asked_for = asked(known("abcdef"), snapshot("f"), since=since)
    assert (asked_for.suspicion, asked_for.is_final) == (Rule.LARGE_LOSS, is_final)
    assert len(asked_for.look_up) == (0 if is_final else RULES.max_lookups)


# Whom to ask.


def test_few_are_asked_for_in_order() -> None:
    assert asked(known("dbcaxyz", unlisted="fe"), snapshot("xyzcd")).look_up == ("a", "b", "e", "f")


@pytest.mark.parametrize("max_lookups", [0, 1, 3, 7])
def test_no_more_are_asked_for_than_allowed(max_lookups: int) -> None:
    rules = GuardRules(max_lookups=max_lookups)
    look_up = asked(known("abcdvwxyz", unlisted="efgh"), snapshot("vwxyz"), rules=rules).look_up
    assert len(look_up) == max_lookups
    assert set(look_up[:4]) <= ids("abcd")
    assert set(look_up[4:]) <= ids("efgh")


@pytest.mark.parametrize(
    "before", [known(unlisted="abcdefgh"), known("abcdefghz"), known("z", missing="abcdefgh")]
)
def test_every_batch_gets_its_turn(before: Known) -> None:
    times = [NOW + timedelta(hours=hours) for hours in range(50)]
    asked_for = {
        batch_id
        for at in times
        for batch_id in asked(before, snapshot("z"), since=LASTED - timedelta(days=9), at=at).look_up
    }
    assert asked_for == ids("abcdefgh")


def test_the_same_answer_at_the_same_time_asks_for_the_same() -> None:
    before = known(unlisted="abcdefgh")
    assert asked(before, snapshot()) == asked(before, snapshot())
    assert asked(before, snapshot()).look_up == tuple(sorted(asked(before, snapshot()).look_up))


# The control.


def test_nobody_is_asked_for_a_control_where_nobody_else_is_asked_for() -> None:
    nobody = GuardRules(max_lookups=0)
    assert asked(known("ab"), snapshot("b"), rules=nobody).control is None
    assert asked(known("ab"), snapshot("ab")).control is None
    assert asked(known("abcdef"), snapshot("f")).control is None


def test_every_listed_batch_is_the_control_at_some_time() -> None:
    times = [NOW + timedelta(hours=hours) for hours in range(50)]
    drawn = {asked(known("abcx"), snapshot("abc"), at=at).control for at in times}
    assert drawn == {Control("a"), Control("b"), Control("c")}


def test_a_record_that_cannot_be_used_is_the_control_where_there_is_no_other() -> None:
    assert asked(known("ab"), snapshot(rejects=(READABLE,))).control == Control("a")
    assert asked(known("abc"), snapshot("c", rejects=(READABLE,))).control == Control("c")


def test_every_record_that_cannot_be_used_is_the_control_at_some_time() -> None:
    times = [NOW + timedelta(hours=hours) for hours in range(50)]
    rejects = tuple(Reject(nth, "images is missing", "{}", batch_id) for nth, batch_id in enumerate("abc"))
    drawn = {asked(known("abcx"), snapshot(rejects=rejects), at=at).control for at in times}
    assert drawn == {Control("a"), Control("b"), Control("c")}


def test_an_empty_list_has_its_control_in_another_project() -> None:
    assert asked(known("a"), snapshot(), since=LASTED, around=VOUCHED).control == WITNESS
    assert asked(known("a", unlisted="u"), snapshot("a"), around=VOUCHED).control == Control("a")


@pytest.mark.parametrize("control", [NotFound(), Inconclusive(), None])
def test_without_a_control_that_is_found_no_404_counts(control: LookUp | None) -> None:
    left_out = asked(known("z", unlisted="u"), snapshot("z"))
    assert conclude(left_out, answered(left_out), control) == Belief()
    lasting = asked(known("abcd"), snapshot("d"), since=LASTED)
    assert conclude(lasting, answered(lasting), control) == Belief(rule=Rule.UNCONFIRMED_LOSS)
    empty = asked(known("ab"), snapshot(), since=LASTED, around=VOUCHED)
    assert conclude(empty, answered(empty), control) == Belief(rule=Rule.UNCONFIRMED_LOSS)


@pytest.mark.parametrize("control", [Inconclusive(), None])
def test_where_look_ups_tell_nothing_the_second_absence_confirms(control: LookUp | None) -> None:
    first = asked(known("ab"), snapshot("b"))
    assert conclude(first, answered(first), control) == Belief(missing=ids("a"))
    second = asked(known("b", "a"), snapshot("b"))
    assert conclude(second, answered(second), control) == Belief(gone=ids("a"))


@pytest.mark.parametrize("before", [known("ab"), known("b", "a")])
def test_a_look_up_that_denies_what_the_list_shows_makes_absences_suspect(before: Known) -> None:
    asked_for = asked(before, snapshot("b"))
    assert concluded(asked_for, NotFound()) == Belief(rule=Rule.CONTRADICTION)
    assert concluded(asked_for, NotFound(), a=found("a")).rule is Rule.SHORT_LIST


def test_a_witness_in_another_project_contradicts_nothing() -> None:
    asked_for = asked(known("", "a"), snapshot(), around=VOUCHED)
    assert asked_for.control == WITNESS
    assert concluded(asked_for, NotFound()) == Belief(gone=ids("a"))


# The rest of the workspace.


def test_nothing_is_asked_while_the_whole_workspace_is_suspected() -> None:
    whole = Surroundings(is_whole=True, witness=WITNESS)
    for present in ("", "f"):
        asked_for = asked(known("abcdef"), snapshot(present), since=LASTED, around=whole)
        assert (asked_for.suspicion, asked_for.is_final) == (Rule.WHOLE_WORKSPACE, True)
        assert concluded(asked_for) == Belief(rule=Rule.WHOLE_WORKSPACE)


def test_a_loss_has_to_last_before_the_whole_workspace_is_named() -> None:
    whole = Surroundings(is_whole=True)
    assert asked(known("a"), snapshot(), around=whole).suspicion is Rule.EMPTY_LIST
    assert asked(known("abcdef"), snapshot("f"), around=whole).suspicion is Rule.LARGE_LOSS


def test_an_ordinary_loss_is_judged_by_itself_whatever_becomes_of_the_others() -> None:
    around = Surroundings(is_listed=False, is_whole=True)
    assert asked(known("abc"), snapshot("bc"), since=LASTED, around=around).suspicion is None


def test_an_empty_list_is_not_believed_where_no_other_project_can_bear_witness() -> None:
    asked_for = asked(known("ab"), snapshot(), since=LASTED)
    assert (asked_for.suspicion, asked_for.is_final) == (Rule.WHOLE_WORKSPACE, True)


def test_an_empty_list_is_not_believed_of_a_project_that_its_workspace_does_not_list() -> None:
    unseen = Surroundings(is_listed=False, witness=WITNESS)
    asked_for = asked(known("ab"), snapshot(), since=LASTED, around=unseen)
    assert (asked_for.suspicion, asked_for.is_final) == (Rule.EMPTY_LIST, True)


def test_a_large_loss_needs_no_witness_but_a_batch_of_its_own() -> None:
    asked_for = asked(known("abcd"), snapshot("d"), since=LASTED, around=Surroundings(is_listed=False))
    assert (asked_for.suspicion, asked_for.is_final) == (Rule.LARGE_LOSS, False)
    assert asked_for.control == Control("d")


# What an operator accepts.


def test_what_is_accepted_is_gone_without_a_look_up() -> None:
    asked_for = asked(known("abcdef", "m", "u"), snapshot(), accepted="abcdefmu")
    assert asked_for == Question(accepted=ids("abcdefmu"))
    assert conclude(asked_for, {}) == Belief(gone=ids("abcdefmu"))


def test_what_is_there_again_is_not_gone_though_it_was_accepted() -> None:
    assert asked(known("ab"), snapshot("b"), accepted="abx").accepted == ids("a")


def test_what_is_absent_beside_the_accepted_is_judged_without_them() -> None:
    before = known("abcdefgh")
    assert asked(before, snapshot("h"), accepted="abcdef").suspicion is None
    assert asked(before, snapshot("h"), accepted="abc").suspicion is Rule.LARGE_LOSS
    assert asked(known("abcdefgh"), snapshot("gh"), accepted="abc").suspicion is Rule.LARGE_LOSS
    assert asked(before, snapshot(), accepted="abcdefg").suspicion is Rule.EMPTY_LIST
    asked_for = asked(before, snapshot("h"), accepted="abcdef")
    assert asked_for.look_up == ("g",)
    assert concluded(asked_for) == Belief(gone=ids("abcdefg"))
    assert concluded(asked_for, g=Inconclusive()) == Belief(gone=ids("abcdef"), missing=ids("g"))


def test_nothing_is_accepted_where_the_rest_is_suspect() -> None:
    asked_for = asked(known("abcdefgh"), snapshot("h"), accepted="abc")
    assert concluded(asked_for) == Belief(rule=Rule.LARGE_LOSS)
    asked_for = asked(known("abc"), snapshot("c"), accepted="a")
    assert concluded(asked_for, b=found("b")) == Belief(found=(Batch("b", 7),), rule=Rule.SHORT_LIST)


def test_nothing_is_accepted_of_an_answer_with_a_record_that_could_be_any_batch() -> None:
    asked_for = asked(known("ab"), snapshot("b", rejects=(UNREADABLE,)), accepted="a")
    assert (asked_for.suspicion, asked_for.is_final) == (Rule.UNREADABLE_RECORD, True)


# What is settled.


@pytest.mark.parametrize(
    ("before", "now", "answer", "expected"),
    [
        (known("ab"), snapshot("ab"), NotFound(), True),
        (known("ab"), snapshot("b"), NotFound(), True),
        (known("ab"), snapshot("b"), Inconclusive(), False),
        (known("ab"), snapshot("b"), found("a"), False),
        (known("b", "a"), snapshot("b"), Inconclusive(), True),
        (known("b", "", "a"), snapshot("b"), found("a"), False),
        (known("b", "", "a"), snapshot("b"), NotFound(), True),
        (known("ab", "cd"), snapshot(), NotFound(), False),
        (known("ab"), snapshot("b", rejects=(READABLE,)), NotFound(), False),
        (known("b", "a"), snapshot("b", rejects=(READABLE,)), NotFound(), False),
        (known("b", "", "a"), snapshot("b", rejects=(READABLE,)), NotFound(), False),
        (known("b"), snapshot("b", rejects=(READABLE,)), NotFound(), True),
        (known("ab"), snapshot("ab", rejects=(READABLE,)), NotFound(), True),
    ],
)
def test_an_observation_settles_a_project_if_nothing_is_missing_unlisted_or_carried(
    before: Known, now: Snapshot[Batch], answer: LookUp, *, expected: bool
) -> None:
    asked_for = asked(before, now)
    belief = conclude(asked_for, dict.fromkeys(asked_for.look_up, answer), found("b"))
    assert is_settled(before, now, asked_for, belief) is expected


# What is believed.


def test_a_plain_404_confirms_that_a_batch_is_gone() -> None:
    asked_for = asked(known("abc"), snapshot("c"))
    assert concluded(asked_for, b=Inconclusive()) == Belief(gone=ids("a"), missing=ids("b"))


def test_a_second_trusted_absence_confirms_that_a_batch_is_gone() -> None:
    asked_for = asked(known("b", "a"), snapshot("b"))
    assert concluded(asked_for) == Belief(gone=ids("a"))
    assert concluded(asked_for, a=Inconclusive()) == Belief(gone=ids("a"))


def test_a_missing_batch_that_a_look_up_finds_shows_that_the_list_was_short() -> None:
    asked_for = asked(known("bz", "am"), snapshot("z"))
    belief = concluded(asked_for, a=found("a"))
    assert belief == Belief(found=(Batch("a", 7),), rule=Rule.SHORT_LIST)


def test_those_that_were_not_asked_for_are_missing() -> None:
    before = known("abcdvwxyz")
    asked_for = asked(before, snapshot("vwxyz"), rules=GuardRules(max_lookups=2))
    belief = concluded(asked_for)
    assert len(belief.gone) == 2
    assert belief == Belief(gone=frozenset(asked_for.look_up), missing=ids("abcd") - belief.gone)


def test_a_batch_that_a_look_up_finds_shows_that_the_list_was_short() -> None:
    asked_for = asked(known("abcz", "m"), snapshot("cz"))
    belief = concluded(asked_for, b=found("b"))
    assert belief == Belief(found=(Batch("b", 7),), rule=Rule.SHORT_LIST)


def test_a_batch_that_is_known_to_be_left_out_makes_nothing_suspect() -> None:
    asked_for = asked(known("z", "m", unlisted="abc"), snapshot("z"))
    belief = concluded(asked_for, a=found("a"), b=Inconclusive())
    assert belief == Belief(gone=ids("cm"), found=(Batch("a", 7),))


def test_a_suspect_answer_takes_nothing() -> None:
    assert concluded(asked(known("abcdef", "m"), snapshot("f"))) == Belief(rule=Rule.LARGE_LOSS)


def test_a_lasting_loss_is_believed_when_every_look_up_confirms_it() -> None:
    asked_for = asked(known("abcdef", "m"), snapshot("f"), since=LASTED)
    belief = concluded(asked_for)
    assert belief.rule is None
    assert belief.gone == {"m", *asked_for.look_up}
    assert belief.gone | belief.missing == ids("abcdem")


def test_a_lasting_empty_list_is_believed_when_every_look_up_confirms_it() -> None:
    asked_for = asked(known("ab"), snapshot(), since=LASTED, around=VOUCHED)
    assert concluded(asked_for) == Belief(gone=ids("ab"))


def test_a_lasting_loss_stays_suspect_with_one_look_up_that_tells_nothing() -> None:
    asked_for = asked(known("abcd"), snapshot("d"), since=LASTED)
    assert concluded(asked_for, b=Inconclusive()) == Belief(rule=Rule.UNCONFIRMED_LOSS)


def test_a_lasting_loss_stays_suspect_when_an_answer_is_lacking() -> None:
    asked_for = asked(known("abcd"), snapshot("d"), since=LASTED)
    assert conclude(asked_for, {"a": NotFound()}, found("d")) == Belief(rule=Rule.UNCONFIRMED_LOSS)


def test_a_lasting_loss_stays_suspect_when_nobody_may_be_asked() -> None:
    nobody = GuardRules(min_loss=1, max_lookups=0)
    asked_for = asked(known("abcd"), snapshot("d"), since=LASTED, rules=nobody)
    assert concluded(asked_for) == Belief(rule=Rule.UNCONFIRMED_LOSS)


def test_a_batch_left_out_by_the_list_neither_confirms_nor_denies_a_loss() -> None:
    asked_for = asked(known("abcd", unlisted="u"), snapshot("d"), since=LASTED)
    belief = concluded(asked_for, u=found("u"))
    assert belief == Belief(gone=ids("abc"), found=(Batch("u", 7),))


def test_answers_that_nobody_asked_for_are_not_heard() -> None:
    asked_for = asked(known("ab"), snapshot("b"))
    answers: dict[str, LookUp] = {"a": NotFound(), "b": NotFound(), "c": found("c")}
    assert conclude(asked_for, answers, found("b")) == Belief(gone=ids("a"))


@pytest.mark.parametrize(
    ("rule", "is_loss"),
    [
        (Rule.UNREADABLE_RECORD, False),
        (Rule.EMPTY_LIST, True),
        (Rule.LARGE_LOSS, True),
        (Rule.SHORT_LIST, False),
        (Rule.CONTRADICTION, False),
        (Rule.UNCONFIRMED_LOSS, True),
        (Rule.WHOLE_WORKSPACE, True),
    ],
)
def test_a_disbelieved_loss_is_remembered(rule: Rule, *, is_loss: bool) -> None:
    assert rule.is_loss is is_loss
