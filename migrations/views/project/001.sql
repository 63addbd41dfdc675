CREATE VIEW analytics.project AS
SELECT
    project.workspace,
    project.project,
    project.name,
    project.type,
    project.batches,
    project.images,
    project.num_jobs,
    trusted.observed_at AS last_observed_at,
    project.is_tracked,
    latest.verdict AS last_verdict,
    latest.observed_at AS last_attempt_at,
    project.first_seen_at
FROM ledger.project
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE
LEFT JOIN LATERAL (
    SELECT
        observation.observed_at,
        observation.verdict
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS latest ON TRUE;

COMMENT ON VIEW analytics.project IS 'One project, with its totals as last believed.';
COMMENT ON COLUMN analytics.project.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.project.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.project.name IS 'Name as the workspace lists it; NULL: it never said.';
COMMENT ON COLUMN analytics.project.type IS 'Type as the workspace lists it, such as object-detection; NULL: it never said.';
COMMENT ON COLUMN analytics.project.batches IS 'Batches that are not gone.';
COMMENT ON COLUMN analytics.project.images IS 'The backlog: images not yet assigned to a job, over those batches.';
COMMENT ON COLUMN analytics.project.num_jobs IS 'Annotation jobs made from those batches.';
COMMENT ON COLUMN analytics.project.last_observed_at IS 'Last trusted observation; NULL: there was none yet. The numbers are as of then.';
COMMENT ON COLUMN analytics.project.is_tracked IS 'Whether the settings of the last full run asked for it.';
COMMENT ON COLUMN analytics.project.last_verdict IS 'How the last attempt ended: changed, unchanged, suspect, failed, skipped; NULL: there was none.';
COMMENT ON COLUMN analytics.project.last_attempt_at IS 'When the last attempt was complete, trusted or not; NULL: there was none.';
COMMENT ON COLUMN analytics.project.first_seen_at IS 'When a run first knew of the project.';
