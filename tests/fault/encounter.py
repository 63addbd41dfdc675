"""One run that meets many faults, each in a project of its own, beside a project that is well."""

from __future__ import annotations

import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from etl.simulator import Fault, World
from etl.simulator.bodies import batches
from tests.fault.harness import RUN_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.fault.conftest import NewScene
    from tests.fault.harness import Scene, State
    from tests.fault.recorder import Faults

    Batches = dict[str, Any]
    Believed = Callable[[Batches, Batches], Batches]
    Rows = list[dict[str, Any]]
    Making = Callable[[Rows], Fault]

WELL: Final = "well"
BATCHES: Final = 12
SPEED: Final = {
    "BATCHLEDGER_SOURCE__REQUESTS_PER_S": "0",
    "BATCHLEDGER_SOURCE__READ_TIMEOUT_S": "1",
    "BATCHLEDGER_SYNC__CONCURRENCY": "16",
}
"""Nobody waits for another, and nobody long."""


class Outcome(NamedTuple):
    """
    What a run says of a project.

    Args:
        verdict: As recorded.
        error: Class of the error of a failed observation.
        status: HTTP status; None where there was no answer.
        rule: Which rule of the guard was met.
        rejects: Records that could not be used.
    """

    verdict: str
    error: str | None = None
    status: int | None = None
    rule: str | None = None
    rejects: int = 0


class Meeting(NamedTuple):
    """
    A fault, and what comes of it.

    Args:
        fault: What goes wrong, or what makes it from the rows of the true list.
        outcome: What the run says of the project.
        believed: What the ledger says then, given what it said before and what the source has.
        times: How many requests meet the fault; None: all.
        requests: How many are sent; None: as many as it takes.
    """

    fault: Fault | Making
    outcome: Outcome
    believed: Believed
    times: int | None = None
    requests: int | None = None


def nothing_new(before: Batches, _truth: Batches) -> Batches:
    """Believe what was believed."""
    return before


def the_news(_before: Batches, truth: Batches) -> Batches:
    """Believe what the source has."""
    return truth


def fails(fault: Fault | Making, error: str, status: int | None = None, **more: Any) -> Meeting:
    """Expect a failed observation, and nothing else."""
    return Meeting(fault, Outcome("failed", error, status), nothing_new, **more)


def arrives(
    fault: Fault | Making, believed: Believed = the_news, *, rejects: int = 0, **more: Any
) -> Meeting:
    """Expect the news in spite of it."""
    return Meeting(fault, Outcome("changed", None, 200, None, rejects), believed, **more)


def suspect(fault: Fault | Making, rule: str, believed: Believed, *, rejects: int = 0) -> Meeting:
    """Expect that absences are not believed."""
    return Meeting(fault, Outcome("suspect", None, 200, rule, rejects), believed)


