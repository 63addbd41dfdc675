CREATE VIEW analytics.batch_history AS
SELECT
    workspace,
    project,
    batch_id,
    name,
    images,
    num_jobs,
    valid_from,
    valid_to,
    changed_after,
    uploaded_at
FROM (
    SELECT
        project.workspace,
        project.project,
        batch_change.batch_id,
        batch_change.kind,
        batch_change.name,
        batch_change.images,
        batch_change.num_jobs,
        batch_change.observed_at AS valid_from,
        lead(batch_change.observed_at) OVER (
            -- By the names that users filter by, so that only what they ask for is sorted.
            PARTITION BY project.workspace, project.project, batch_change.batch_id
            ORDER BY batch_change.observation_id
        ) AS valid_to,
        batch_change.changed_after,
        batch_change.uploaded_at
    FROM ledger.batch_change
    INNER JOIN ledger.project
        ON project.project_id = batch_change.project_id
) AS change
WHERE kind <> 'left';

COMMENT ON VIEW analytics.batch_history IS 'One state of one batch, believed during [valid_from, valid_to).';
COMMENT ON COLUMN analytics.batch_history.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.batch_history.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.batch_history.batch_id IS 'Roboflow''s id of the batch.';
COMMENT ON COLUMN analytics.batch_history.name IS 'Name; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_history.images IS 'Images still in the batch, not yet assigned to a job.';
COMMENT ON COLUMN analytics.batch_history.num_jobs IS 'Annotation jobs made from it; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_history.valid_from IS 'Observation that first saw this state.';
COMMENT ON COLUMN analytics.batch_history.valid_to IS 'Observation that saw the next state or confirmed its absence; NULL: it is still so.';
COMMENT ON COLUMN analytics.batch_history.changed_after IS 'The state began in (changed_after, valid_from]; NULL: the project had never been observed.';
COMMENT ON COLUMN analytics.batch_history.uploaded_at IS 'When it was uploaded; NULL: the source does not say.';
