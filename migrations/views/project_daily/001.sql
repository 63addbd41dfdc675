CREATE VIEW analytics.project_daily AS
SELECT
    project.workspace,
    project.project,
    calendar.day,
    coalesce(carried.batches, 0) AS batches,
    coalesce(carried.images, 0) AS images,
    coalesce(carried.num_jobs, 0) AS num_jobs,
    CASE WHEN carried.day = calendar.day THEN carried.images_delta ELSE 0 END AS images_delta,
    CASE WHEN carried.day = calendar.day THEN carried.num_jobs_delta ELSE 0 END AS num_jobs_delta,
    EXISTS (
        SELECT FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.verdict IN ('changed', 'unchanged')
            AND observation.observed_at >= calendar.day::timestamp AT TIME ZONE 'UTC'
            AND observation.observed_at < (calendar.day + 1)::timestamp AT TIME ZONE 'UTC'
    ) AS is_observed,
    CASE WHEN carried.day = calendar.day THEN carried.batches_entered ELSE 0 END AS batches_entered,
    CASE WHEN carried.day = calendar.day THEN carried.batches_left ELSE 0 END AS batches_left
FROM ledger.project
CROSS JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.batches IS NOT NULL
    ORDER BY observation.observed_at ASC
    LIMIT 1
) AS first
CROSS JOIN LATERAL (
    SELECT series.day::date AS day
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
        project_day.batches_left
    FROM ledger.project_day
    WHERE project_day.project_id = project.project_id
        AND project_day.day <= calendar.day
    ORDER BY project_day.day DESC
    LIMIT 1
) AS carried ON TRUE;

COMMENT ON VIEW analytics.project_daily IS 'One project and UTC day, from its first observation until today, without holes.';
COMMENT ON COLUMN analytics.project_daily.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.project_daily.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.project_daily.day IS 'The day, in UTC.';
COMMENT ON COLUMN analytics.project_daily.batches IS 'Batches that were not gone at the day''s end, as last observed by then.';
COMMENT ON COLUMN analytics.project_daily.images IS 'The backlog at the day''s end, as last observed by then: images not yet assigned.';
COMMENT ON COLUMN analytics.project_daily.num_jobs IS 'Annotation jobs at the day''s end, as last observed by then.';
COMMENT ON COLUMN analytics.project_daily.images_delta IS 'How far the backlog moved in the changes seen on the day.';
COMMENT ON COLUMN analytics.project_daily.num_jobs_delta IS 'How far the jobs moved in the changes seen on the day.';
COMMENT ON COLUMN analytics.project_daily.is_observed IS 'Whether a trusted observation fell on the day; if not, its numbers are carried from the last one.';
COMMENT ON COLUMN analytics.project_daily.batches_entered IS 'Batches that entered or returned, as seen on the day.';
COMMENT ON COLUMN analytics.project_daily.batches_left IS 'Batches confirmed absent on the day.';
