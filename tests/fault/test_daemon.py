"""The daemon as a real process: signals, a stalled API, an API or a database that goes away, two daemons."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
import pytest

from etl.database import connect, migrate
from etl.embedded import server
from etl.settings import ScheduleSettings
from etl.simulator import Fault, ServerSettings, Simulator, World
from etl.ticks import Schedule
from tests.homes import a_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY: Final = Path(__file__).parents[2]
INTERVAL_S: Final = 10
SLACK_S: Final = 8
"""What a busy machine may add to a time that is promised."""

READ_TIMEOUT_S: Final = 3
STOP_S: Final = READ_TIMEOUT_S + 10
LISTS: Final = "/*/*/batches"


class Process:
    """`batchledger run` in a process of its own; what it says is in a file."""

    def __init__(self, simulator: Simulator, folder: Path, **environ: str) -> None:
        self.key = simulator.keys["acme"]
        self.log = folder / f"log-{time.monotonic_ns()}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "etl", "run"],
                cwd=REPOSITORY,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(folder),
                    "ROBOFLOW_API_URL": simulator.url,
                    "ROBOFLOW_API_KEY": self.key,
                    "BATCHLEDGER_SCHEDULE__EVERY": f"{INTERVAL_S}s",
                    "BATCHLEDGER_SCHEDULE__JITTER_S": "0",
                    "BATCHLEDGER_WEB__PORT": "0",
                    "BATCHLEDGER_SOURCE__READ_TIMEOUT_S": str(READ_TIMEOUT_S),
                    "BATCHLEDGER_SOURCE__ATTEMPTS": "2",
                    "PYTHONWARNINGS": "error",
                    **environ,
                },
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def until_it_says(self, pattern: str, within_s: float = INTERVAL_S + SLACK_S) -> None:
        until(lambda: re.search(pattern, self.said), within_s, self)

    def is_told(self, number: int = signal.SIGTERM) -> float:
        """Send a signal, wait for the end with exit code 0, and return how long it took."""
        begin = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(60) == 0, self.said
        return time.monotonic() - begin


@contextmanager
def a_daemon(simulator: Simulator, folder: Path, **environ: str) -> Iterator[Process]:
    daemon = Process(simulator, folder, **environ)
    try:
        yield daemon
        assert daemon.key not in daemon.said
        assert "Traceback" not in daemon.said
    finally:
        daemon.process.kill()
        daemon.process.wait(30)


def until(is_so: Callable[[], Any], within_s: float, daemon: Process) -> None:
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, f"it did not come to pass in {within_s} s:\n{daemon.said}"
        assert daemon.process.poll() is None, f"it ended:\n{daemon.said}"
        time.sleep(0.05)


def rows(database: str, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchall()


def outcomes(database: str) -> list[str | None]:
    return [row[0] for row in rows(database, "SELECT outcome FROM ledger.run ORDER BY run_id")]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(World.seeded(7, projects=3, batches_per_project=4)) as served:
        yield served


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a folder that the user of an embedded server can reach."""
    with a_home() as folder:
        yield folder


# The beginning and the end


def test_a_daemon_says_at_its_start_when_it_will_run_next(
    simulator: Simulator, database: str, tmp_path: Path
) -> None:
    hourly = {"DATABASE_URL": database, "BATCHLEDGER_SCHEDULE__EVERY": "1h"}
    with a_daemon(simulator, tmp_path, **hourly) as daemon:
        daemon.until_it_says(r"daemon started .*next_tick_at=\S+:00:00\+00:00", SLACK_S)
        daemon.is_told()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_daemon_at_once(
    simulator: Simulator, database: str, tmp_path: Path, number: int
) -> None:
    with a_daemon(simulator, tmp_path, DATABASE_URL=database) as daemon:
        daemon.until_it_says("run ended .*outcome=completed")
        assert daemon.is_told(number) < SLACK_S
    assert set(outcomes(database)) == {"completed"}
    assert rows(database, "SELECT count(*) FROM ledger.batch") == [(12,)]


def test_a_signal_during_a_stalled_read_ends_the_project_in_hand_and_the_next_start_does_the_rest(
    simulator: Simulator, database: str, tmp_path: Path
) -> None:
    """One thread reads: the first project stalls, so that the other two are never asked for."""
    simulator.faults.add(Fault.stall(), path=LISTS)
    one_thread = {"DATABASE_URL": database, "BATCHLEDGER_SYNC__CONCURRENCY": "1"}
    with a_daemon(simulator, tmp_path, **one_thread) as daemon:
        until(lambda: lists_asked_for(simulator), SLACK_S, daemon)
        took_s = daemon.is_told()
    assert READ_TIMEOUT_S - 1 < took_s < STOP_S
    assert outcomes(database) == ["stopped"]
    assert sum(lists_asked_for(simulator).values()) == 1
    verdicts = "SELECT verdict, count(*) FROM ledger.observation GROUP BY verdict ORDER BY verdict"
    assert rows(database, verdicts) == [("failed", 1), ("skipped", 2)]
    with a_daemon(simulator, tmp_path, **one_thread) as daemon:
        daemon.until_it_says("run ended .*outcome=completed", SLACK_S)
        daemon.is_told()
    assert rows(database, "SELECT count(*) FROM ledger.batch") == [(12,)]


