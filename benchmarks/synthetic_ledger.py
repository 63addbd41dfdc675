"""
A synthetic ledger of two years whose books balance: drawn from a seed, written by the database itself.

The history of a batch is a formula of its age, so that any slice of days can be written on its own, in the
order in which runs would have written it. Sessions side by side write one share of the projects each. A slice
is committed as a whole, and what is to be done next stands in a schema of its own until the ledger is whole,
so that whoever comes later goes on. Keys and indexes of the widest tables are away meanwhile. What it is
drawn from, and how, is in the statements of `synthetic/`, in the order of their use here.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_STATEMENTS: Final = Path(__file__).parent / "synthetic"
_DAYS: Final = 730
_OUTAGE: Final = (438, 440)
"""Days on which no daemon was running, the first and the last of them."""

_ROWS_A_SLICE: Final = 1_000_000
_SHARES: Final = 2
"""Sessions that write side by side; who goes on later has as many."""

_HOUR_S: Final = 3600
_SPREAD: Final = timedelta(minutes=35)
"""Time from the first to the last reading of an hour, at most."""


class Size(NamedTuple):
    """How large a ledger is; what a batch lives through says how many changes it has."""

    projects: int
    changes: int
    growths: int
    jobs: int
    parts: int
    strides: int
    batches: int = 100

    @property
    def slice_days(self) -> int:
        """Days that are written at once."""
        return max(1, _ROWS_A_SLICE * _DAYS // self.changes) if self.changes > _ROWS_A_SLICE else 100


SIZES: Final[Mapping[str, Size]] = MappingProxyType(
    {
        "small": Size(100, 200_000, growths=7, jobs=2, parts=4, strides=6),
        "medium": Size(1_000, 2_000_000, growths=7, jobs=2, parts=4, strides=6),
        "tenth": Size(1_000, 10_000_000, growths=46, jobs=8, parts=6, strides=3),
        "large": Size(10_000, 100_000_000, growths=46, jobs=8, parts=6, strides=3),
    }
)


class Written(NamedTuple):
    """What a ledger came to."""

    rows: Mapping[str, int]
    table_bytes: int
    steps: Mapping[str, float]
    """Seconds of each step, of all sessions that it took; of shares side by side those of the slower one."""

    @property
    def seconds(self) -> float:
        """How long all steps took."""
        return sum(self.steps.values())

    @property
    def changes(self) -> int:
        """Changes of batches and jobs."""
        return self.rows["batch_change"] + self.rows["job_change"]


class OtherLedgerError(Exception):
    """The database holds an unfinished ledger of another kind: go on with that one, or elsewhere."""


# What is only so while it is written. What a crash of the server would lose is written anew.
_SESSION: Final = """
SET search_path = synthetic, pg_catalog;
SET synchronous_commit = off;
SET work_mem = '256MB';
SET maintenance_work_mem = '512MB';
SET max_parallel_maintenance_workers = 2
"""

_STEPS: Final = (
    "SELECT coalesce(min(step), 0), coalesce(max(step) + 1, 0) FROM step WHERE day >= %s AND day < %s"
)

# Shares write side by side, and the slowest of them counts.
_SPENT: Final = "SELECT step, max(seconds) FROM spent GROUP BY step ORDER BY 2 DESC"


def is_unfinished(uri: str) -> bool:
    """Say whether somebody began to write a synthetic ledger here, and did not come to its end."""
    with psycopg.connect(uri) as connection:
        return _is_begun(connection)


class Writer:
    """Who writes one synthetic ledger, or goes on with it."""

    def __init__(self, uri: str, size: Size, *, seed: int, until: datetime) -> None:
        self._connections = [
            psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor) for _ in range(_SHARES)
        ]
        for connection in self._connections:
            connection.execute(_SESSION)
        self._connection = self._connections[0]
        today = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start = today - timedelta(days=_DAYS)
        self._size = size
        self._values: Mapping[str, Any] = {
            **size._asdict(),
            "seed": seed,
            "start": start.isoformat(),
            "days": _DAYS,
            "slots": int((until - _SPREAD - start).total_seconds()) // _HOUR_S + 1,
            "outage_from": _OUTAGE[0],
            "outage_to": _OUTAGE[1],
            "shares": _SHARES,
        }

    def write(self, tell: Callable[[str, int, int], None]) -> Written:
        """
        Fill the empty ledger, or go on where somebody stopped.

        Args:
            tell: Takes what is being done, how much of it is done, and how much there is to do.

        Raises:
            OtherLedgerError: Somebody began one of another size or from another seed.
        """
        if _is_begun(self._connection):
            self._resume()
        else:
            self._begin()
        with ThreadPoolExecutor(_SHARES) as pool:
            for end in self._ends():
                tell("days", min(end, _DAYS), _DAYS)
                list(pool.map(self._write_days, range(_SHARES), [end] * _SHARES))
        tell("days", _DAYS, _DAYS)
        self._finish()
        self._build(tell)
        written = Written(self._rows(), self._table_bytes(), self._steps())
        self._connection.execute("DROP SCHEMA synthetic CASCADE")
        return written

    def _begin(self) -> None:
        """Draw the ledger, and take the keys away: all of it, or nothing."""
        with self._connection.transaction():
            self._execute("writing")
            self._connection.execute("INSERT INTO writing VALUES (%s)", [Jsonb(dict(self._values))])
            with self._timed("prepare"):
                self._execute("prepare")
            self._execute("keys")
            # Who refers to a key goes first.
            for (away,) in self._connection.execute("SELECT away FROM definition ORDER BY position DESC"):
                self._connection.execute(away)
            for name in ("projects", "batches"):
                with self._timed(name):
                    self._execute(name)

    def _resume(self) -> None:
        """Take up what was begun, also its last reading."""
        begun = self._connection.execute("SELECT drawn_from FROM writing").fetchone()
        values: dict[str, Any] = begun[0] if begun else {}
        if {**values, **self._until(values)} != {**self._values, **self._until(values)}:
            raise OtherLedgerError("the database holds an unfinished ledger of another size or seed")
        self._values = values

    @staticmethod
    def _until(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values.get(name) for name in ("start", "slots")}

    def _ends(self) -> Iterator[int]:
        """Give the ends of the slices that not every share has."""
        row = self._connection.execute("SELECT min(next_day) FROM share").fetchone() or (0,)
        for day in range(row[0], _DAYS + 1, self._size.slice_days):
            yield min(day + self._size.slice_days, _DAYS + 1)

    def _write_days(self, share: int, end: int) -> None:
        """Write the days of one share up to an end, unless they are there."""
        connection = self._connections[share]
        with connection.transaction():
            first = self._number("SELECT next_day FROM share WHERE share = %s FOR UPDATE", share, share)
            if first >= end:
                return
            step_from, step_to = connection.execute(_STEPS, [first, end]).fetchone() or (0, 0)
            days = {
                "day_from": first,
                "day_to": end,
                "step_from": step_from,
                "step_to": step_to,
                "share": share,
            }
            for name in ("events", "changes", "readings", "observations"):
                with self._timed(name, share):
                    self._execute(name, days, share)
            connection.execute("UPDATE share SET next_day = %s WHERE share = %s", [end, share])

    def _finish(self) -> None:
        """Write what is known at the end, and look after the tables as autovacuum would have in two years."""
        with self._connection.transaction():
            query = "UPDATE writing SET is_filled = TRUE WHERE NOT is_filled"
            if self._connection.execute(query).rowcount:
                with self._timed("finish"):
                    self._execute("finish")
        with self._timed("vacuum"):
            self._connection.execute("VACUUM (ANALYZE)")

    def _build(self, tell: Callable[[str, int, int], None]) -> None:
        """Build keys and indexes again, each once, whoever does it."""
        total = self._number("SELECT count(*) FROM definition")
        while self._is_one_built():
            tell("keys and indexes", total - self._number("SELECT count(*) FROM definition"), total)

    def _is_one_built(self) -> bool:
        with self._connection.transaction():
            found = self._connection.execute(
                "DELETE FROM definition WHERE position = (SELECT min(position) FROM definition)"
                " RETURNING step, again"
            ).fetchone()
            if found is None:
                return False
            step, again = found
            with self._timed(step):
                self._connection.execute(again)
        return True

    @contextmanager
    def _timed(self, step: str, share: int = 0) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._connections[share].execute(
            "INSERT INTO spent VALUES (%s, %s, %s)"
            " ON CONFLICT (share, step) DO UPDATE SET seconds = spent.seconds + excluded.seconds",
            [share, step, time.monotonic() - began],
        )

    def _execute(self, name: str, more: Mapping[str, int] = MappingProxyType({}), share: int = 0) -> None:
        statement = (_STATEMENTS / f"{name}.sql").read_text(encoding="utf-8")
        self._connections[share].execute(statement, {**self._values, **more})

    def _rows(self) -> dict[str, int]:
        tables = (
            "project",
            "batch",
            "job",
            "batch_change",
            "job_change",
            "observation",
            "project_day",
            "run",
        )
        count = "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass"
        return {table: self._number(count, f"ledger.{table}") for table in tables}

    def _table_bytes(self) -> int:
        size = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
        return self._number(f"{size} WHERE relnamespace = %s::regnamespace AND relkind = 'r'", "ledger")

    def _number(self, query: str, value: object = None, share: int = 0) -> int:
        parameters = None if value is None else [value]
        row = self._connections[share].execute(query, parameters).fetchone()
        return int(row[0]) if row else 0

    def _steps(self) -> dict[str, float]:
        return dict(self._connection.execute(_SPENT).fetchall())

    def close(self) -> None:
        """End the sessions."""
        for connection in self._connections:
            connection.close()


def _is_begun(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT to_regclass('synthetic.writing') IS NOT NULL").fetchone()
    return bool(row and row[0])
