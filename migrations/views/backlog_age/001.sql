CREATE VIEW analytics.backlog_age AS
SELECT
    backlog.workspace,
    backlog.project,
    backlog.age_bucket,
    backlog.age_order,
    count(*)::integer AS batches,
    sum(backlog.images)::bigint AS images,
    (array_agg(backlog.batch_id ORDER BY backlog.uploaded_at, backlog.batch_id))[1] AS oldest_batch_id,
    min(backlog.uploaded_at) AS oldest_uploaded_at,
    max(backlog.last_observed_at) AS last_observed_at
FROM analytics.backlog
GROUP BY
    backlog.workspace,
    backlog.project,
    backlog.age_bucket,
    backlog.age_order;

COMMENT ON VIEW analytics.backlog_age IS 'One project and age of its backlog; a bucket without images has no row.';
COMMENT ON COLUMN analytics.backlog_age.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.backlog_age.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.backlog_age.age_bucket IS 'Time since the upload of the batch: under 1 day, 1 to 7 days, 7 to 30 days, 30 to 90 days, over 90 days, unknown.';
COMMENT ON COLUMN analytics.backlog_age.age_order IS 'Place of the bucket, from 1 (the youngest) to 6 (unknown).';
COMMENT ON COLUMN analytics.backlog_age.batches IS 'Batches of that age that hold images not yet assigned.';
COMMENT ON COLUMN analytics.backlog_age.images IS 'Images that wait in them.';
COMMENT ON COLUMN analytics.backlog_age.oldest_batch_id IS 'The one among them that was uploaded first.';
COMMENT ON COLUMN analytics.backlog_age.oldest_uploaded_at IS 'When that was; NULL: the source does not say.';
COMMENT ON COLUMN analytics.backlog_age.last_observed_at IS 'Last trusted observation of the project; NULL: there was none yet.';
