"""Two runs at once, on one database: harmless, and no more load than one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from etl.records import Observation, Project, Slug, Verdict
from tests.worlds import NOON, FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.records import Answer
    from etl.simulator.world import World
    from etl.store import PostgresLedger


class Overtaken(WorldSource):
    """While it lists its projects, another run begins and ends."""

    def __init__(self, world: World, clock: FakeClock, ledger: PostgresLedger) -> None:
        super().__init__(world, clock)
        self._other = WorldSource(world, clock)
        self._ledger = ledger

    def workspace(self, workspace: str, *, until: float) -> Answer:
        report = a_run(self._ledger, [self._other], self._clock)
        assert {project.verdict for project in report.projects} <= {Verdict.CHANGED, Verdict.UNCHANGED}
        return super().workspace(workspace, until=until)


def test_what_another_run_has_read_since_this_one_began_is_not_read_again(ledger: PostgresLedger) -> None:
    world, clock = a_world(projects=3), FakeClock()
    for _ in range(2):
        late = Overtaken(world, clock, ledger)
        report = a_run(ledger, [late], clock)
        assert [project.verdict for project in report.projects] == [Verdict.SKIPPED] * 3
        assert report.exit_code == 0
        assert not [path for _, path, _ in late.replies if path.endswith("/batches")]


def test_a_project_that_is_followed_again_is_read_at_once(ledger: PostgresLedger) -> None:
    world, clock = a_world(projects=2), FakeClock()
    source = WorldSource(world, clock)
    a_run(ledger, [source], clock)
    a_run(ledger, [source], clock, projects=["acme/*", "!acme/cars"])
    report = a_run(ledger, [source], clock)
    assert [project.verdict for project in report.projects] == [Verdict.UNCHANGED] * 2


def test_who_comes_second_does_not_wait_for_a_write_of_the_first(
    database: str, ledger: PostgresLedger
) -> None:
    """A large project takes its time; meanwhile the claims of the others must not be held up either."""
    slugs = [Slug("acme", name) for name in ("cars", "ships", "trees")]
    states = ledger.register([Project(slug) for slug in slugs], at=NOON)
    projects = [state.project_id for state in states.values()]
    first = ledger.begin_run(trigger="sync", started_at=NOON)
    ledger.claim(first, projects[:2])
    second = ledger.begin_run(trigger="sync", started_at=NOON)
    with psycopg.connect(database) as writer:
        writer.execute("SELECT FROM ledger.claim WHERE project_id = %s FOR UPDATE", projects[:1])
        claimed = ledger.claim(second, projects)
    assert [state.slug for state in claimed] == slugs[2:]


def test_of_two_runs_that_claim_a_project_at_the_same_moment_one_has_it(
    database: str, ledger: PostgresLedger
) -> None:
    """The second one finds it free, waits for the first one to write that it is not, and leaves it."""
    (state,) = ledger.register([Project(Slug("acme", "cars"))], at=NOON).values()
    first = ledger.begin_run(trigger="sync", started_at=NOON)
    second = ledger.begin_run(trigger="sync", started_at=NOON)
    with psycopg.connect(database) as other, ThreadPoolExecutor(1) as pool:
        other.execute(
            "INSERT INTO ledger.claim (project_id, run_id) VALUES (%s, %s)", [state.project_id, first]
        )
        waiting = pool.submit(ledger.claim, second, [state.project_id])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        other.commit()
        assert waiting.result(timeout=10) == []


@pytest.mark.parametrize("at_work", ["claim", "record"])
def test_claims_are_locked_in_one_order_so_that_two_runs_cannot_deadlock(
    database: str, ledger: PostgresLedger, at_work: str
) -> None:
    """Asked for both, the later one first, it has the earlier one while it waits for the later one."""
    states = ledger.register([Project(Slug("acme", name)) for name in ("cars", "ships")], at=NOON)
    earlier, later = sorted(state.project_id for state in states.values())
    dead = ledger.begin_run(trigger="sync", started_at=NOON)
    ledger.claim(dead, [later, earlier])
    lock = "SELECT FROM ledger.claim WHERE project_id = %s FOR UPDATE"
    calls: dict[str, Callable[[], object]] = {
        "claim": lambda: ledger.claim(ledger.begin_run(trigger="sync", started_at=NOON), [later, earlier]),
        "record": lambda: ledger.record(dead, [_unchanged(later), _unchanged(earlier)]),
    }
    with psycopg.connect(database) as holder, ThreadPoolExecutor(1) as pool:
        if at_work == "claim":
            holder.execute("UPDATE ledger.run SET leased_until = now() - interval '1 s'")
            holder.commit()
        holder.execute(lock, [later])
        waiting = pool.submit(calls[at_work])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        with psycopg.connect(database) as other:
            assert other.execute(f"{lock} SKIP LOCKED", [earlier]).rowcount == 0
        holder.commit()
        waiting.result(timeout=10)


def _unchanged(project_id: int) -> Observation:
    return Observation(project_id=project_id, verdict=Verdict.UNCHANGED, started_at=NOON, observed_at=NOON)
