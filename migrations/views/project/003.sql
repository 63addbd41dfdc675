CREATE OR REPLACE VIEW analytics.project AS
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
    project.first_seen_at,
    CASE WHEN project.jobs_since IS NOT NULL THEN project.jobs END AS jobs,
    CASE WHEN project.jobs_since IS NOT NULL THEN project.job_images END AS job_images,
    CASE WHEN project.jobs_since IS NOT NULL THEN project.annotated END AS annotated,
    CASE WHEN project.jobs_since IS NOT NULL THEN project.approved END AS approved,
    CASE WHEN project.jobs_since IS NOT NULL THEN project.rejected END AS rejected,
    CASE WHEN project.jobs_since IS NOT NULL THEN project.images + project.job_images END AS size,
    -- Asked in the list of columns, so that it costs nothing where the column is not read.
    (
        SELECT observation.jobs_at
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.jobs_verdict IN ('changed', 'unchanged')
        ORDER BY observation.jobs_at DESC
        LIMIT 1
    ) AS jobs_observed_at,
    extract(EPOCH FROM now() - trusted.observed_at)::double precision AS age_s,
    CASE
        WHEN project.is_tracked AND project.max_age_s IS NOT NULL
            THEN (
                SELECT stretch.late_s IS NULL
                FROM ledger.stretch(project.project_id, trusted.observed_at, now()) AS stretch
            )
    END AS is_kept,
    (SELECT jobs.verdict FROM ledger.jobs_reading(project.project_id) AS jobs) AS jobs_verdict,
    CASE
        WHEN project.is_tracked AND project.max_age_s IS NOT NULL
            THEN (
                SELECT CASE WHEN jobs.verdict IS NOT NULL THEN jobs.late_s IS NULL END
                FROM ledger.jobs_reading(project.project_id) AS jobs
            )
    END AS is_jobs_kept,
    CASE
        WHEN project.jobs_since IS NOT NULL
            THEN coalesce(
                (
                    SELECT
                        observation.verdict IN ('changed', 'unchanged')
                        AND (
                            observation.images,
                            observation.num_jobs,
                            observation.jobs,
                            observation.job_images,
                            observation.annotated
                        ) = (
                            project.images,
                            project.num_jobs,
                            project.jobs,
                            project.job_images,
                            project.annotated
                        )
                    FROM ledger.observation
                    WHERE observation.project_id = project.project_id
                        AND observation.jobs_verdict IN ('changed', 'unchanged')
                    ORDER BY observation.jobs_at DESC
                    LIMIT 1
                ),
                FALSE
            )
    END AS is_in_step
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
COMMENT ON COLUMN analytics.project.jobs IS 'Annotation jobs that are not gone; NULL: they were never read.';
COMMENT ON COLUMN analytics.project.job_images IS 'Images in those jobs; NULL: they were never read.';
COMMENT ON COLUMN analytics.project.annotated IS 'Images in those jobs that are annotated; NULL: they were never read.';
COMMENT ON COLUMN analytics.project.approved IS 'Images in those jobs that a reviewer approved; NULL: they were never read.';
COMMENT ON COLUMN analytics.project.rejected IS 'Images in those jobs that a reviewer rejected; NULL: they were never read.';
COMMENT ON COLUMN analytics.project.size IS 'The true size: images in the backlog and in jobs together; NULL: the jobs were never read.';
COMMENT ON COLUMN analytics.project.jobs_observed_at IS 'Last trusted reading of the jobs; NULL: there was none yet. What is said of jobs is as of then.';
COMMENT ON COLUMN analytics.project.age_s IS 'Seconds since last_observed_at; NULL: there was no trusted observation yet.';
COMMENT ON COLUMN analytics.project.is_kept IS 'Whether the promised age is kept now; NULL: nothing is promised, or the project is paused.';
COMMENT ON COLUMN analytics.project.jobs_verdict IS 'How the last reading of the jobs ended: changed, unchanged (both trusted), suspect, failed; NULL: they are not to be read, by the settings or for want of any.';
COMMENT ON COLUMN analytics.project.is_jobs_kept IS 'Whether the promised age is kept now of what is told of jobs; NULL as for is_kept, or the jobs are not to be read.';
COMMENT ON COLUMN analytics.project.is_in_step IS 'Whether size adds up what belongs together: the last trusted reading of the jobs went with a trusted one of the batches, and no number of either has changed since. If not, images that went from one to the other may count twice or be missing; NULL: the jobs were never read.';
