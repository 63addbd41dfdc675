"""Daemons on hosts whose time is simulated: they sleep, hang, die and lose the database."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

import psycopg

from etl.daemon import Daemon, Limits
from etl.database import engine
from etl.errors import DatabaseUnavailableError
from etl.ports import RunEnd, Scheduled
from etl.records import Moves
from etl.report import RunReport
from etl.store import PostgresLedger
from etl.ticks import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from random import Random

    from etl.settings import ScheduleSettings

LIMITS: Final = Limits(turn_s=720, stop_s=10, grace_s=300)
RETRY_S: Final = 60
AWAY: Final = "the database is away"


class GoneError(BaseException):
    """The process is no more: killed, or ended by its own watch because a turn hung."""


@dataclass(frozen=True)
class Begun:
    """A run that began: where, when, and whether its turn was the first after a start or a failure."""

    host: str
    at: datetime
    is_behind: bool


@dataclass
class Storm:
    """
    The time that all hosts share, and what befalls them.

    Args:
        now: The time; it passes only here.
        book: What all hosts have in common.
        rng: Draws what happens; without one, all is well.
        hosts: Who runs daemons on the database.
        begun: Every run, as it began.
    """

    now: datetime
    book: Book
    rng: Random | None = None
    hosts: list[Host] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)

    def until(self, end: datetime) -> None:
        """Let the time pass; every host that is not busy takes its turns in it."""
        while True:
            free = [host for host in self.hosts if not host.is_busy]
            host = min(free, key=lambda one: one.wakes_at, default=None)
            if host is None or host.wakes_at >= end:
                break
            self.now = max(self.now, host.wakes_at)
            host.wake()
        self.now = max(self.now, end)

    def draws(self, **odds: float) -> str:
        """Draw one of the things that can happen, or that nothing does."""
        if self.rng is None:
            return ""
        (what,) = self.rng.choices([*odds, ""], [*odds.values(), 1 - sum(odds.values())])
        return what

    def seconds(self, least: float, most: float) -> timedelta:
        """Draw a time."""
        return timedelta(seconds=least if self.rng is None else self.rng.uniform(least, most))


class Book(Protocol):
    """The runs and notes of all hosts."""

    def last_scheduled(self) -> Scheduled | None:
        """As of `etl.ports.Journal`."""
        ...

    def note_tick(self, host: str, scheduled_at: datetime, reason: str, at: datetime) -> None:
        """The same, with the host that notes it."""
        ...

    def begin(self, host: str, at: datetime) -> int:
        """Begin a run, which lives until it ends or is dead."""
        ...

    def end(self, run_id: int, at: datetime) -> None:
        """End a run as it should."""
        ...

    def die(self, run_id: int) -> None:
        """Let the lease of a run end that nobody renews any more."""
        ...

    def notes(self) -> Iterable[tuple[str, datetime, str]]:
        """Return host, time and reason of each note."""
        ...


class MemoryBook:
    """As the ledger keeps it, in memory."""

    def __init__(self) -> None:
        self._runs: list[Scheduled] = []
        self._notes: dict[tuple[str, datetime], str] = {}

    def last_scheduled(self) -> Scheduled | None:
        return self._runs[-1] if self._runs else None

    def note_tick(self, host: str, scheduled_at: datetime, reason: str, at: datetime) -> None:
        assert at >= scheduled_at
        self._notes.setdefault((host, scheduled_at), reason)

    def begin(self, _host: str, at: datetime) -> int:
        self._runs.append(Scheduled(at, is_served=None))
        return len(self._runs) - 1

    def end(self, run_id: int, _at: datetime) -> None:
        self._runs[run_id] = Scheduled(self._runs[run_id].started_at, is_served=True)

    def die(self, run_id: int) -> None:
        self._runs[run_id] = Scheduled(self._runs[run_id].started_at, is_served=False)

    def notes(self) -> Iterable[tuple[str, datetime, str]]:
        return [(host, at, reason) for (host, at), reason in self._notes.items()]


class PostgresBook:
    """The ledger's own; a run that lives has a lease that outlasts the test."""

    def __init__(self, database: str, hosts: Sequence[str]) -> None:
        self._database = database
        self._engine = engine(database)
        self._ledgers = {
            host: PostgresLedger(self._engine, host=host, version="test", lease_s=3600) for host in hosts
        }

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def last_scheduled(self) -> Scheduled | None:
        return next(iter(self._ledgers.values())).last_scheduled()

    def note_tick(self, host: str, scheduled_at: datetime, reason: str, at: datetime) -> None:
        self._ledgers[host].note_tick(scheduled_at, reason, recorded_at=at)

    def begin(self, host: str, at: datetime) -> int:
        return self._ledgers[host].begin_run(trigger="schedule", started_at=at)

    def end(self, run_id: int, at: datetime) -> None:
        end = RunEnd(ended_at=at, outcome="completed", verdicts={}, moves=Moves(), requests=0)
        next(iter(self._ledgers.values())).end_run(run_id, end)

    def die(self, run_id: int) -> None:
        statement = "UPDATE ledger.run SET leased_until = clock_timestamp() WHERE run_id = %s"
        with psycopg.connect(self._database) as connection:
            connection.execute(statement, (run_id,))

    def notes(self) -> Iterable[tuple[str, datetime, str]]:
        with psycopg.connect(self._database) as connection:
            return connection.execute("SELECT host, scheduled_at, reason FROM ledger.tick").fetchall()


