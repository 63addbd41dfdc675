"""When a run is due, what becomes of ticks without one, and that a turn survives whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - the dataclass looks at it.
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Event
from time import monotonic
from typing import Any

import pytest

from etl.daemon import Daemon, Health, Limits
from etl.errors import DatabaseUnavailableError, SchemaMismatchError, SettingsError
from etl.ports import Scheduled
from etl.records import Slug, Verdict
from etl.report import ProjectReport, RunReport
from etl.scheduler import notifier, watchdog_period
from etl.settings import ScheduleSettings
from etl.ticks import MOST, Schedule, judge

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
GRACE_S = 300.0
DOWN = DatabaseUnavailableError("the database at localhost/x cannot be used", remedy="start it")


def at(clock: str) -> datetime:
    return datetime.combine(NOON.date(), datetime.strptime(clock, "%H:%M").time(), UTC)  # noqa: DTZ007


def a_schedule(host: str = "host", **settings: Any) -> Schedule:
    return Schedule(ScheduleSettings(**{"jitter_s": 0, **settings}), host)


@dataclass
class World:
    """A clock, a ledger and an API that do as the test says, around a real daemon."""

    now: datetime = NOON
    schedule: Schedule = field(default_factory=a_schedule)
    last: Scheduled | None = None
    run_s: float = 0.0
    outcome: str = "completed"
    ledger_error: Exception | None = None
    run_error: Exception | None = None
    note_error: Exception | None = None
    runs: list[datetime] = field(default_factory=list)
    noted: dict[str, str] = field(default_factory=dict)
    noted_at: list[datetime] = field(default_factory=list)
    during_run: Callable[[], None] = lambda: None
    told: list[Health] = field(default_factory=list)
    elapsed_s: float = 0.0

    def __post_init__(self) -> None:
        self.stop = Event()
        self.daemon = Daemon(
            self.schedule,
            self.run,
            self,
            limits=Limits(turn_s=100, stop_s=10, grace_s=GRACE_S),
            clock=lambda: self.now,
            stop=self.stop,
            monotonic=lambda: self.elapsed_s,
            tell=self.told.append,
        )

    def run(self) -> RunReport:
        started_at = self.now
        if self.run_error:
            raise self.run_error
        self.during_run()
        self.runs.append(started_at)
        self.last = Scheduled(started_at, is_served=True)
        self.now += timedelta(seconds=self.run_s)
        verdict = Verdict.UNCHANGED if self.outcome == "completed" else Verdict.SUSPECT
        return RunReport(
            run_id=len(self.runs),
            started_at=started_at,
            ended_at=self.now,
            outcome=self.outcome,
            projects=(ProjectReport(slug=Slug("acme", "cars"), verdict=verdict),),
        )

    def last_scheduled(self) -> Scheduled | None:
        if self.ledger_error:
            raise self.ledger_error
        return self.last

    def note_tick(self, scheduled_at: datetime, reason: str, *, recorded_at: datetime) -> None:
        if self.note_error:
            raise self.note_error
        assert recorded_at >= scheduled_at
        self.noted_at.append(scheduled_at)
        self.noted.setdefault(f"{scheduled_at:%H:%M}", reason)

    def turn_at(self, time: str) -> None:
        self.now = at(time)
        self.daemon.turn()


def ran(time: str, *, is_served: bool | None = True) -> Scheduled:
    return Scheduled(at(time), is_served=is_served)


# Ticks


def test_ticks_of_an_interval_are_the_same_after_every_start() -> None:
    schedule = a_schedule(every="15m")
    assert schedule.after(at("12:00")) == schedule.after(at("12:07")) == at("12:15")


@pytest.mark.parametrize("every", ["10s", "7m", "PT10.1S", "1d", "31d"])
def test_ticks_go_forward_by_the_interval_exactly(every: str) -> None:
    settings = ScheduleSettings(every=every)  # type: ignore[arg-type]
    schedule = Schedule(settings, "host")
    ticks = [NOON]
    for _ in range(50):
        ticks.append(schedule.after(ticks[-1]))
    gaps = {later - earlier for earlier, later in pairwise(ticks[1:])}
    assert gaps == {settings.interval}


def test_without_settings_the_interval_is_a_quarter_of_an_hour() -> None:
    assert a_schedule().after(at("12:01")) == at("12:15")


def test_the_same_host_has_the_same_offset_and_others_have_others() -> None:
    offsets = {a_schedule(f"host-{number}", jitter_s=30).offset for number in range(20)}
    assert len(offsets) == 20
    assert a_schedule("host-7", jitter_s=30).offset in offsets
    assert all(timedelta() <= offset < timedelta(seconds=30) for offset in offsets)


@pytest.mark.parametrize("settings", [{"every": "10s"}, {"cron": "0,10 3 * * *"}])
def test_the_offset_is_never_more_than_the_shortest_time_between_two_ticks(settings: dict[str, str]) -> None:
    gap = timedelta(seconds=10) if "every" in settings else timedelta(minutes=10)
    offsets = [a_schedule(f"host-{number}", jitter_s=3600, **settings).offset for number in range(50)]
    assert max(offsets) < gap
    assert max(offsets) > 0.8 * gap


def test_ticks_between_two_instants_include_the_last_but_not_the_first() -> None:
    ticks = a_schedule(every="15m").between(at("12:00"), at("12:45"))
    assert ticks == (at("12:15"), at("12:30"), at("12:45"))


@pytest.mark.parametrize("settings", [{"every": "1m"}, {"cron": "* * * * *"}])
def test_of_very_many_ticks_the_latest_are_told(settings: dict[str, str]) -> None:
    begin = monotonic()
    ticks = a_schedule(**settings).between(NOON - timedelta(days=3000), NOON)
    assert monotonic() - begin < 2
    assert len(ticks) == MOST
    assert ticks[-1] == NOON
    assert ticks[0] == NOON - timedelta(minutes=MOST - 1)


@pytest.mark.parametrize(
    ("expression", "in_spring", "in_autumn"),
    [
        ("*/15 * * * *", 92, 100),
        ("0 * * * *", 23, 25),
        ("30 2 * * *", 1, 2),
        ("0 2,3 * * *", 1, 3),
        ("0 3 * * *", 1, 1),
        ("0 */4 * * *", 6, 6),
    ],
)
def test_cron_in_berlin_counts_the_hour_that_is_skipped_and_the_one_that_comes_twice(
    expression: str, in_spring: int, in_autumn: int
) -> None:
    """A day of 23 hours and one of 25; midnight is at 23:00 or 22:00 UTC."""
    schedule = a_schedule(cron=expression, timezone="Europe/Berlin")
    before = timedelta(microseconds=1)
    spring = datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)
    autumn = datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)
    counts = [len(schedule.between(begin - before, end - before)) for begin, end in (spring, autumn)]
    assert counts == [in_spring, in_autumn]


def test_a_daily_run_in_the_hour_that_is_skipped_happens_in_the_one_after() -> None:
    schedule = a_schedule(cron="30 2 * * *", timezone="Europe/Berlin")
    assert schedule.after(datetime(2026, 3, 28, 23, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_cron_expression_that_never_comes_true_is_refused() -> None:
    with pytest.raises(SettingsError, match="never comes"):
        a_schedule(cron="0 0 30 2 *")


# Judgement


def judged(
    *times: str, now: str, is_catching_up: bool = False, up_since: str = "00:00"
) -> tuple[bool, dict[str, str]]:
    judgement = judge(
        [at(time) for time in times],
        at(now),
        grace=timedelta(seconds=GRACE_S),
        is_catching_up=is_catching_up,
        up_since=at(up_since),
    )
    return judgement.is_due, {f"{one.scheduled_at:%H:%M}": one.reason for one in judgement.absences}


def test_a_tick_before_the_daemon_was_started_found_none_and_one_after_it_was_missed() -> None:
    assert judged("12:00", "12:15", "12:30", now="12:40", is_catching_up=True, up_since="12:10") == (
        True,
        {"12:00": "down", "12:15": "missed", "12:30": "missed"},
    )


def test_without_a_tick_nothing_is_due() -> None:
    assert judged(now="12:00") == (False, {})


def test_a_tick_that_has_come_is_run() -> None:
    assert judged("12:15", now="12:15") == (True, {})


def test_a_tick_within_the_grace_is_run_and_one_beyond_it_is_missed() -> None:
    assert judged("12:15", now="12:20") == (True, {})
    assert judged("12:15", now="12:21") == (False, {"12:15": "missed"})


def test_several_late_ticks_become_one_run() -> None:
    assert judged("12:00", "12:15", "12:30", now="12:31") == (
        True,
        {"12:00": "coalesced", "12:15": "coalesced"},
    )


def test_several_ticks_that_are_too_late_are_all_missed() -> None:
    assert judged("12:15", "12:30", now="12:40") == (False, {"12:15": "missed", "12:30": "missed"})


def test_who_catches_up_runs_however_late_and_says_that_the_ticks_were_missed() -> None:
    missed = {"12:15": "missed", "12:30": "missed"}
    assert judged("12:15", "12:30", now="12:40", is_catching_up=True) == (True, missed)
    assert judged("12:15", "12:30", now="12:31", is_catching_up=True) == (True, {"12:15": "missed"})


# The first turn


def test_the_first_turn_runs_at_once_where_nothing_has_ever_run() -> None:
    world = World()
    world.turn_at("12:07")
    assert world.runs == [at("12:07")]
    assert world.noted == {}


def test_the_first_turn_runs_at_once_if_a_tick_had_no_run_and_notes_what_was_missed_before() -> None:
    world = World(last=ran("11:16"))
    world.turn_at("12:07")
    assert world.runs == [at("12:07")]
    assert world.noted == {"11:30": "down", "11:45": "down", "12:00": "missed"}


def test_the_first_turn_does_nothing_if_the_latest_tick_had_its_run() -> None:
    world = World(last=ran("12:00"))
    world.turn_at("12:07")
    assert world.runs == []
    assert world.noted == {}


@pytest.mark.parametrize(("is_served", "expected"), [(True, 0), (False, 1)])
def test_the_first_turn_finishes_what_a_stopped_or_dead_run_left_undone(
    is_served: bool,  # noqa: FBT001
    expected: int,
) -> None:
    world = World(last=ran("12:01", is_served=is_served))
    world.turn_at("12:07")
    assert len(world.runs) == expected


def test_a_run_that_is_still_at_it_at_the_start_is_looked_at_again_in_case_it_is_dead() -> None:
    """It may be our own, killed a moment ago, whose lease has not lapsed yet."""
    world = World(last=ran("12:01", is_served=None))
    world.turn_at("12:02")
    assert world.runs == []
    world.elapsed_s = 61
    assert world.daemon.wants_retry
    world.last = ran("12:01", is_served=False)
    world.turn_at("12:03")
    assert world.runs == [at("12:03")]
    world.elapsed_s = 1e9
    assert not world.daemon.wants_retry


def test_a_run_of_another_host_that_is_still_at_it_is_left_alone() -> None:
    world = World(last=ran("12:01", is_served=None))
    world.turn_at("12:02")
    world.last = ran("12:01")
    world.turn_at("12:03")
    assert world.runs == []
    world.elapsed_s = 1e9
    assert not world.daemon.wants_retry


def test_who_is_not_behind_does_not_look_again_at_what_another_host_is_doing() -> None:
    world = World()
    world.turn_at("12:00")
    world.last = ran("12:15", is_served=None)
    world.turn_at("12:15")
    world.elapsed_s = 1e9
    assert not world.daemon.wants_retry


def test_a_daily_cron_runs_at_the_start_only_if_its_last_time_had_no_run() -> None:
    schedule = a_schedule(cron="0 3 * * *")
    served, missed = World(schedule=schedule, last=ran("03:00")), World(schedule=schedule, last=ran("02:00"))
    for world in (served, missed):
        world.turn_at("12:00")
    assert (len(served.runs), len(missed.runs)) == (0, 1)
    assert missed.noted == {"03:00": "down"}


# Later turns


def test_each_tick_has_one_run() -> None:
    world = World(run_s=20)
    for time in ("12:00", "12:15", "12:30"):
        world.turn_at(time)
    assert world.runs == [at("12:00"), at("12:15"), at("12:30")]
    assert world.noted == {}


def test_ticks_during_a_long_run_are_noted_as_overlap_when_it_ends() -> None:
    world = World(run_s=35 * 60)
    world.turn_at("12:00")
    assert world.noted == {"12:15": "overlap", "12:30": "overlap"}
    world.turn_at("12:45")
    assert len(world.runs) == 2


def test_a_tick_that_another_host_has_run_is_not_run_again() -> None:
    """The other host has a smaller offset, so it comes first."""
    late = max((a_schedule(f"h{number}", jitter_s=600) for number in range(9)), key=lambda one: one.offset)
    assert late.offset > timedelta(minutes=2)
    world = World(schedule=late, last=ran("12:00"))
    world.now = at("12:15") + late.offset
    world.last = ran("12:16")
    world.daemon.turn()
    assert world.runs == []
    world.now += QUARTER
    world.daemon.turn()
    assert len(world.runs) == 1
    assert world.noted == {}


def test_a_host_that_slept_runs_once_and_says_how_many_ticks_that_stands_for() -> None:
    world = World()
    world.turn_at("12:00")
    world.turn_at("13:01")
    assert world.runs == [at("12:00"), at("13:01")]
    assert world.noted == {"12:15": "coalesced", "12:30": "coalesced", "12:45": "coalesced"}


def test_a_host_that_wakes_long_after_a_tick_waits_for_the_next_one() -> None:
    world = World()
    world.turn_at("12:00")
    world.turn_at("12:25")
    assert world.noted == {"12:15": "missed"}
    world.turn_at("12:30")
    assert world.runs == [at("12:00"), at("12:30")]
    assert world.noted == {"12:15": "missed"}


def test_a_run_from_the_far_future_is_not_waited_for() -> None:
    world = World(last=Scheduled(NOON + timedelta(days=3650), is_served=True))
    world.turn_at("12:00")
    assert len(world.runs) == 1


def test_a_clock_that_is_put_back_does_not_silence_the_daemon() -> None:
    world = World()
    world.now = NOON + timedelta(days=3650)
    world.daemon.turn()
    for time in ("12:00", "12:15"):
        world.turn_at(time)
    assert len(world.runs) == 3


def test_no_turn_begins_once_the_daemon_is_asked_to_stop() -> None:
    world = World()
    world.stop.set()
    world.turn_at("12:00")
    assert world.runs == []
    assert world.daemon.is_idle.is_set()


# Trouble


def test_a_database_that_was_away_leaves_missed_ticks_and_then_a_run_at_once() -> None:
    world = World()
    world.turn_at("12:00")
    world.ledger_error = DOWN
    for time in ("12:15", "12:30"):
        world.turn_at(time)
    assert world.noted == {}
    assert world.daemon.health.last_error == str(DOWN)
    world.ledger_error = None
    world.turn_at("12:37")
    assert world.runs == [at("12:00"), at("12:37")]
    assert world.noted == {"12:15": "missed", "12:30": "missed"}
    assert world.daemon.health.last_error == ""


def test_a_database_that_is_away_is_looked_for_again_before_the_next_tick_with_waits_that_double() -> None:
    world = World(ledger_error=DOWN)
    waits = list[float]()
    for _ in range(9):
        world.turn_at("12:00")
        asked_at = world.elapsed_s
        assert not world.daemon.wants_retry
        while not world.daemon.wants_retry:
            world.elapsed_s += 10
        waits.append(world.elapsed_s - asked_at)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    world.ledger_error = None
    world.turn_at("12:00")
    world.elapsed_s += 1e9
    assert not world.daemon.wants_retry


def test_the_waits_begin_anew_once_the_database_was_there() -> None:
    world = World(ledger_error=DOWN)
    for ledger_error in (DOWN, DOWN, None, DOWN):
        world.ledger_error = ledger_error
        world.turn_at("12:00")
    world.elapsed_s += 60
    assert world.daemon.wants_retry


def test_ticks_that_cannot_be_written_are_kept_and_written_later() -> None:
    world = World(run_s=35 * 60, note_error=DOWN)
    world.turn_at("12:00")
    assert world.noted == {}
    world.note_error, world.run_s = None, 0
    world.turn_at("12:45")
    assert world.noted == {"12:15": "overlap", "12:30": "overlap"}


def test_no_more_than_a_thousand_ticks_are_kept() -> None:
    world = World(last=Scheduled(NOON - timedelta(days=300), is_served=True), note_error=DOWN)
    for _ in range(10):
        world.daemon.turn()
        world.now += QUARTER
    world.note_error = None
    world.daemon.turn()
    assert len(world.noted_at) == len(set(world.noted_at)) == MOST
    assert max(world.noted_at) == world.now - QUARTER
    assert len(world.runs) == 1


@pytest.mark.parametrize(
    "error",
    [
        SchemaMismatchError("the database is at 0001", remedy="run `batchledger migrate`"),
        DOWN,
        RuntimeError("boom"),
        AssertionError(),
    ],
)
def test_a_run_that_raises_is_survived_and_the_next_tick_tries_again(error: Exception) -> None:
    world = World(last=ran("11:45"), run_error=error)
    world.turn_at("12:00")
    assert world.daemon.health.last_error
    assert world.daemon.is_idle.is_set()
    world.run_error = None
    world.turn_at("12:15")
    assert world.runs == [at("12:15")]
    assert world.noted == {"12:00": "missed"}


def test_what_went_wrong_is_said_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    World(ledger_error=DOWN).daemon.turn()
    said = capsys.readouterr()
    assert str(DOWN) in said.out + said.err
    assert "start it" in said.out + said.err


def test_a_turn_is_hung_when_it_outlives_its_limit_and_not_before() -> None:
    world = World()
    seen: list[bool] = []

    def pass_time() -> None:
        for elapsed_s in (0, 100, 101):
            world.elapsed_s = elapsed_s
            seen.append(world.daemon.is_hung)

    world.during_run = pass_time
    world.turn_at("12:00")
    assert seen == [False, False, True]
    world.elapsed_s = 1e9
    assert not world.daemon.is_hung


# Health


def test_health_says_when_the_last_run_was_how_it_came_out_and_when_the_next_one_is() -> None:
    world = World(run_s=60)
    world.turn_at("12:00")
    health = world.daemon.health
    assert (health.last_run_at, health.last_outcome) == (at("12:00"), "completed")
    assert health.last_success_at == at("12:01")
    assert health.next_tick_at == at("12:15")
    assert health.running_since is None
    assert world.told == [health]


def test_a_run_with_a_suspect_project_is_no_success() -> None:
    world = World()
    world.turn_at("12:00")
    world.outcome = "partial"
    world.turn_at("12:15")
    assert world.daemon.health.last_run_at == at("12:15")
    assert world.daemon.health.last_success_at == at("12:00")


# The service manager


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000"}, 60.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_told_twice_in_its_time_if_it_is_ours(
    environ: dict[str, str], expected: float | None
) -> None:
    assert watchdog_period(environ, 7) == expected


def test_without_a_service_manager_nobody_is_told() -> None:
    with notifier({}, str) as notify:
        notify("READY=1")
