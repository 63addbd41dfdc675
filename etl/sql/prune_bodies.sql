-- Find bodies that nobody needs: no observation from its project's base on has had them, and no look-up of one.
-- Goes on from `prune_base`. Grain: one body.
,
needed AS (
    SELECT observation.digest
    FROM base
    INNER JOIN ledger.observation
        ON observation.project_id = base.project_id
        AND observation.observed_at >= base.observed_at
    WHERE observation.digest IS NOT NULL
    UNION
    SELECT observation.jobs_digest
    FROM base
    INNER JOIN ledger.observation
        ON observation.project_id = base.project_id
        AND observation.observed_at >= base.observed_at
    WHERE observation.jobs_digest IS NOT NULL
    UNION
    SELECT look_up.digest
    FROM base
    INNER JOIN ledger.observation
        ON observation.project_id = base.project_id
        AND observation.observed_at >= base.observed_at
    INNER JOIN ledger.look_up
        ON look_up.observation_id = observation.observation_id
    WHERE look_up.digest IS NOT NULL
),
doomed AS (
    SELECT
        payload.digest,
        pg_column_size(payload.body) AS bytes
    FROM ledger.payload
    LEFT JOIN needed
        ON needed.digest = payload.digest
    WHERE payload.body IS NOT NULL
        AND needed.digest IS NULL
    LIMIT %(most)s::integer
)
