CREATE OR REPLACE VIEW analytics.project_daily AS
SELECT
    project.workspace,
    project.project,
    calendar.day,
    coalesce(carried.batches, 0) AS batches,
    coalesce(carried.images, 0) AS images,
    coalesce(carried.num_jobs, 0) AS num_jobs,
    CASE WHEN carried.day = calendar.day THEN carried.images_delta ELSE 0 END AS images_delta,
    CASE WHEN carried.day = calendar.day THEN carried.num_jobs_delta ELSE 0 END AS num_jobs_delta,
    coalesce(trusted.observed_at >= calendar.begins_at, FALSE) AS is_observed,
    CASE WHEN carried.day = calendar.day THEN carried.batches_entered ELSE 0 END AS batches_entered,
    CASE WHEN carried.day = calendar.day THEN carried.batches_left ELSE 0 END AS batches_left,
    CASE WHEN calendar.is_known THEN coalesce(carried.jobs, 0) END AS jobs,
    CASE WHEN calendar.is_known THEN coalesce(carried.job_images, 0) END AS job_images,
    CASE WHEN calendar.is_known THEN coalesce(carried.annotated, 0) END AS annotated,
    CASE WHEN calendar.is_known THEN coalesce(carried.approved, 0) END AS approved,
    CASE WHEN calendar.is_known THEN coalesce(carried.rejected, 0) END AS rejected,
    CASE
        WHEN carried.day = calendar.day THEN carried.intake
        WHEN trusted.observed_at >= calendar.begins_at THEN 0
    END AS intake,
    CASE
        WHEN carried.day = calendar.day THEN carried.moved
        WHEN trusted.observed_at >= calendar.begins_at THEN 0
    END AS moved,
    CASE
        WHEN carried.day = calendar.day THEN carried.assigned
        WHEN trusted.observed_at >= calendar.begins_at THEN 0
    END AS assigned,
    CASE
        WHEN carried.day = calendar.day THEN carried.unassigned
        WHEN trusted.observed_at >= calendar.begins_at THEN 0
    END AS unassigned,
    CASE
        WHEN carried.day = calendar.day THEN carried.removed
        WHEN trusted.observed_at >= calendar.begins_at THEN 0
    END AS removed,
    CASE
        WHEN carried.day = calendar.day AND (jobs.is_observed OR carried.annotated_work <> 0) THEN carried.annotated_work
        WHEN jobs.is_observed THEN 0
    END AS annotated_work,
    CASE
        WHEN carried.day = calendar.day AND (jobs.is_observed OR carried.approved_work <> 0) THEN carried.approved_work
        WHEN jobs.is_observed THEN 0
    END AS approved_work,
    CASE
        WHEN carried.day = calendar.day AND (jobs.is_observed OR carried.rejected_work <> 0) THEN carried.rejected_work
        WHEN jobs.is_observed THEN 0
    END AS rejected_work,
    CASE
        WHEN calendar.is_known OR calendar.is_jobless
            THEN coalesce(carried.images, 0) + coalesce(carried.job_images - carried.annotated, 0)
    END AS remaining,
    coalesce(jobs.is_observed, FALSE) AS is_jobs_observed,
    trusted.observed_at AS last_observed_at,
    jobs.jobs_at AS jobs_observed_at,
    CASE
        WHEN jobs.jobs_at IS NOT NULL
            THEN jobs.is_beside_trusted
            AND jobs.images = coalesce(carried.images, 0)
            AND jobs.num_jobs = coalesce(carried.num_jobs, 0)
            AND jobs.jobs = coalesce(carried.jobs, 0)
            AND jobs.job_images = coalesce(carried.job_images, 0)
            AND jobs.annotated = coalesce(carried.annotated, 0)
        WHEN calendar.is_jobless THEN TRUE
    END AS is_in_step
FROM ledger.project
CROSS JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.batches IS NOT NULL
    ORDER BY observation.observed_at ASC
    LIMIT 1
) AS first
-- When a batch was first seen to have a job: before, nothing is in one.
LEFT JOIN LATERAL (
    SELECT project_day.day
    FROM ledger.project_day
    WHERE project_day.project_id = project.project_id
        AND project_day.num_jobs > 0
    ORDER BY project_day.day ASC
    LIMIT 1
) AS told ON TRUE
CROSS JOIN LATERAL (
    SELECT
        series.day::date AS day,
        series.day AT TIME ZONE 'UTC' AS begins_at,
        (series.day + INTERVAL '1 day') AT TIME ZONE 'UTC' AS ends_at,
        series.day >= date_trunc('day', project.jobs_since AT TIME ZONE 'UTC') AS is_known,
        coalesce(series.day < told.day, TRUE) AS is_jobless
    FROM generate_series(
        date_trunc('day', first.observed_at AT TIME ZONE 'UTC'),
        date_trunc('day', now() AT TIME ZONE 'UTC'),
        INTERVAL '1 day'
    ) AS series (day)
) AS calendar
LEFT JOIN LATERAL (
    SELECT
        project_day.day,
        project_day.batches,
        project_day.images,
        project_day.num_jobs,
        project_day.images_delta,
        project_day.num_jobs_delta,
        project_day.batches_entered,
        project_day.batches_left,
        project_day.jobs,
        project_day.job_images,
        project_day.annotated,
        project_day.approved,
        project_day.rejected,
        project_day.intake,
        project_day.moved,
        project_day.assigned,
        project_day.unassigned,
        project_day.removed,
        project_day.annotated_work,
        project_day.approved_work,
        project_day.rejected_work
    FROM ledger.project_day
    WHERE project_day.project_id = project.project_id
        AND project_day.day <= calendar.day
    ORDER BY project_day.day DESC
    LIMIT 1
) AS carried ON TRUE
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
        AND observation.observed_at < calendar.ends_at
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE
LEFT JOIN LATERAL (
    SELECT
        observation.jobs_at,
        observation.jobs_at >= calendar.begins_at AS is_observed,
        observation.verdict IN ('changed', 'unchanged') AS is_beside_trusted,
        observation.images,
        observation.num_jobs,
        observation.jobs,
        observation.job_images,
        observation.annotated
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.jobs_verdict IN ('changed', 'unchanged')
        AND observation.jobs_at < calendar.ends_at
    ORDER BY observation.jobs_at DESC
    LIMIT 1
) AS jobs ON TRUE;

