CREATE VIEW analytics.project_monthly AS
SELECT
    project.workspace,
    project.project,
    calendar.month,
    coalesce(carried.batches, 0) AS batches,
    coalesce(carried.images, 0) AS images,
    coalesce(carried.num_jobs, 0) AS num_jobs,
    coalesce(flow.images_delta, 0) AS images_delta,
    coalesce(flow.num_jobs_delta, 0) AS num_jobs_delta,
    seen.observed_days > 0 AS is_observed,
    calendar.days,
    seen.observed_days,
    seen.jobs_observed_days,
    CASE WHEN calendar.is_known THEN coalesce(carried.jobs, 0) END AS jobs,
    CASE WHEN calendar.is_known THEN coalesce(carried.job_images, 0) END AS job_images,
    CASE WHEN calendar.is_known THEN coalesce(carried.annotated, 0) END AS annotated,
    CASE WHEN calendar.is_known THEN coalesce(carried.approved, 0) END AS approved,
    CASE WHEN calendar.is_known THEN coalesce(carried.rejected, 0) END AS rejected,
    coalesce(flow.intake, CASE WHEN seen.observed_days > 0 THEN 0 END) AS intake,
    coalesce(flow.moved, CASE WHEN seen.observed_days > 0 THEN 0 END) AS moved,
    coalesce(flow.assigned, CASE WHEN seen.observed_days > 0 THEN 0 END) AS assigned,
    coalesce(flow.unassigned, CASE WHEN seen.observed_days > 0 THEN 0 END) AS unassigned,
    coalesce(flow.removed, CASE WHEN seen.observed_days > 0 THEN 0 END) AS removed,
    coalesce(nullif(flow.annotated_work, 0), CASE WHEN seen.jobs_observed_days > 0 THEN 0 END) AS annotated_work,
    coalesce(nullif(flow.approved_work, 0), CASE WHEN seen.jobs_observed_days > 0 THEN 0 END) AS approved_work,
    coalesce(nullif(flow.rejected_work, 0), CASE WHEN seen.jobs_observed_days > 0 THEN 0 END) AS rejected_work,
    CASE
        WHEN calendar.is_known OR calendar.is_jobless
            THEN coalesce(carried.images, 0) + coalesce(carried.job_images - carried.annotated, 0)
    END AS remaining,
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
        series.begins::date AS month,
        (series.begins + INTERVAL '1 month')::date AS next,
        greatest(series.begins::date, (first.observed_at AT TIME ZONE 'UTC')::date) AS first_day,
        least((series.begins + INTERVAL '1 month')::date, (now() AT TIME ZONE 'UTC')::date + 1)
            - greatest(series.begins::date, (first.observed_at AT TIME ZONE 'UTC')::date) AS days,
        series.begins + INTERVAL '1 month' > project.jobs_since AT TIME ZONE 'UTC' AS is_known,
        coalesce(series.begins + INTERVAL '1 month' <= told.day, TRUE) AS is_jobless
    FROM generate_series(
        date_trunc('month', first.observed_at AT TIME ZONE 'UTC'),
        date_trunc('month', now() AT TIME ZONE 'UTC'),
        INTERVAL '1 month'
    ) AS series (begins)
) AS calendar
LEFT JOIN LATERAL (
    SELECT
        project_day.batches,
        project_day.images,
        project_day.num_jobs,
        project_day.jobs,
        project_day.job_images,
        project_day.annotated,
        project_day.approved,
        project_day.rejected
    FROM ledger.project_day
    WHERE project_day.project_id = project.project_id
        AND project_day.day < calendar.next
    ORDER BY project_day.day DESC
    LIMIT 1
) AS carried ON TRUE
CROSS JOIN LATERAL (
    SELECT
        sum(project_day.images_delta)::bigint AS images_delta,
        sum(project_day.num_jobs_delta)::bigint AS num_jobs_delta,
        sum(project_day.intake)::bigint AS intake,
        sum(project_day.moved)::bigint AS moved,
        sum(project_day.assigned)::bigint AS assigned,
        sum(project_day.unassigned)::bigint AS unassigned,
        sum(project_day.removed)::bigint AS removed,
        sum(project_day.annotated_work)::bigint AS annotated_work,
        sum(project_day.approved_work)::bigint AS approved_work,
        sum(project_day.rejected_work)::bigint AS rejected_work
    FROM ledger.project_day
    WHERE project_day.project_id = project.project_id
        AND project_day.day >= calendar.month
        AND project_day.day < calendar.next
) AS flow
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
        AND observation.observed_at < calendar.next::timestamp AT TIME ZONE 'UTC'
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE
LEFT JOIN LATERAL (
    SELECT
        observation.jobs_at,
        observation.verdict IN ('changed', 'unchanged') AS is_beside_trusted,
        observation.images,
        observation.num_jobs,
        observation.jobs,
        observation.job_images,
        observation.annotated
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.jobs_verdict IN ('changed', 'unchanged')
        AND observation.jobs_at < calendar.next::timestamp AT TIME ZONE 'UTC'
    ORDER BY observation.jobs_at DESC
    LIMIT 1
) AS jobs ON TRUE
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (
            WHERE EXISTS (
                SELECT FROM ledger.observation
                WHERE observation.project_id = project.project_id
                    AND observation.verdict IN ('changed', 'unchanged')
                    AND observation.observed_at >= day.begins_at
                    AND observation.observed_at < day.ends_at
            )
        )::integer AS observed_days,
        count(*) FILTER (
            WHERE EXISTS (
                SELECT FROM ledger.observation
                WHERE observation.project_id = project.project_id
                    AND observation.jobs_verdict IN ('changed', 'unchanged')
                    AND observation.jobs_at >= day.begins_at
                    AND observation.jobs_at < day.ends_at
            )
        )::integer AS jobs_observed_days
    FROM (
        SELECT
            (calendar.first_day + nth)::timestamp AT TIME ZONE 'UTC' AS begins_at,
            (calendar.first_day + nth + 1)::timestamp AT TIME ZONE 'UTC' AS ends_at
        FROM generate_series(0, calendar.days - 1) AS nth
    ) AS day
) AS seen;

