-- Drop bodies that nobody needed when they were listed, but for those that have come again since. Grain: one row,
-- which says how many and their bytes. The table is locked before, so that no run that finds a body in its place
-- is still to say that it needs it; one that waits looks again.
WITH
come AS (
    SELECT
        observation.observation_id,
        observation.digest,
        observation.jobs_digest
    FROM ledger.project
    LEFT JOIN unnest(
        %(project_ids)s::integer[],
        %(newest_ats)s::timestamptz[]
    ) AS seen (project_id, newest_at)
        ON seen.project_id = project.project_id
    INNER JOIN ledger.observation
        ON observation.project_id = project.project_id
        AND observation.observed_at > coalesce(seen.newest_at, '-infinity')
),
needed AS (
    SELECT come.digest
    FROM come
    UNION
    SELECT come.jobs_digest
    FROM come
    UNION
    SELECT look_up.digest
    FROM come
    INNER JOIN ledger.look_up
        ON look_up.observation_id = come.observation_id
),
doomed AS (
    SELECT
        payload.digest,
        pg_column_size(payload.body) AS bytes
    FROM ledger.payload
    LEFT JOIN needed
        ON needed.digest = payload.digest
    WHERE payload.digest = ANY(%(digests)s::bytea[])
        AND payload.body IS NOT NULL
        AND needed.digest IS NULL
),
dropped AS (
    UPDATE ledger.payload SET
        body = NULL,
        pruned_at = %(at)s::timestamptz
    FROM doomed
    WHERE payload.digest = doomed.digest
)
SELECT
    count(*),
    coalesce(sum(doomed.bytes), 0)
FROM doomed
