"""
What may be believed of an absence: (what was believed, this answer) → (what to ask) → belief.

Presence needs no guard. An absence is believed only when the answer was complete, was not a sudden loss, and
was cross-examined: each missing one is looked up on its own, or is absent again from a second trusted
answer. A 404 counts only where a look-up of one that is there finds it: a control.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from etl.records import Record, Slug

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from etl.records import Snapshot


class Rule(StrEnum):
    """Why an observation is suspect."""

    UNREADABLE_RECORD = "unreadable_record"
    EMPTY_LIST = "empty_list"
    LARGE_LOSS = "large_loss"
    SHORT_LIST = "short_list"
    CONTRADICTION = "contradiction"
    UNCONFIRMED_LOSS = "unconfirmed_loss"
    WHOLE_WORKSPACE = "whole_workspace"

    @property
    def is_loss(self) -> bool:
        """Whether it keeps the memory of a disbelieved loss alive."""
        return self in (Rule.EMPTY_LIST, Rule.LARGE_LOSS, Rule.UNCONFIRMED_LOSS, Rule.WHOLE_WORKSPACE)


class GuardRules(msgspec.Struct, frozen=True):
    """
    The thresholds of the guard. The configuration reference says why each number is what it is.

    Args:
        max_loss_share: Share of what is believed to be there (0 to 1) above which a loss is suspect.
        min_loss: How many must be absent before the share counts; small projects empty out in big shares.
        max_lookups: How many are looked up on their own in one observation; the control comes on top.
        hold: How long a suspected loss must last before it is cross-examined.
    """

    max_loss_share: float = 0.5
    min_loss: int = 5
    max_lookups: int = 20
    hold: timedelta = timedelta(hours=1)


class Known(msgspec.Struct, frozen=True):
    """
    Ids of the batches, or the jobs, of a project that are not gone, each in exactly one of three sets.

    `listed` were in the last answer; `missing` were absent from it and await confirmation; `unlisted` are
    left out by the list although a look-up finds them.
    """

    listed: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()


class Control(msgspec.Struct, frozen=True):
    """What a look-up must find, or no 404 counts. `slug` is its project; None: the one at issue."""

    # The ledger keeps it by this name, whatever it is.
    record_id: str = msgspec.field(name="batch_id")
    slug: Slug | None = None


class Surroundings(msgspec.Struct, frozen=True):
    """
    What the rest of the workspace says of a suspected loss.

    `is_listed` tells whether the workspace lists the project itself, `is_whole` whether every other project
    that had batches is suspected of a loss as well, and there is one. `witness` is a batch of a project that
    is not; None without any.
    """

    is_listed: bool = True
    is_whole: bool = False
    witness: Control | None = None


class Question(msgspec.Struct, frozen=True):
    """
    What the answer leaves open.

    `lost` are absent for the first time, `stale` were missing before and are absent again, `unlisted` are
    left out once more, `accepted` are absent as an operator said. `look_up` are the ids to ask for one by
    one, in order, after the `control`. `suspicion` is the rule that was met, None if none; with `is_final`
    nothing can lift it in this observation.
    """

    lost: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    look_up: tuple[str, ...] = ()
    control: Control | None = None
    suspicion: Rule | None = None
    is_final: bool = False

    @property
    def absent(self) -> frozenset[str]:
        """All that is known and that the answer does not show."""
        return self.lost | self.stale | self.unlisted | self.accepted


class Found(msgspec.Struct, frozen=True):
    """A look-up that answered with what was asked for."""

    record: Record


class NotFound(msgspec.Struct, frozen=True):
    """A look-up that answered with a plain 404."""


class Inconclusive(msgspec.Struct, frozen=True):
    """A look-up that tells nothing: an error, a missing scope, an answer that cannot be used."""


LookUp = Found | NotFound | Inconclusive


class Belief(msgspec.Struct, frozen=True):
    """
    What is believed beside what the answer shows.

    `gone` are confirmed absent, `missing` absent for the first time and not confirmed, `found` left out by
    the list but there. `rule` is None when the observation is trusted.
    """

    gone: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    found: tuple[Record, ...] = ()
    rule: Rule | None = None


_ALONE: Final = Surroundings()
_NOBODY: Final = frozenset[str]()


def question(  # noqa: PLR0913 - what was known, what is shown, and what else bears on it.
    known: Known,
    snapshot: Snapshot[Record],
    rules: GuardRules,
    *,
    loss_suspected_since: datetime | None,
    at: datetime,
    surroundings: Surroundings = _ALONE,
    accepted: frozenset[str] = _NOBODY,
) -> Question:
    """
    Say what an answer leaves open, before any look-up.

    Args:
        known: What was believed before this answer.
        snapshot: What the answer shows.
        rules: The thresholds.
        loss_suspected_since: When a loss was first disbelieved, with no trusted observation since; else None.
        at: When the answer was observed.
        surroundings: What the rest of the workspace says; of use only where a loss is suspected.
        accepted: Those whose absence an operator accepts; what else is absent is judged without them.
    """
    present = snapshot.present
    accepted = accepted & (known.listed | known.missing | known.unlisted) - present if accepted else accepted
    lost = known.listed - present - accepted
    stale = known.missing - present - accepted
    unlisted = known.unlisted - present - accepted
    judged = Question(lost, stale, unlisted, accepted)
    listed = len(known.listed) - len(accepted & known.listed)
    suspicion = _suspicion(listed, snapshot, judged, rules)
    final = _final(suspicion, surroundings, has_lasted=_has_lasted(loss_suspected_since, at, rules.hold))
    if final:
        return replace(judged, suspicion=final, is_final=True)
    look_up = _agenda((lost, stale, unlisted), rules.max_lookups, at)
    control = _control(snapshot, surroundings.witness, at) if look_up else None
    return replace(judged, look_up=look_up, control=control, suspicion=suspicion)


def conclude(asked: Question, look_ups: Mapping[str, LookUp], control: LookUp | None = None) -> Belief:
    """
    Say what is believed once the look-ups have answered.

    Args:
        asked: What the answer left open.
        look_ups: The answers for the ids of `asked.look_up`; one that is lacking counts as inconclusive.
        control: The answer for `asked.control`.
    """
    is_vouched = isinstance(control, Found)
    answers = {
        record_id: _weighed(look_ups.get(record_id), is_vouched=is_vouched) for record_id in asked.look_up
    }
    found = tuple(answer.record for answer in answers.values() if isinstance(answer, Found))
    rule = _verdict(asked, answers, control)
    if rule is not None:
        return Belief(found=found, rule=rule)
    denied = frozenset(record_id for record_id, answer in answers.items() if isinstance(answer, NotFound))
    gone = denied | asked.stale | asked.accepted
    return Belief(gone=gone, missing=asked.lost - gone, found=found)


def is_settled(known: Known, snapshot: Snapshot[Record], asked: Question, belief: Belief) -> bool:
    """Say whether none is missing, unlisted or carried once this is believed."""
    carried = snapshot.present_only
    is_carrying = bool(carried) and not carried.isdisjoint(known.listed | known.missing | known.unlisted)
    return asked.absent <= belief.gone and not is_carrying


def by_lot(ids: Collection[str], count: int, at: datetime) -> tuple[str, ...]:
    """Choose whom to ask, others at another time, so that none stays out of every sample."""
    if not count:
        return ()
    if len(ids) <= count:
        return tuple(sorted(ids))
    drawn = sorted(ids, key=lambda record_id: blake2b(f"{at.isoformat()} {record_id}".encode()).digest())
    return tuple(sorted(drawn[:count]))


def _suspicion(listed: int, snapshot: Snapshot[Record], judged: Question, rules: GuardRules) -> Rule | None:
    lost = len(judged.lost)
    if snapshot.has_unreadable and (judged.lost or judged.stale or judged.accepted):
        return Rule.UNREADABLE_RECORD
    if not lost:
        return None
    if not snapshot.records and not snapshot.rejects:
        return Rule.EMPTY_LIST
    return Rule.LARGE_LOSS if lost >= rules.min_loss and lost > rules.max_loss_share * listed else None


def _final(suspicion: Rule | None, surroundings: Surroundings, *, has_lasted: bool) -> Rule | None:
    """Name the rule that no look-up can lift; None where they may be heard."""
    if suspicion is None or suspicion is Rule.UNREADABLE_RECORD or not has_lasted:
        return suspicion
    if surroundings.is_whole:
        return Rule.WHOLE_WORKSPACE
    if suspicion is not Rule.EMPTY_LIST:
        return None
    # An empty list has no batch of its own to try a look-up with.
    if not surroundings.is_listed:
        return Rule.EMPTY_LIST
    return None if surroundings.witness else Rule.WHOLE_WORKSPACE


def _has_lasted(since: datetime | None, at: datetime, hold: timedelta) -> bool:
    return since is not None and at - since >= hold


def _agenda(groups: Iterable[Collection[str]], count: int, at: datetime) -> tuple[str, ...]:
    """Ask for those of the first group, and for others with what is left."""
    chosen = tuple[str, ...]()
    for ids in groups:
        chosen += by_lot(ids, count - len(chosen), at)
    return chosen


def _control(snapshot: Snapshot[Record], witness: Control | None, at: datetime) -> Control | None:
    """Choose one that the answer shows, another one at another time; else a witness."""
    if snapshot.records:
        lot = int.from_bytes(blake2b(at.isoformat().encode()).digest())
        return Control(snapshot.records[lot % len(snapshot.records)].record_id)
    shown = by_lot(snapshot.present_only, 1, at)
    return Control(shown[0]) if shown else witness


def _weighed(answer: LookUp | None, *, is_vouched: bool) -> LookUp:
    if answer is None or (isinstance(answer, NotFound) and not is_vouched):
        return Inconclusive()
    return answer


def _verdict(asked: Question, answers: Mapping[str, LookUp], control: LookUp | None) -> Rule | None:
    """Name the rule that keeps the observation suspect; None when every absence has its explanation."""
    if asked.is_final:
        return asked.suspicion
    examined = [answer for record_id, answer in answers.items() if record_id not in asked.unlisted]
    if any(isinstance(answer, Found) for answer in examined):
        return Rule.SHORT_LIST
    if asked.suspicion and not (examined and all(isinstance(answer, NotFound) for answer in examined)):
        return Rule.UNCONFIRMED_LOSS
    # One that the list shows and a look-up denies: one of the two does not tell the truth.
    is_own = asked.control is not None and asked.control.slug is None
    is_contradicted = is_own and isinstance(control, NotFound) and bool(asked.lost or asked.stale)
    return Rule.CONTRADICTION if is_contradicted else None
