CREATE VIEW analytics.job AS
SELECT
    project.workspace,
    project.project,
    job.job_id,
    job.name,
    job.status,
    job.batch_id,
    job.images,
    job.annotated,
    job.unannotated,
    job.approved,
    job.rejected,
    job.labeler,
    job.reviewer,
    job.created_at,
    job.first_seen_at,
    job.changed_at,
    CASE
        WHEN job.missing_since IS NOT NULL THEN job.present_at
        WHEN job.unlisted_since IS NOT NULL THEN greatest(job.unlisted_since, job.changed_at)
        ELSE greatest(trusted.jobs_at, job.changed_at)
    END AS last_seen_at,
    job.missing_since,
    job.gone_at,
    job.carried_since,
    job.extra
FROM ledger.job
INNER JOIN ledger.project
    ON project.project_id = job.project_id
LEFT JOIN LATERAL (
    SELECT observation.jobs_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.jobs_verdict IN ('changed', 'unchanged')
    ORDER BY observation.jobs_at DESC
    LIMIT 1
) AS trusted ON TRUE;

COMMENT ON VIEW analytics.job IS 'One annotation job, as last believed. Jobs that are gone stay, with no images.';
COMMENT ON COLUMN analytics.job.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.job.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.job.job_id IS 'Roboflow''s id of the annotation job.';
COMMENT ON COLUMN analytics.job.name IS 'Name, without e-mail addresses unless the settings keep people; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job.status IS 'Status in the source''s own words, such as assigned or complete, without e-mail addresses as the name is; NULL: it does not say.';
COMMENT ON COLUMN analytics.job.batch_id IS 'Batch that it was made from, whether that is still there or not; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job.images IS 'Images in the job; 0 once it is gone.';
COMMENT ON COLUMN analytics.job.annotated IS 'Images in the job that are annotated; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job.unannotated IS 'Images in the job that are not annotated yet; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job.approved IS 'Images in the job that a reviewer approved; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job.rejected IS 'Images in the job that a reviewer rejected; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job.labeler IS 'Who annotates, as the settings let it be kept: a pseudonym, or as the source has it; NULL: left out, or the source does not say.';
COMMENT ON COLUMN analytics.job.reviewer IS 'Who reviews, kept as labeler is; NULL: left out, or the source does not say.';
COMMENT ON COLUMN analytics.job.created_at IS 'When it was made, floored to the microsecond; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job.first_seen_at IS 'Reading of the jobs that first saw it.';
COMMENT ON COLUMN analytics.job.changed_at IS 'Reading of the jobs that made its last change.';
COMMENT ON COLUMN analytics.job.last_seen_at IS 'Last reading of the jobs that saw it.';
COMMENT ON COLUMN analytics.job.missing_since IS 'First reading of its present absence; NULL: it was there when last read.';
COMMENT ON COLUMN analytics.job.gone_at IS 'Reading that confirmed its absence; NULL: it is not gone.';
COMMENT ON COLUMN analytics.job.carried_since IS 'First reading since which none showed usable values; NULL: they are as last read.';
COMMENT ON COLUMN analytics.job.extra IS 'Every field of the source that batchledger does not know by name, without e-mail addresses and without members that name people, as the settings let it be kept; NULL: none.';
