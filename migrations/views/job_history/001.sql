CREATE VIEW analytics.job_history AS
SELECT
    workspace,
    project,
    job_id,
    batch_id,
    name,
    status,
    images,
    annotated,
    unannotated,
    approved,
    rejected,
    labeler,
    reviewer,
    valid_from,
    valid_to,
    changed_after,
    created_at
FROM (
    SELECT
        project.workspace,
        project.project,
        job_change.job_id,
        job_change.batch_id,
        job_change.kind,
        job_change.name,
        job_change.status,
        job_change.images,
        job_change.annotated,
        job_change.unannotated,
        job_change.approved,
        job_change.rejected,
        job_change.labeler,
        job_change.reviewer,
        job_change.observed_at AS valid_from,
        lead(job_change.observed_at) OVER (
            -- By the names that users filter by, so that only what they ask for is sorted.
            PARTITION BY project.workspace, project.project, job_change.job_id
            ORDER BY job_change.observation_id
        ) AS valid_to,
        job_change.changed_after,
        job_change.created_at
    FROM ledger.job_change
    INNER JOIN ledger.project
        ON project.project_id = job_change.project_id
) AS change
WHERE kind <> 'left';

COMMENT ON VIEW analytics.job_history IS 'One state of one annotation job, believed during [valid_from, valid_to).';
COMMENT ON COLUMN analytics.job_history.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.job_history.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.job_history.job_id IS 'Roboflow''s id of the annotation job.';
COMMENT ON COLUMN analytics.job_history.batch_id IS 'Batch that it was made from; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_history.name IS 'Name; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_history.status IS 'Status in the source''s own words; NULL: it does not say.';
COMMENT ON COLUMN analytics.job_history.images IS 'Images in the job.';
COMMENT ON COLUMN analytics.job_history.annotated IS 'Images in the job that are annotated; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_history.unannotated IS 'Images in the job that are not annotated yet; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_history.approved IS 'Images in the job that a reviewer approved; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_history.rejected IS 'Images in the job that a reviewer rejected; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_history.labeler IS 'Who annotates, as the settings let it be kept; NULL: left out, or the source does not say.';
COMMENT ON COLUMN analytics.job_history.reviewer IS 'Who reviews, as the settings let it be kept; NULL: left out, or the source does not say.';
COMMENT ON COLUMN analytics.job_history.valid_from IS 'Reading of the jobs that first saw this state.';
COMMENT ON COLUMN analytics.job_history.valid_to IS 'Reading that saw the next state or confirmed its absence; NULL: it is still so.';
COMMENT ON COLUMN analytics.job_history.changed_after IS 'The state began in (changed_after, valid_from]; NULL: the jobs had never been read.';
COMMENT ON COLUMN analytics.job_history.created_at IS 'When the job was made; NULL: the source does not say.';
