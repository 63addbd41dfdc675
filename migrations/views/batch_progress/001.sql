CREATE VIEW analytics.batch_progress AS
SELECT
    counted.workspace,
    counted.project,
    counted.batch_id,
    counted.name,
    counted.backlog,
    counted.num_jobs,
    counted.jobs,
    counted.assigned,
    counted.backlog + counted.assigned AS size,
    counted.annotated,
    counted.approved,
    counted.rejected,
    counted.assigned / nullif(counted.backlog + counted.assigned, 0)::double precision AS share_assigned,
    counted.annotated / nullif(counted.backlog + counted.assigned, 0)::double precision AS share_annotated,
    counted.approved / nullif(counted.backlog + counted.assigned, 0)::double precision AS share_approved,
    counted.rejected / nullif(counted.backlog + counted.assigned, 0)::double precision AS share_rejected,
    CASE
        WHEN counted.is_in_step AND counted.backlog + counted.assigned > 0
            THEN counted.backlog = 0 AND counted.is_each_complete
    END AS is_complete,
    counted.uploaded_at,
    counted.gone_at,
    counted.last_observed_at,
    counted.jobs_observed_at,
    CASE WHEN counted.assigned IS NOT NULL THEN counted.is_in_step END AS is_in_step
FROM (
    SELECT
        project.workspace,
        project.project,
        batch.batch_id,
        batch.name,
        batch.images AS backlog,
        batch.num_jobs,
        -- Of a batch without jobs nothing is left to be read; of others nothing is known before the jobs are.
        CASE WHEN project.jobs_since IS NOT NULL OR batch.num_jobs = 0 THEN made.jobs END AS jobs,
        CASE WHEN project.jobs_since IS NOT NULL OR batch.num_jobs = 0 THEN made.images END AS assigned,
        CASE WHEN project.jobs_since IS NOT NULL OR batch.num_jobs = 0 THEN made.annotated END AS annotated,
        CASE WHEN project.jobs_since IS NOT NULL OR batch.num_jobs = 0 THEN made.approved END AS approved,
        CASE WHEN project.jobs_since IS NOT NULL OR batch.num_jobs = 0 THEN made.rejected END AS rejected,
        made.is_each_complete,
        batch.uploaded_at,
        batch.gone_at,
        trusted.observed_at AS last_observed_at,
        trusted_jobs.jobs_at AS jobs_observed_at,
        coalesce(
            CASE
                -- What has no job can be in none.
                WHEN batch.num_jobs = 0 AND made.changed_at IS NULL THEN trusted.observed_at >= batch.changed_at
                ELSE trusted_jobs.jobs_at >= greatest(batch.changed_at, made.changed_at)
                    AND greatest(trusted.observed_at, trusted.jobs_at) >= greatest(batch.changed_at, made.changed_at)
            END,
            FALSE
        ) AS is_in_step
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
    CROSS JOIN LATERAL (
        SELECT
            count(*) FILTER (WHERE job.gone_at IS NULL)::integer AS jobs,
            coalesce(sum(job.images) FILTER (WHERE job.gone_at IS NULL), 0)::bigint AS images,
            coalesce(sum(job.annotated) FILTER (WHERE job.gone_at IS NULL), 0)::bigint AS annotated,
            coalesce(sum(job.approved) FILTER (WHERE job.gone_at IS NULL), 0)::bigint AS approved,
            coalesce(sum(job.rejected) FILTER (WHERE job.gone_at IS NULL), 0)::bigint AS rejected,
            coalesce(
                bool_and(coalesce(lower(job.status) = 'complete', job.annotated >= job.images, FALSE))
                    FILTER (WHERE job.gone_at IS NULL),
                FALSE
            ) AS is_each_complete,
            max(job.changed_at) AS changed_at
        FROM ledger.job
        WHERE job.project_id = batch.project_id
            AND job.batch_id = batch.batch_id
    ) AS made
    WHERE batch.gone_at IS NULL
        OR made.jobs > 0
    UNION ALL
    -- Jobs outlive the batch that they were made from, which may have left before anybody looked.
    SELECT
        project.workspace,
        project.project,
        job.batch_id,
        NULL,
        0,
        NULL,
        count(*)::integer,
        sum(job.images)::bigint,
        coalesce(sum(job.annotated), 0)::bigint,
        coalesce(sum(job.approved), 0)::bigint,
        coalesce(sum(job.rejected), 0)::bigint,
        bool_and(coalesce(lower(job.status) = 'complete', job.annotated >= job.images, FALSE)),
        NULL,
        NULL,
        trusted.observed_at,
        trusted_jobs.jobs_at,
        coalesce(
            trusted_jobs.jobs_at >= max(job.changed_at)
                AND greatest(trusted.observed_at, trusted.jobs_at) >= max(job.changed_at),
            FALSE
        )
    FROM ledger.job
    INNER JOIN ledger.project
        ON project.project_id = job.project_id
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
    WHERE job.gone_at IS NULL
        AND job.batch_id IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM ledger.batch
            WHERE batch.project_id = job.project_id
                AND batch.batch_id = job.batch_id
        )
    GROUP BY
        project.workspace,
        project.project,
        job.batch_id,
        trusted.observed_at,
        trusted.jobs_at,
        trusted_jobs.jobs_at
) AS counted;

