"""
What may be believed of a batch's absence: (what was believed, this answer) → (what to ask) → belief.

Presence needs no guard. An absence is believed only when the answer was complete, was not a sudden loss, and
was cross-examined: each missing batch is looked up on its own, or is absent again from a second trusted
answer.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from etl.records import Batch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from etl.records import Snapshot


class Rule(StrEnum):
    """Why an observation is suspect."""

    UNREADABLE_RECORD = "unreadable_record"
    EMPTY_LIST = "empty_list"
    LARGE_LOSS = "large_loss"
    SHORT_LIST = "short_list"
    UNCONFIRMED_LOSS = "unconfirmed_loss"

    @property
    def is_loss(self) -> bool:
        """Whether it keeps the memory of a disbelieved loss alive."""
        return self in (Rule.EMPTY_LIST, Rule.LARGE_LOSS, Rule.UNCONFIRMED_LOSS)


class GuardRules(msgspec.Struct, frozen=True):
    """
    The thresholds. See the configuration reference for why each number is what it is.

    Args:
        max_loss_share: Share of the believed batches (0 to 1) above which a loss is suspect.
        min_loss: Batches that must be absent before the share counts; small projects empty out in big shares.
        max_lookups: Batches looked up on their own in one observation.
        hold: How long a suspected loss must last before it is cross-examined.
    """

    max_loss_share: float = 0.5
    min_loss: int = 5
    max_lookups: int = 20
    hold: timedelta = timedelta(hours=1)


class Known(msgspec.Struct, frozen=True):
    """
    Ids of the batches of a project that are not gone, each in exactly one of three sets.

    `listed` were in the last answer; `missing` were absent from it and await confirmation; `unlisted` are
    left out by the list although a look-up finds them.
    """

    listed: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()


class Question(msgspec.Struct, frozen=True):
    """
    What the answer leaves open.

    `lost` are absent for the first time, `stale` were missing before and are absent again, `look_up` are the
    ids to ask for one by one, in order. `suspicion` is the rule that was met, None if none; with `is_final`
    nothing can lift it in this observation.
    """

    lost: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    look_up: tuple[str, ...] = ()
    suspicion: Rule | None = None
    is_final: bool = False


class Found(msgspec.Struct, frozen=True):
    """A look-up that answered with the batch."""

    batch: Batch


class NotFound(msgspec.Struct, frozen=True):
    """A look-up that answered with a plain 404."""


class Inconclusive(msgspec.Struct, frozen=True):
    """A look-up that tells nothing: an error, a missing scope, an answer that cannot be used."""


LookUp = Found | NotFound | Inconclusive


class Belief(msgspec.Struct, frozen=True):
    """
    What is believed beside the batches that the answer shows.

    `gone` are confirmed absent, `missing` absent for the first time and not confirmed, `found` left out by
    the list but there. `rule` is None when the observation is trusted.
    """

    gone: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    found: tuple[Batch, ...] = ()
    rule: Rule | None = None


def question(
    known: Known,
    snapshot: Snapshot,
    rules: GuardRules,
    *,
    loss_suspected_since: datetime | None,
    at: datetime,
) -> Question:
    """
    Say what an answer leaves open, before any look-up.

    Args:
        known: What was believed before this answer.
        snapshot: What the answer shows.
        rules: The thresholds.
        loss_suspected_since: When a loss was first disbelieved, with no trusted observation since; else None.
        at: When the answer was observed.
    """
    present = snapshot.present
    lost = known.listed - present
    stale = known.missing - present
    unlisted = known.unlisted - present
    suspicion = _suspicion(known, snapshot, lost, stale, rules)
    if suspicion and (
        suspicion is Rule.UNREADABLE_RECORD or not _has_lasted(loss_suspected_since, at, rules.hold)
    ):
        return Question(lost=lost, stale=stale, suspicion=suspicion, is_final=True)
    first = _sample(lost, rules.max_lookups, at)
    then = _sample(unlisted, rules.max_lookups - len(first), at)
    return Question(lost=lost, stale=stale, look_up=(*first, *then), suspicion=suspicion)


def conclude(known: Known, asked: Question, look_ups: Mapping[str, LookUp]) -> Belief:
    """
    Say what is believed once the look-ups have answered.

    Args:
        known: What was believed before this answer.
        asked: What the answer left open.
        look_ups: The answers for the ids of `asked.look_up`; one that is lacking counts as inconclusive.
    """
    answers = {batch_id: look_ups.get(batch_id, Inconclusive()) for batch_id in asked.look_up}
    found = tuple(answer.batch for answer in answers.values() if isinstance(answer, Found))
    denied = frozenset(batch_id for batch_id, answer in answers.items() if isinstance(answer, NotFound))
    rule = _verdict(known, asked, answers)
    if rule is not None:
        return Belief(found=found, rule=rule)
    gone = denied | asked.stale
    return Belief(gone=gone, missing=asked.lost - gone, found=found)


def _suspicion(
    known: Known, snapshot: Snapshot, lost: frozenset[str], stale: frozenset[str], rules: GuardRules
) -> Rule | None:
    if snapshot.has_unreadable and (lost or stale):
        return Rule.UNREADABLE_RECORD
    if not lost:
        return None
    if not snapshot.batches and not snapshot.rejects:
        return Rule.EMPTY_LIST
    is_large = len(lost) >= rules.min_loss and len(lost) > rules.max_loss_share * len(known.listed)
    return Rule.LARGE_LOSS if is_large else None


def _has_lasted(since: datetime | None, at: datetime, hold: timedelta) -> bool:
    return since is not None and at - since >= hold


def _sample(ids: Collection[str], count: int, at: datetime) -> tuple[str, ...]:
    """Choose whom to ask, others at another time, so that no batch stays out of every sample."""
    if len(ids) <= count:
        return tuple(sorted(ids))
    by_lot = sorted(ids, key=lambda batch_id: blake2b(f"{at.isoformat()} {batch_id}".encode()).digest())
    return tuple(sorted(by_lot[:count]))


def _verdict(known: Known, asked: Question, answers: Mapping[str, LookUp]) -> Rule | None:
    """Name the rule that keeps the observation suspect; None when every absence has its explanation."""
    if asked.is_final:
        return asked.suspicion
    examined = [answer for batch_id, answer in answers.items() if batch_id not in known.unlisted]
    if any(isinstance(answer, Found) for answer in examined):
        return Rule.SHORT_LIST
    if asked.suspicion and not (examined and all(isinstance(answer, NotFound) for answer in examined)):
        return Rule.UNCONFIRMED_LOSS
    return None
