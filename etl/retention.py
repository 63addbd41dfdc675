"""
Keep what grows without bound small, and every answer as it was.

Uneventful observations of one project and day are folded into the last of them; runs, ticks, bodies and
rejects that nothing refers to any more are dropped. Each step is a small transaction, so that no run waits
for it, and what was committed before an end of whatever kind is whole.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import structlog
from psycopg.errors import LockNotAvailable, QueryCanceled
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from etl.database import connect
from etl.errors import BatchledgerError, StatementFailedError
from etl.sql import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from etl.ports import Clock
    from etl.settings import DatabaseSettings, RetentionSettings

_log: Final = structlog.get_logger(__name__)

_LOCK: Final = 4_150_212_893_700_316_882
"""The advisory lock of whoever prunes: two at once would only do the same work twice."""

_SLICE: Final = timedelta(days=31)
_MOST: Final = 10_000
_MOST_LISTED: Final = 100_000
_MOST_BODIES: Final = 200
"""What one transaction takes on: days of a project, rows, digests, and bodies, for which runs must wait."""

_BODIES_LOCK_TIMEOUT_S: Final = 1.0
"""How long a run may have to stand behind us while we wait for another run's writes."""


class Tally(msgspec.Struct, frozen=True):
    """How many rows, and their bytes, without those of indexes."""

    rows: int = 0
    bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.rows + other.rows, self.bytes + other.bytes)


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was folded or dropped, or would be.

    `observations` are those that were folded into another one. `is_whole` is False if time was up, or bodies
    were in use: the next time goes on from there.
    """

    observations: Tally = Tally()
    runs: Tally = Tally()
    ticks: Tally = Tally()
    payloads: Tally = Tally()
    rejects: Tally = Tally()
    is_whole: bool = True


class Horizons(NamedTuple):
    """Until when things are old: whole days of observations, and bodies; None: all are kept."""

    unchanged: datetime
    payloads: datetime | None


def horizons(settings: RetentionSettings, now: datetime) -> Horizons:
    """Say what is old by now."""
    day = (now - settings.unchanged).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Horizons(day, now - settings.payloads if settings.payloads else None)


def preview(connection: Connection, old: Horizons) -> Pruned:
    """
    Say what `prune` would do; write nothing.

    Args:
        connection: One without an open transaction.
        old: What is old.
    """
    with connection.begin():
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        begun = _ask(connection, ["prune_from"], until=old.unchanged)
        values = {
            "project_ids": [project_id for project_id, _ in begun],
            "from_ats": [from_at for _, from_at in begun],
            "until": old.unchanged,
            "most": None,
        }
        # Before all time: then every body is needed.
        bodies = {"until": old.payloads or "-infinity", "most": None}
        return Pruned(
            observations=_tally(connection, ["prune_alike", "prune_fold_preview"], **values),
            runs=_tally(connection, ["prune_alike", "prune_runs", "prune_preview"], **values),
            ticks=_tally(connection, ["prune_ticks", "prune_preview"], **values),
            payloads=_tally(connection, ["prune_base", "prune_bodies", "prune_preview"], **bodies),
            rejects=_tally(connection, ["prune_base", "prune_rejects", "prune_preview"], **bodies),
        )


def prune(
    connection: Connection,
    limits: DatabaseSettings,
    old: Horizons,
    *,
    now: datetime,
    is_over: Callable[[], bool] = lambda: False,
) -> Pruned:
    """
    Fold and drop what is old, as far as time allows.

    Args:
        connection: One without an open transaction; every step is one of its own.
        limits: How long a statement may last, and wait for a lock.
        old: What is old.
        now: The date of what is dropped.
        is_over: Asked before each step; True ends it.

    Raises:
        StatementFailedError: Somebody else prunes.
    """
    return _Pruning(connection, limits, old, now, is_over)()


class Upkeep:
    """
    Prunes now and then, for a daemon. Nothing that goes wrong escapes: it is said, and tried again.

    What there is to do is found in the database, so a daemon that starts anew, or one on another host, only
    looks, and finds nothing left.

    Args:
        uri: As for `etl.database.connect`.
        limits: As for `etl.database.connect`.
        settings: What is kept, and how often to look.
        clock: Tells the time.
        monotonic: The clock that intervals are measured by.
    """

    def __init__(
        self,
        uri: str,
        limits: DatabaseSettings,
        settings: RetentionSettings,
        *,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = uri
        self._limits = limits
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._due_s = 0.0 if settings.every else float("inf")

    def __call__(self, is_over: Callable[[], bool]) -> None:
        """Prune if it is time to; `is_over` as for `prune`."""
        if self._monotonic() < self._due_s:
            return
        try:
            pruned = self._prune(is_over)
        except BatchledgerError as error:
            _log.warning("prune failed; it is tried again", error=str(error), remedy=error.remedy)
        except Exception:  # noqa: BLE001 - a fault in pruning must not end a daemon that reads.
            _log.exception("prune failed by a fault of ours; it is tried again")
        else:
            rows = {
                name: getattr(pruned, name).rows for name in ("observations", "runs", "ticks", "payloads")
            }
            _log.info("pruned", **rows, is_whole=pruned.is_whole)
            if pruned.is_whole:
                self._due_s = self._monotonic() + self._settings.every.total_seconds()

    def _prune(self, is_over: Callable[[], bool]) -> Pruned:
        now = self._clock()
        with connect(self._uri, self._limits) as connection:
            return prune(connection, self._limits, horizons(self._settings, now), now=now, is_over=is_over)


class _Pruning:
    """One pass. Bodies come first: what is folded afterwards has no part in what is needed of them."""

    def __init__(
        self,
        connection: Connection,
        limits: DatabaseSettings,
        old: Horizons,
        now: datetime,
        is_over: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._old = old
        self._now = now
        self._is_over = is_over
        self._is_whole = True

    def __call__(self) -> Pruned:
        return Pruned(
            payloads=self._bodies(),
            rejects=self._rejects(),
            observations=self._observations(),
            runs=self._drop(
                ["prune_alike", "prune_runs", "prune_runs_drop"],
                until=self._old.unchanged,
                project_ids=[],
                from_ats=[],
            ),
            ticks=self._drop(["prune_ticks", "prune_ticks_drop"], until=self._old.unchanged),
            is_whole=self._is_whole,
        )

    def _observations(self) -> Tally:
        with self._transaction():
            begun = _ask(self._connection, ["prune_from"], until=self._old.unchanged)
        slices = (
            (project_id, at) for project_id, from_at in begun for at in _starts(from_at, self._old.unchanged)
        )
        total = Tally()
        for project_id, from_at in slices:
            if self._has_to_end():
                break
            with self._transaction():
                total += _tally(
                    self._connection,
                    ["prune_alike", "prune_fold"],
                    project_ids=[project_id],
                    from_ats=[from_at],
                    until=min(from_at + _SLICE, self._old.unchanged),
                )
        return total

    def _drop(self, files: Sequence[str], **values: object) -> Tally:
        """Drop a slice at a time, until there is nothing left."""
        total = Tally()
        while not self._has_to_end():
            with self._transaction():
                dropped = _tally(self._connection, files, most=_MOST, **values)
            total += dropped
            if dropped.rows < _MOST:
                break
        return total

    def _rejects(self) -> Tally:
        if self._old.payloads is None:
            return Tally()
        return self._drop(["prune_base", "prune_rejects", "prune_rejects_drop"], until=self._old.payloads)

    def _bodies(self) -> Tally:
        total = Tally()
        while self._old.payloads is not None and not self._has_to_end():
            newest, digests = self._unneeded(self._old.payloads)
            dropped = self._drop_bodies(digests, newest)
            total += dropped
            if len(digests) < _MOST_LISTED or not dropped.rows:
                break
        return total

    def _unneeded(self, until: datetime) -> tuple[list[Sequence[Any]], list[bytes]]:
        """List bodies that nobody needs, and the newest observations before: later ones are looked at."""
        with self._unless_it_takes_long(), self._transaction(reads_all=True):
            newest = _ask(self._connection, ["prune_newest"])
            files = ["prune_base", "prune_bodies", "prune_bodies_list"]
            listed = _ask(self._connection, files, until=until, most=_MOST_LISTED)
            return newest, [digest for (digest,) in listed]
        return [], []

    def _drop_bodies(self, digests: Sequence[bytes], newest: Sequence[Sequence[Any]]) -> Tally:
        total = Tally()
        values = {
            "project_ids": [project_id for project_id, _ in newest],
            "newest_ats": [newest_at for _, newest_at in newest],
            "at": self._now,
        }
        for first in range(0, len(digests), _MOST_BODIES):
            if self._has_to_end():
                break
            chosen = digests[first : first + _MOST_BODIES]
            with self._unless_it_takes_long(), self._transaction(lock_timeout_s=_BODIES_LOCK_TIMEOUT_S):
                self._connection.execute(text("LOCK TABLE ledger.payload IN SHARE ROW EXCLUSIVE MODE"))
                total += _tally(self._connection, ["prune_bodies_drop"], digests=chosen, **values)
        return total

    @contextmanager
    def _unless_it_takes_long(self) -> Iterator[None]:
        """Leave to the next time what would make runs wait, or what the time limit of statements forbids."""
        try:
            yield
        except OperationalError as error:
            if not isinstance(error.orig, (LockNotAvailable, QueryCanceled)):
                raise
            self._is_whole = False

    def _has_to_end(self) -> bool:
        is_over = self._is_over()
        self._is_whole = self._is_whole and not is_over
        return is_over

    @contextmanager
    def _transaction(self, *, reads_all: bool = False, lock_timeout_s: float | None = None) -> Iterator[None]:
        """Hold off whoever else prunes for one transaction, which nothing waits for to be on disk."""
        waits_s = self._limits.lock_timeout_s if lock_timeout_s is None else lock_timeout_s
        values = {
            "lock": _LOCK,
            "lock_timeout": f"{waits_s * 1000:.0f}",
            "statement_timeout": f"{self._limits.statement_timeout_s * 1000:.0f}",
            # Who looks at a slice must not read all of a table; who looks at all of it should.
            "enable_seqscan": "on" if reads_all else "off",
        }
        with self._connection.begin():
            if not self._connection.scalar(text(_BEGIN), values):
                raise StatementFailedError(
                    "another prune is at work on this database", remedy="let it end; it does the same work"
                )
            yield


_BEGIN: Final = """
SELECT
    pg_try_advisory_xact_lock(:lock),
    set_config('lock_timeout', :lock_timeout, TRUE),
    set_config('statement_timeout', :statement_timeout, TRUE),
    set_config('enable_seqscan', :enable_seqscan, TRUE),
    set_config('synchronous_commit', 'off', TRUE)
"""


def _starts(from_at: datetime, until: datetime) -> Iterator[datetime]:
    while from_at < until:
        yield from_at
        from_at += _SLICE


def _tally(connection: Connection, files: Sequence[str], **values: object) -> Tally:
    ((rows, size),) = _ask(connection, files, **values)
    return Tally(int(rows), int(size))


def _ask(connection: Connection, files: Sequence[str], **values: object) -> list[Sequence[Any]]:
    return list(map(tuple, connection.exec_driver_sql(_text(*files), values)))


@cache
def _text(*files: str) -> str:
    return "".join(text_of(file) for file in files)
