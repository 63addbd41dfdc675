-- Ids of a project's batches that are not gone, in three disjoint sets. Grain: one row. Takes no lock.
SELECT
    array_agg(batch_id) FILTER (WHERE missing_since IS NULL AND unlisted_since IS NULL),
    array_agg(batch_id) FILTER (WHERE missing_since IS NOT NULL),
    array_agg(batch_id) FILTER (WHERE missing_since IS NULL AND unlisted_since IS NOT NULL)
FROM ledger.batch
WHERE project_id = %(project_id)s
    AND gone_at IS NULL
