"""Two runs at once, on one database: harmless, and no more load than one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.records import Verdict
from tests.worlds import FakeClock, WorldSource, a_run, a_world

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