COMMENT ON VIEW analytics.project_daily IS 'One project and UTC day, from its first observation until today, without holes.';
COMMENT ON COLUMN analytics.project_daily.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.project_daily.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.project_daily.day IS 'The day, in UTC.';
COMMENT ON COLUMN analytics.project_daily.batches IS 'Batches that were not gone at the day''s end, as last observed by then.';
COMMENT ON COLUMN analytics.project_daily.images IS 'The backlog at the day''s end, as last observed by then: images not yet assigned.';
COMMENT ON COLUMN analytics.project_daily.num_jobs IS 'Annotation jobs that the batches told of at the day''s end, as last observed by then.';
COMMENT ON COLUMN analytics.project_daily.images_delta IS 'How far the backlog moved in the changes seen on the day.';
COMMENT ON COLUMN analytics.project_daily.num_jobs_delta IS 'How far the jobs moved in the changes seen on the day.';
COMMENT ON COLUMN analytics.project_daily.is_observed IS 'Whether a trusted observation fell on the day; if not, its numbers are those of the last one, but for what suspect ones have shown since: new batches and jobs and other counts are taken from them, and absences are not.';
COMMENT ON COLUMN analytics.project_daily.batches_entered IS 'Batches that entered or returned, as seen on the day.';
COMMENT ON COLUMN analytics.project_daily.batches_left IS 'Batches confirmed absent on the day.';
COMMENT ON COLUMN analytics.project_daily.jobs IS 'Annotation jobs at the day''s end, as the list of jobs last said by then; NULL: that had never been read.';
COMMENT ON COLUMN analytics.project_daily.job_images IS 'Images in those jobs; NULL: they had never been read.';
COMMENT ON COLUMN analytics.project_daily.annotated IS 'Images in those jobs that are annotated; NULL: they had never been read.';
COMMENT ON COLUMN analytics.project_daily.approved IS 'Images in those jobs that a reviewer approved; NULL: they had never been read.';
COMMENT ON COLUMN analytics.project_daily.rejected IS 'Images in those jobs that a reviewer rejected; NULL: they had never been read.';
COMMENT ON COLUMN analytics.project_daily.intake IS 'Images that came new into batches, as seen on the day, as far as can be told; negative where what a suspect answer showed as new turned out to have moved; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_daily.moved IS 'Images that left one batch while as many entered another, so that they likely moved; negative where what looked so before was found otherwise; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_daily.assigned IS 'Images that left batches for jobs, as seen on the day; negative where that was told before and was found otherwise; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_daily.unassigned IS 'Images that came back into batches from jobs, as seen on the day; negative as for assigned; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_daily.removed IS 'Images that left batches for neither a job nor another batch, as seen on the day, less those of batches that came back; negative where more came back; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_daily.annotated_work IS 'How many more images of the jobs that are there were annotated, as seen on the day; negative where work was undone; NULL: the jobs were not read.';
COMMENT ON COLUMN analytics.project_daily.approved_work IS 'The same of approved images; NULL: the jobs were not read.';
COMMENT ON COLUMN analytics.project_daily.rejected_work IS 'The same of rejected images; NULL: the jobs were not read.';
COMMENT ON COLUMN analytics.project_daily.remaining IS 'Images that are not annotated yet at the day''s end: the backlog and those in jobs, as far as is_in_step is true; NULL: batches had told of jobs, which had never been read.';
COMMENT ON COLUMN analytics.project_daily.is_jobs_observed IS 'Whether a trusted reading of the jobs fell on the day; if not, what is said of jobs is that of the last one, but for what suspect ones have shown since.';
COMMENT ON COLUMN analytics.project_daily.last_observed_at IS 'Last trusted observation by the end of the day; NULL: there had been none.';
COMMENT ON COLUMN analytics.project_daily.jobs_observed_at IS 'Last trusted reading of the jobs by the end of the day; NULL: there had been none.';
COMMENT ON COLUMN analytics.project_daily.is_in_step IS 'Whether remaining adds up what belongs together: the last trusted reading of the jobs by the end of the day went with a trusted one of the batches, and no number of either has changed since; TRUE as well where no batch ever had a job by then. If not, images that went from one to the other may count twice or be missing; NULL: remaining is.';
