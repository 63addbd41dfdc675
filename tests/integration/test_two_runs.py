"""Two runs at once, on one database: harmless, and no more load than one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from etl.records import Project, Slug, Verdict
from tests.worlds import NOON, FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
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
