"""
What a run costs, beside a bare loop that only fetches the same bodies with `requests` in as many threads.

    python benchmarks/speed.py                                   1,000 projects of 100 batches
    python benchmarks/speed.py --projects 2000 --batches 500     1,000,000 batches: for the memory

Machines are shared and noisy, so what counts is the ratio of a run to the bare loop right before it, in one
session; each kind is repeated and the median ratio is printed. The simulated API is a process of its own, the
database is the embedded one, both on this machine; every measured command is a process of its own, timed from
its first request to its last write, start-up left out on both sides and told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

HERE: Final = Path(__file__)
SEED: Final = "7"


class Cost(NamedTuple):
    """What one measured process took: seconds of work, processor seconds and peak megabytes in all."""

    work_s: float
    cpu_s: float
    peak_mb: float
    wal_bytes: float


class Bench(NamedTuple):
    """Where the parts of a benchmark are."""

    api: str
    key: str
    database: str
    threads: int
    projects: int


def main() -> None:
    """Measure, or be one of the measured processes."""
    arguments = _arguments()
    if arguments.bare:
        _be_the_bare_loop(arguments.threads)
    elif arguments.run:
        _be_a_run(arguments.threads)
    else:
        _measure(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a run costs beside a bare loop of requests.")
    parser.add_argument("--projects", type=int, default=1000)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--etag", action="store_true", help="let the simulated API offer ETags")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# The measured processes.


def _be_the_bare_loop(threads: int) -> None:
    """Fetch the list of projects and each project's batches, and do nothing with them."""
    import requests  # noqa: PLC0415 - only this process needs it.

    api, key = os.environ["ROBOFLOW_API_URL"], os.environ["ROBOFLOW_API_KEY"]
    local = threading.local()

    def session() -> requests.Session:
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.headers["Authorization"] = f"Bearer {key}"
        found: requests.Session = local.session
        return found

    def fetch(path: str) -> bytes:
        response = session().get(f"{api}/{path}", timeout=(5, 30))
        response.raise_for_status()
        return response.content

    began = time.perf_counter()
    workspace = json.loads(fetch(""))["workspace"]
    projects = [row["id"] for row in json.loads(fetch(workspace))["workspace"]["projects"]]
    lists = [f"{project}/{of}" for project in projects for of in ("batches", "jobs")]
    with ThreadPoolExecutor(threads) as pool:
        count = sum(1 for _ in pool.map(fetch, lists)) // 2
    print(json.dumps({"work_s": time.perf_counter() - began, "projects": count}))


def _be_a_run(threads: int) -> None:
    """Do one run, as `batchledger sync` does it."""
    from etl.client import ApiKey, RoboflowSource, SourceOptions  # noqa: PLC0415 - as above.
    from etl.database import engine  # noqa: PLC0415
    from etl.log import configure  # noqa: PLC0415
    from etl.plan import Account  # noqa: PLC0415
    from etl.selection import ProjectFilter  # noqa: PLC0415
    from etl.settings import LogSettings  # noqa: PLC0415
    from etl.store import PostgresLedger  # noqa: PLC0415
    from etl.sync import Run, RunOptions  # noqa: PLC0415

    configure(LogSettings(), secrets=[os.environ["ROBOFLOW_API_KEY"]], stream=sys.stderr)
    options = SourceOptions(base_url=os.environ["ROBOFLOW_API_URL"], requests_per_s=0)
    source = RoboflowSource(options, ApiKey(os.environ["ROBOFLOW_API_KEY"]))
    began = time.perf_counter()
    connections = engine(os.environ["DATABASE_URL"])
    ledger = PostgresLedger(connections, host="benchmark", version="benchmark")
    run = Run(
        [Account(source)],
        ledger,
        RunOptions(trigger="sync", projects=ProjectFilter(), concurrency=threads),
        clock=lambda: datetime.now(UTC),
        stop=threading.Event(),
    )
    report = run()
    connections.dispose()
    verdicts = {verdict.value: count for verdict, count in report.verdicts.items()}
    print(json.dumps({"work_s": time.perf_counter() - began, "verdicts": verdicts}))


# Measuring them.


