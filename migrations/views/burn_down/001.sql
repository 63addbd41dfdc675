CREATE VIEW analytics.burn_down AS
SELECT
    project_daily.workspace,
    project_daily.project,
    project_daily.day,
    project_daily.remaining,
    project_daily.images AS backlog,
    project_daily.annotated_work,
    project_daily.assigned,
    project_daily.intake,
    project_daily.is_observed,
    project_daily.is_jobs_observed,
    project_daily.last_observed_at
FROM analytics.project_daily;

COMMENT ON VIEW analytics.burn_down IS 'One project and UTC day: what is left to do, and what was done about it.';
COMMENT ON COLUMN analytics.burn_down.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.burn_down.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.burn_down.day IS 'The day, in UTC.';
COMMENT ON COLUMN analytics.burn_down.remaining IS 'Images that are not annotated yet at the day''s end: the backlog and those in jobs; NULL: the jobs had never been read.';
COMMENT ON COLUMN analytics.burn_down.backlog IS 'Images not yet assigned at the day''s end.';
COMMENT ON COLUMN analytics.burn_down.annotated_work IS 'How many more images were annotated, as seen on the day; NULL: the jobs were not read.';
COMMENT ON COLUMN analytics.burn_down.assigned IS 'Images that left batches for jobs, as seen on the day; NULL: nobody looked.';
COMMENT ON COLUMN analytics.burn_down.intake IS 'Images that came new into batches, as seen on the day; NULL: nobody looked.';
COMMENT ON COLUMN analytics.burn_down.is_observed IS 'Whether a trusted observation fell on the day; if not, its numbers are carried from the last one.';
COMMENT ON COLUMN analytics.burn_down.is_jobs_observed IS 'Whether a trusted reading of the jobs fell on the day; if not, what is said of jobs is carried from the last one.';
COMMENT ON COLUMN analytics.burn_down.last_observed_at IS 'Last trusted observation by the end of the day; NULL: there had been none.';