COMMENT ON VIEW analytics.project_monthly IS 'One project and calendar month (UTC), from its first observation until today, without holes.';
COMMENT ON COLUMN analytics.project_monthly.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.project_monthly.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.project_monthly.month IS 'Its first day, in UTC.';
COMMENT ON COLUMN analytics.project_monthly.batches IS 'Batches that were not gone at the end, as last observed by then.';
COMMENT ON COLUMN analytics.project_monthly.images IS 'The backlog at the end, as last observed by then: images not yet assigned.';
COMMENT ON COLUMN analytics.project_monthly.num_jobs IS 'Annotation jobs that the batches told of at the end, as last observed by then.';
COMMENT ON COLUMN analytics.project_monthly.images_delta IS 'How far the backlog moved in the changes seen in the month.';
COMMENT ON COLUMN analytics.project_monthly.num_jobs_delta IS 'How far the jobs moved in the changes seen in the month.';
COMMENT ON COLUMN analytics.project_monthly.is_observed IS 'Whether any trusted observation fell in the month; if not, its numbers are those of the last one, but for what suspect ones have shown since.';
COMMENT ON COLUMN analytics.project_monthly.days IS 'Its days, from the first observation of the project until today.';
COMMENT ON COLUMN analytics.project_monthly.observed_days IS 'Those of them on which a trusted observation fell; less than days: the numbers of the others are carried, and what was seen later counts later.';
COMMENT ON COLUMN analytics.project_monthly.jobs_observed_days IS 'Those of them on which the jobs were read and trusted.';
COMMENT ON COLUMN analytics.project_monthly.jobs IS 'Annotation jobs at the end, as the list of jobs last said by then; NULL: that had never been read.';
COMMENT ON COLUMN analytics.project_monthly.job_images IS 'Images in those jobs; NULL: they had never been read.';
COMMENT ON COLUMN analytics.project_monthly.annotated IS 'Images in those jobs that are annotated; NULL: they had never been read.';
COMMENT ON COLUMN analytics.project_monthly.approved IS 'Images in those jobs that a reviewer approved; NULL: they had never been read.';
COMMENT ON COLUMN analytics.project_monthly.rejected IS 'Images in those jobs that a reviewer rejected; NULL: they had never been read.';
COMMENT ON COLUMN analytics.project_monthly.intake IS 'Images that came new into batches, as seen in the month, as far as can be told; negative where what a suspect answer showed as new turned out to have moved; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_monthly.moved IS 'Images that left one batch while as many entered another, so that they likely moved; negative where what looked so before was found otherwise; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_monthly.assigned IS 'Images that left batches for jobs, as seen in the month; negative where that was told before and was found otherwise; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_monthly.unassigned IS 'Images that came back into batches from jobs, as seen in the month; negative as for assigned; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_monthly.removed IS 'Images that left batches for neither a job nor another batch, as seen in the month, less those of batches that came back; negative where more came back; NULL: nobody looked.';
COMMENT ON COLUMN analytics.project_monthly.annotated_work IS 'How many more images of the jobs that are there were annotated, as seen in the month; negative where work was undone; NULL: the jobs were not read.';
COMMENT ON COLUMN analytics.project_monthly.approved_work IS 'The same of approved images; NULL: the jobs were not read.';
COMMENT ON COLUMN analytics.project_monthly.rejected_work IS 'The same of rejected images; NULL: the jobs were not read.';
COMMENT ON COLUMN analytics.project_monthly.remaining IS 'Images that are not annotated yet at the end: the backlog and those in jobs, as far as is_in_step is true; NULL: batches had told of jobs, which had never been read.';
COMMENT ON COLUMN analytics.project_monthly.last_observed_at IS 'Last trusted observation by the end of the month; NULL: there had been none.';
COMMENT ON COLUMN analytics.project_monthly.jobs_observed_at IS 'Last trusted reading of the jobs by the end of the month; NULL: there had been none.';
COMMENT ON COLUMN analytics.project_monthly.is_in_step IS 'Whether remaining adds up what belongs together: the last trusted reading of the jobs by the end of the month went with a trusted one of the batches, and no number of either has changed since; TRUE as well where no batch ever had a job by then. If not, images that went from one to the other may count twice or be missing; NULL: remaining is.';