def _measure(arguments: argparse.Namespace) -> None:
    from rich.console import Console  # noqa: PLC0415 - the measured processes do not print.

    repeat = arguments.repeat
    with _simulator(arguments) as (api, key), _database() as uri:
        bench = Bench(api, key, uri, arguments.threads, arguments.projects)
        table = _table(arguments)
        first = [_pair(bench, "changed", _fresh) for _ in range(max(1, repeat // 2))]
        table.add_row("first load", *_cells(first, bench), "4.0")
        unchanged = [_pair(bench, "unchanged") for _ in range(repeat)]
        table.add_row("unchanged", *_cells(unchanged, bench), "1.5")
        changed = [_pair(bench, None, _change) for _ in range(repeat)]
        table.add_row("1 % changed", *_cells(changed, bench), "2.5")
    Console(width=120).print(table)


def _table(arguments: argparse.Namespace) -> Table:
    from rich.table import Table  # noqa: PLC0415 - as above.

    size = f"{arguments.projects:,} projects of {arguments.batches:,} batches, {arguments.threads} threads"
    columns = (
        "run",
        "ratio",
        "from, to",
        "bare s",
        "run s",
        "bare cpu s",
        "run cpu s",
        "peak MB",
        "log B/project",
    )
    return Table(*columns, "at most", title=f"A run beside a bare loop of requests: {size}")


def _cells(pairs: list[tuple[Cost, Cost]], bench: Bench) -> list[str]:
    """Give the medians of what was measured, in the order of the columns."""
    ratios = [run.work_s / bare.work_s for bare, run in pairs]
    middle = [Cost(*map(statistics.median, zip(*side, strict=True))) for side in zip(*pairs, strict=True)]
    bare, run = middle
    return [
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}, {max(ratios):.2f}",
        f"{bare.work_s:.2f}",
        f"{run.work_s:.2f}",
        f"{bare.cpu_s:.2f}",
        f"{run.cpu_s:.2f}",
        f"{max(run.peak_mb for _, run in pairs):.0f}",
        f"{run.wal_bytes / bench.projects:.0f}",
    ]


def _pair(
    bench: Bench, verdict: str | None, prepare: Callable[[Bench], None] | None = None
) -> tuple[Cost, Cost]:
    """Time the bare loop and then the run, and make sure that the run did what it is timed for."""
    if prepare is not None:
        prepare(bench)
    bare, told = _timed(bench, "--bare")
    if told["projects"] != bench.projects:
        raise SystemExit(f"the bare loop fetched {told['projects']} projects")
    run, told = _timed(bench, "--run")
    if verdict is not None and told["verdicts"] != {verdict: bench.projects}:
        raise SystemExit(f"the run came to {told['verdicts']}")
    return bare, run


def _timed(bench: Bench, kind: str) -> tuple[Cost, dict[str, Any]]:
    environ = {
        **os.environ,
        "ROBOFLOW_API_URL": bench.api,
        "ROBOFLOW_API_KEY": bench.key,
        "DATABASE_URL": bench.database,
        "PYTHONPATH": str(HERE.parents[1]),
    }
    before = _log_position(bench)
    with tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(
            [sys.executable, str(HERE), kind, "--threads", str(bench.threads)],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=talk,
        )
        printed = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            talk.seek(0)
            raise SystemExit(f"{kind} ended with {process.returncode}: {talk.read()[-2000:].decode()}")
    told = json.loads(printed)
    wal_bytes = _log_position(bench) - before
    cost = Cost(told["work_s"], usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, wal_bytes)
    return cost, told


def _log_position(bench: Bench) -> int:
    import psycopg  # noqa: PLC0415 - the bare loop must not carry it.

    with psycopg.connect(bench.database) as connection:
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    return int(row[0]) if row else 0


def _fresh(bench: Bench) -> None:
    import psycopg  # noqa: PLC0415

    from etl.database import connect, migrate  # noqa: PLC0415

    with psycopg.connect(bench.database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS analytics CASCADE")
        connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
    with connect(bench.database) as alembic_connection:
        migrate(alembic_connection)


def _change(bench: Bench) -> None:
    import requests  # noqa: PLC0415

    requests.post(f"{bench.api}/_sim/change", params={"share": "0.01"}, timeout=300).raise_for_status()


@contextmanager
def _simulator(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    command = [sys.executable, "-m", "etl.simulator", "--seed", SEED, "--port", "0", "--warm"]
    command += ["--projects", str(arguments.projects), "--batches", str(arguments.batches)]
    command += ["--etag"] if arguments.etag else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE.parents[1])
    try:
        ready = json.loads(process.stdout.readline()) if process.stdout else {}
        yield ready["url"], next(iter(ready["keys"].values()))
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _database() -> Iterator[str]:
    from etl.embedded import server  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        with server(Path(home) / "db") as uri:
            yield uri


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    main()