COMMENT ON VIEW analytics.batch_progress IS 'One batch that is not gone, or that jobs were made from: its true size, and how far it is. Jobs that do not say from which batch they were made are counted in analytics.project alone.';
COMMENT ON COLUMN analytics.batch_progress.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.batch_progress.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.batch_progress.batch_id IS 'Roboflow''s id of the batch.';
COMMENT ON COLUMN analytics.batch_progress.name IS 'Name; NULL: the source does not say, or the batch was never observed but in its jobs.';
COMMENT ON COLUMN analytics.batch_progress.backlog IS 'Images still in the batch, not yet assigned to a job.';
COMMENT ON COLUMN analytics.batch_progress.num_jobs IS 'Annotation jobs made from it, as the batch says; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_progress.jobs IS 'Annotation jobs made from it, as the list of jobs says; NULL: that was never read.';
COMMENT ON COLUMN analytics.batch_progress.assigned IS 'Images in those jobs; NULL: they were never read.';
COMMENT ON COLUMN analytics.batch_progress.size IS 'The true size: images in the batch and in its jobs, as far as is_in_step is true; NULL: the jobs were never read.';
COMMENT ON COLUMN analytics.batch_progress.annotated IS 'Images in those jobs that are annotated; what the source does not say counts as 0; NULL: they were never read.';
COMMENT ON COLUMN analytics.batch_progress.approved IS 'Images in those jobs that a reviewer approved, counted alike; NULL: they were never read.';
COMMENT ON COLUMN analytics.batch_progress.rejected IS 'Images in those jobs that a reviewer rejected, counted alike; NULL: they were never read.';
COMMENT ON COLUMN analytics.batch_progress.share_assigned IS 'Share (0 to 1) of the true size that is in jobs; NULL: the size is 0 or not known.';
COMMENT ON COLUMN analytics.batch_progress.share_annotated IS 'Share (0 to 1) of the true size that is annotated; NULL: the size is 0 or not known.';
COMMENT ON COLUMN analytics.batch_progress.share_approved IS 'Share (0 to 1) of the true size that is approved; NULL: the size is 0 or not known.';
COMMENT ON COLUMN analytics.batch_progress.share_rejected IS 'Share (0 to 1) of the true size that is rejected; NULL: the size is 0 or not known.';
COMMENT ON COLUMN analytics.batch_progress.is_complete IS 'Whether all of it is in jobs and each job is complete: its status is complete or, where the source does not say, all its images are annotated; NULL: is_in_step is not true, or nothing of it is left.';
COMMENT ON COLUMN analytics.batch_progress.uploaded_at IS 'When it was uploaded; NULL: the source does not say.';
COMMENT ON COLUMN analytics.batch_progress.gone_at IS 'Observation that confirmed that it left the list of batches; NULL: it is there, or never was observed.';
COMMENT ON COLUMN analytics.batch_progress.last_observed_at IS 'Last trusted observation of the batches; NULL: there was none yet.';
COMMENT ON COLUMN analytics.batch_progress.jobs_observed_at IS 'Last trusted reading of the jobs; NULL: there was none yet.';
COMMENT ON COLUMN analytics.batch_progress.is_in_step IS 'Whether the batches and the jobs were both read and trusted in or after the observation that saw the last change of this batch or its jobs; of a batch that never had a job only the batches. If not, images that went from one to the other may count twice or be missing; NULL: the jobs were never read.';
