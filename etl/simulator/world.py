"""The simulated world: workspaces of projects, made from a seed and evolving in steps. No I/O, no clock."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import accumulate, pairwise
from random import Random
from typing import TYPE_CHECKING

from etl.simulator.evolution import Event, happen
from etl.simulator.project import Project
from etl.simulator.rows import to_ms
from etl.simulator.seeding import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
FIRST_WORKSPACE = "acme"
_WORKSPACES = (FIRST_WORKSPACE, "globex", "initech", "umbrella", "hooli", "soylent")
_PROJECTS = (
    *("cars", "drones", "helmets", "potholes", "parcels", "weeds", "welds", "vials", "pallets", "leaves"),
    *("hands", "ships", "bottles", "panels", "tires", "gauges", "cattle", "signs", "screws", "shelves"),
)
_MOST_EVENTS = 3


class World:
    """
    Every workspace and project there is.

    Not safe across threads: while it is being served, change it only with the simulator's lock held.

    Args:
        seed: Two worlds of one seed, changed by the same calls, are equal.
        workspaces: The slugs; each gets a key of its own when it is served.
        start: Nothing in a fresh project is younger.
    """

    def __init__(self, seed: int, workspaces: tuple[str, ...], start: datetime = START) -> None:
        self.workspaces = workspaces
        self._seed = seed
        self._start_ms = to_ms(start)
        self._rng = Random(f"{seed}/steps")  # noqa: S311 - a reproducible world, not a secret.
        self._projects: dict[str, Project] = {}
        self._trash: dict[str, Project] = {}

    @classmethod
    def seeded(
        cls,
        seed: int = 0,
        *,
        workspaces: int = 1,
        projects: int = 3,
        batches_per_project: int = 12,
        start: datetime = START,
    ) -> World:
        """
        Make a world of any size: it costs little until it is read.

        Args:
            seed: The same seed and sizes give the same world.
            workspaces: How many: `acme`, `globex`, ...
            projects: How many in each workspace: `cars`, `drones`, ...
            batches_per_project: How many at the start.
            start: When the story begins; the first batches are of the 120 days before.
        """
        world = cls(seed, tuple(_nth_name(_WORKSPACES, nth) for nth in range(workspaces)), start)
        for workspace in world.workspaces:
            for nth in range(projects):
                world.add(f"{workspace}/{_nth_name(_PROJECTS, nth)}", batches=batches_per_project)
        return world

    @property
    def projects(self) -> Mapping[str, Project]:
        """Every project that can be seen, by `workspace/project`."""
        return self._projects

    def project(self, path: str) -> Project:
        """The project of that path, `workspace/project`."""
        return self._projects[path]

    def of_workspace(self, workspace: str) -> tuple[Project, ...]:
        """The projects that the workspace lists, in its order."""
        return tuple(project for project in self._projects.values() if project.workspace == workspace)

    def add(self, path: str, *, batches: int = 0) -> Project:
        """Create a project with so many seeded batches."""
        workspace, slug = path.split("/")
        if workspace not in self.workspaces or path in self._projects or path in self._trash:
            raise ValueError(f"{path} exists already, or is of no workspace of this world")
        self._projects[path] = Project(
            workspace, slug, Recipe(workspace, f"{self._seed}/{path}", batches, self._start_ms)
        )
        return self._projects[path]

    def trash(self, path: str) -> None:
        """Put a project in the trash: it disappears from the list and answers 404."""
        self._trash[path] = self._projects.pop(path)

    def restore(self, path: str) -> None:
        """Take a project out of the trash."""
        self._projects[path] = self._trash.pop(path)

    def step(self, at: datetime, *, events: int | None = None) -> tuple[Event, ...]:
        """Let random events happen in random projects: so many as asked for, else one to three."""
        projects = tuple(self._projects.values())
        if not projects:
            return ()
        count = self._rng.randint(1, _MOST_EVENTS) if events is None else events
        return tuple(happen(self._rng.choice(projects), self._rng, at) for _ in range(count))

    def change(self, share: float) -> int:
        """
        Append images to that share of all batches, spread evenly over the projects.

        Returns:
            How many batches were changed: each of them once.
        """
        return sum(self._append_to(project, count) for project, count in self._quotas(share))

    def _quotas(self, share: float) -> list[tuple[Project, int]]:
        """How many in each project, so rounded that the sum is right whatever the sizes."""
        projects = tuple(self._projects.values())
        sizes = accumulate((project.batch_count for project in projects), initial=0)
        due = [round(size * share) for size in sizes]
        return [
            (project, upto - since) for project, (since, upto) in zip(projects, pairwise(due), strict=True)
        ]

    def _append_to(self, project: Project, count: int) -> int:
        if count:
            for batch_id in self._rng.sample(tuple(project.batches), count):
                project.append(batch_id, images=self._rng.randint(1, 9))
        return count


def _nth_name(names: tuple[str, ...], nth: int) -> str:
    again, index = divmod(nth, len(names))
    return f"{names[index]}-{again + 1}" if again else names[index]
