CREATE VIEW analytics.job_change AS
SELECT
    project.workspace,
    project.project,
    job_change.job_id,
    job_change.batch_id,
    job_change.kind,
    job_change.observed_at,
    job_change.changed_after,
    job_change.name,
    job_change.status,
    job_change.images,
    job_change.images_delta,
    job_change.annotated,
    job_change.annotated_delta,
    job_change.unannotated,
    job_change.approved,
    job_change.approved_delta,
    job_change.rejected,
    job_change.rejected_delta,
    job_change.labeler,
    job_change.reviewer,
    job_change.created_at,
    observation.run_id,
    job_change.observation_id
FROM ledger.job_change
INNER JOIN ledger.project
    ON project.project_id = job_change.project_id
INNER JOIN ledger.observation
    ON observation.observation_id = job_change.observation_id;

COMMENT ON VIEW analytics.job_change IS 'One change of one annotation job. The change fell in (changed_after, observed_at].';
COMMENT ON COLUMN analytics.job_change.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.job_change.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.job_change.job_id IS 'Roboflow''s id of the annotation job.';
COMMENT ON COLUMN analytics.job_change.batch_id IS 'Batch that it was made from; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_change.kind IS 'entered, changed, renamed (only the name), left (confirmed absent), returned.';
COMMENT ON COLUMN analytics.job_change.observed_at IS 'When the change was seen.';
COMMENT ON COLUMN analytics.job_change.changed_after IS 'Last reading of the state before; NULL: the jobs had never been read.';
COMMENT ON COLUMN analytics.job_change.name IS 'Name after the change; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_change.status IS 'Status after the change; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_change.images IS 'Images in the job after the change; 0 when it left.';
COMMENT ON COLUMN analytics.job_change.images_delta IS 'Images after less images before.';
COMMENT ON COLUMN analytics.job_change.annotated IS 'Annotated images after the change; 0 when it left; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_change.annotated_delta IS 'Annotated images after less those before, NULL counted as 0.';
COMMENT ON COLUMN analytics.job_change.unannotated IS 'Images not annotated after the change; 0 when it left; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_change.approved IS 'Approved images after the change; 0 when it left; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_change.approved_delta IS 'Approved images after less those before, NULL counted as 0.';
COMMENT ON COLUMN analytics.job_change.rejected IS 'Rejected images after the change; 0 when it left; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_change.rejected_delta IS 'Rejected images after less those before, NULL counted as 0.';
COMMENT ON COLUMN analytics.job_change.labeler IS 'Who annotates, as the settings let it be kept; NULL: left out, or the source does not say.';
COMMENT ON COLUMN analytics.job_change.reviewer IS 'Who reviews, as the settings let it be kept; NULL: left out, or the source does not say.';
COMMENT ON COLUMN analytics.job_change.created_at IS 'When the job was made; NULL: the source does not say.';
COMMENT ON COLUMN analytics.job_change.run_id IS 'The run that saw it.';
COMMENT ON COLUMN analytics.job_change.observation_id IS 'The observation that saw it.';
