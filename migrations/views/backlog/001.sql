CREATE VIEW analytics.backlog AS
SELECT
    project.workspace,
    project.project,
    batch.batch_id,
    batch.name,
    batch.images,
    batch.num_jobs,
    batch.uploaded_at,
    waited.age_s,
    CASE
        WHEN waited.age_s < 86400 THEN 'under 1 day'
        WHEN waited.age_s < 604800 THEN '1 to 7 days'
        WHEN waited.age_s < 2592000 THEN '7 to 30 days'
        WHEN waited.age_s < 7776000 THEN '30 to 90 days'
        WHEN waited.age_s >= 7776000 THEN 'over 90 days'
        ELSE 'unknown'
    END AS age_bucket,
    CASE
        WHEN waited.age_s < 86400 THEN 1
        WHEN waited.age_s < 604800 THEN 2
        WHEN waited.age_s < 2592000 THEN 3
        WHEN waited.age_s < 7776000 THEN 4
        WHEN waited.age_s >= 7776000 THEN 5
        ELSE 6
    END::smallint AS age_order,
    batch.changed_at,
    coalesce(batch.num_jobs, 0) = 0
        AND NOT EXISTS (
            SELECT FROM ledger.job
            WHERE job.project_id = batch.project_id
                AND job.batch_id = batch.batch_id
        )
        AND NOT EXISTS (
            SELECT FROM ledger.batch_change
            WHERE batch_change.project_id = batch.project_id
                AND batch_change.batch_id = batch.batch_id
                AND batch_change.num_jobs > 0
        ) AS is_untouched,
    trusted.observed_at AS last_observed_at,
    extract(EPOCH FROM now() - trusted.observed_at)::double precision AS observed_age_s
FROM ledger.batch
INNER JOIN ledger.project
    ON project.project_id = batch.project_id
-- In seconds, since a day has 23 or 25 hours where the session's clocks are set.
CROSS JOIN LATERAL (
    SELECT extract(EPOCH FROM now() - batch.uploaded_at)::double precision AS age_s
) AS waited
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE
WHERE batch.images > 0;

COMMENT ON VIEW analytics.backlog IS 'One batch that holds images not yet assigned to a job, and how long it has waited.';
COMMENT ON COLUMN analytics.backlog.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.backlog.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.backlog.batch_id IS 'Roboflow''s id of the batch.';
COMMENT ON COLUMN analytics.backlog.name IS 'Name; NULL: the source does not say.';
COMMENT ON COLUMN analytics.backlog.images IS 'Images that wait, as last observed.';
COMMENT ON COLUMN analytics.backlog.num_jobs IS 'Annotation jobs made from it; NULL: the source does not say.';
COMMENT ON COLUMN analytics.backlog.uploaded_at IS 'When it was uploaded; NULL: the source does not say.';
COMMENT ON COLUMN analytics.backlog.age_s IS 'Seconds since it was uploaded; NULL: the source does not say. Images appended later are younger.';
COMMENT ON COLUMN analytics.backlog.age_bucket IS 'That age in words, in days of 24 hours: under 1 day, 1 to 7 days, 7 to 30 days, 30 to 90 days, over 90 days, unknown.';
COMMENT ON COLUMN analytics.backlog.age_order IS 'Place of the bucket, from 1 (the youngest) to 6 (unknown).';
COMMENT ON COLUMN analytics.backlog.changed_at IS 'Observation that made its last change.';
COMMENT ON COLUMN analytics.backlog.is_untouched IS 'Whether no job was ever made from it, as far as was observed.';
COMMENT ON COLUMN analytics.backlog.last_observed_at IS 'Last trusted observation of its project: images is as of then; NULL: there was none yet.';
COMMENT ON COLUMN analytics.backlog.observed_age_s IS 'Seconds since then; NULL: there was none yet.';
