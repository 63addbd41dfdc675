"""The daemon on a real Postgres and a real APScheduler: what the ledger knows, two daemons, a hung turn."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from etl.daemon import Daemon, Limits
from etl.errors import BatchledgerError, DatabaseUnavailableError
from etl.ports import RunEnd, Scheduled
from etl.records import Moves
from etl.report import RunReport
from etl.scheduler import notifier, serve, tell_status
from etl.settings import ScheduleSettings
from etl.ticks import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.store import PostgresLedger

REPOSITORY = Path(__file__).parents[2]
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
LIMITS = Limits(turn_s=60, stop_s=10, grace_s=300)
FOUR_A_SECOND = ScheduleSettings.model_construct(every=timedelta(seconds=0.25), jitter_s=0)
ONCE_AN_HOUR = ScheduleSettings(every=timedelta(hours=1), jitter_s=0)


def a_run(ledger: PostgresLedger, clock: Callable[[], datetime], outcome: str = "completed") -> RunReport:
    """Make a run over no project at all."""
    started_at = clock()
    run_id = ledger.begin_run(trigger="schedule", started_at=started_at)
    end = RunEnd(ended_at=clock(), outcome=outcome, verdicts={}, moves=Moves(), requests=0)
    ledger.end_run(run_id, end)
    return RunReport(
        run_id=run_id, started_at=started_at, ended_at=end.ended_at, outcome=outcome, projects=()
    )


def utc_now() -> datetime:
    return datetime.now(UTC)


def ticks(database: str) -> list[tuple[datetime, str]]:
    with psycopg.connect(database) as connection:
        return connection.execute(
            "SELECT scheduled_at, reason FROM ledger.tick ORDER BY scheduled_at"
        ).fetchall()


def starts(database: str) -> list[datetime]:
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute("SELECT started_at FROM ledger.run ORDER BY run_id")]


# What the ledger knows


def test_an_empty_ledger_knows_no_run(ledger: PostgresLedger) -> None:
    assert ledger.last_scheduled() is None


@pytest.mark.also_on_16
@pytest.mark.parametrize(
    ("outcome", "is_served"), [("completed", True), ("partial", True), ("deadline", True), ("stopped", False)]
)
def test_a_run_that_was_stopped_has_not_served_its_tick(
    ledger: PostgresLedger,
    outcome: str,
    is_served: bool,  # noqa: FBT001
) -> None:
    a_run(ledger, lambda: NOON, outcome)
    assert ledger.last_scheduled() == Scheduled(NOON, is_served)


def test_of_a_run_that_lives_nobody_knows_and_one_that_died_has_not_served_its_tick(
    ledger: PostgresLedger, database: str
) -> None:
    ledger.begin_run(trigger="schedule", started_at=NOON)
    assert ledger.last_scheduled() == Scheduled(NOON, is_served=None)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE ledger.run SET leased_until = now() - interval '1 second'")
    assert ledger.last_scheduled() == Scheduled(NOON, is_served=False)


def test_a_run_by_hand_serves_no_tick_because_it_may_have_read_one_project_only(
    ledger: PostgresLedger,
) -> None:
    ledger.begin_run(trigger="sync", started_at=NOON)
    assert ledger.last_scheduled() is None


def test_ticks_without_a_run_are_rows_and_the_same_after_a_restart(
    ledger: PostgresLedger, database: str
) -> None:
    """They lie on a grid, so the second daemon finds the same ones and notes each of them once."""
    a_run(ledger, lambda: NOON)
    schedule = Schedule(ScheduleSettings(jitter_s=30), "host")
    for now in (NOON + timedelta(minutes=59), NOON + timedelta(minutes=59, seconds=30)):
        Daemon(
            schedule,
            a_run_that_fails,
            ledger,
            limits=LIMITS,
            clock=lambda now=now: now,
            stop=threading.Event(),
        ).turn()
    missed = [NOON + schedule.offset + number * QUARTER for number in (1, 2, 3)]
    assert ticks(database) == [(at, "down") for at in missed]


def a_run_that_fails() -> RunReport:
    raise BatchledgerError("nothing can be read")


# Two daemons on one database


def test_of_two_hosts_on_one_database_one_runs_each_tick(ledger: PostgresLedger, database: str) -> None:
    settings = ScheduleSettings(jitter_s=600)
    schedules = sorted((Schedule(settings, f"host-{number}") for number in range(2)), key=lambda s: s.offset)
    assert schedules[0].offset < schedules[1].offset
    now = NOON
    daemons = [
        Daemon(
            schedule,
            lambda: a_run(ledger, lambda: now),
            ledger,
            limits=LIMITS,
            clock=lambda: now,
            stop=threading.Event(),
        )
        for schedule in schedules
    ]
    for number in range(4):
        for schedule, daemon in zip(schedules, daemons, strict=True):
            now = NOON + number * QUARTER + schedule.offset
            daemon.turn()
    assert starts(database) == [NOON + number * QUARTER + schedules[0].offset for number in range(4)]
    assert ticks(database) == []


# APScheduler around it


@contextmanager
def serving(daemon: Daemon, *, notify: Callable[[str], None] = lambda _: None) -> Iterator[list[int]]:
    """Serve in another thread until the block ends; gives the codes with which the process would end."""
    codes = list[int]()
    thread = threading.Thread(
        target=serve, args=(daemon,), kwargs={"notify": notify, "watchdog_s": 1.0, "end_now": codes.append}
    )
    thread.start()
    try:
        yield codes
    finally:
        daemon.stop.set()
        thread.join(20)
        assert not thread.is_alive()


def until(is_so: Callable[[], bool], within_s: float = 10) -> float:
    """Wait until it is so, and return how long that took."""
    begin = time.monotonic()
    while not is_so():
        assert time.monotonic() - begin < within_s, "it did not come to pass in time"
        time.sleep(0.01)
    return time.monotonic() - begin


def a_daemon(
    ledger: PostgresLedger,
    run: Callable[[], RunReport],
    settings: ScheduleSettings = FOUR_A_SECOND,
    limits: Limits = LIMITS,
    tell: Callable[..., None] = lambda _health: None,
) -> Daemon:
    return Daemon(
        Schedule(settings, "host"),
        run,
        ledger,
        limits=limits,
        clock=utc_now,
        stop=threading.Event(),
        tell=tell,
    )


def test_turns_are_taken_at_the_ticks(ledger: PostgresLedger, database: str) -> None:
    daemon = a_daemon(ledger, lambda: a_run(ledger, utc_now))
    with serving(daemon) as codes:
        until(lambda: len(starts(database)) >= 5)
    _first, *others = starts(database)
    assert all(start.microsecond % 250_000 < 100_000 for start in others)
    assert codes == []


def test_the_first_turn_is_taken_at_once(ledger: PostgresLedger, database: str) -> None:
    with serving(a_daemon(ledger, lambda: a_run(ledger, utc_now), ONCE_AN_HOUR)):
        assert until(lambda: bool(starts(database))) < 3


def test_runs_do_not_overlap_and_the_ticks_that_did_are_noted(ledger: PostgresLedger, database: str) -> None:
    at_once = threading.Semaphore(1)
    has_overlapped = threading.Event()

    def run() -> RunReport:
        if not at_once.acquire(blocking=False):
            has_overlapped.set()
        time.sleep(1.1)
        at_once.release()
        return a_run(ledger, utc_now)

    with serving(a_daemon(ledger, run)):
        until(lambda: len(starts(database)) >= 2)
    assert not has_overlapped.is_set()
    assert [reason for _, reason in ticks(database)][:3] == ["overlap"] * 3


def test_a_turn_that_raises_does_not_end_the_daemon(ledger: PostgresLedger, database: str) -> None:
    attempts = list[int]()

    def run() -> RunReport:
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("boom")
        return a_run(ledger, utc_now)

    with serving(a_daemon(ledger, run)) as codes:
        until(lambda: bool(starts(database)))
    assert codes == []


def test_a_database_that_was_away_is_looked_for_again_before_the_next_tick(
    ledger: PostgresLedger, database: str
) -> None:
    """A minute is a second here, and the next tick is up to an hour away."""
    asked = list[float]()

    class AwayAtFirst:
        def last_scheduled(self) -> Scheduled | None:
            asked.append(time.monotonic())
            if len(asked) == 1:
                raise DatabaseUnavailableError("the database is away")
            return ledger.last_scheduled()

        def note_tick(self, scheduled_at: datetime, reason: str, *, recorded_at: datetime) -> None:
            ledger.note_tick(scheduled_at, reason, recorded_at=recorded_at)

    daemon = Daemon(
        Schedule(ONCE_AN_HOUR, "host"),
        lambda: a_run(ledger, utc_now),
        AwayAtFirst(),
        limits=Limits(turn_s=6000, stop_s=10, grace_s=300),
        clock=utc_now,
        stop=threading.Event(),
        monotonic=lambda: 60 * time.monotonic(),
    )
    with serving(daemon):
        until(lambda: bool(starts(database)))
    assert 1 <= asked[1] - asked[0] < 4


def test_the_end_waits_for_the_turn_in_hand(ledger: PostgresLedger, database: str) -> None:
    begun = threading.Event()

    def run() -> RunReport:
        begun.set()
        time.sleep(1.5)
        return a_run(ledger, utc_now)

    daemon = a_daemon(ledger, run, ONCE_AN_HOUR)
    with serving(daemon) as codes:
        assert begun.wait(5)
        daemon.stop.set()
    assert len(starts(database)) == 1
    assert codes == []


def test_the_end_does_not_wait_longer_than_it_said(ledger: PostgresLedger) -> None:
    begun, is_over = threading.Event(), threading.Event()

    def run() -> RunReport:
        begun.set()
        is_over.wait(20)
        return a_run(ledger, utc_now)

    daemon = a_daemon(ledger, run, ONCE_AN_HOUR, Limits(turn_s=60, stop_s=1, grace_s=300))
    with serving(daemon) as codes:
        assert begun.wait(5)
        daemon.stop.set()
        assert 0.9 < until(lambda: bool(codes)) < 2.5
    is_over.set()
    assert daemon.is_idle.wait(5)
    assert codes == [0]


# The service manager


def test_systemd_hears_of_readiness_health_and_the_end(
    ledger: PostgresLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        with notifier(os.environ, lambda text: text.replace("completed", "vollständig")) as notify:
            daemon = a_daemon(ledger, lambda: a_run(ledger, utc_now), ONCE_AN_HOUR, tell=tell_status(notify))
            with serving(daemon, notify=notify):
                heard = [manager.recv(1000).decode() for _ in range(4)]
            heard.append(manager.recv(1000).decode())
    assert heard[0].startswith("READY=1\nSTATUS=no run yet; next run at ")
    assert "last run at" in heard[1] + heard[2]
    assert "vollständig" in heard[1] + heard[2]
    assert heard.count("WATCHDOG=1") >= 2
    assert heard[-1].startswith("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000")


HUNG = """
import threading, sys
from datetime import UTC, datetime, timedelta
from etl.daemon import Daemon, Limits
from etl.scheduler import serve
from etl.settings import LogSettings, ScheduleSettings
from etl.log import configure
from etl.ticks import Schedule

