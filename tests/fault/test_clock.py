"""Clocks that go wrong, an hour that is skipped and one that comes twice, and two daemons on one database."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import psycopg
import pytest
from structlog.testing import capture_logs

from etl.records import Verdict
from etl.settings import ScheduleSettings
from etl.simulator import Fault, truth_of
from tests.fault.harness import LEASE_S, LISTS, RUN_S, drawn
from tests.fault.hosts import Host, MemoryBook, Storm, account, doubled, lost
from tests.worlds import NOON, FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from random import Random

    from etl.simulator import World
    from etl.store import PostgresLedger
    from tests.fault.harness import Scene
    from tests.fault.recorder import Faults

INTERVAL_S: Final = 10


# The clock of a run

RUNS: Final = 10


def test_a_clock_that_jumps_about_puts_no_change_out_of_order(
    database: str, ledger: PostgresLedger, faults: Faults, fault_seed: int
) -> None:
    """Forwards and backwards, by seconds and by years, between two runs: each run is true none the less."""
    rng, world, clock = drawn(fault_seed), a_world(projects=2), FakeClock()
    source = WorldSource(world, clock)
    with faults("clock: jumps between runs") as case:
        case.tried = RUNS
        for _ in range(RUNS):
            clock.move(seconds=a_jump(rng))
            world.step(NOON, events=2)
            report = a_run(ledger, [source], clock)
            assert all(project.verdict.is_trusted for project in report.projects)
            is_true_and_in_order(database, world)


def a_jump(rng: Random) -> float:
    """Draw a jump: mostly ahead, as time goes, and of every size."""
    return rng.choice((1, 1, 1, -1)) * 10 ** rng.uniform(0, 7.5)


def is_true_and_in_order(database: str, world: World) -> None:
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT * FROM analytics.invariant_violation").fetchall() == []
        assert connection.execute(OUT_OF_ORDER).fetchall() == []
        (images,) = connection.execute("SELECT sum(images) FROM analytics.project").fetchone() or (None,)
    assert images == truth_of(world).images


OUT_OF_ORDER: Final = """
    SELECT
        observation.*
    FROM (
        SELECT
            observation_id,
            started_at,
            observed_at,
            lag(observed_at) OVER (PARTITION BY workspace, project ORDER BY observation_id) AS before_at
        FROM analytics.observation
    ) AS observation
    WHERE started_at > observed_at OR observed_at <= before_at
