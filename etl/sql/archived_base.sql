-- From where on a project can be rebuilt: the first answer that showed all that was believed, after the last one
-- that cannot be taken again, for its body was dropped or its run did not note its thresholds.
-- Grain: one row; none if every observation can be taken again. Takes no lock.
WITH
lacking AS (
    SELECT
        observation.observation_id,
        observation.observed_at,
        run.guard IS NOT NULL AS is_pruned
    FROM ledger.observation
    INNER JOIN ledger.run
        ON run.run_id = observation.run_id
    WHERE observation.project_id = %(project_id)s
        AND (observation.parse_ms IS NOT NULL OR observation.jobs_changes IS NOT NULL)
        AND (
            run.guard IS NULL
            OR EXISTS (
                SELECT FROM ledger.payload
                WHERE payload.digest IN (observation.digest, observation.jobs_digest)
                    AND payload.body IS NULL
            )
            OR EXISTS (
                SELECT FROM ledger.look_up
                INNER JOIN ledger.payload
                    ON payload.digest = look_up.digest
                WHERE look_up.observation_id = observation.observation_id
                    AND payload.body IS NULL
            )
        )
    ORDER BY observation.observation_id DESC
    LIMIT 1
)
SELECT
    lacking.observed_at AS lacking_at,
    lacking.is_pruned,
    base.observation_id,
    jobs.jobs_at,
    jobs.jobs_digest
FROM lacking
LEFT JOIN LATERAL (
    SELECT observation.observation_id
    FROM ledger.observation
    INNER JOIN ledger.payload
        ON payload.digest = observation.digest
    LEFT JOIN ledger.payload AS jobs_payload
        ON jobs_payload.digest = observation.jobs_digest
    WHERE observation.project_id = %(project_id)s
        AND observation.observation_id >= lacking.observation_id
        AND observation.verdict IN ('changed', 'unchanged')
        AND observation.is_settled
        AND payload.body IS NOT NULL
        -- The jobs, too, where there are any: without a body nothing tells all of what they were.
        AND (
            observation.jobs IS NULL
            OR (observation.jobs = 0 AND observation.jobs_settled)
            OR (
                observation.jobs_verdict IN ('changed', 'unchanged')
                AND observation.jobs_settled
                AND jobs_payload.body IS NOT NULL
            )
        )
    ORDER BY observation.observation_id
    LIMIT 1
) AS base
    ON TRUE
-- The last trusted reading of the jobs until then.
LEFT JOIN LATERAL (
    SELECT
        observation.jobs_at,
        observation.jobs_digest
    FROM ledger.observation
    WHERE observation.project_id = %(project_id)s
        AND observation.observation_id <= base.observation_id
        AND observation.jobs_verdict IN ('changed', 'unchanged')
    ORDER BY observation.jobs_at DESC
    LIMIT 1
) AS jobs
    ON TRUE
