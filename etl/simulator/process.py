"""Serve a seeded world until a signal comes: what `batchledger simulate` and `python -m etl.simulator` do."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from etl.simulator.server import ServerSettings, Simulator
from etl.simulator.world import START, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """
    A world and how it is served.

    Args:
        seed: The same seed and sizes give the same world.
        workspaces: How many workspaces.
        projects: How many projects in each.
        batches_per_project: How many batches in each project at the start.
        start: When the story begins; no batch of the start is younger.
        step_every_s: A random step each so many seconds; `None` leaves the world as it is.
        server: How the world is served.
    """

    seed: int = 0
    workspaces: int = 1
    projects: int = 3
    batches_per_project: int = 12
    start: datetime = START
    step_every_s: float | None = None
    server: ServerSettings = field(default_factory=lambda: ServerSettings(has_admin=True))


def serve(settings: SimulationSettings, ready: Callable[[str, Mapping[str, str]], None]) -> None:
    """
    Serve until SIGTERM or SIGINT. To be called in the main thread, which alone receives signals.

    Args:
        settings: The world and how it is served.
        ready: Called once it can be reached, with its URL and the key of each workspace.
    """
    world = World.seeded(
        settings.seed,
        workspaces=settings.workspaces,
        projects=settings.projects,
        batches_per_project=settings.batches_per_project,
        start=settings.start,
    )
    with _stop_signals() as stop, Simulator(world, settings.server) as simulator:
        ready(simulator.url, simulator.keys)
        while not _has_come(stop, settings.step_every_s):
            with simulator.lock:
                world.step(datetime.now(UTC))


@contextmanager
def _stop_signals() -> Iterator[SimpleQueue[int]]:
    """
    The signals that ask us to stop, as a queue.

    A signal handler may put to this kind of queue while its thread waits on it; an event could deadlock.
    """
    arrived: SimpleQueue[int] = SimpleQueue()
    before = {one: signal.signal(one, lambda number, _frame: arrived.put(number)) for one in _SIGNALS}
    try:
        yield arrived
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _has_come(stop: SimpleQueue[int], within_s: float | None) -> bool:
    try:
        stop.get(timeout=within_s)
    except Empty:
        return False
    return True
