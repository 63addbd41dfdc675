"""
How long dashboards, the status page and the cookbook wait on a large ledger, and how their rows are found.

    python -m benchmarks.scale                             100 projects, 10,000 batches, 200,000 changes
    python -m benchmarks.scale --size medium               ten times as much; there are tenth and large, too
    python -m benchmarks.scale --database postgresql://…   in an empty database of a server that is there

Without --database an embedded Postgres is used; with --home it is kept for the next time. Writing may be
broken off at any time: who comes later goes on. A ledger that is filled already is measured as it is. Each
query runs once to see its plan, then so many times; the median counts. What a query takes is until its last
row is here; what of that the server worked is told beside it, as machines are shared and noisy.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.pages import STATUS_PAGE, asked_by_pages, page_of
from benchmarks.questions import Place, Question, questions
from benchmarks.synthetic_ledger import SIZES, OtherLedgerError, Writer, Written, is_unfinished
from etl.database import connect, migrate
from etl.embedded import server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TARGETS_MS: Final = {"project": 300, "workspace": 2000, "all": None}
"""Of everything at once none is set: dashboards open on it, and people narrow it down."""

_OVERVIEW_MS: Final = TARGETS_MS["workspace"]
"""But the status page has no narrower first page, so it is held to as much as a workspace may take."""


# As an operator with a ledger of this size would set it, as far as it concerns reading; the log, for writing.
_SERVER: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
}


def _target_ms(where: str, scope: str) -> int | None:
    return _OVERVIEW_MS if (where, scope) == (STATUS_PAGE, "all") else TARGETS_MS[scope]


class Timing(NamedTuple):
    """What one query of one scope came to."""

    question: Question
    scope: str
    milliseconds: float | None
    cpu_ms: float
    rows: int
    plan: Plan
    fault: str = ""

    @property
    def is_in_time(self) -> bool:
        """Whether it was answered at all, and meets its target, if there is one."""
        target = _target_ms(self.question.where, self.scope)
        return self.milliseconds is not None and (target is None or self.milliseconds <= target)


class Run(NamedTuple):
    """One run of a query: until its last row was here, and what of that the server worked."""

    milliseconds: float
    cpu_ms: float
    rows: int


class Plan(NamedTuple):
    """How the rows were found: by which scans, how much was looked at in vain, and pages looked at."""

    scans: str = ""
    removed: int = 0
    pages: int = 0


def main() -> None:
    """Fill a ledger if it is empty, ask everything, print the table."""
    arguments = _arguments()
    if arguments.table:
        print(
            "\n".join(_markdown([json.loads(path.read_text(encoding="utf-8")) for path in arguments.table]))
        )
        return
    with _database(arguments) as uri:
        written = _filled(uri, arguments)
        if written is not None:
            _tell(written)
        timings = list(_measured(uri, arguments))
    timings.extend(list(_whole_pages(timings)))
    timings.sort(key=lambda timing: (timing.scope, timing.question.where))
    if arguments.save:
        told = {"size": arguments.size, "timings": [timing._asdict() for timing in timings]}
        arguments.save.write_text(json.dumps(told), encoding="utf-8")
    _print(timings)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How long dashboards wait on a large ledger.")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--until", type=datetime.fromisoformat, default=datetime.now(UTC), help="last reading"
    )
    parser.add_argument("--database", metavar="URI", help="an empty or filled database")
    parser.add_argument("--home", type=Path, help="folder of the embedded database, to be kept")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--limit", type=int, default=30, metavar="SECONDS", help="a query is given up after")
    parser.add_argument("--only", default="", metavar="WORDS", help="only who asks: what, with these words")
    parser.add_argument(
        "--of", default="project,workspace", help="what is asked about: project,workspace,all"
    )
    parser.add_argument(
        "--plans", action="store_true", help="print the whole plans of those that are too slow"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what was measured, for --table")
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="FILE", help="print Markdown of what was kept"
    )
    return parser.parse_args()


@contextmanager
def _database(arguments: argparse.Namespace) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.database:
            with connect(arguments.database) as connection:
                migrate(connection)
            yield arguments.database
            return
        Path(scratch).chmod(0o755)
        with server(arguments.home or Path(scratch) / "db", settings=_SERVER) as uri:
            with connect(uri) as connection:
                migrate(connection)
            yield uri


# Filling it.


def _filled(uri: str, arguments: argparse.Namespace) -> Written | None:
    """Fill an empty ledger, or go on filling it; of a small one make sure that its books balance."""
    if not is_unfinished(uri) and _has_projects(uri):
        return None
    writer = Writer(uri, SIZES[arguments.size], seed=arguments.seed, until=arguments.until)
    try:
        written = _told(writer, arguments.size)
    except OtherLedgerError as error:
        raise SystemExit(str(error)) from error
    finally:
        writer.close()
    if arguments.size == "small":
        _require_balance(uri)
    return written


def _has_projects(uri: str) -> bool:
    with psycopg.connect(uri) as connection:
        return connection.execute("SELECT FROM ledger.project LIMIT 1").fetchone() is not None


def _told(writer: Writer, size: str) -> Written:
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"writing a {size} ledger", total=None)
        return writer.write(
            lambda what, done, total: progress.update(
                task, description=f"writing a {size} ledger: {what}", completed=done, total=total
            )
        )


def _require_balance(uri: str) -> None:
    """Make sure that the books balance; larger ones are written by the same statements."""
    with psycopg.connect(uri) as connection:
        query = (
            "SELECT invariant, count(*), min(detail) FROM analytics.invariant_violation GROUP BY invariant"
        )
        found = connection.execute(query).fetchall()
    if found:
        raise SystemExit(f"the books do not balance: {found}")


def _tell(written: Written) -> None:
    rows = ", ".join(f"{count:,} {table}" for table, count in written.rows.items())
    print(f"Wrote {rows} in {written.seconds:,.0f} s;")
    print(", ".join(f"{step} {seconds:,.0f} s" for step, seconds in written.steps.items()) + ";")
    print(
        f"{written.table_bytes / 1e9:,.2f} GB, {written.table_bytes / written.changes:,.0f} B a change"
        " with its share of readings and all indexes."
    )


# Asking.


def _measured(uri: str, arguments: argparse.Namespace) -> Iterator[Timing]:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"SET statement_timeout = '{arguments.limit} s'")
        connection.execute("SET TimeZone = 'UTC'")
        spent = _Spent(connection)
        for scope, place in zip(TARGETS_MS, _places(connection), strict=True):
            for question in _asked(uri, place, arguments) if scope in arguments.of.split(",") else ():
                if arguments.only in f"{question.where}: {question.title}":
                    timing = _timed(spent, question, scope, arguments.repeat)
                    print(f"{timing.scope} {question.title} {timing.milliseconds}", file=sys.stderr)
                    if arguments.plans and not timing.is_in_time:
                        _print_plan(connection, question)
                    yield timing


def _whole_pages(timings: Sequence[Timing]) -> Iterator[Timing]:
    """Add up what each page of the status page waits for: its queries, one after the other."""
    asked = [timing for timing in timings if timing.question.where == STATUS_PAGE]
    for (scope, page), each in groupby(asked, lambda timing: (timing.scope, page_of(timing.question))):
        parts = list(each)
        waits = [timing.milliseconds for timing in parts if timing.milliseconds is not None]
        yield Timing(
            Question(STATUS_PAGE, f"{page}, whole", ""),
            scope,
            sum(waits) if len(waits) == len(parts) else None,
            sum(timing.cpu_ms for timing in parts),
            sum(timing.rows for timing in parts),
            Plan(f"its {len(parts)} queries"),
        )


def _asked(uri: str, place: Place, arguments: argparse.Namespace) -> Iterator[Question]:
    yield from questions(place)
    yield from asked_by_pages(uri, place, limit_s=arguments.limit)


def _places(connection: psycopg.Connection) -> tuple[Place, Place, Place]:
    """Take the project in the middle, with a batch that has lived long; its workspace; and everything."""
    row = connection.execute(
        "SELECT workspace, project, batch_id FROM ledger.project INNER JOIN ledger.batch USING (project_id)"
        " WHERE project_id = (SELECT (max(project_id) + 1) / 2 FROM ledger.project)"
        " ORDER BY batch.changed_at - batch.first_seen_at DESC LIMIT 1"
    ).fetchone()
    if row is None:
        raise SystemExit("the ledger has no batches")
    workspace, project, batch_id = row
    now = datetime.now(UTC)
    return (
        Place(workspace, project, batch_id, now),
        Place(workspace, "", "", now),
        Place("", "", "", now),
    )


class _Spent:
    """A connection whose server tells the processor time of each statement; only superusers are told."""

    _TIMES: Final = re.compile(r"([0-9.]+) s user, ([0-9.]+) s system, [0-9.]+ s elapsed")

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._seconds: list[float] = []
        connection.add_notice_handler(self._take)
        connection.execute("SET client_min_messages = 'log'")
        connection.execute(
            "SELECT set_config('log_statement_stats', 'on', FALSE) FROM pg_roles"
            " WHERE rolname = current_user AND rolsuper"
        )

    def _take(self, notice: psycopg.errors.Diagnostic) -> None:
        found = self._TIMES.search(notice.message_detail or "")
        if found:
            self._seconds.append(float(found[1]) + float(found[2]))

    def run(self, query: str) -> Run:
        """Run a query until its last row is here."""
        self._seconds.clear()
        began = time.perf_counter()
        rows = self.connection.execute(query).fetchall()
        return Run((time.perf_counter() - began) * 1000, sum(self._seconds) * 1000, len(rows))


def _timed(spent: _Spent, question: Question, scope: str, repeat: int) -> Timing:
    try:
        plan = _plan(spent.connection, question.sql)
        runs = [spent.run(question.sql) for _ in range(repeat)]
    except psycopg.Error as error:
        return Timing(question, scope, None, 0, 0, Plan(), str(error).splitlines()[0])
    milliseconds, cpu_ms, rows = (statistics.median(figures) for figures in zip(*runs, strict=True))
    return Timing(question, scope, milliseconds, cpu_ms, int(rows), plan)


def _plan(connection: psycopg.Connection, query: str) -> Plan:
    row = connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF) " + query).fetchone()
    root = row[0][0]["Plan"] if row else {}
    nodes = list(_nodes(root))
    return Plan(
        ", ".join(
            sorted({_scan(node) for node in nodes if "Relation Name" in node or "Function Name" in node})
        ),
        sum(int(node.get("Rows Removed by Filter", 0) * node["Actual Loops"]) for node in nodes),
        root.get("Shared Hit Blocks", 0) + root.get("Shared Read Blocks", 0),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


_KINDS: Final = {
    "Seq Scan": "all of",
    "Index Scan": "index of",
    "Index Only Scan": "index of",
    "Bitmap Heap Scan": "index of",
    "Function Scan": "function",
}


def _scan(node: dict[str, Any]) -> str:
    """Name what is looked at, and how; a small table is read whole on purpose."""
    kind = _KINDS.get(node["Node Type"], node["Node Type"])
    return f"{kind} {node.get('Relation Name') or node['Function Name']}"


def _print_plan(connection: psycopg.Connection, question: Question) -> None:
    print(f"\n-- {question.title}\n{question.sql}")
    try:
        for (line,) in connection.execute("EXPLAIN (ANALYZE, BUFFERS) " + question.sql):
            print(line)
    except psycopg.Error as error:
        print(error)
        for (line,) in connection.execute("EXPLAIN " + question.sql):
            print(line)


# Telling.

_COLUMNS: Final = (
    "of",
    "asked by",
    "query",
    "rows",
    "median ms",
    "cpu ms",
    "in time",
    "pages",
    "in vain",
    "how",
)


def _cells(timing: Timing) -> Sequence[str]:
    median = "-" if timing.milliseconds is None else f"{timing.milliseconds:,.1f}"
    return (
        timing.scope,
        timing.question.where,
        timing.question.title,
        f"{timing.rows:,}",
        median,
        f"{timing.cpu_ms:,.1f}",
        "yes" if timing.is_in_time else "no",
        f"{timing.plan.pages:,}",
        f"{timing.plan.removed:,}",
        timing.fault or timing.plan.scans,
    )


def _print(timings: list[Timing]) -> None:
    table = Table(*_COLUMNS)
    for timing in timings:
        table.add_row(*_cells(timing))
    Console(width=200).print(table)


_OF: Final = {"project": "a project", "workspace": "a workspace", "all": "all"}


def _markdown(kept: list[dict[str, Any]]) -> Iterator[str]:
    """Lay sizes side by side: milliseconds until the last row, in brackets those that the server worked."""
    cells = {
        (each["size"], timing["scope"], *timing["question"][:2]): timing
        for each in kept
        for timing in each["timings"]
    }
    measured = dict.fromkeys(key[:2] for key in cells)
    columns = [column for scope in TARGETS_MS for column in measured if column[1] == scope]
    yield (
        "| asked by | query | "
        + " | ".join(f"{size}, {_OF[scope]}" for size, scope in columns)
        + " | found by |"
    )
    yield "|---|---|" + "---:|" * len(columns) + "---|"
    for where, title in sorted({key[2:] for key in cells}):
        row = [cells.get((size, scope, where, title)) for size, scope in columns]
        told = [timing for timing in reversed(row) if timing]
        # That of a workspace is told, where there is one.
        how = next((timing for timing in told if timing["scope"] == "workspace"), told[0])["plan"][0]
        yield f"| {where} | {title} | {' | '.join(map(_cell, row))} | {how} |"


def _cell(timing: dict[str, Any] | None) -> str:
    """Say how long it took, in bold if that is too long."""
    if timing is None or timing["milliseconds"] is None:
        return timing["fault"] if timing else ""
    told = f"{timing['milliseconds']:,.0f} ({timing['cpu_ms']:,.0f})"
    target = _target_ms(timing["question"][0], timing["scope"])
    return told if target is None or timing["milliseconds"] <= target else f"**{told}**"


if __name__ == "__main__":
    main()
