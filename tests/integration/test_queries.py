"""What the commands read, on a ledger that has grown."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
from sqlalchemy import text

from etl.commands import queries
from tests.logins import as_owner

_GROWN = """
WITH
projects AS (
    INSERT INTO ledger.project (workspace, project, is_tracked, first_seen_at, batches, images, num_jobs)
    SELECT 'acme', 'p' || nth, TRUE, now() - INTERVAL '1 year', 0, 0, 0
    FROM generate_series(1, 20) AS nth
    RETURNING project_id
),
runs AS (
    INSERT INTO ledger.run (trigger, started_at, leased_until, ended_at, outcome, host, version)
    SELECT 'sync', at, at, at, 'completed', 'box', '1'
    FROM generate_series(now() - INTERVAL '1000 hours', now() - INTERVAL '1 hour', '1 hour') AS at
    RETURNING run_id, started_at
)
INSERT INTO ledger.observation (
    run_id, project_id, verdict, error_class, error, started_at, observed_at, requests, batches_entered,
    batches_changed, batches_renamed, batches_left, batches_returned, images_delta, num_jobs_delta
)
SELECT
    run_id, project_id,
    CASE WHEN is_last THEN 'failed' ELSE 'unchanged' END,
    CASE WHEN is_last THEN 'PayloadError' END,
    CASE WHEN is_last THEN 'the answer is not JSON' END,
    started_at, started_at, 1, 0, 0, 0, 0, 0, 0, 0
FROM (SELECT run_id, started_at, run_id = max(run_id) OVER () AS is_last FROM runs) AS run
CROSS JOIN projects
"""


def test_status_fetches_the_last_observations_and_not_those_of_a_year(database: str) -> None:
    with psycopg.connect(as_owner(database), autocommit=True) as connection:
        connection.execute(_GROWN)
        connection.execute("ANALYZE")

    with queries.reading(database) as reader:
        found = queries.status(reader, datetime.now(UTC))
        fetched = reader.scalar(
            text("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'observation'")
        )

    assert [project.error for project in found.projects] == ["the answer is not JSON"] * 20
    assert fetched < 1000
