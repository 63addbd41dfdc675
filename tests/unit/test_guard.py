"""What may be believed of an absence: every rule, at its threshold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

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

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = GuardRules(max_loss_share=0.5, min_loss=3, max_lookups=4, hold=timedelta(hours=1))


def ids(text: str) -> frozenset[str]:
    return frozenset(text)


def known(listed: str = "", missing: str = "", unlisted: str = "") -> Known:
    return Known(ids(listed), ids(missing), ids(unlisted))


def snapshot(present: str = "", *, rejects: tuple[Reject, ...] = ()) -> Snapshot:
    return Snapshot(tuple(Batch(batch_id, 1) for batch_id in present), rejects)


def asked(
    before: Known,
    now: Snapshot,
    *,
    rules: GuardRules = RULES,
    since: datetime | None = None,
    at: datetime = NOW,
) -> Question:
    return question(before, now, rules, loss_suspected_since=since, at=at)


def found(batch_id: str) -> Found:
    return Found(Batch(batch_id, 7))


def answered(asked_for: Question, **answers: LookUp) -> dict[str, LookUp]:
    return {batch_id: answers.get(batch_id, NotFound()) for batch_id in asked_for.look_up}


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
    assert asked(known("abc"), snapshot("bc")) == Question(lost=ids("a"), look_up=("a",))


def test_a_batch_absent_for_the_second_time_is_not_asked_for_again() -> None:
    assert asked(known("b", "a"), snapshot("b")) == Question(stale=ids("a"))


def test_a_batch_that_the_list_leaves_out_is_looked_up_after_those_just_lost() -> None:
    assert asked(known("bcd", unlisted="a"), snapshot("cd")).look_up == ("b", "a")


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
    assert asked(known("", "ab"), snapshot()) == Question(stale=ids("ab"))


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


@pytest.mark.parametrize("before", [known(unlisted="abcdefgh"), known("abcdefghz")])
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


# What is believed.


def test_a_plain_404_confirms_that_a_batch_is_gone() -> None:
    before = known("abc")
    asked_for = asked(before, snapshot("c"))
    answers = answered(asked_for, b=Inconclusive())
    assert conclude(before, asked_for, answers) == Belief(gone=ids("a"), missing=ids("b"))


def test_a_second_trusted_absence_confirms_that_a_batch_is_gone() -> None:
    before = known("b", "a")
    assert conclude(before, asked(before, snapshot("b")), {}) == Belief(gone=ids("a"))


def test_those_that_were_not_asked_for_are_missing() -> None:
    before = known("abcdvwxyz")
    asked_for = asked(before, snapshot("vwxyz"), rules=GuardRules(max_lookups=2))
    belief = conclude(before, asked_for, answered(asked_for))
    assert len(belief.gone) == 2
    assert belief == Belief(gone=frozenset(asked_for.look_up), missing=ids("abcd") - belief.gone)


def test_a_batch_that_a_look_up_finds_shows_that_the_list_was_short() -> None:
    before = known("abcz", "m")
    asked_for = asked(before, snapshot("cz"))
    belief = conclude(before, asked_for, answered(asked_for, b=found("b")))
    assert belief == Belief(found=(Batch("b", 7),), rule=Rule.SHORT_LIST)


def test_a_batch_that_is_known_to_be_left_out_makes_nothing_suspect() -> None:
    before = known("z", "m", unlisted="abc")
    asked_for = asked(before, snapshot("z"))
    belief = conclude(before, asked_for, answered(asked_for, a=found("a"), b=Inconclusive()))
    assert belief == Belief(gone=ids("cm"), found=(Batch("a", 7),))


def test_a_suspect_answer_takes_nothing() -> None:
    before = known("abcdef", "m")
    belief = conclude(before, asked(before, snapshot("f")), {})
    assert belief == Belief(rule=Rule.LARGE_LOSS)


def test_a_lasting_loss_is_believed_when_every_look_up_confirms_it() -> None:
    before = known("abcdef", "m")
    asked_for = asked(before, snapshot("f"), since=LASTED)
    belief = conclude(before, asked_for, answered(asked_for))
    assert belief.rule is None
    assert belief.gone == {"m", *asked_for.look_up}
    assert belief.gone | belief.missing == ids("abcdem")


def test_a_lasting_empty_list_is_believed_when_every_look_up_confirms_it() -> None:
    before = known("ab")
    asked_for = asked(before, snapshot(), since=LASTED)
    assert conclude(before, asked_for, answered(asked_for)) == Belief(gone=ids("ab"))


def test_a_lasting_loss_stays_suspect_with_one_look_up_that_tells_nothing() -> None:
    before = known("abcd")
    asked_for = asked(before, snapshot("d"), since=LASTED)
    belief = conclude(before, asked_for, answered(asked_for, b=Inconclusive()))
    assert belief == Belief(rule=Rule.UNCONFIRMED_LOSS)


def test_a_lasting_loss_stays_suspect_when_an_answer_is_lacking() -> None:
    before = known("abcd")
    asked_for = asked(before, snapshot("d"), since=LASTED)
    assert conclude(before, asked_for, {"a": NotFound()}) == Belief(rule=Rule.UNCONFIRMED_LOSS)


def test_a_lasting_loss_stays_suspect_when_nobody_may_be_asked() -> None:
    before = known("abcd")
    asked_for = asked(before, snapshot("d"), since=LASTED, rules=GuardRules(min_loss=1, max_lookups=0))
    assert conclude(before, asked_for, {}) == Belief(rule=Rule.UNCONFIRMED_LOSS)


def test_a_batch_left_out_by_the_list_neither_confirms_nor_denies_a_loss() -> None:
    before = known("abcd", unlisted="u")
    asked_for = asked(before, snapshot("d"), since=LASTED)
    belief = conclude(before, asked_for, answered(asked_for, u=found("u")))
    assert belief == Belief(gone=ids("abc"), found=(Batch("u", 7),))


def test_answers_that_nobody_asked_for_are_not_heard() -> None:
    before = known("ab")
    asked_for = asked(before, snapshot("b"))
    answers: dict[str, LookUp] = {"a": NotFound(), "b": NotFound(), "c": found("c")}
    assert conclude(before, asked_for, answers) == Belief(gone=ids("a"))


@pytest.mark.parametrize(
    ("rule", "is_loss"),
    [
        (Rule.UNREADABLE_RECORD, False),
        (Rule.EMPTY_LIST, True),
        (Rule.LARGE_LOSS, True),
        (Rule.SHORT_LIST, False),
        (Rule.UNCONFIRMED_LOSS, True),
    ],
)
def test_a_disbelieved_loss_is_remembered(rule: Rule, *, is_loss: bool) -> None:
    assert rule.is_loss is is_loss
