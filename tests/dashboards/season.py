"""Eight weeks of a simulated workspace, run by the product: what the dashboards are shown on."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Final

import psycopg

from etl.commands.assembly import run_options, workbench
from etl.commands.demo import StoryClock
from etl.commands.session import Session
from etl.database import connect
from etl.roles import Roles, grant
from etl.simulator import Fault, Simulator, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl.commands.assembly import Workbench
    from etl.simulator import Batch, Project

DAYS: Final = 56
READER: Final = "dashboard"
_SEED: Final = 5
_RUNS_AT: Final = (timedelta(hours=6), timedelta(hours=18))
_WORK_AT: Final = timedelta(hours=15)
_WEEKEND: Final = (5, 6)
_OFF_DAYS: Final = (18, 19)
_WEB_PAGE: Final = Fault.html()
_PLACES: Final = ("harbour", "north gate", "line 3", "yard", "night shift", "ring road")


@dataclass(frozen=True, slots=True)
class Team:
    """
    Who works on a project, in images a working day.

    Args:
        uploads: Images that come in, on average.
        assigns: Images that are put into jobs, at most.
        annotates: Images that are annotated, at most.
        until: The day after which nobody works on it any more.
        uploads_until: The day after which nothing comes in any more.
    """

    uploads: int
    assigns: int
    annotates: int
    until: int = DAYS
    uploads_until: int = DAYS


_TEAMS: Final = {
    "acme/cars": Team(uploads=60, assigns=85, annotates=80),
    "acme/drones": Team(uploads=70, assigns=55, annotates=50),
    "acme/helmets": Team(uploads=60, assigns=48, annotates=44, uploads_until=32),
    "acme/potholes": Team(uploads=45, assigns=60, annotates=50, until=40),
}


def live(home: Path, now: datetime) -> None:
    """
    Fill the embedded database of a home, and let a reader in.

    Args:
        home: Where the database is to live; made if it does not exist.
        now: When the season ends, with a run.
    """
    season = _Season(now)
    with Simulator(season.world) as simulator, _bench(simulator, home, season.clock) as bench:
        season.live(simulator, bench)
        _let_in(bench.database.uri)


@contextmanager
def _bench(simulator: Simulator, home: Path, clock: StoryClock) -> Iterator[Workbench]:
    ((_, key),) = simulator.keys.items()
    environ = {
        "no_proxy": "127.0.0.1",
        "ROBOFLOW_API_URL": simulator.url,
        "ROBOFLOW_API_KEY": key,
        "BATCHLEDGER_HOME": str(home),
        "BATCHLEDGER_SOURCE__REQUESTS_PER_S": "0",
        "BATCHLEDGER_FRESHNESS__MAX_AGE": "18h",
    }
    settings = Session(environ, is_debug=True, cwd=home.parent).settings()
    with workbench(settings, environ, stop=Event(), clock=clock) as bench:
        yield bench


def _let_in(uri: str) -> None:
    """Grant the two roles what they need, and make a login that may read and no more."""
    with connect(uri) as owner:
        grant(owner, Roles())
    with psycopg.connect(uri, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {READER} LOGIN IN ROLE batchledger_reader")


class _Season:
    """What happens, day by day."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._first_at = datetime.combine(now.date() - timedelta(days=DAYS - 1), datetime.min.time(), UTC)
        self._rng = Random(_SEED)  # noqa: S311 - a reproducible season, not a secret.
        self.clock = StoryClock(self._first_at)
        self.world = World.seeded(
            _SEED, projects=len(_TEAMS), batches_per_project=9, start=self._first_at - timedelta(days=1)
        )

    def live(self, simulator: Simulator, bench: Workbench) -> None:
        """Let every day happen, with two runs a day unless the machine is off."""
        for day in range(DAYS):
            midnight = self._first_at + timedelta(days=day)
            with simulator.lock:
                self._break(simulator, day)
                self._work(day, midnight + min(_WORK_AT, self._now - midnight - timedelta(minutes=5)))
            for hours in _RUNS_AT:
                self._run(bench, min(midnight + hours, self._now), is_missed=day in _OFF_DAYS)
                if midnight + hours >= self._now:
                    return
        self._run(bench, self._now, is_missed=False)

    def _run(self, bench: Workbench, at: datetime, *, is_missed: bool) -> None:
        self.clock.set(at)
        if is_missed:
            bench.ledger.note_tick(at, "missed", recorded_at=at)
        else:
            bench.run(run_options(bench.settings, trigger="schedule"))()

    def _break(self, simulator: Simulator, day: int) -> None:
        """Let the source misbehave on some days."""
        if day in (30, DAYS - 1):
            simulator.faults.add(_WEB_PAGE, path="/acme/potholes/batches", times=2)
        if day in (9, 36):
            simulator.faults.add(_WEB_PAGE, path="/acme/drones/batches", times=1)
        if day == DAYS - 1:
            simulator.faults.add(_WEB_PAGE, path="/acme/drones/jobs", times=2)
        if day == DAYS - 20:
            simulator.faults.add(_WEB_PAGE, path="/acme/cars/jobs", times=1)
        if day == DAYS - 13:
            simulator.faults.add(Fault.partial_list(0.75), path="/acme/helmets/batches", times=1)

    def _work(self, day: int, at: datetime) -> None:
        pace = 0.2 if at.weekday() in _WEEKEND else self._rng.uniform(0.7, 1.3)
        for path, team in _TEAMS.items():
            if day <= team.until:
                project = self.world.project(path)
                if day <= team.uploads_until:
                    self._upload(project, team, at)
                self._assign(project, int(team.assigns * pace), at)
                self._annotate(project, int(team.annotates * pace))
                self._tidy(project, day)

    def _upload(self, project: Project, team: Team, at: datetime) -> None:
        """Let images come in every other day."""
        if self._rng.random() < 0.5:
            images = int(team.uploads * self._rng.uniform(1.2, 2.8))
            name = f"{self._rng.choice(_PLACES)}, {at:%d %b}"
            project.upload(images=images, name=name, at=at - timedelta(hours=5))

    def _assign(self, project: Project, images: int, at: datetime) -> None:
        """Put images into jobs, from batches that happen to be on top."""
        waiting = [batch for batch in project.batches.values() if batch.images]
        for batch in self._rng.sample(waiting, len(waiting)):
            taken = min(images, batch.images)
            if not taken:
                return
            project.assign(batch.id, images=taken, at=at)
            images -= taken

    def _annotate(self, project: Project, images: int) -> None:
        """Work on the oldest jobs but those that somebody has put aside."""
        for nth, job in enumerate(list(project.jobs.values())):
            taken = min(images, job.unannotated) if job.status != "complete" and nth % 11 else 0
            if taken:
                project.annotate(job.id, images=taken)
                images -= taken
            if job.status != "complete" and nth % 11 and taken == job.unannotated:
                project.complete(job.id)

    def _tidy(self, project: Project, day: int) -> None:
        """Merge two batches or split one, now and then."""
        waiting = sorted((batch for batch in project.batches.values() if batch.images > 1), key=_size)
        if day % 12 == 5 and len(waiting) > 1:
            project.merge(waiting[0].id, waiting[1].id)
        if day % 17 == 8 and waiting:
            project.split(waiting[-1].id, images=waiting[-1].images // 2)


def _size(batch: Batch) -> tuple[int, str]:
    return (batch.images, batch.id)
