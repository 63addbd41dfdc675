-- Find ticks that no open gap can name; of one that has ended, the observation that ended it has the reasons.
-- Grain: one tick.
WITH
doomed AS (
    SELECT
        tick.tick_id,
        pg_column_size(tick.*) AS bytes
    FROM ledger.tick
    WHERE tick.scheduled_at < %(until)s::timestamptz
        AND tick.scheduled_at < (
            SELECT min(coalesce(trusted.observed_at, project.first_seen_at))
            FROM ledger.project
            LEFT JOIN LATERAL (
                SELECT observation.observed_at
                FROM ledger.observation
                WHERE observation.project_id = project.project_id
                    AND observation.verdict IN ('changed', 'unchanged')
                ORDER BY observation.observed_at DESC
                LIMIT 1
            ) AS trusted ON TRUE
        )
    ORDER BY tick.tick_id
    LIMIT %(most)s::integer
)
