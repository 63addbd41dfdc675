-- Say what would be folded away; goes on from `prune_alike`. Grain: one row. Writes nothing.
SELECT
    count(*),
    coalesce(sum(folded.bytes), 0)
FROM folded
