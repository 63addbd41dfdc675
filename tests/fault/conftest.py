"""What the tests of faults are given: a scene of an API, a ledger and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import pytest

from etl.simulator import ServerSettings, Simulator, World
from tests.fault.harness import Forkers, Scene, ended

if TYPE_CHECKING:
    from pathlib import Path

NewScene = Callable[..., AbstractContextManager[Scene]]
"""Takes a world, how it is served, and more of the environment of its processes; each may be left out."""


@pytest.fixture(scope="session")
def forkers() -> Iterator[Forkers]:
    """Give where processes come from."""
    forkers = Forkers()
    yield forkers
    forkers.close()


@pytest.fixture
def new_scene(database: str, tmp_path: Path, forkers: Forkers) -> NewScene:
    """Give a way to set a scene of another world or with other settings."""

    @contextmanager
    def scene(
        world: World | None = None, settings: ServerSettings | None = None, **environ: str
    ) -> Iterator[Scene]:
        served = world or World.seeded(7, projects=4, batches_per_project=12)
        with (
            Simulator(served, settings) as simulator,
            ended(Scene(simulator, database, tmp_path, forkers, environ)) as ready,
        ):
            yield ready

    return scene


@pytest.fixture
def scene(new_scene: NewScene) -> Iterator[Scene]:
    """Set a scene of four projects, of which the ledger knows nothing yet."""
    with new_scene() as ready:
        yield ready
