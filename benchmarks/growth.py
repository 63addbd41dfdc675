"""
What a ledger grows by, measured on a Postgres of its own: at rest, when folded, a change, a body, a year.

    python benchmarks/growth.py                    100 projects of 100 batches, read every 15 minutes
    python benchmarks/growth.py --projects 1000

Runs read a simulated workspace in memory, so that days pass in minutes; all of them write as in earnest.
Sizes are those of packed tables with indexes and TOAST; the log is the write-ahead log without full pages.
Each figure is a difference between two moments, divided by what happened in between.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import tempfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
import structlog
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = Path(__file__)
DAY: Final = 96
"""Readings of a day, one every 15 minutes."""

START: Final = datetime(2024, 2, 3, tzinfo=UTC)


class Size(NamedTuple):
    """Bytes of the tables of observations and runs, of changes, of bodies, of the rest; and of the log."""

    readings: int
    changes: int
    bodies: int
    rest: int
    log: int

    @property
    def tables(self) -> int:
        """All but the log."""
        return sum(self[:4])

    def since(self, before: Size) -> Size:
        """Return what was added."""
        return Size(*(now - then for now, then in zip(self, before, strict=True)))


_TABLES: Final = (("observation", "run"), ("batch_change", "batch", "project_day"), ("payload",))

_SIZES: Final = """
SELECT
    coalesce(sum(pg_total_relation_size(oid)) FILTER (WHERE relname = ANY(%s)), 0)::bigint,
    coalesce(sum(pg_total_relation_size(oid)) FILTER (WHERE relname = ANY(%s)), 0)::bigint,
    coalesce(sum(pg_total_relation_size(oid)) FILTER (WHERE relname = ANY(%s)), 0)::bigint,
    sum(pg_total_relation_size(oid))::bigint,
    (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint
FROM pg_class
WHERE relnamespace = 'ledger'::regnamespace
    AND relkind = 'r'
"""


class Bench:
    """A simulated workspace, its ledger, and a clock that is moved by hand."""

    def __init__(self, uri: str, arguments: argparse.Namespace) -> None:
        from etl.database import engine  # noqa: PLC0415 - only once the path is set.
        from etl.store import PostgresLedger  # noqa: PLC0415
        from tests.worlds import FakeClock, WorldSource, a_world  # noqa: PLC0415

        self.uri = uri
        self.projects: int = arguments.projects
        self.connection = psycopg.connect(uri, autocommit=True)
        self.world = a_world(projects=self.projects, batches=arguments.batches)
        self.clock = FakeClock(START)
        self.source = WorldSource(self.world, self.clock)
        self.engine = engine(uri)
        self.ledger = PostgresLedger(self.engine, host="benchmark", version="benchmark")

    def read(self, times: int = 1) -> None:
        """Read every project so many times, a quarter of an hour apart."""
        from tests.worlds import a_run  # noqa: PLC0415

        for _ in range(times):
            began_at = self.clock()
            a_run(self.ledger, [self.source], self.clock, deadline_s=3600.0)
            self.clock.at = began_at + timedelta(minutes=15)

    def prune(self) -> None:
        """Fold every day that has passed."""
        from etl.database import connect  # noqa: PLC0415
        from etl.retention import Horizons, prune  # noqa: PLC0415
        from etl.settings import DatabaseSettings  # noqa: PLC0415

        old = Horizons(self.clock().replace(hour=0, minute=0, second=0, microsecond=0), None)
        with connect(self.uri) as connection:
            prune(connection, DatabaseSettings(), old, now=self.clock())

    def change(self) -> None:
        """Let one batch of each project grow, as when images are added to it."""
        for project in self.world.projects.values():
            project.append(next(iter(project.batches)), images=1)

    def keep(self, bodies: list[bytes]) -> None:
        """Keep bodies as a run does."""
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO ledger.payload (digest, body, body_bytes) VALUES (%s, %s, %s)",
                [(hashlib.sha256(body).digest(), zlib.compress(body, 1), len(body)) for body in bodies],
            )

    def repack(self) -> None:
        """Write all tables anew, so that what is measured is what the rows need."""
        self.connection.execute("VACUUM (FULL, ANALYZE)")

    def size(self) -> Size:
        """Measure."""
        row = self.connection.execute(_SIZES, [list(names) for names in _TABLES]).fetchone()
        readings, changes, bodies, tables, log = row or (0, 0, 0, 0, 0)
        return Size(readings, changes, bodies, tables - readings - changes - bodies, log)

    def growth(self, act: Callable[[], Any], *, is_packed: bool = True) -> Size:
        """Return what an act adds; with its tables packed before and after."""
        if is_packed:
            self.repack()
        before = self.size()
        act()
        log = self.size().log - before.log
        if is_packed:
            self.repack()
        return self.size().since(before)._replace(log=log)


def main() -> None:
    """Measure, and print the table."""
    arguments = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        from etl.database import connect, migrate  # noqa: PLC0415 - only once the path is set.
        from etl.embedded import server  # noqa: PLC0415

        with server(Path(home) / "db", settings={"autovacuum": "off", "full_page_writes": "off"}) as uri:
            with connect(uri) as connection:
                migrate(connection)
            _measure(Bench(uri, arguments), arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a ledger grows by.")
    parser.add_argument("--projects", type=int, default=100)
    parser.add_argument("--batches", type=int, default=100)
    return parser.parse_args()


def _measure(bench: Bench, arguments: argparse.Namespace) -> None:
    title = f"{bench.projects:,} projects of {arguments.batches:,} batches, read every 15 minutes"
    table = Table("what", "tables and indexes, B", "log, B", "of 1,000 projects", title=title)
    first = bench.growth(bench.read)
    rest = bench.growth(lambda: bench.read(DAY))
    bench.change()
    changed = bench.growth(bench.read)
    bench.read(DAY)
    folding = bench.growth(bench.prune)
    folded = bench.growth(lambda: _folded_day(bench))
    _row(table, "first load, a batch", first.tables / arguments.batches, first.log / arguments.batches, bench)
    _row(table, "at rest, a project and day, not folded", rest.tables, rest.log, bench)
    _row(table, "  the same, folded", folded.tables, None, bench, " a day")
    _row(table, "  to fold it", None, folding.log / 2, bench, " a day")
    _row(table, "a change of one batch, body and reading included", changed.tables, changed.log, bench)
    _row(table, "  of which the body", changed.bodies, None, bench)
    Console(width=120).print(table)
    for batches in (10, 100, 1000):
        _tell_bodies(bench, batches)
    _tell_a_year(bench, rest, folded, changed)


def _folded_day(bench: Bench) -> None:
    bench.read(DAY)
    bench.prune()


def _row(  # noqa: PLR0913, PLR0917 - one argument a cell.
    table: Table, what: str, size: float | None, log: float | None, bench: Bench, unit: str = ""
) -> None:
    each = [None if one is None else one / bench.projects for one in (size, log)]
    cells = ["" if one is None else f"{one:,.0f}" for one in each]
    of_all = next(one for one in each if one is not None) * 1000
    table.add_row(what, *cells, f"{of_all / 1e6:,.1f} MB{unit}")


def _tell_bodies(bench: Bench, batches: int) -> None:
    """Keep fifty bodies that differ in one batch, as those of one project do."""
    from etl.simulator.bodies import batches as body_of  # noqa: PLC0415
    from tests.worlds import a_world  # noqa: PLC0415

    (project,) = a_world(projects=1, batches=batches, seed=batches).projects.values()
    bodies = []
    for _ in range(50):
        project.append(next(iter(project.batches)), images=1)
        bodies.append(body_of(project))
    grown = bench.growth(lambda: bench.keep(bodies)).bodies / len(bodies)
    print(f"A body of {batches:,} batches: {len(bodies[0]):,} B as received, {grown:,.0f} B as kept.")


def _tell_a_year(bench: Bench, rest: Size, folded: Size, changed: Size) -> None:
    """Add up a year of 1,000 projects: 35 days as they were read, the others folded; ten changes a day."""
    of_all = 1000 / bench.projects
    readings = (35 * rest.tables + 330 * folded.tables) * of_all / 1e9
    changes = 3650 * changed.tables * of_all / 1e9
    print(
        f"A year of 1,000 projects: {readings:.1f} GB of readings, and {changes:.1f} GB of changes with their"
    )
    print("bodies if each project changes ten times a day; without folding the readings would take ", end="")
    print(f"{365 * rest.tables * of_all / 1e9:.1f} GB.")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    main()
