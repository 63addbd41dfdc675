CREATE VIEW analytics.batch_lead_time AS
SELECT
    project.workspace,
    project.project,
    batch.batch_id,
    batch.name,
    batch.uploaded_at,
    started.first_job_at,
    assigned.changed_after AS assigned_after,
    assigned.observed_at AS assigned_by,
    completed.completed_after,
    completed.completed_by,
    extract(EPOCH FROM started.first_job_at - batch.uploaded_at)::double precision AS to_first_job_s,
    extract(EPOCH FROM assigned.observed_at - batch.uploaded_at)::double precision AS to_assigned_s,
    extract(EPOCH FROM completed.completed_by - batch.uploaded_at)::double precision AS to_completed_s,
    batch.gone_at,
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
    SELECT least(
        (
            SELECT min(job.created_at)
            FROM ledger.job
            WHERE job.project_id = batch.project_id
                AND job.batch_id = batch.batch_id
                -- An older one was made from a batch that was merged into this one.
                AND coalesce(job.created_at >= batch.uploaded_at, TRUE)
        ),
        (
            SELECT batch_change.observed_at
            FROM ledger.batch_change
            WHERE batch_change.project_id = batch.project_id
                AND batch_change.batch_id = batch.batch_id
                AND batch_change.num_jobs > 0
            ORDER BY batch_change.observation_id ASC
            LIMIT 1
        )
    ) AS first_job_at
) AS started
-- The last change of its images while it was there; what it still held when it left was not assigned.
LEFT JOIN LATERAL (
    SELECT
        last.observed_at,
        last.changed_after
    FROM (
        SELECT
            batch_change.images,
            batch_change.observed_at,
            batch_change.changed_after
        FROM ledger.batch_change
        WHERE batch_change.project_id = batch.project_id
            AND batch_change.batch_id = batch.batch_id
            AND batch_change.kind <> 'left'
            AND (batch_change.images_delta <> 0 OR batch_change.kind <> 'changed')
            AND batch_change.kind <> 'renamed'
        ORDER BY batch_change.observation_id DESC
        LIMIT 1
    ) AS last
    WHERE last.images = 0
        AND started.first_job_at IS NOT NULL
) AS assigned ON TRUE
LEFT JOIN LATERAL (
    SELECT
        greatest(max(done.observed_at), assigned.observed_at) AS completed_by,
        -- The last of them decides: it was not done yet when last observed before.
        CASE
            WHEN max(done.observed_at) >= assigned.observed_at
                THEN (array_agg(done.changed_after ORDER BY done.observed_at DESC, done.changed_after DESC NULLS LAST))[1]
            ELSE assigned.changed_after
        END AS completed_after
    FROM ledger.job
    -- Since when it has been complete.
    LEFT JOIN LATERAL (
        SELECT
            job_change.observed_at,
            job_change.changed_after
        FROM ledger.job_change
        WHERE job_change.project_id = job.project_id
            AND job_change.job_id = job.job_id
            AND job_change.observation_id > coalesce(
                (
                    SELECT max(undone.observation_id)
                    FROM ledger.job_change AS undone
                    WHERE undone.project_id = job.project_id
                        AND undone.job_id = job.job_id
                        AND NOT coalesce(
                            lower(undone.status) = 'complete',
                            undone.annotated >= undone.images,
                            FALSE
                        )
                ),
                0
            )
        ORDER BY job_change.observation_id ASC
        LIMIT 1
    ) AS done ON TRUE
    WHERE job.project_id = batch.project_id
        AND job.batch_id = batch.batch_id
        AND job.gone_at IS NULL
        AND assigned.observed_at IS NOT NULL
    HAVING count(*) > 0
        AND count(*) = count(done.observed_at)
) AS completed ON TRUE;

COMMENT ON VIEW analytics.batch_lead_time IS 'One batch, and when it came how far: its first job, all its images assigned, all its jobs complete. A moment that was seen between two observations is told as the interval (after, by].';
COMMENT ON COLUMN analytics.batch_lead_time.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.batch_lead_time.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.batch_lead_time.batch_id IS 'Roboflow''s id of the batch.';
COMMENT ON COLUMN analytics.batch_lead_time.name IS 'Name; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_lead_time.uploaded_at IS 'When it was uploaded; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_lead_time.first_job_at IS 'When the first job was made from it, as the job says; where no job says so, the observation that first saw one; NULL: there was none yet.';
COMMENT ON COLUMN analytics.batch_lead_time.assigned_after IS 'Its last images were assigned after this observation; NULL: they are not, or were when it was first observed.';
COMMENT ON COLUMN analytics.batch_lead_time.assigned_by IS 'They had been by this one; NULL: images still wait, or it left with images, or no job was ever made from it.';
COMMENT ON COLUMN analytics.batch_lead_time.completed_after IS 'Its last job became complete after this observation; NULL: it is not, or was when first read.';
COMMENT ON COLUMN analytics.batch_lead_time.completed_by IS 'All its jobs were complete by this one; NULL: they are not, or images still wait, or the jobs were never read.';
COMMENT ON COLUMN analytics.batch_lead_time.to_first_job_s IS 'Seconds from the upload to first_job_at; NULL where one of them is.';
COMMENT ON COLUMN analytics.batch_lead_time.to_assigned_s IS 'Seconds from the upload to assigned_by, so at most: it may have been as early as assigned_after; NULL where one of them is.';
COMMENT ON COLUMN analytics.batch_lead_time.to_completed_s IS 'Seconds from the upload to completed_by, so at most; NULL where one of them is.';
COMMENT ON COLUMN analytics.batch_lead_time.gone_at IS 'Observation that confirmed that it left; NULL: it is not gone.';
COMMENT ON COLUMN analytics.batch_lead_time.last_observed_at IS 'Last trusted observation of the project; NULL: there was none yet.';
