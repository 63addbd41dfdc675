-- Drop them; goes on from `prune_rejects`. Grain: one row, which says how many and their bytes.
,
dropped AS (
    DELETE FROM ledger.reject
    USING doomed
    WHERE reject.observation_id = doomed.observation_id
        AND reject.subject = doomed.subject
        AND reject.position = doomed.position
)
SELECT
    count(*),
    coalesce(sum(doomed.bytes), 0)
FROM doomed
