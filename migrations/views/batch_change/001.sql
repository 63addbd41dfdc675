CREATE VIEW analytics.batch_change AS
SELECT
    project.workspace,
    project.project,
    batch_change.batch_id,
    batch_change.kind,
    batch_change.observed_at,
    batch_change.changed_after,
    batch_change.name,
    batch_change.images,
    batch_change.images_delta,
    batch_change.num_jobs,
    batch_change.num_jobs_delta,
    batch_change.uploaded_at,
    observation.run_id,
    batch_change.observation_id
FROM ledger.batch_change
INNER JOIN ledger.project
    ON project.project_id = batch_change.project_id
INNER JOIN ledger.observation
    ON observation.observation_id = batch_change.observation_id;

COMMENT ON VIEW analytics.batch_change IS 'One change of one batch. The change fell in (changed_after, observed_at].';
COMMENT ON COLUMN analytics.batch_change.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.batch_change.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.batch_change.batch_id IS 'Roboflow''s id of the batch.';
COMMENT ON COLUMN analytics.batch_change.kind IS 'entered, changed, renamed (only the name), left (confirmed absent), returned.';
COMMENT ON COLUMN analytics.batch_change.observed_at IS 'When the change was seen.';
COMMENT ON COLUMN analytics.batch_change.changed_after IS 'Last observation of the state before; NULL: the project had never been observed.';
COMMENT ON COLUMN analytics.batch_change.name IS 'Name after the change; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_change.images IS 'Images after the change; 0 when it left.';
COMMENT ON COLUMN analytics.batch_change.images_delta IS 'Images after less images before.';
COMMENT ON COLUMN analytics.batch_change.num_jobs IS 'Jobs after the change; NULL: the source does not say; 0 when it left.';
COMMENT ON COLUMN analytics.batch_change.num_jobs_delta IS 'Jobs after less jobs before, NULL counted as 0.';
COMMENT ON COLUMN analytics.batch_change.uploaded_at IS 'Upload time after the change; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_change.run_id IS 'The run that saw it.';
COMMENT ON COLUMN analytics.batch_change.observation_id IS 'The observation that saw it.';
