-- Drop them; goes on from `prune_ticks`. Grain: one row, which says how many and their bytes.
,
dropped AS (
    DELETE FROM ledger.tick
    USING doomed
    WHERE tick.tick_id = doomed.tick_id
)
SELECT
    count(*),
    coalesce(sum(doomed.bytes), 0)
FROM doomed
