"""What many batches cost the database: time in proportion to them, and nothing once for each of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from etl.database import engine
from etl.guard import Belief
from etl.ports import Examined, RunEnd
from etl.records import Batch, Moves, Observation, Project, Slug, Snapshot, Verdict
from etl.settings import DatabaseSettings
from etl.store import PostgresLedger
from tests.worlds import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.ports import Applied

pytestmark = pytest.mark.also_on_16

CARS: Final = Slug("acme", "cars")
MANY: Final = tuple(Batch(f"batch{number}", 3) for number in range(30_000))
HALF: Final = MANY[: len(MANY) // 2]
LOST: Final = frozenset(batch.batch_id for batch in MANY[len(HALF) :])


@pytest.fixture
def impatient(database: str) -> Iterator[PostgresLedger]:
    """Give a ledger whose statements may take as long as ten times what they need, and no longer."""
    connections = engine(database, DatabaseSettings(statement_timeout_s=5))
    yield PostgresLedger(connections, host="here", version="test")
    connections.dispose()


def test_a_project_that_loses_thousands_of_batches_is_applied_in_time(impatient: PostgresLedger) -> None:
    _observed(impatient, 0, MANY)
    missed = _observed(impatient, 1, HALF, Belief(missing=LOST))
    gone = _observed(impatient, 2, HALF, Belief(gone=LOST))
    assert (missed.moves, gone.moves.left) == (Moves(), len(LOST))


def test_whether_an_instant_is_in_a_gap_is_known_without_looking_for_causes(
    database: str, ledger: PostgresLedger
) -> None:
    for hour in range(2):
        _observed(ledger, hour, MANY[:100])
    with psycopg.connect(database) as connection:
        at = NOON + timedelta(minutes=30)
        told = connection.execute("SELECT knowledge FROM analytics.batch_as_of(%s)", (at,)).fetchall()
        scans = connection.execute(
            "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables WHERE relname = 'tick'"
        ).fetchall()
    assert (told, scans) == ([("observed",)] * 100, [(0,)])


def _observed(
    ledger: PostgresLedger, hour: int, batches: tuple[Batch, ...], belief: Belief | None = None
) -> Applied:
    at = NOON + timedelta(hours=hour)
    run_id = ledger.begin_run(trigger="sync", started_at=at)
    state = ledger.register([Project(CARS)], at=at)[CARS]
    ledger.claim(run_id, [state.project_id])
    observation = Observation(
        project_id=state.project_id,
        verdict=Verdict.CHANGED,
        started_at=at,
        observed_at=at,
        previous_at=state.last_trusted_at,
        body_bytes=4,
        digest=bytes([hour]),
    )
    applied = ledger.apply(run_id, observation, Examined(Snapshot(batches), belief or Belief(), b"body"))
    ended = RunEnd(ended_at=at, outcome="completed", verdicts={}, moves=applied.moves, requests=1)
    ledger.end_run(run_id, ended)
    return applied