"""


@pytest.mark.parametrize("ahead", [timedelta(days=-365), timedelta(hours=-1), timedelta(days=365)])
def test_whose_clock_is_wrong_takes_nothing_from_a_run_that_lives(
    scene: Scene, ledger: PostgresLedger, faults: Faults, ahead: timedelta
) -> None:
    """Whether a lease is over the database alone says, by its own clock."""
    with faults("clock: wrong beside a run that lives") as case:
        scene.healthy_sync()
        scene.change()
        mark = scene.mark()
        scene.simulator.faults.add(Fault.stall(1.0), path=LISTS)
        process = scene.start("sync")
        process.until(lambda: not scene.simulator.faults.pending)
        clock = FakeClock(datetime.now(UTC) + ahead)
        with scene.simulator.lock:
            report = a_run(ledger, [WorldSource(scene.simulator.world, clock)], clock)
        assert {project.verdict for project in report.projects} == {Verdict.SKIPPED}
        assert process.wait() == 0, process.said
        case.recovery_s = scene.recovered(time.monotonic(), RUN_S)
        scene.has_each_change_once(mark)


def test_a_leap_second_in_the_answer_is_no_reason_to_fail(scene: Scene, faults: Faults) -> None:
    """Python knows no second 60: such a time cannot be told, but its batch is there all the same."""
    with faults("clock: a leap second in the answer") as case:
        scene.healthy_sync()
        mark = scene.mark()
        scene.simulator.faults.add(Fault.with_fields(uploaded=LEAP, name=LEAP), path="/acme/cars/batches")
        exit_code, process = scene.sync("--json")
        assert exit_code == 0, process.said
        assert "rejects=12" in process.said
        assert scene.believed == mark.believed
        case.recovery_s = scene.recovered(time.monotonic(), RUN_S)
        assert scene.believed == mark.believed


LEAP: Final = "2016-12-31T23:59:60Z"


# The clock of a daemon


@pytest.mark.parametrize(
    "jump",
    [
        *(timedelta(days=-400), timedelta(days=-1), timedelta(hours=-1), timedelta(minutes=-4)),
        *(timedelta(minutes=4), timedelta(hours=1), timedelta(days=1), timedelta(days=400)),
    ],
    ids=str,
)
def test_a_daemon_goes_on_at_the_next_tick_whatever_its_clock_says(faults: Faults, jump: timedelta) -> None:
    settings = ScheduleSettings(every=timedelta(minutes=15), jitter_s=0)
    with faults("clock: jumps under a daemon of every 15 minutes") as case:
        storm = Storm(NOON, MemoryBook())
        host = Host(storm, "host", settings)
        storm.until(NOON + timedelta(hours=2, minutes=7))
        turned_at = storm.now + jump
        runs, storm.now = len(storm.begun), turned_at
        host.keep_time()
        with capture_logs():
            storm.until(turned_at + timedelta(hours=3))
        after = [one.at for one in storm.begun[runs:]]
        assert timedelta() <= after[0] - turned_at <= timedelta(minutes=15)
        assert {later - earlier for earlier, later in pairwise(after)} <= {timedelta(minutes=15)}
        assert lost(storm, account(storm, settings, turned_at)) == []
        case.recovery_s = (after[0] - turned_at).total_seconds()


# An hour that is skipped, and one that comes twice

CHANGES: Final = {
    ("Europe/Berlin", "spring"): (datetime(2026, 3, 29, 1, tzinfo=UTC), "15 2"),
    ("Europe/Berlin", "autumn"): (datetime(2026, 10, 25, 1, tzinfo=UTC), "15 2"),
    ("America/New_York", "spring"): (datetime(2026, 3, 8, 7, tzinfo=UTC), "15 2"),
    ("America/New_York", "autumn"): (datetime(2026, 11, 1, 6, tzinfo=UTC), "45 1"),
    ("Australia/Lord_Howe", "spring"): (datetime(2026, 10, 3, 15, 30, tzinfo=UTC), "15 2"),
    ("Australia/Lord_Howe", "autumn"): (datetime(2026, 4, 4, 15, tzinfo=UTC), "45 1"),
}
"""
When clocks are changed, by an hour, on Lord Howe Island by half of one; and minute and hour of a time of day
that is skipped in spring and comes twice in autumn.
"""

changes = pytest.mark.parametrize(("zone", "season"), CHANGES)
DAYS: Final = timedelta(days=3)


@changes
def test_every_quarter_of_an_hour_is_run_once_while_the_clocks_are_changed(
    faults: Faults, zone: str, season: str
) -> None:
    with faults(f"clock: changed in {season}, every quarter of an hour") as case:
        begun = calm_days(zone, season, "*/15 * * * *")
        case.tried = len(begun)
        assert {later - earlier for earlier, later in pairwise(begun)} == {timedelta(minutes=15)}


@changes
def test_a_daily_run_is_missing_on_no_day_though_its_hour_is(faults: Faults, zone: str, season: str) -> None:
    """An hour that comes twice is run twice: one run more says nothing wrong, one less leaves a gap."""
    with faults(f"clock: changed in {season}, daily") as case:
        begun = calm_days(zone, season, f"{CHANGES[zone, season][1]} * * *")
        days = [at.astimezone(ZoneInfo(zone)).date() for at in begun]
        case.tried = len(set(days))
        assert {later - earlier for earlier, later in pairwise(sorted(set(days)))} == {timedelta(days=1)}
        assert CHANGES[zone, season][0].astimezone(ZoneInfo(zone)).date() in days[1:-1]
        assert len(days) - len(set(days)) == (season == "autumn")


@changes
def test_no_tick_is_lost_in_a_storm_while_the_clocks_are_changed(
    faults: Faults, fault_seed: int, zone: str, season: str
) -> None:
    settings = ScheduleSettings(cron="*/10 * * * *", timezone=zone, jitter_s=60)
    since = CHANGES[zone, season][0] - DAYS
    with faults(f"clock: changed in {season}, tick in a storm") as case, capture_logs():
        storm = Storm(since, MemoryBook(), drawn(fault_seed))
        hosts = [Host(storm, f"host-{number}", settings) for number in range(2)]
        storm.until(since + 2 * DAYS)
        storm.rng = None
        storm.until(storm.now + timedelta(hours=3))
        ticks = account(storm, settings, since)
        case.tried = len(ticks)
        assert len(hosts) == 2
        assert lost(storm, ticks) == []
        assert doubled(ticks) == []


def calm_days(zone: str, season: str, cron: str) -> list[datetime]:
    """Let a daemon run for three days before a change and as many after it; return when it began its runs."""
    settings = ScheduleSettings(cron=cron, timezone=zone, jitter_s=0)
    since = CHANGES[zone, season][0] - DAYS
    storm = Storm(since, MemoryBook())
    Host(storm, "host", settings)
    with capture_logs():
        storm.until(since + 2 * DAYS)
    ticks = account(storm, settings, since)
    assert lost(storm, ticks) == doubled(ticks) == []
    return [one.at for tick in ticks for one in tick.begun]


# Two daemons on one database


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_of_two_daemons_the_one_that_is_left_goes_on(scene: Scene, faults: Faults, victim: int) -> None:
    every = {"BATCHLEDGER_SCHEDULE__EVERY": f"{INTERVAL_S}s"}
    with faults("process: one of two daemons killed") as case:
        daemons = [scene.start("run", **every), scene.start("run", **every)]
        for daemon in daemons:
            daemon.until_it_says("run ended", INTERVAL_S + RUN_S)
        scene.change()
        mark = scene.mark()
        scene.simulator.faults.add(Fault.stall(2.0), path=LISTS)
        daemons[0].until(lambda: not scene.simulator.faults.pending, INTERVAL_S + RUN_S)
        daemons[victim].send(signal.SIGKILL)
        since = time.monotonic()
        left = daemons[1 - victim]
        left.until(lambda: scene.believed == scene.truth, LEASE_S + INTERVAL_S + RUN_S)
        case.recovery_s = time.monotonic() - since
        left.send(signal.SIGTERM)
        assert left.wait() == 0, left.said
        scene.has_each_change_once(mark)
        scene.recovered(time.monotonic(), LEASE_S + RUN_S)
