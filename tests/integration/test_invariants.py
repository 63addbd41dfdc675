"""The books are checked by looking: each promise that is broken by hand is named, and no other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from etl.database import engine
from etl.simulator.faults import Fault
from etl.store import PostgresLedger
from tests.logins import as_owner
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import NewDatabase

pytestmark = pytest.mark.also_on_16

A_BATCH: Final = "(SELECT min(batch_id) FROM ledger.batch WHERE gone_at IS NULL)"
A_JOB: Final = "(SELECT min(job_id) FROM ledger.job WHERE gone_at IS NULL)"
A_CHANGE: Final = (
    "observation_id = (SELECT min(observation_id) FROM ledger.batch_change WHERE kind = 'changed')"
)
FIRST: Final = "observation_id = (SELECT min(observation_id) FROM ledger.observation)"
LAST: Final = "observation_id = (SELECT max(observation_id) FROM ledger.observation)"
LAST_DAY: Final = "day = (SELECT max(day) FROM ledger.project_day)"
GONE: Final = "gone_at IS NOT NULL"

BROKEN: Final = {
    "UPDATE ledger.project SET batches = batches + 1": {
        "batches_balance",
        "changes_balance",
        "last_observation_balances",
    },
    f"UPDATE ledger.batch SET images = images + 1 WHERE batch_id = {A_BATCH}": {
        "batches_balance",
        "current_row_is_last_change",
    },
    f"UPDATE ledger.batch SET num_jobs = num_jobs + 1 WHERE batch_id = {A_BATCH}": {
        "batches_balance",
        "current_row_is_last_change",
    },
    f"UPDATE ledger.batch SET name = 'forged' WHERE batch_id = {A_BATCH}": {"current_row_is_last_change"},
    f"UPDATE ledger.batch SET uploaded_at = now() WHERE batch_id = {A_BATCH}": {"current_row_is_last_change"},
    f"UPDATE ledger.batch SET changed_at = now() WHERE batch_id = {A_BATCH}": {"current_row_is_last_change"},
    f"UPDATE ledger.batch SET gone_at = now() WHERE {GONE}": {"current_row_is_last_change"},
    f"UPDATE ledger.batch SET gone_at = NULL WHERE {GONE}": {
        "batches_balance",
        "current_row_is_last_change",
        "settled_is_settled",
    },
    f"DELETE FROM ledger.batch WHERE {GONE}": {"change_has_its_batch"},
    f"DELETE FROM ledger.batch WHERE batch_id = {A_BATCH}": {"change_has_its_batch", "batches_balance"},
    f"UPDATE ledger.batch_change SET images = images + 1 WHERE {A_CHANGE}": {
        "change_follows_from_the_one_before"
    },
    f"UPDATE ledger.batch_change SET images_delta = images_delta + 1 WHERE {A_CHANGE}": {
        "change_follows_from_the_one_before",
        "changes_balance",
        "day_adds_up_its_changes",
        "observation_counts_its_changes",
    },
    f"UPDATE ledger.batch_change SET kind = 'returned' WHERE {A_CHANGE}": {
        "change_follows_from_the_one_before",
        "changes_balance",
        "day_adds_up_its_changes",
        "observation_counts_its_changes",
    },
    f"UPDATE ledger.batch_change SET kind = 'renamed' WHERE {A_CHANGE}": {"observation_counts_its_changes"},
    f"UPDATE ledger.batch_change SET changed_after = changed_after - interval '30 day' WHERE {A_CHANGE}": {
        "change_follows_from_the_one_before"
    },
    "UPDATE ledger.observation SET verdict = 'suspect', rule = 'large_loss', gap_reasons = NULL "
    "WHERE observation_id = (SELECT min(observation_id) FROM ledger.batch_change WHERE kind = 'left')": {
        "change_belongs_to_an_observation",
        "gap_is_told",
    },
    "UPDATE ledger.observation SET verdict = 'unchanged', rule = NULL "
    "WHERE observation_id = (SELECT min(observation_id) FROM ledger.batch_change WHERE kind = 'left')": {
        "change_belongs_to_an_observation",
        "observation_counts_its_changes",
    },
    f"UPDATE ledger.observation SET verdict = 'changed' WHERE {LAST}": {
        "observation_counts_its_changes",
        "flows_balance",
    },
    f"UPDATE ledger.observation SET observed_at = observed_at + interval '1 s' WHERE {FIRST}": {
        "change_belongs_to_an_observation",
        "observations_are_in_order",
    },
    f"UPDATE ledger.observation SET batches_entered = 7, batches_changed = 1 WHERE {FIRST}": {
        "observation_counts_its_changes",
        "observation_follows_from_the_one_before",
    },
    f"UPDATE ledger.observation SET images = images + 1 WHERE {FIRST}": {
        "observation_follows_from_the_one_before"
    },
    f"UPDATE ledger.observation SET images = images + 1 WHERE {LAST}": {
        "last_observation_balances",
        "observation_follows_from_the_one_before",
    },
    f"UPDATE ledger.observation SET started_at = started_at - interval '9 day', "
    f"previous_at = NULL, observed_at = observed_at - interval '9 day' WHERE {LAST}": {
        "observations_are_in_order"
    },
    "DELETE FROM ledger.payload": {"payload_is_kept", "look_up_is_kept"},
    "DELETE FROM ledger.payload WHERE digest IN (SELECT digest FROM ledger.look_up)": {"look_up_is_kept"},
    "UPDATE ledger.observation SET gap_reasons = NULL WHERE gap_reasons IS NOT NULL": {"gap_is_told"},
    f"UPDATE ledger.batch SET carried_since = now() WHERE batch_id = {A_BATCH}": {"settled_is_settled"},
    f"UPDATE ledger.project_day SET images = images + 1 WHERE {LAST_DAY}": {"day_adds_up_its_changes"},
    f"UPDATE ledger.project_day SET num_jobs_delta = num_jobs_delta + 1 WHERE {LAST_DAY}": {
        "day_adds_up_its_changes"
    },
    f"UPDATE ledger.project_day SET batches_left = 0 WHERE {LAST_DAY}": {"day_adds_up_its_changes"},
    f"UPDATE ledger.project_day SET day = day + 1 WHERE {LAST_DAY}": {"day_adds_up_its_changes"},
    f"DELETE FROM ledger.project_day WHERE {LAST_DAY}": {"day_adds_up_its_changes"},
    "UPDATE ledger.project SET jobs = jobs + 1": {
        "jobs_balance",
        "job_changes_balance",
        "last_observation_balances",
    },
    f"UPDATE ledger.job SET annotated = annotated + 1 WHERE job_id = {A_JOB}": {
        "jobs_balance",
        "current_row_is_last_change",
    },
    f"UPDATE ledger.job SET status = 'forged' WHERE job_id = {A_JOB}": {"current_row_is_last_change"},
    f"UPDATE ledger.job SET carried_since = now() WHERE job_id = {A_JOB}": {"settled_is_settled"},
    f"DELETE FROM ledger.job WHERE job_id = {A_JOB}": {"change_has_its_job", "jobs_balance"},
    f"UPDATE ledger.job_change SET images_delta = images_delta + 1 WHERE job_id = {A_JOB}": {
        "job_changes_balance",
        "change_follows_from_the_one_before",
        "observation_follows_from_the_one_before",
        "day_adds_up_its_changes",
    },
    f"UPDATE ledger.observation SET jobs_changes = jobs_changes + 1 WHERE {FIRST}": {
        "observation_counts_its_changes"
    },
    f"UPDATE ledger.observation SET job_images = job_images + 1 WHERE {FIRST}": {
        "observation_follows_from_the_one_before"
    },
    f"UPDATE ledger.observation SET jobs_at = jobs_at + interval '1 s' WHERE {FIRST}": {
        "change_belongs_to_an_observation"
    },
    "UPDATE ledger.observation SET removed = removed + 1, intake = intake - 1 WHERE removed > 0": {
        "flows_balance",
        "day_adds_up_its_changes",
    },
    f"UPDATE ledger.project_day SET annotated = annotated + 1 WHERE {LAST_DAY}": {"day_adds_up_its_changes"},
    f"UPDATE ledger.project_day SET assigned = assigned + 1 WHERE {LAST_DAY}": {"day_adds_up_its_changes"},
}


@pytest.fixture(scope="module")
def connection(new_database: NewDatabase) -> Iterator[psycopg.Connection]:
    """Give a ledger with history of every kind; a test takes back what it broke, which only the owner can."""
    with new_database() as uri, psycopg.connect(as_owner(uri)) as opened:
        connections = engine(uri)
        _fill(PostgresLedger(connections, host="here", version="test"))
        connections.dispose()
        yield opened


def _fill(ledger: PostgresLedger) -> None:
    """Two days: batches enter, change, are renamed, suspected, leave and return; the last run finds none."""
    world, clock = a_world(batches=8), FakeClock()
    source = WorldSource(world, clock)
    project = world.project("acme/cars")
    first, second, third, *_ = project.batches

    def run() -> None:
        clock.move(hours=5)
        a_run(ledger, [source], clock)

    run()
    project.rename(first, "checked")
    source.faults.add(Fault.empty_list(), path="/acme/cars/batches")
    run()
    project.delete(third)
    run()
    project.append(second, images=3)
    run()
    project.restore(third)
    run()
    project.delete(first)
    project.append(second, images=4)
    project.append(third, images=4)
    project.delete(third)
    run()
    project.restore(third)
    run()
    run()


def _violations(connection: psycopg.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT invariant FROM analytics.invariant_violation")}


def test_books_that_nobody_touched_balance(connection: psycopg.Connection) -> None:
    assert _violations(connection) == set()
    kinds = connection.execute("SELECT kind FROM ledger.batch_change GROUP BY kind ORDER BY kind").fetchall()
    assert [kind for (kind,) in kinds] == ["changed", "entered", "left", "renamed", "returned"]


@pytest.mark.parametrize("statement", BROKEN)
def test_a_broken_promise_is_named_and_no_other(connection: psycopg.Connection, statement: str) -> None:
    try:
        assert connection.execute(statement.encode()).rowcount
        found = _violations(connection)
    finally:
        connection.rollback()
    assert found == BROKEN[statement]


def test_every_invariant_is_broken_by_some_test(connection: psycopg.Connection) -> None:
    definition = connection.execute(
        "SELECT pg_get_viewdef('analytics.invariant_violation'::regclass)"
    ).fetchone()
    assert definition
    invariants = set(re.findall(r"'([a-z]+(?:_[a-z]+)+)'", definition[0]))
    assert invariants == {name for names in BROKEN.values() for name in names}