class Host:
    """One host: a daemon, started anew whenever it is gone, and APScheduler's part in its turns."""

    def __init__(self, storm: Storm, name: str, settings: ScheduleSettings) -> None:
        self.name = name
        self.is_busy = False
        self.is_behind = True
        self.schedule = Schedule(settings, name)
        self.wakes_at = storm.now
        self._storm = storm
        self._is_away = False
        self._runs = 0
        self._next_tick = storm.now
        self._daemon = self._started()
        storm.hosts.append(self)

    def wake(self) -> None:
        """Take a turn if it is time for one, and find out when it will be time again."""
        is_tick = self._storm.now >= self._next_tick
        if is_tick or self._daemon.wants_retry:
            self._turn()
        self._next_tick = self.schedule.after(self._storm.now)
        retry_at = self._storm.now + timedelta(seconds=RETRY_S)
        self.wakes_at = min(self._next_tick, retry_at) if self._daemon.health.last_error else self._next_tick
        self._befall()

    def keep_time(self) -> None:
        """See when the next tick is, as the daemon's watch does each second: the clock may be put back."""
        self._next_tick = min(self._next_tick, self.schedule.after(self._storm.now))
        self.wakes_at = min(self.wakes_at, self._next_tick)

    def _turn(self) -> None:
        self.is_busy = True
        try:
            has_to_wait, runs = self.is_behind and self._is_somebody_at_it(), self._runs
            self._daemon.turn()
            has_run = self._runs > runs
            self.is_behind = (has_to_wait and not has_run) or bool(self._daemon.health.last_error)
        except GoneError:
            self._daemon = self._started()
            self._storm.until(self._storm.now + self._storm.seconds(1, 30))
        finally:
            self.is_busy = False

    def _is_somebody_at_it(self) -> bool:
        """Whether a run lives of which nobody knows yet how it ends: until then we stay behind."""
        latest = self._storm.book.last_scheduled()
        return latest is not None and latest.is_served is None

    def _befall(self) -> None:
        """See what happens until the next turn."""
        storm = self._storm
        match storm.draws(sleep=0.06, down=0.03, away=0.03):
            case "sleep":
                self.wakes_at += storm.seconds(1, 5000)
            case "down":
                self.wakes_at += storm.seconds(-600, 5000)
                self._daemon = self._started()
            case "away":
                self._is_away = True
            case _:
                self._is_away = False
        self.wakes_at = max(self.wakes_at, storm.now)

    def _started(self) -> Daemon:
        """Start the daemon; its first turn is taken at once."""
        self.is_behind = True
        self._next_tick = self._storm.now
        return Daemon(
            self.schedule,
            self._run,
            self,
            limits=LIMITS,
            clock=lambda: self._storm.now,
            stop=threading.Event(),
            monotonic=self._monotonic,
        )

    def _monotonic(self) -> float:
        return self._storm.now.timestamp()

    # What the daemon asks for

    def last_scheduled(self) -> Scheduled | None:
        self._needs_the_database()
        return self._storm.book.last_scheduled()

    def note_tick(self, scheduled_at: datetime, reason: str, *, recorded_at: datetime) -> None:
        self._needs_the_database()
        self._storm.book.note_tick(self.name, scheduled_at, reason, recorded_at)

    def _needs_the_database(self) -> None:
        if self._is_away:
            raise DatabaseUnavailableError(AWAY)

    def _run(self) -> RunReport:
        """Run over no project at all, for as long as it takes, if it ends at all."""
        storm, started_at = self._storm, self._storm.now
        run_id = storm.book.begin(self.name, started_at)
        self._runs += 1
        storm.begun.append(Begun(self.name, started_at, self.is_behind))
        what = storm.draws(long=0.1, hang=0.02, kill=0.02, lose=0.02, fault=0.02)
        storm.until(started_at + storm.seconds(*_LASTS[what]))
        if error := _ENDS.get(what):
            storm.book.die(run_id)
            raise error
        storm.book.end(run_id, storm.now)
        return RunReport(
            run_id=run_id, started_at=started_at, ended_at=storm.now, outcome="completed", projects=()
        )


