-- Drop them; goes on from `prune_runs`. Grain: one row, which says how many and their bytes.
,
dropped AS (
    DELETE FROM ledger.run
    USING doomed
    WHERE run.run_id = doomed.run_id
)
SELECT
    count(*),
    coalesce(sum(doomed.bytes), 0)
FROM doomed
