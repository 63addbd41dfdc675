-- Find rejects that are older than the bodies they were part of; goes on from `prune_base`. Grain: one reject.
,
doomed AS (
    SELECT
        reject.observation_id,
        reject.subject,
        reject.position,
        pg_column_size(reject.*) AS bytes
    FROM ledger.reject
    INNER JOIN ledger.observation
        ON observation.observation_id = reject.observation_id
    INNER JOIN base
        ON base.project_id = observation.project_id
        AND base.observed_at > observation.observed_at
    ORDER BY
        reject.observation_id,
        reject.subject,
        reject.position
    LIMIT %(most)s::integer
)
