"""Whether the books balance, and what is said of each promise that is broken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from etl.commands.queries import reading
from etl.commands.queries.verify import INVARIANTS, Verification, verify
from tests.integration.test_run import Scene
from tests.logins import as_owner
from tests.worlds import a_world

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def scene(database: str) -> Iterator[Scene]:
    with psycopg.connect(database, autocommit=True) as connection:
        made = Scene(a_world(2, batches=3), database, connection)
        made.run()
        yield made
        made.engine.dispose()


def verified(scene: Scene) -> Verification:
    with reading(scene.uri) as connection:
        return verify(connection)


def broken_by(scene: Scene, statement: str) -> Verification:
    with psycopg.connect(as_owner(scene.uri)) as connection:
        assert connection.execute(statement.encode()).rowcount
    return verified(scene)


def test_every_invariant_has_a_remedy_and_every_remedy_its_invariant(database: str) -> None:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT pg_get_viewdef('analytics.invariant_violation'::regclass)"
        ).fetchone()
    assert row
    assert set(re.findall(r"'([a-z]+(?:_[a-z]+)+)'", row[0])) == INVARIANTS.keys()
    assert all(told.means and told.remedy for told in INVARIANTS.values())
    assert len({told.means for told in INVARIANTS.values()}) == len(INVARIANTS)


def test_books_that_balance_say_how_much_was_checked(scene: Scene) -> None:
    scene.run()

    found = verified(scene)

    assert (found.is_sound, found.broken, found.invariants) == (True, (), len(INVARIANTS))
    assert found.took_s > 0
    checked = found.checked
    assert (checked.projects, checked.batches, checked.changes, checked.observations) == (2, 6, 6, 4)


def test_each_broken_promise_is_told_once_with_all_its_rows(scene: Scene) -> None:
    found = broken_by(scene, "UPDATE ledger.batch SET images = images + 1")

    assert not found.is_sound
    assert {broken.invariant: len(broken.rows) for broken in found.broken} == {
        "batches_balance": 2,
        "current_row_is_last_change": 6,
    }
    for broken in found.broken:
        assert (broken.means, broken.remedy) == (
            INVARIANTS[broken.invariant].means,
            INVARIANTS[broken.invariant].remedy,
        )
    assert {(row.workspace, row.project) for row in found.broken[0].rows} == {
        ("acme", "cars"),
        ("acme", "drones"),
    }
    assert "images" in found.broken[0].rows[0].detail


def test_a_promise_of_jobs_that_is_broken_is_told_with_its_project(scene: Scene) -> None:
    found = broken_by(
        scene,
        "UPDATE ledger.job SET images = images + 1 WHERE job_id = (SELECT min(job_id) FROM ledger.job)",
    )

    assert {broken.invariant for broken in found.broken} == {"jobs_balance", "current_row_is_last_change"}
    assert all("`batchledger replay --project acme/" in broken.remedy for broken in found.broken)


def test_the_remedy_names_the_project_where_it_is_only_one(scene: Scene) -> None:
    found = broken_by(scene, "UPDATE ledger.project SET images = images + 1 WHERE project = 'cars'")

    assert all("`batchledger replay --project acme/cars`" in broken.remedy for broken in found.broken)


def test_a_promise_that_this_program_does_not_know_is_told_all_the_same(scene: Scene) -> None:
    with psycopg.connect(as_owner(scene.uri)) as connection:
        told = definition(connection).replace("payload_is_kept", "never_heard_of")
        connection.execute(f"CREATE OR REPLACE VIEW analytics.invariant_violation AS {told}".encode())

    found = broken_by(scene, "DELETE FROM ledger.payload")

    (broken,) = found.broken
    assert (broken.invariant, len(broken.rows)) == ("never_heard_of", 4)
    assert broken.remedy


def definition(connection: psycopg.Connection) -> str:
    row = connection.execute("SELECT pg_get_viewdef('analytics.invariant_violation'::regclass)").fetchone()
    assert row
    return str(row[0])
