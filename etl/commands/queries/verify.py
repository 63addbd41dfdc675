"""What `verify` reads: every promise of the books that is broken, and how much was checked."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands.queries import rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One broken promise of the books: the rows that break it."""

    invariant: str
    workspace: str
    project: str
    detail: str


class Invariant(msgspec.Struct, frozen=True):
    """What a promise means when it is broken, and what to do then."""

    means: str
    remedy: str


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """One promise that is broken: what that means, what to do, and every row that breaks it."""

    invariant: str
    means: str
    remedy: str
    rows: tuple[Violation, ...]


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """How much was checked."""

    projects: int
    batches: int
    changes: int
    observations: int


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the books balance, what was checked, and what is broken. `took_s` is in seconds."""

    is_sound: bool
    invariants: int
    checked: Books
    took_s: float
    broken: tuple[Broken, ...]


_REPLAY: Final = (
    "`batchledger replay --project W/P` names the first observation that does not follow from its body; "
    "restore the database from a backup of before it, or report it with what replay says"
)
_REPORT: Final = (
    "nothing that batchledger does can bring this about: find out who else wrote to schema ledger, restore "
    "it from a backup, or report it with this output"
)
_ARCHIVE: Final = (
    "restore the rows of ledger.payload from a backup; without them the numbers cannot be replayed from "
    "there on, though they may be right; report it unless somebody deleted them by hand"
)

INVARIANTS: Final[Mapping[str, Invariant]] = MappingProxyType(
    {
        "batches_balance": Invariant(
            "the totals of a project are not the sum of its batches, so that one of them is wrong", _REPLAY
        ),
        "changes_balance": Invariant(
            "the totals of a project are not the sum of all changes, so that history and present disagree",
            _REPLAY,
        ),
        "last_observation_balances": Invariant(
            "the totals of a project are not those that its last observation left", _REPLAY
        ),
        "jobs_balance": Invariant(
            "the totals of a project are not the sum of its annotation jobs, so that one of them is wrong",
            _REPLAY,
        ),
        "job_changes_balance": Invariant(
            "the totals of a project are not the sum of all changes of its annotation jobs, so that history "
            "and present disagree",
            _REPLAY,
        ),
        "flows_balance": Invariant(
            "what an observation says came and went is not what is there more or less", _REPLAY
        ),
        "current_row_is_last_change": Invariant(
            "a batch or job is shown otherwise than its last change left it", _REPLAY
        ),
        "change_has_its_batch": Invariant("a batch has a history, and is not shown", _REPLAY),
        "change_has_its_job": Invariant("an annotation job has a history, and is not shown", _REPLAY),
        "change_follows_from_the_one_before": Invariant(
            "a change of a batch or job does not begin where the one before it ended",
            _REPLAY,
        ),
        "change_belongs_to_an_observation": Invariant(
            "a change has no observation that could have seen it, so that it has no evidence", _REPORT
        ),
        "observation_counts_its_changes": Invariant(
            "an observation does not count the changes that it made, or its verdict denies them", _REPLAY
        ),
        "observation_follows_from_the_one_before": Invariant(
            "the totals after an observation are not those before it and its changes", _REPLAY
        ),
        "day_adds_up_its_changes": Invariant(
            "a day's row is not the sum of the day's changes, so that dashboards by day are wrong", _REPLAY
        ),
        "observations_are_in_order": Invariant(
            "an observation is dated before the one that it follows, so that the past cannot be told", _REPORT
        ),
        "payload_is_kept": Invariant(
            "the archive lacks a body that an observation goes back to, and did not prune it", _ARCHIVE
        ),
        "look_up_is_kept": Invariant(
            "the archive lacks the answer of a look-up that the ledger goes back to", _ARCHIVE
        ),
        "gap_is_told": Invariant(
            "an attempt came to nothing, and the next trusted observation does not say that it ended a gap; "
            "the past may be called observed where it was not",
            _REPORT,
        ),
        "settled_is_settled": Invariant(
            "a project says that nothing is pending, and a batch or job of it is; the same answer again "
            "would be passed over",
            _REPLAY,
        ),
    }
)
"""Every invariant of `analytics.invariant_violation`, by name."""

_UNKNOWN: Final = Invariant("a newer schema has a promise that this program does not know", _REPORT)

_VIOLATIONS: Final = """
SELECT
    invariant,
    workspace,
    project,
    detail
FROM analytics.invariant_violation
ORDER BY
    invariant,
    workspace,
    project,
    detail
"""

_CHECKED: Final = """
SELECT
    (SELECT count(*) FROM ledger.project) AS projects,
    (SELECT count(*) FROM ledger.batch) AS batches,
    (SELECT count(*) FROM ledger.batch_change) AS changes,
    (SELECT count(*) FROM ledger.observation) AS observations
"""


def verify(connection: Connection) -> Verification:
    """Check every promise of the books."""
    began_s = time.perf_counter()
    found = rows(connection, Violation, _VIOLATIONS)
    (checked,) = rows(connection, Books, _CHECKED)
    return Verification(
        is_sound=not found,
        invariants=len(INVARIANTS),
        checked=checked,
        took_s=round(time.perf_counter() - began_s, 3),
        broken=tuple(_broken(name, found) for name in dict.fromkeys(one.invariant for one in found)),
    )


def _broken(name: str, found: tuple[Violation, ...]) -> Broken:
    told = INVARIANTS.get(name, _UNKNOWN)
    own = tuple(one for one in found if one.invariant == name)
    slugs = {f"{one.workspace}/{one.project}" for one in own}
    remedy = told.remedy.replace("W/P", slugs.pop()) if len(slugs) == 1 else told.remedy
    return Broken(invariant=name, means=told.means, remedy=remedy, rows=own)
