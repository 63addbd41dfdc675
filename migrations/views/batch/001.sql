CREATE VIEW analytics.batch AS
SELECT
    project.workspace,
    project.project,
    batch.batch_id,
    batch.name,
    batch.images,
    batch.num_jobs,
    batch.uploaded_at,
    batch.first_seen_at,
    batch.changed_at,
    CASE
        WHEN batch.missing_since IS NOT NULL THEN batch.present_at
        WHEN batch.unlisted_since IS NOT NULL THEN greatest(batch.unlisted_since, batch.changed_at)
        ELSE greatest(trusted.observed_at, batch.changed_at)
    END AS last_seen_at,
    batch.missing_since,
    batch.gone_at,
    batch.carried_since,
    batch.extra
FROM ledger.batch
INNER JOIN ledger.project
    ON project.project_id = batch.project_id
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE;

COMMENT ON VIEW analytics.batch IS 'One batch, as last believed. Batches that are gone stay, with no images.';
COMMENT ON COLUMN analytics.batch.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.batch.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.batch.batch_id IS 'Roboflow''s id of the batch, unique within the project.';
COMMENT ON COLUMN analytics.batch.name IS 'Name, neither unique nor stable; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch.images IS 'Images still in the batch, not yet assigned to a job; 0 once it is gone.';
COMMENT ON COLUMN analytics.batch.num_jobs IS 'Annotation jobs made from the batch; NULL: the source does not say; 0 once it is gone.';
COMMENT ON COLUMN analytics.batch.uploaded_at IS 'When it was uploaded, floored to the microsecond; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch.first_seen_at IS 'Observation that first saw it.';
COMMENT ON COLUMN analytics.batch.changed_at IS 'Observation that made its last change.';
COMMENT ON COLUMN analytics.batch.last_seen_at IS 'Last observation that saw it.';
COMMENT ON COLUMN analytics.batch.missing_since IS 'First observation of its present absence; NULL: it was there when last observed.';
COMMENT ON COLUMN analytics.batch.gone_at IS 'Observation that confirmed its absence; NULL: it is not gone.';
COMMENT ON COLUMN analytics.batch.carried_since IS 'First observation that showed it without usable values; NULL: its values are as last observed.';
COMMENT ON COLUMN analytics.batch.extra IS 'Every field of the source that batchledger does not know by name; NULL: none.';