def test_a_killed_daemon_leaves_whole_transactions_and_the_next_one_goes_on(
    simulator: Simulator, database: str, tmp_path: Path
) -> None:
    simulator.faults.add(Fault.stall(), path=LISTS, skip=1)
    environ = {
        "DATABASE_URL": database,
        "BATCHLEDGER_SYNC__CONCURRENCY": "1",
        "BATCHLEDGER_SYNC__LEASE_S": "5",
    }
    with a_daemon(simulator, tmp_path, **environ) as daemon:
        until(lambda: sum(lists_asked_for(simulator).values()) == 2, SLACK_S, daemon)
        daemon.process.kill()
        daemon.process.wait(10)
    assert rows(database, "SELECT count(*) FROM ledger.batch") == [(4,)]
    with a_daemon(simulator, tmp_path, **environ) as daemon:
        daemon.until_it_says("run ended .*outcome=completed", 2 * INTERVAL_S + SLACK_S)
        daemon.is_told()
    assert rows(database, "SELECT count(*) FROM ledger.batch") == [(12,)]
    assert rows(database, "SELECT * FROM analytics.invariant_violation") == []


# What goes away and comes back


def test_an_api_that_is_down_is_survived_and_read_once_it_is_up(database: str, tmp_path: Path) -> None:
    world = World.seeded(7, projects=3, batches_per_project=4)
    with Simulator(world) as down:
        port = int(down.url.rsplit(":", 1)[1])
    with a_daemon(down, tmp_path, DATABASE_URL=database) as daemon:
        daemon.until_it_says("run ended .*outcome=partial", SLACK_S)
        with Simulator(world, ServerSettings(port=port)):
            begin = time.monotonic()
            daemon.until_it_says("run ended .*outcome=completed")
            assert time.monotonic() - begin < INTERVAL_S + SLACK_S
        assert daemon.is_told() < SLACK_S
    assert rows(database, "SELECT count(*) FROM ledger.batch") == [(12,)]


def test_a_database_that_is_down_is_waited_for_and_the_ticks_without_it_are_noted(
    simulator: Simulator, home: Path
) -> None:
    with server(home / "postgres") as database, connect(database) as connection:
        migrate(connection)
    with a_daemon(simulator, home, DATABASE_URL=database) as daemon:
        daemon.until_it_says("the database is waited for .*remedy=", SLACK_S)
        daemon.until_it_says("the turn failed; the next tick tries again .*remedy=")
        assert not lists_asked_for(simulator)
        with server(home / "postgres"):
            daemon.until_it_says("run ended .*outcome=completed")
        failures = daemon.said.count("the turn failed")
        until(lambda: daemon.said.count("the turn failed") > failures, INTERVAL_S + SLACK_S, daemon)
        with server(home / "postgres"):
            begin = time.monotonic()
            until(lambda: daemon.said.count("run ended") > 1, INTERVAL_S + SLACK_S, daemon)
            assert time.monotonic() - begin < INTERVAL_S + SLACK_S
            assert daemon.is_told() < SLACK_S
            assert set(outcomes(database)) == {"completed"}
            assert {reason for (reason,) in rows(database, "SELECT reason FROM ledger.tick")} == {"missed"}


def test_an_embedded_database_that_is_killed_is_revived_and_stops_with_the_daemon(
    simulator: Simulator, home: Path
) -> None:
    pid_file = home / "ledger/postgres/data/postmaster.pid"
    with a_daemon(simulator, home, BATCHLEDGER_HOME=str(home / "ledger")) as daemon:
        daemon.until_it_says("run ended .*outcome=completed", 3 * SLACK_S)
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), signal.SIGKILL)
        runs = daemon.said.count("run ended")
        until(lambda: daemon.said.count("run ended") > runs, INTERVAL_S + SLACK_S, daemon)
        daemon.is_told()
    assert not pid_file.exists()


def test_an_older_schema_is_refused_at_the_start(
    simulator: Simulator, empty_database: str, tmp_path: Path
) -> None:
    daemon = Process(simulator, tmp_path, DATABASE_URL=empty_database)
    assert daemon.process.wait(30) == 1
    assert "batchledger migrate" in daemon.said
    assert len(daemon.said.splitlines()) == 2


# Two daemons


def test_two_daemons_on_one_database_read_each_project_once_a_tick(
    simulator: Simulator, database: str, tmp_path: Path
) -> None:
    """They are on the same host, so their ticks are at the same instant; each answer takes a moment."""
    simulator.faults.add(Fault.stall(1.0), path=LISTS, times=None)
    environ = {"DATABASE_URL": database}
    with a_daemon(simulator, tmp_path, **environ) as one:
        one.until_it_says("run ended")
        with a_daemon(simulator, tmp_path, **environ) as other:
            schedule = Schedule(ScheduleSettings(every=timedelta(seconds=INTERVAL_S), jitter_s=0), "any")
            began_at = rows(database, "SELECT min(started_at) FROM ledger.run")[0][0]
            end_at = schedule.after(datetime.now(UTC)) + timedelta(seconds=INTERVAL_S + INTERVAL_S / 2)
            until(lambda: datetime.now(UTC) > end_at, 2 * INTERVAL_S + SLACK_S, one)
            other.is_told()
        one.is_told()
    ticks = len(schedule.between(began_at, end_at))
    assert ticks >= 2
    assert set(lists_asked_for(simulator).values()) == {1 + ticks}
    assert len(lists_asked_for(simulator)) == 3


def lists_asked_for(simulator: Simulator) -> dict[str, int]:
    counts = dict(simulator.requests.counts)
    return {path: count for path, count in counts.items() if path.endswith("/batches")}