def meet(
    new_scene: NewScene,
    faults: Faults,
    meetings: Mapping[str, Meeting],
    *,
    kind: str,
    within_s: float = RUN_S,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """
    Let one run meet all these faults at once, and see what it says of each and that nothing stays behind.

    Args:
        new_scene: The fixture.
        faults: The fixture.
        meetings: The faults, by the slug of the project that meets each.
        kind: What the table of faults calls them.
        within_s: How long the run that meets them may take.
        environ: More settings.
    """
    world = World(7, ("acme",))
    for slug in (WELL, *meetings):
        world.add(f"acme/{slug}", batches=BATCHES)
    with new_scene(world, None, **{**SPEED, **environ}) as scene:
        scene.healthy_sync()
        before = scene.believed
        scene.change(1.0)
        _go_wrong(scene, meetings)
        began = time.monotonic()
        exit_code, process = scene.sync()
        took_s = time.monotonic() - began
        assert exit_code in (0, 4), process.said
        seen, believed = last_run(scene), scene.believed
        assert has_no_moves(scene)
        scene.simulator.faults.clear()
        recovery_s = scene.recovered(time.monotonic(), RUN_S)
        assert has_no_moves(scene)
        truth = scene.truth
    assert seen[WELL].outcome == Outcome("changed", None, 200)
    assert _of(believed, WELL) == _of(truth, WELL)
    is_all_trusted = {one.outcome.verdict for one in seen.values()} <= {"changed", "unchanged"}
    assert exit_code == (0 if is_all_trusted else 4)
    assert took_s <= within_s
    problems = list[str]()
    for slug, meeting in meetings.items():
        with suppress(AssertionError), faults(kind) as case:
            case.recovery_s = recovery_s
            held = _of(before, slug), _of(truth, slug), _of(believed, slug)
            problems += (found := [f"{slug}: {problem}" for problem in _problems(meeting, seen[slug], *held)])
            assert not found
    assert not problems, "\n".join(problems)


def goes_dark(
    scene: Scene,
    outcome: Outcome,
    exit_code: int,
    *,
    fault: Fault | None = None,
    path: str = "*",
    environ: Mapping[str, str] = MappingProxyType({}),
) -> float:
    """
    Let the whole source fail a run, and return how long the way back to the truth took.

    Args:
        scene: Of a ledger that is the truth.
        outcome: What the run says of every project.
        exit_code: How it ends.
        fault: What goes wrong.
        path: With which requests.
        environ: What is other in the environment of the run.
    """
    before = scene.believed
    scene.change()
    if fault is not None:
        scene.simulator.faults.add(fault, path=path, times=None)
    scene.simulator.requests.clear()
    ended, process = scene.sync(**environ)
    arrived = scene.simulator.requests.total
    since = time.monotonic()
    scene.simulator.faults.clear()
    seen = {slug: one.outcome for slug, one in last_run(scene).items()}
    assert (ended, set(seen.values())) == (exit_code, {outcome}), f"{ended} {seen}\n{process.said}"
    assert len(seen) == len(scene.simulator.world.projects)
    assert scene.believed == before
    assert fault is None or scene.rows(_REQUESTS) == [(arrived,)]
    recovery_s = scene.recovered(since, RUN_S)
    assert has_no_moves(scene)
    return recovery_s


class Seen(NamedTuple):
    """What was recorded of one project in one run."""

    outcome: Outcome
    requests: int


def _problems(
    meeting: Meeting, seen: Seen, before: Batches, truth: Batches, believed: Batches
) -> Iterator[str]:
    if seen.outcome != meeting.outcome:
        yield f"{seen.outcome}, not {meeting.outcome}"
    if meeting.requests not in (None, seen.requests):
        yield f"{seen.requests} requests, not {meeting.requests}"
    expected = meeting.believed(before, truth)
    if believed != expected:
        wrong = {one for one in believed.keys() | expected.keys() if believed.get(one) != expected.get(one)}
        yield f"the ledger says something else of {len(wrong)} batches"


def _go_wrong(scene: Scene, meetings: Mapping[str, Meeting]) -> None:
    for slug, meeting in meetings.items():
        fault = meeting.fault
        if not isinstance(fault, Fault):
            fault = fault(rows_of(scene, slug))
        scene.simulator.faults.add(fault, path=f"/acme/{slug}/batches", times=meeting.times)


def rows_of(scene: Scene, slug: str) -> Rows:
    """Return the rows of the true list of a project."""
    with scene.simulator.lock:
        body = batches(scene.simulator.world.project(f"acme/{slug}"))
    rows: Rows = msgspec.json.decode(body)["batches"]
    return rows


def has_no_moves(scene: Scene) -> bool:
    """Say whether nothing was ever said to have left or to have returned."""
    query = "SELECT FROM analytics.batch_change WHERE kind IN ('left', 'returned')"
    return not scene.rows(query)


def _of(state: State, slug: str) -> Batches:
    return {batch_id: values for (path, batch_id), values in state.items() if path == f"acme/{slug}"}


def last_run(scene: Scene) -> dict[str, Seen]:
    """Return what the last run says of each project, by slug."""
    return {slug: Seen(Outcome(*told), requests) for slug, requests, *told in scene.rows(_LAST_RUN)}


_REQUESTS: Final = "SELECT requests FROM ledger.run ORDER BY run_id DESC LIMIT 1"

_LAST_RUN: Final = """
    SELECT
        project.project,
        seen.requests,
        seen.verdict,
        seen.error_class,
        seen.http_status,
        seen.rule,
        (SELECT count(*) FROM ledger.reject WHERE reject.observation_id = seen.observation_id)
    FROM ledger.observation AS seen
    JOIN ledger.project USING (project_id)
    WHERE seen.run_id = (SELECT max(run_id) FROM ledger.run)
"""
