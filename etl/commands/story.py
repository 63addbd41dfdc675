"""What happens in the simulated workspace of the demonstration, day by day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from etl.commands.team import Team
from etl.simulator import Fault, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.simulator import Batch, Faults, Project

CARS: Final = "acme/cars"
_DRONES: Final = "acme/drones"
_HELMETS: Final = "acme/helmets"
_HERO: Final = "harbour, night shift"
_DAYS: Final = 14
_SEED: Final = 44
_NOON: Final = time(12, tzinfo=UTC)
_LATER: Final = timedelta(hours=6)
_UPLOADED: Final = timedelta(hours=-2)
_ASSIGNED: Final = timedelta(hours=-1)
_TEAMS: Final = {
    CARS: Team(uploads=30, annotates=85),
    _DRONES: Team(uploads=130, annotates=30),
    _HELMETS: Team(uploads=70, annotates=45),
}
"""One gets done with its backlog, one never will, one nearly keeps pace."""

_Act = Callable[[datetime], object]
"""What happens beside the usual, by the time of the run that sees it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """
    One scheduled run of the story.

    Args:
        at: When it is due.
        what: What has happened in the workspace since the one before.
        act: Lets it happen.
        is_missed: Whether nobody is there to run.
    """

    at: datetime
    what: str
    act: Callable[[], object]
    is_missed: bool = False


class Story:
    """
    Two weeks of a simulated workspace, ending now.

    Args:
        now: When it ends.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._first_at = datetime.combine(now.date() - timedelta(days=_DAYS - 1), _NOON)
        self.world = World.seeded(_SEED, projects=len(_TEAMS), batches_per_project=8, start=self._first_at)
        self._rng = Random(_SEED)  # noqa: S311 - a reproducible story, not a secret.
        cars = self.world.project(CARS)
        forgotten_job = next(job for job in cars.jobs.values() if job.unannotated)
        self._left_alone = {_waiting(cars)[0].id, forgotten_job.id}
        self.hero_id = ""

    def scenes(self, faults: Faults) -> Iterator[Scene]:
        """Yield every scene in order; each acts on the world, or orders a fault of the simulator's."""
        cars, drones = self.world.project(CARS), self.world.project(_DRONES)
        web_page, short_list = Fault.html(), Fault.partial_list(0.75)
        yield Scene(self._noon(0), "the workspace as it is", _nothing)
        yield self._scene(1, f'240 images are uploaded to {CARS} as "{_HERO}"', self._upload)
        yield self._scene(2, "a day like any other", _usual)
        yield self._scene(3, "80 of them are assigned to a labeler", self._assign(80))
        yield Scene(self._noon(4), "nothing happens", _nothing)
        yield self._scene(5, "60 images are added to them", lambda _: cars.append(self.hero_id, images=60))
        yield self._scene(6, "50 are assigned; this machine is off", self._assign(50), is_missed=True)
        yield self._scene(
            7,
            f"for {_DRONES} the API answers with a web page, status 200",
            lambda _: faults.add(web_page, path=f"/{_DRONES}/batches"),
        )
        yield self._scene(8, f'two batches are merged into "{_HERO}"', self._merge)
        yield self._scene(
            9,
            f"the API leaves most batches of {_HELMETS} out of its list",
            lambda _: faults.add(short_list, path=f"/{_HELMETS}/batches"),
        )
        yield Scene(
            self._noon(9) + _LATER,
            "the list is whole again, but in place of the jobs there is a web page",
            lambda: faults.add(web_page, path=f"/{_HELMETS}/jobs"),
        )
        yield self._scene(
            10,
            f"a batch of {_DRONES} is deleted",
            lambda _: drones.delete(_waiting(drones)[0].id),
        )
        yield self._scene(11, f'60 images of "{_HERO}" are split off', self._split)
        yield self._scene(
            12, f'"{_HERO}" is renamed', lambda _: cars.rename(self.hero_id, f"{_HERO} (checked)")
        )
        yield self._scene(13, "100 more of its images are assigned", self._assign(100))

    def _scene(self, nth: int, what: str, act: _Act, *, is_missed: bool = False) -> Scene:
        """Make a scene of a working day: beside what is told, the usual goes on."""
        at = self._noon(nth)

        def both() -> None:
            act(at)
            self._work(nth, at)

        return Scene(at, what, both, is_missed)

    def _noon(self, nth: int) -> datetime:
        """Return noon of a day, and now for the last one, so that no run is in the future."""
        return self._now if nth == _DAYS - 1 else self._first_at + timedelta(days=nth)

    def _upload(self, at: datetime) -> None:
        self.hero_id = self.world.project(CARS).upload(images=240, name=_HERO, at=at + _UPLOADED).id
        self._left_alone.add(self.hero_id)

    def _assign(self, images: int) -> _Act:
        return lambda at: self.world.project(CARS).assign(self.hero_id, images=images, at=at + _ASSIGNED)

    def _merge(self, _at: datetime) -> None:
        cars = self.world.project(CARS)
        hero = cars.batches[self.hero_id]
        smaller = [batch.id for batch in _waiting(cars) if batch.images < hero.images]
        cars.merge(hero.id, smaller[1], smaller[-1])

    def _split(self, at: datetime) -> None:
        part = self.world.project(CARS).split(self.hero_id, images=60, at=at + _UPLOADED)
        self._left_alone.add(part.id)

    def _work(self, nth: int, at: datetime) -> None:
        """Let the usual happen in every project: what is at hand is done, and on some days more comes in."""
        for path, team in _TEAMS.items():
            project = self.world.project(path)
            team.work(project, self._rng, at + _ASSIGNED, self._left_alone)
            if nth % 2:
                team.upload(project, self._rng, at + _UPLOADED)


def _waiting(project: Project) -> list[Batch]:
    """Return the batches with images that are not assigned, the oldest first."""
    return [batch for batch in project.batches.values() if batch.images]


def _nothing() -> None:
    """Let a day pass."""


def _usual(_at: datetime) -> None:
    """Let nothing happen beside the usual."""
