-- Find from where on each project's bodies are needed: the last answer by then that shows all that was believed,
-- with which a replay can begin. Where there is none, all are. The beginning of what drops bodies and rejects.
-- Grain: one project. Takes no lock.
WITH
base AS (
    SELECT
        project.project_id,
        coalesce(settled.observed_at, '-infinity') AS observed_at
    FROM ledger.project
    LEFT JOIN LATERAL (
        SELECT observation.observed_at
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.verdict IN ('changed', 'unchanged')
            AND observation.is_settled
            AND observation.digest IS NOT NULL
            -- The jobs, too, where there are any: without a body nothing tells all of what they were.
            AND (
                observation.jobs IS NULL
                OR (observation.jobs = 0 AND observation.jobs_settled)
                OR (
                    observation.jobs_verdict IN ('changed', 'unchanged')
                    AND observation.jobs_settled
                    AND observation.jobs_digest IS NOT NULL
                )
            )
            AND observation.observed_at <= %(until)s::timestamptz
        ORDER BY observation.observed_at DESC
        LIMIT 1
    ) AS settled ON TRUE
)