class Journal:
    def last_scheduled(self): return None
    def note_tick(self, *_, **__): raise AssertionError

def hang_in_here():
    threading.Event().wait()

def break_down_here():
    raise ValueError("the schedule itself is broken")

class Broken(Schedule):
    def after(self, moment):
        if threading.current_thread().name == "APScheduler":
            break_down_here()
        return super().after(moment)

configure(LogSettings(), secrets=(), stream=sys.stderr)
settings = ScheduleSettings(every=timedelta(hours=1))
schedule, run = {"hung": (Schedule, hang_in_here), "broken": (Broken, lambda: None)}[sys.argv[1]]
serve(Daemon(schedule(settings, "h"), run, Journal(), limits=Limits(turn_s=1, stop_s=1, grace_s=1),
             clock=lambda: datetime.now(UTC), stop=threading.Event()))
"""


@pytest.mark.parametrize(("how", "where"), [("hung", "hang_in_here"), ("broken", "break_down_here")])
def test_a_daemon_that_can_take_no_more_turns_says_where_it_is_stuck_and_ends(how: str, where: str) -> None:
    begin = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", HUNG, how],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert time.monotonic() - begin < 10
    assert "no turn can be taken any more" in ended.stderr
    assert where in ended.stderr


def test_a_hung_turn_ends_the_process_even_if_nobody_reads_what_it_says() -> None:
    """The pipe of the log is full, so that whoever logs hangs."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    begin = time.monotonic()
    try:
        process = subprocess.Popen([sys.executable, "-c", HUNG, "hung"], cwd=REPOSITORY, stderr=writer)
        assert process.wait(30) == 1
    finally:
        os.close(reader)
        os.close(writer)
    assert time.monotonic() - begin < 15
