CREATE VIEW analytics.batch_lead_time AS
SELECT
    project.workspace,
    project.project,
    batch.batch_id,
    batch.name,
    batch.uploaded_at,
    started.first_job_at,
    assigned.assigned_after,
    assigned.assigned_by,
    completed.completed_after,
    completed.completed_by,
    -- What the first observation found done may have been done long before.
    CASE
        WHEN made.created_at <= told.first_at OR NOT coalesce(told.is_found, FALSE)
            THEN extract(EPOCH FROM started.first_job_at - batch.uploaded_at)::double precision
    END AS to_first_job_s,
    CASE
        WHEN assigned.assigned_after IS NOT NULL
            THEN extract(EPOCH FROM assigned.assigned_by - batch.uploaded_at)::double precision
    END AS to_assigned_s,
    CASE
        WHEN completed.completed_after IS NOT NULL
            THEN extract(EPOCH FROM completed.completed_by - batch.uploaded_at)::double precision
    END AS to_completed_s,
    batch.gone_at,
    trusted.observed_at AS last_observed_at,
    trusted_jobs.jobs_at AS jobs_observed_at
FROM ledger.batch
INNER JOIN ledger.project
    ON project.project_id = batch.project_id
LEFT JOIN LATERAL (
    SELECT
        observation.observed_at,
        observation.jobs_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE
LEFT JOIN LATERAL (
    SELECT observation.jobs_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.jobs_verdict IN ('changed', 'unchanged')
    ORDER BY observation.jobs_at DESC
    LIMIT 1
) AS trusted_jobs ON TRUE
-- What the batch told of jobs: when it first had one, whether the first observation found that, when it last had more.
CROSS JOIN LATERAL (
    SELECT
        min(batch_change.observed_at) AS first_at,
        bool_or(batch_change.changed_after IS NULL) AS is_found,
        max(batch_change.observed_at) FILTER (WHERE batch_change.num_jobs_delta > 0) AS grown_at
    FROM ledger.batch_change
    WHERE batch_change.project_id = batch.project_id
        AND batch_change.batch_id = batch.batch_id
        AND batch_change.num_jobs > 0
) AS told
CROSS JOIN LATERAL (
    SELECT
        min(job.first_seen_at) AS first_seen_at,
        -- An older one was made from a batch that was merged into this one.
        min(job.created_at) FILTER (WHERE coalesce(job.created_at >= batch.uploaded_at, TRUE)) AS created_at
    FROM ledger.job
    WHERE job.project_id = batch.project_id
        AND job.batch_id = batch.batch_id
) AS made
CROSS JOIN LATERAL (
    SELECT least(made.created_at, told.first_at) AS first_job_at
) AS started
-- The last change of its images. What it still held when it left was assigned only if its jobs took as much.
LEFT JOIN LATERAL (
    SELECT
        last.observed_at,
        last.changed_after,
        last.kind
    FROM (
        SELECT
            batch_change.kind,
            batch_change.images,
            batch_change.images_delta,
            batch_change.observed_at,
            batch_change.changed_after
        FROM ledger.batch_change
        WHERE batch_change.project_id = batch.project_id
            AND batch_change.batch_id = batch.batch_id
            AND (batch_change.images_delta <> 0 OR batch_change.kind IN ('entered', 'returned'))
        ORDER BY batch_change.observation_id DESC
        LIMIT 1
    ) AS last
    WHERE last.images = 0
        AND (
            last.kind <> 'left'
            OR (
                SELECT sum(greatest(job_change.images_delta, 0))
                FROM ledger.job
                INNER JOIN ledger.job_change
                    ON job_change.project_id = job.project_id
                    AND job_change.job_id = job.job_id
                WHERE job.project_id = batch.project_id
                    AND job.batch_id = batch.batch_id
                    -- Since the batch was last seen; the first reading of all knows only when a job was made.
                    AND coalesce(job_change.changed_after, job_change.created_at) >= last.changed_after
            ) >= -last.images_delta
        )
) AS emptied ON TRUE
-- No image of one without a job was ever assigned: it was empty from the start.
LEFT JOIN LATERAL (
    SELECT
        greatest(emptied.observed_at, first.seen_at) AS assigned_by,
        CASE
            WHEN emptied.observed_at >= first.seen_at THEN emptied.changed_after
            WHEN first.seen_at = told.first_at THEN emptied.observed_at
        END AS assigned_after
    FROM (
        SELECT
            CASE
                WHEN emptied.kind = 'left' THEN emptied.observed_at
                ELSE coalesce(told.first_at, made.first_seen_at)
            END AS seen_at
    ) AS first
    WHERE emptied.observed_at IS NOT NULL
        AND first.seen_at IS NOT NULL
) AS assigned ON TRUE
LEFT JOIN LATERAL (
    SELECT
        greatest(max(done.observed_at), assigned.assigned_by) AS completed_by,
        -- The last of them decides: it was not done yet when last observed before.
        CASE
            WHEN max(done.observed_at) >= assigned.assigned_by
                THEN (array_agg(done.changed_after ORDER BY done.observed_at DESC, done.changed_after DESC NULLS LAST))[1]
            ELSE assigned.assigned_after
        END AS completed_after
    FROM ledger.job
    -- Since when it has been complete; one that is gone, as it was before it left.
    LEFT JOIN LATERAL (
        SELECT
            job_change.observed_at,
            job_change.changed_after
        FROM ledger.job_change
        WHERE job_change.project_id = job.project_id
            AND job_change.job_id = job.job_id
            AND job_change.kind <> 'left'
            AND job_change.observation_id > coalesce(
                (
                    SELECT max(undone.observation_id)
                    FROM ledger.job_change AS undone
                    WHERE undone.project_id = job.project_id
                        AND undone.job_id = job.job_id
                        AND undone.kind <> 'left'
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
        AND assigned.assigned_by IS NOT NULL
        -- One that went before it was complete gave its images back, or they are gone with it.
        AND (job.gone_at IS NULL OR done.observed_at IS NOT NULL)
    -- Jobs that nobody has read yet, or of which the batches do not tell yet, may be open.
    HAVING count(*) = count(done.observed_at)
        AND count(*) > 0
        AND trusted_jobs.jobs_at >= greatest(assigned.assigned_by, told.grown_at)
        AND greatest(trusted.observed_at, trusted.jobs_at) >= max(job.changed_at)
) AS completed ON TRUE;

COMMENT ON VIEW analytics.batch_lead_time IS 'One batch, and when it came how far: its first job, no image of it waiting any more, all its jobs complete. A moment that was seen between two observations is told as the interval (after, by]. What the first observation found done has no beginning of that interval, and no length.';
COMMENT ON COLUMN analytics.batch_lead_time.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.batch_lead_time.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.batch_lead_time.batch_id IS 'Roboflow''s id of the batch.';
COMMENT ON COLUMN analytics.batch_lead_time.name IS 'Name; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_lead_time.uploaded_at IS 'When it was uploaded; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_lead_time.first_job_at IS 'When the first job was made from it, as the job says; where no job says so, the observation that first saw one; NULL: there was none yet.';
COMMENT ON COLUMN analytics.batch_lead_time.assigned_after IS 'An image of it still waited, or it had no job yet, at this observation; NULL: assigned_by is, or the first observation found it so.';
COMMENT ON COLUMN analytics.batch_lead_time.assigned_by IS 'No image of it waited any more at this one: the last were assigned, moved to another batch or removed, or left with it into its jobs; NULL: images still wait, or it left with images that no job of it took, or no job was ever made from it.';
COMMENT ON COLUMN analytics.batch_lead_time.completed_after IS 'Its last job became complete after this observation; NULL: completed_by is, or the first reading of the jobs found it so.';
COMMENT ON COLUMN analytics.batch_lead_time.completed_by IS 'No image waited, and all its jobs were complete, by this one; a job that is gone counts as it last was, but for one that was not complete, which counts for nothing; NULL: they are not, or images still wait, or the jobs were not read and trusted since the batch changed, nor the batches since its jobs did.';
COMMENT ON COLUMN analytics.batch_lead_time.to_first_job_s IS 'Seconds from the upload to first_job_at; NULL where one of them is, or no job says when it was made and the first observation found it.';
COMMENT ON COLUMN analytics.batch_lead_time.to_assigned_s IS 'Seconds from the upload to assigned_by, so at most: it may have been as early as assigned_after; NULL where one of these three is.';
COMMENT ON COLUMN analytics.batch_lead_time.to_completed_s IS 'Seconds from the upload to completed_by, so at most: it may have been as early as completed_after; NULL where one of these three is.';
COMMENT ON COLUMN analytics.batch_lead_time.gone_at IS 'Observation that confirmed that it left; NULL: it is not gone.';
COMMENT ON COLUMN analytics.batch_lead_time.last_observed_at IS 'Last trusted observation of the project; NULL: there was none yet.';
COMMENT ON COLUMN analytics.batch_lead_time.jobs_observed_at IS 'Last trusted reading of its jobs; NULL: there was none yet.';