_LASTS: Final = {
    "": (1, 60),
    "long": (60, 3000),
    "hang": (LIMITS.turn_s, LIMITS.turn_s + 10),
    "kill": (1, 600),
    "lose": (1, 600),
    "fault": (1, 60),
}
"""Seconds that a run takes, from and to, by what befalls it."""

_ENDS: Final = {
    "hang": GoneError(),
    "kill": GoneError(),
    "lose": DatabaseUnavailableError(AWAY),
    "fault": ArithmeticError("a fault of ours"),
}


# The account of the ticks


@dataclass(frozen=True)
class Tick:
    """One time of the schedule, as it is without a host's offset, and all that the ledger has of it."""

    at: datetime
    begun: tuple[Begun, ...]
    noted: Mapping[str, str]


def account(storm: Storm, settings: ScheduleSettings, since: datetime) -> list[Tick]:
    """
    Lay out the ticks after `since`, but for the last one, which has not had its time yet.

    A run belongs to the latest tick before it, whatever the offset of its host; so does a note.
    """
    grid = Schedule(settings.model_copy(update={"jitter_s": 0}), "any")
    instants = [grid.after(since)]
    while instants[-1] <= storm.now:
        instants.append(grid.after(instants[-1]))
    notes = _notes(storm)
    return [
        Tick(at, tuple(one for one in storm.begun if at <= one.at < following), notes.get(at, {}))
        for at, following in pairwise(instants[:-1])
    ]


def lost(storm: Storm, ticks: Sequence[Tick]) -> list[Tick]:
    """Return the ticks that nobody ran in time and nobody noted."""
    slack = max(host.schedule.offset for host in storm.hosts) + timedelta(seconds=LIMITS.grace_s)
    return [
        tick for tick in ticks if not tick.noted and not any(one.at - tick.at <= slack for one in tick.begun)
    ]


def doubled(ticks: Sequence[Tick]) -> list[Tick]:
    """
    Return the ticks that were run twice, or both run and noted by one host.

    To run once more what a failure or a death left undone is no doubling; nor is it to make up for ticks that
    were noted because nobody was there.
    """
    return [tick for tick in ticks if _is_doubled(tick)]


def _is_doubled(tick: Tick) -> bool:
    calm = [one for one in tick.begun if not one.is_behind]
    return len(calm) > 1 or any(one.host in tick.noted for one in calm)


def _notes(storm: Storm) -> dict[datetime, dict[str, str]]:
    offsets = {host.name: host.schedule.offset for host in storm.hosts}
    notes = dict[datetime, dict[str, str]]()
    for host, scheduled_at, reason in storm.book.notes():
        notes.setdefault(scheduled_at - offsets[host], {})[host] = reason
    return notes
