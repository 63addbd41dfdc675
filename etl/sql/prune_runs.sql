-- Find runs of which no observation is left; goes on from `prune_alike`, since what can be folded will not be.
-- Grain: one run. The last ones stay, for `status` and for the daemon; one that died stays while an open gap
-- can name it.
,
doomed AS (
    SELECT
        run.run_id,
        pg_column_size(run.*) AS bytes
    FROM ledger.run
    WHERE run.started_at < %(until)s::timestamptz
        AND run.run_id < (SELECT max(last.run_id) FROM ledger.run AS last)
        AND run.run_id < coalesce(
            (SELECT max(last.run_id) FROM ledger.run AS last WHERE last.trigger = 'schedule'),
            run.run_id + 1
        )
        AND (
            run.ended_at IS NOT NULL
            OR (
                run.leased_until < clock_timestamp()
                AND run.started_at < (
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
            )
        )
        AND NOT EXISTS (
            SELECT FROM ledger.observation
            WHERE observation.run_id = run.run_id
                -- Which is hashed; a join would look through all of them for each observation.
                AND observation.observation_id NOT IN (SELECT folded.observation_id FROM folded)
        )
    ORDER BY run.run_id
    LIMIT %(most)s::integer
)
