"""The process killed, told to end or put to sleep at any moment: the ledger is whole, and soon true again."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
import pytest

from etl.simulator import Fault, World
from tests.fault.harness import ALONE, LEASE_S, LISTS, READ_TIMEOUT_S, RUN_S, drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from random import Random

    from tests.fault.conftest import NewScene
    from tests.fault.harness import Mark, Process, Scene
    from tests.fault.recorder import Faults

STOP_S: Final = READ_TIMEOUT_S + 10
"""What the end may take from SIGTERM on: an answer that is being waited for, and the writing of it."""

START_SHARE: Final = 0.15
"""How many of the runs that are struck at random are struck before they have asked for anything."""

TERMINATED: Final = 128 + signal.SIGTERM


# Killed, or told to end, at random


@dataclass(frozen=True)
class Duration:
    """How long a run takes: from the fork to its first request, and from there to its end."""

    before_s: float
    after_s: float


def test_a_run_killed_at_any_moment_leaves_no_trace_but_its_lease(
    new_scene: NewScene, faults: Faults, fault_seed: int
) -> None:
    """The projects are read one by one or at once."""
    rng = drawn(fault_seed)
    with new_scene(a_world(fault_seed), BATCHLEDGER_SYNC__CONCURRENCY=str(rng.choice((1, 4)))) as scene:
        duration = a_prepared_run(scene)
        with faults("process: killed at random") as case:
            mark = scene.mark()
            scene.evolve(events=8)
            while not is_struck(scene, signal.SIGKILL, rng, duration):
                # It was done before, so that there is nothing left to see: once more.
                scene.healthy_sync()
                mark = scene.mark()
                scene.evolve(events=8)
            case.recovery_s = scene.recovered(time.monotonic(), LEASE_S + RUN_S)
            scene.has_each_change_once(mark)


def test_a_run_told_to_end_at_any_moment_leaves_not_even_a_lease(
    new_scene: NewScene, faults: Faults, fault_seed: int
) -> None:
    rng = drawn(fault_seed)
    with new_scene(a_world(fault_seed), BATCHLEDGER_SYNC__CONCURRENCY=str(rng.choice((1, 4)))) as scene:
        duration = a_prepared_run(scene)
        with faults("process: SIGTERM at random") as case:
            mark = scene.mark()
            scene.evolve(events=8)
            is_struck(scene, signal.SIGTERM, rng, duration)
            case.recovery_s = scene.recovered(time.monotonic(), RUN_S)
            scene.has_each_change_once(mark)


def a_world(seed: int) -> World:
    return World.seeded(seed, projects=6, batches_per_project=12)


def a_prepared_run(scene: Scene) -> Duration:
    """Fill the ledger, let each list take a moment from now on, and see how long a run then takes."""
    scene.healthy_sync()
    scene.simulator.faults.add(Fault.stall(0.04), path=LISTS, times=None)
    scene.evolve(events=8)
    process = started(scene)
    first_request_at = time.monotonic()
    assert process.wait() == 0, process.said
    return Duration(first_request_at - process.began, time.monotonic() - first_request_at)


def started(scene: Scene) -> Process:
    """Start a run, and wait for its first request."""
    scene.simulator.requests.clear()
    process = scene.start("sync")
    process.until(lambda: scene.simulator.requests.total)
    return process


def is_struck(scene: Scene, number: int, rng: Random, duration: Duration) -> bool:
    """Send a run a signal, mostly between its first request and its end; say whether that ended it."""
    if rng.random() < START_SHARE:
        process = scene.start("sync")
        time.sleep(rng.uniform(0, duration.before_s))
    else:
        process = started(scene)
        time.sleep(rng.uniform(0, duration.after_s))
    process.send(number)
    exit_code = process.wait(STOP_S)
    assert exit_code in {0, -number, TERMINATED}, process.said
    return exit_code != 0


# Held in one phase of its run


@contextmanager
def held_by_the_api(scene: Scene, path: str, *, done: int = 0, held_s: float = 0.5) -> Iterator[Process]:
    """A run whose request of that path is not answered for a while, after so many that were at once."""
    scene.simulator.faults.add(Fault.stall(held_s), path=path, skip=done)
    process = scene.start("sync", **ALONE)
    process.until(lambda: not scene.simulator.faults.pending)
    yield process


@contextmanager
def held_by_a_lock(scene: Scene, lock: LiteralString, file: str) -> Iterator[Process]:
    """
    A run that has read all but one of the projects, and a statement of which then waits for a lock.

    It is taken while the API holds the answer for the last project, so that the run has its rows.
    """
    last = len(scene.simulator.world.projects) - 1
    with held_by_the_api(scene, LISTS, done=last) as process, psycopg.connect(scene.database) as other:
        other.execute(lock)
        process.until(lambda: scene.waits_in(file))
        yield process


PHASES: Final[Mapping[str, Callable[[Scene], AbstractContextManager[Process]]]] = {
    "before it lists": lambda scene: held_by_the_api(scene, "/"),
    "while it lists": lambda scene: held_by_the_api(scene, "/acme"),
    "while it reads the first": lambda scene: held_by_the_api(scene, LISTS),
    "while it reads the third": lambda scene: held_by_the_api(scene, LISTS, done=2),
    "while it applies": lambda scene: held_by_a_lock(scene, "SELECT FROM ledger.project FOR UPDATE", "apply"),
    "while it writes unchanged rows": lambda scene: held_by_a_lock(
        scene, "SELECT FROM ledger.claim FOR UPDATE", "record"
    ),
    "at the end": lambda scene: held_by_a_lock(
        scene, "SELECT FROM ledger.run WHERE ended_at IS NULL FOR NO KEY UPDATE", "end_run"
    ),
}
UNCHANGED: Final = {"while it writes unchanged rows"}
"""Phases that a run reaches only if nothing has changed."""


@pytest.mark.parametrize("phase", PHASES)
def test_told_to_end_a_run_ends_in_order_whatever_it_is_at(scene: Scene, faults: Faults, phase: str) -> None:
    with faults("process: SIGTERM in each phase") as case:
        mark = prepared(scene, phase)
        with PHASES[phase](scene) as process:
            process.send(signal.SIGTERM)
            began = time.monotonic()
            process.until_it_says("stopping after the projects in hand")
        assert process.wait(STOP_S) == TERMINATED
        assert time.monotonic() - began < STOP_S
        assert outcomes(scene)[-1] == ("completed" if phase == "at the end" else "stopped")
        case.recovery_s = scene.recovered(time.monotonic(), RUN_S)
        scene.has_each_change_once(mark)


@pytest.mark.long
@pytest.mark.parametrize("phase", PHASES)
def test_killed_a_run_leaves_whole_transactions_whatever_it_was_at(
    scene: Scene, faults: Faults, phase: str
) -> None:
    """A statement that is under way when its client dies goes on by itself: whole, or not at all."""
    with faults("process: killed in each phase") as case:
        mark = prepared(scene, phase)
        with PHASES[phase](scene) as process:
            process.send(signal.SIGKILL)
            assert process.wait(STOP_S) == -signal.SIGKILL
        case.recovery_s = scene.recovered(time.monotonic(), LEASE_S + RUN_S)
        scene.has_each_change_once(mark)


def test_told_twice_a_run_ends_at_once_and_its_lease_is_all_that_stays(scene: Scene, faults: Faults) -> None:
    with faults("process: SIGTERM twice") as case:
        mark = prepared(scene, "")
        with held_by_the_api(scene, LISTS, done=2, held_s=READ_TIMEOUT_S - 1) as process:
            process.send(signal.SIGTERM)
            process.until_it_says("stopping after the projects in hand")
            process.send(signal.SIGTERM)
            assert process.wait(1) == TERMINATED
        case.recovery_s = scene.recovered(time.monotonic(), LEASE_S + RUN_S)
        scene.has_each_change_once(mark)


def prepared(scene: Scene, phase: str) -> Mark:
    """Fill the ledger, and let something happen that the run of this phase can see."""
    scene.healthy_sync()
    mark = scene.mark()
    if phase not in UNCHANGED:
        # In every project, so that each is to be applied.
        scene.change(0.5)
    return mark


def outcomes(scene: Scene) -> list[str | None]:
    return [outcome for (outcome,) in scene.rows("SELECT outcome FROM ledger.run ORDER BY run_id")]


# Asleep past its lease, while another run goes on


def test_a_zombie_does_not_put_what_it_read_before_its_sleep_over_what_was_read_in_it(
    scene: Scene, faults: Faults
) -> None:
    with faults("process: SIGSTOP past the lease, then apply") as case:
        prepared(scene, "")
        with held_by_the_api(scene, LISTS) as zombie:
            zombie.send(signal.SIGSTOP)
        scene.change(0.5)
        woken_at = woken_beside_another_run(scene, zombie)
        assert "another run has claimed the project" in zombie.said + zombie.printed
        has_written_nothing(scene, run_id=2)
        case.recovery_s = scene.recovered(woken_at, RUN_S)


def test_a_zombie_does_not_say_that_a_project_is_unchanged_that_has_changed_in_its_sleep(
    scene: Scene, faults: Faults
) -> None:
    """When it fell asleep it had read most of the projects and had written none of them."""
    with faults("process: SIGSTOP past the lease, then record") as case:
        scene.healthy_sync()
        mark = scene.mark()
        with held_by_the_api(scene, LISTS, done=3) as zombie:
            zombie.send(signal.SIGSTOP)
        scene.change(0.5)
        woken_at = woken_beside_another_run(scene, zombie)
        assert "another run has taken over; observations are dropped" in zombie.said
        has_written_nothing(scene, run_id=2)
        case.recovery_s = scene.recovered(woken_at, RUN_S)
        scene.has_each_change_once(mark)


@pytest.mark.long
def test_what_a_zombie_had_under_way_is_written_before_another_run_takes_over(
    new_scene: NewScene, faults: Faults
) -> None:
    """Its statement holds the claim until it ends, and only then is there anything to take over."""
    patient = {"BATCHLEDGER_DATABASE__LOCK_TIMEOUT_S": "60"}
    with faults("process: SIGSTOP past the lease, in a statement") as case, new_scene(**patient) as scene:
        prepared(scene, "")
        with PHASES["while it applies"](scene) as zombie:
            zombie.send(signal.SIGSTOP)
            scene.change(0.5)
            scene.wait_for_leases(time.monotonic() + LEASE_S + RUN_S)
            other = scene.start("sync")
            other.until(lambda: scene.waits_in("claim"))
        assert other.wait() == 0, other.said
        zombie.send(signal.SIGCONT)
        woken_at = time.monotonic()
        zombie.wait(STOP_S)
        case.recovery_s = scene.recovered(woken_at, RUN_S)


def woken_beside_another_run(scene: Scene, zombie: Process) -> float:
    """Let another run take over, wake the zombie in the midst of it, and return when that was."""
    scene.wait_for_leases(time.monotonic() + LEASE_S + RUN_S)
    with held_by_the_api(scene, LISTS, done=1, held_s=1.0) as other:
        zombie.send(signal.SIGCONT)
        woken_at = time.monotonic()
        assert zombie.wait(STOP_S) == 0, zombie.said
        assert other.is_running
    assert other.wait() == 0, other.said
    return woken_at


def has_written_nothing(scene: Scene, run_id: int) -> None:
    """A skipped project is no more than the remark that it was not read."""
    written = "SELECT verdict FROM analytics.observation WHERE run_id = %s AND verdict <> 'skipped'"
    assert scene.rows(written, run_id) == []
    assert scene.rows("SELECT FROM analytics.batch_change WHERE run_id = %s", run_id) == []
