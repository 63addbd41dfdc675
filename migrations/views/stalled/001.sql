CREATE VIEW analytics.stalled AS
SELECT
    waiting.kind,
    waiting.workspace,
    waiting.project,
    waiting.batch_id,
    waiting.job_id,
    waiting.name,
    waiting.images,
    waiting.since,
    idle.seconds AS idle_s,
    coalesce(idle.seconds >= 604800, FALSE) AS is_stalled,
    waiting.last_observed_at
FROM (
    SELECT
        'batch' AS kind,
        project.workspace,
        project.project,
        batch.batch_id,
        NULL::text AS job_id,
        batch.name,
        batch.images,
        moved.observed_at AS since,
        trusted.observed_at AS last_observed_at
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
    ) AS trusted ON TRUE
    CROSS JOIN LATERAL (
        SELECT batch_change.observed_at
        FROM ledger.batch_change
        WHERE batch_change.project_id = batch.project_id
            AND batch_change.batch_id = batch.batch_id
            AND (
                batch_change.kind IN ('entered', 'returned')
                OR batch_change.images_delta <> 0
                OR batch_change.num_jobs_delta <> 0
            )
        ORDER BY batch_change.observation_id DESC
        LIMIT 1
    ) AS moved
    WHERE batch.images > 0
    UNION ALL
    SELECT
        'job',
        project.workspace,
        project.project,
        job.batch_id,
        job.job_id,
        job.name,
        CASE
            WHEN coalesce(job.annotated, 0) < job.images THEN job.images - coalesce(job.annotated, 0)
            ELSE greatest(job.images - coalesce(job.approved, 0), 0)
        END,
        moved.observed_at,
        trusted.jobs_at
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
    ) AS trusted ON TRUE
    -- Who annotates or reviews it may change, and what is kept of people, without anything being done.
    CROSS JOIN LATERAL (
        SELECT max(state.observed_at) AS observed_at
        FROM (
            SELECT
                job_change.observed_at,
                job_change.kind IN ('entered', 'returned')
                OR job_change.images_delta <> 0
                OR coalesce(job_change.annotated_delta, 0) <> 0
                OR coalesce(job_change.approved_delta, 0) <> 0
                OR coalesce(job_change.rejected_delta, 0) <> 0
                OR job_change.status IS DISTINCT FROM lag(job_change.status) OVER (ORDER BY job_change.observation_id)
                    AS is_moved
            FROM ledger.job_change
            WHERE job_change.project_id = job.project_id
                AND job_change.job_id = job.job_id
        ) AS state
        WHERE state.is_moved
    ) AS moved
    WHERE job.images > 0
        AND NOT coalesce(lower(job.status) = 'complete', job.annotated >= job.images, FALSE)
) AS waiting
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN waiting.last_observed_at IS NOT NULL
                THEN extract(EPOCH FROM greatest(waiting.last_observed_at, waiting.since) - waiting.since)::double precision
        END AS seconds
) AS idle;

COMMENT ON VIEW analytics.stalled IS 'One batch with images not yet assigned, or one job that is not complete, and how long nothing has been done about it. Choose by idle_s, or take is_stalled.';
COMMENT ON COLUMN analytics.stalled.kind IS 'batch or job.';
COMMENT ON COLUMN analytics.stalled.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.stalled.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.stalled.batch_id IS 'The batch, or that which the job was made from; NULL: the source does not say.';
COMMENT ON COLUMN analytics.stalled.job_id IS 'The job; NULL: it is a batch.';
COMMENT ON COLUMN analytics.stalled.name IS 'Name of the batch or job; NULL: the source does not say.';
COMMENT ON COLUMN analytics.stalled.images IS 'Images that wait: of a batch those not yet assigned; of a job those not annotated or, where all are, those not approved.';
COMMENT ON COLUMN analytics.stalled.since IS 'Observation that saw its last change, or saw it first: no count of it, nor its status, has changed since at least then. A new name, or another labeler or reviewer, is no change.';
COMMENT ON COLUMN analytics.stalled.idle_s IS 'Seconds from then until it was last observed; NULL: there was no trusted one yet.';
COMMENT ON COLUMN analytics.stalled.is_stalled IS 'Whether that is 7 days (of 24 hours) or more; FALSE where it is NULL.';
COMMENT ON COLUMN analytics.stalled.last_observed_at IS 'Last trusted observation of the batches, or reading of the jobs; what happened later is not known; NULL: there was none yet.';
