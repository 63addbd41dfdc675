"""A ledger whose history has no two numbers alike, so that none on a page can pass for another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Final

from etl.database import engine
from etl.selection import Promise
from etl.simulator.evolution import happen
from etl.simulator.faults import Fault
from etl.simulator.world import World
from etl.store import PostgresLedger
from tests.worlds import FakeClock, WorldSource, a_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.simulator.project import Project

DAYS: Final = 34
"""One run on each, but for those without any; more than the shortest chart has room for."""

_UNSEEN: Final = {1, 4, 12, 13, 14, 28, 29}
_COMPLETED: Final = 16
_STOPPED: Final = 31
_LEASES: Final = {29: 0, 33: 9999}
_PAUSED_FROM: Final = 30
_DISBELIEVED_FROM: Final = 32
_DISBELIEVED: Final = '{"batches": [{"id": "new", "name": "new", "images": 613, "numJobs": 0}]}'
_LAST: Final = DAYS - 1
_HOUR_S: Final = 3600
_PROMISE: Final = Promise(
    22 * _HOUR_S, [("acme/helmets", 20 * _HOUR_S), ("acme/drones", 21 * _HOUR_S), ("acme/potholes", 0)]
)


class _SlowClock(FakeClock):
    """A clock by which each request takes more than a minute, and which may end a run after some."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.stop, self.stop_at = Event(), datetime.max.replace(tzinfo=UTC)

    def move(self, **_ahead: float) -> datetime:
        at = super().move(seconds=67)
        if at > self.stop_at:
            self.stop.set()
        return at


def tell(uri: str) -> None:
    """
    Write 34 days of five projects.

    All of helmets is worked on, and every figure of it is known: some batches are done, one is gone and one
    is missing. Of cars the last lists had but one batch, a new one; drones is paused, parcels could never be
    read, and nothing is promised of potholes, whose jobs could not be read in the end.
    """
    start = datetime.now(UTC) - timedelta(days=_LAST, minutes=50)
    world, clock = World.seeded(3, projects=5, batches_per_project=4, start=start), _SlowClock(start)
    source, connections = WorldSource(world, clock), engine(uri)
    ledger = PostgresLedger(connections, host="here", version="test")
    source.faults.add(Fault.status(500), path="/acme/parcels/*", times=None)
    helmets, rng = _Helmets(world.project("acme/helmets"), start), Random(3)  # noqa: S311 - a story, not a secret.
    for day in range(DAYS):
        clock.at = start + timedelta(days=day)
        helmets.live(day, clock.at - timedelta(hours=3))
        for path in ("acme/cars", "acme/drones", "acme/potholes"):
            for _ in range(rng.randint(0, 4)):
                happen(world.project(path), rng, clock.at - timedelta(hours=2))
        _go_wrong(source, helmets, day)
        if day in _LEASES:
            other = PostgresLedger(connections, host="elsewhere", version="test", lease_s=_LEASES[day])
            other.begin_run(trigger="schedule", started_at=clock.at)
        if day in _UNSEEN:
            continue
        clock.stop = Event()
        if day == _STOPPED:
            clock.stop_at = clock.at + timedelta(minutes=4)
        followed = ("acme/*", "!acme/drones") if day >= _PAUSED_FROM else ()
        a_run(ledger, [source], clock, promise=_PROMISE, projects=followed, stop=clock.stop)
        clock.stop_at = datetime.max.replace(tzinfo=UTC)
    connections.dispose()


def _go_wrong(source: WorldSource, helmets: _Helmets, day: int) -> None:
    """Let what the source answers on a day be broken."""
    faults = source.faults
    if day in (18, 21):
        faults.add(Fault.status(500), path="/acme/helmets/jobs")
    if day in (23, 24):
        faults.add(Fault.status(500), path="/acme/drones/batches")
    if day >= _DISBELIEVED_FROM:
        faults.add(Fault.literal(_DISBELIEVED), path="/acme/cars/batches")
    if day == _LAST:
        faults.add(Fault.status(500), path="/acme/potholes/jobs")
        faults.add(Fault.status(503), path=f"/acme/helmets/batches/{helmets.lost}", times=None)


class _Helmets:
    """A project of which as much is done each day as no other day and no other kind of work has."""

    def __init__(self, project: Project, start: datetime) -> None:
        self._project = project
        self._rng = Random(11)  # noqa: S311 - the same.
        sizes = (2203, 2707, 1409, 307, 1013)
        self._alive, self._done, _, self._left, self.lost = (
            project.upload(images=size, name=f"of {size}", at=start - timedelta(days=3, hours=nth * 5)).id
            for nth, size in enumerate(sizes)
        )

    def live(self, day: int, at: datetime) -> None:
        """Let a day pass."""
        self._project.append(self._alive, images=self._some(11, 29))
        if day % 2:
            self._project.assign(self._alive, images=self._some(45, 75), at=at)
        self._finish(day, at)
        self._work()
        {6: self._split, 8: self._delete, 15: self._put_back, 27: self._rename, _LAST: self._lose}.get(
            day, lambda: None
        )()

    def _finish(self, day: int, at: datetime) -> None:
        """Assign all of one batch and annotate it."""
        if day in (2, 5):
            waiting = self._project.batches[self._done].images
            self._project.assign(self._done, images=1801 if day == 2 else waiting, at=at)
        jobs = [job for job in self._project.jobs.values() if job.batch_id == self._done and job.unannotated]
        for job in jobs:
            self._project.annotate(job.id, images=min(job.unannotated, self._some(220, 260)))
        if day == _COMPLETED:
            self._complete()

    def _complete(self) -> None:
        for job in [job for job in self._project.jobs.values() if job.batch_id == self._done]:
            self._project.complete(job.id)

    def _work(self) -> None:
        for verb, room, most in (
            (self._project.annotate, "unannotated", 83),
            (self._project.approve, "unreviewed", 61),
            (self._project.reject, "unreviewed", 17),
        ):
            self._do(verb, room, self._some(most // 2, most))

    def _do(self, verb: Callable[..., object], room: str, images: int) -> None:
        """Do so much in the first job that has room for some of it."""
        jobs = [job for job in self._project.jobs.values() if getattr(job, room) and job.status == "assigned"]
        for job in jobs[:1]:
            verb(job.id, images=min(images, getattr(job, room)))

    def _split(self) -> None:
        self._project.split(self._alive, images=487, name="split off")

    def _delete(self) -> None:
        self._project.delete(self._left)

    def _put_back(self) -> None:
        self._project.unassign(list(self._project.jobs)[-1])

    def _rename(self) -> None:
        self._project.rename(self._alive, "renamed")

    def _lose(self) -> None:
        self._project.delete(self.lost)

    def _some(self, least: int, most: int) -> int:
        return self._rng.randint(least, most)
