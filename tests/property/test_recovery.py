"""Short, empty and denied answers: once they are over, nothing has left that was there all along."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.database import engine
from etl.guard import GuardRules
from etl.simulator.faults import Fault
from etl.simulator.truth import project_truth
from etl.store import PostgresLedger
from tests.logins import as_owner
from tests.property.test_ledger import TABLES
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.simulator.project import Project
    from tests.conftest import NewDatabase

ROOMY: Final = GuardRules()
"""Every absence of these small projects can be looked up."""

SCANT: Final = GuardRules(max_loss_share=0.5, min_loss=2, max_lookups=1)


@dataclass(frozen=True)
class Turn:
    """
    What happens at the source, and how the run after it is answered.

    `deleted` counts batches that really leave, `share` is what lists leave out, `scope` says whose lists: of
    every project, or of the first. `is_denied` lets every look-up answer 404; were it only those of a project
    that lists nothing, nobody could tell it from one that has nothing any more.
    """

    minutes: int
    uploaded: int
    deleted: int
    share: float
    is_denied: bool
    is_failing: bool
    scope: str
    seed: int


def turns(most_deleted: int) -> st.SearchStrategy[Turn]:
    return st.builds(
        Turn,
        minutes=st.sampled_from((5, 61, 1500)),
        uploaded=st.integers(0, 2),
        deleted=st.integers(0, most_deleted),
        share=st.sampled_from((0.0, 0.0, 0.2, 0.5, 0.9, 1.0)),
        is_denied=st.booleans(),
        is_failing=st.sampled_from((False, False, True)),
        scope=st.sampled_from(("*", "cars")),
        seed=st.integers(0, 99),
    )


class Story:
    """Some projects, a ledger that follows them, and the batches that were ever away."""

    def __init__(
        self, connection: psycopg.Connection, ledger: PostgresLedger, rules: GuardRules, projects: int
    ) -> None:
        self.connection, self.ledger, self.rules = connection, ledger, rules
        self.clock = FakeClock()
        self.world = a_world(projects)
        self.source = WorldSource(self.world, self.clock)
        self.was_away = set[str]()

    def play(self, turn: Turn) -> None:
        rng = Random(turn.seed)  # noqa: S311 - a reproducible story, not a secret.
        for project in self.world.projects.values():
            self._happen(project, turn, rng)
        faults = self.source.faults
        lists = f"/acme/{turn.scope}/batches"
        if turn.is_denied:
            faults.add(Fault.status(404), path="/acme/*/batches/*", times=None)
        if turn.is_failing:
            faults.add(Fault.status(500), path=lists)
        faults.add(self._shortened(turn, rng), path=lists, times=None)
        self.run(turn.minutes)
        faults.clear()

    def _happen(self, project: Project, turn: Turn, rng: Random) -> None:
        for nth in range(turn.uploaded):
            project.upload(images=nth + 1, at=self.clock())
        for batch_id in rng.sample(list(project.batches), min(turn.deleted, len(project.batches))):
            project.delete(batch_id)
            self.was_away.add(batch_id)

    def _shortened(self, turn: Turn, rng: Random) -> Fault:
        """Leave out other batches each time, or the last ones."""
        ids = [batch_id for project in self.world.projects.values() for batch_id in project.batches]
        chosen = rng.sample(ids, round(turn.share * len(ids)))
        return Fault.partial_list(turn.share) if turn.seed % 2 else Fault.without(*chosen)

    def run(self, minutes: int) -> None:
        self.clock.move(minutes=minutes)
        a_run(self.ledger, [self.source], self.clock, rules=self.rules)

    def recovers(self) -> None:
        for _ in range(12):
            for project in self.world.projects.values():
                project.upload(images=1, at=self.clock())
            self.run(61)
            if self._is_the_truth():
                return
        raise AssertionError("a healthy source is not believed")

    def _is_the_truth(self) -> bool:
        truth = {
            (path, key): batch.images
            for path, project in self.world.projects.items()
            for key, batch in project_truth(project).batches.items()
        }
        held = self.connection.execute(
            "SELECT workspace || '/' || project, batch_id, images, missing_since FROM analytics.batch "
            "WHERE gone_at IS NULL"
        ).fetchall()
        is_open = any(missing_since for *_, missing_since in held)
        return not is_open and {(path, key): images for path, key, images, _ in held} == truth

    def moved(self) -> set[str]:
        """The batches that left or returned, as history has it."""
        rows = self.connection.execute(
            "SELECT DISTINCT batch_id FROM analytics.batch_change WHERE kind IN ('left', 'returned')"
        )
        return {batch_id for (batch_id,) in rows}


@pytest.fixture(scope="module")
def place(new_database: NewDatabase) -> Iterator[tuple[psycopg.Connection, PostgresLedger]]:
    """Give one database for all examples, and its owner's connection, which looks into it and empties it."""
    with new_database() as uri, psycopg.connect(as_owner(uri), autocommit=True) as connection:
        connections = engine(uri)
        yield connection, PostgresLedger(connections, host="here", version="test")
        connections.dispose()


@pytest.mark.timeout(7200)  # For the profile that tries many.
@given(
    history=st.lists(turns(most_deleted=2), min_size=1, max_size=8)
    | st.lists(turns(most_deleted=0), min_size=1, max_size=8),
    projects=st.integers(1, 3),
    is_scant=st.booleans(),
)
def test_what_was_there_all_along_has_neither_left_nor_returned(
    place: tuple[psycopg.Connection, PostgresLedger],
    history: list[Turn],
    projects: int,
    *,
    is_scant: bool,
) -> None:
    connection, ledger = place
    for table in TABLES:
        connection.execute(f"DELETE FROM ledger.{table}".encode())
    # Where batches really leave, a few look-ups can meet just those and miss what the list leaves out.
    has_departures = any(turn.deleted for turn in history)
    story = Story(connection, ledger, SCANT if is_scant and not has_departures else ROOMY, projects)
    story.run(0)
    for turn in history:
        story.play(turn)
        assert story.moved() <= story.was_away
    story.recovers()
    assert story.moved() <= story.was_away
    violations = connection.execute("SELECT invariant, detail FROM analytics.invariant_violation").fetchall()
    assert violations == []
