"""
A synthetic ledger of two years whose books balance: drawn from a seed, written by the database itself.

The history of a batch is a formula of its age, so that any slice of days can be written on its own, in the
order in which runs would have written it, into tables that keep their indexes. What it is drawn from, and
how, is in the statements of `synthetic/`, in the order of their use here.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STATEMENTS: Final = Path(__file__).parent / "synthetic"
_DAYS: Final = 730
_OUTAGE: Final = (438, 440)
"""Days on which no daemon was running, the first and the last of them."""

_ROWS_A_SLICE: Final = 1_000_000
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
    seconds: float

    @property
    def changes(self) -> int:
        """Changes of batches and jobs."""
        return self.rows["batch_change"] + self.rows["job_change"]


class Writer:
    """A session that writes one synthetic ledger."""

    def __init__(self, uri: str, size: Size, *, seed: int, until: datetime) -> None:
        self._connection = psycopg.connect(uri, autocommit=True, cursor_factory=psycopg.ClientCursor)
        self._connection.execute("SET work_mem = '128MB'")
        # What a crash would lose is written anew.
        self._connection.execute("SET synchronous_commit = off")
        # What is referred to is there by construction, so who may leaves the checks out.
        self._connection.execute(
            "SELECT set_config('session_replication_role', 'replica', FALSE) FROM pg_roles"
            " WHERE rolname = current_user AND rolsuper"
        )
        today = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start = today - timedelta(days=_DAYS)
        self._size = size
        self._values: dict[str, Any] = {
            **size._asdict(),
            "seed": seed,
            "start": start,
            "days": _DAYS,
            "slots": int((until - _SPREAD - start).total_seconds()) // _HOUR_S + 1,
            "outage_from": _OUTAGE[0],
            "outage_to": _OUTAGE[1],
        }

    def write(self, tell: Callable[[int, int], None]) -> Written:
        """Fill the empty ledger; tell after each slice how many of the days are done."""
        began = time.monotonic()
        for name in ("prepare", "projects", "batches"):
            self._execute(name)
        for day in range(0, _DAYS + 1, self._size.slice_days):
            self._write_days(day, min(day + self._size.slice_days, _DAYS + 1))
            tell(min(day + self._size.slice_days, _DAYS), _DAYS)
        self._execute("finish")
        # What autovacuum would have done in two years.
        self._connection.execute("VACUUM (ANALYZE)")
        return Written(self._rows(), self._table_bytes(), time.monotonic() - began)

    def _write_days(self, first: int, end: int) -> None:
        bounds = (
            "SELECT coalesce(min(step), 0), coalesce(max(step) + 1, 0) FROM step WHERE day >= %s AND day < %s"
        )
        step_from, step_to = self._connection.execute(bounds, [first, end]).fetchone() or (0, 0)
        days = {"day_from": first, "day_to": end, "step_from": step_from, "step_to": step_to}
        with self._connection.transaction():
            for name in ("events", "changes", "readings", "observations"):
                self._execute(name, days)

    def _execute(self, name: str, more: Mapping[str, int] = MappingProxyType({})) -> None:
        statement = (_STATEMENTS / f"{name}.sql").read_text(encoding="utf-8")
        self._connection.execute(statement, {**self._values, **more})

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

    def _number(self, query: str, value: str) -> int:
        row = self._connection.execute(query, [value]).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """End the session."""
        self._connection.close()
