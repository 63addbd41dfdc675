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
    project_daily.last_observed_at,
    project_daily.jobs_observed_at,
    project_daily.is_in_step
FROM analytics.project_daily;

COMMENT ON VIEW analytics.burn_down IS 'One project and UTC day: what is left to do, and what was done about it.';
COMMENT ON COLUMN analytics.burn_down.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.burn_down.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.burn_down.day IS 'The day, in UTC.';
COMMENT ON COLUMN analytics.burn_down.remaining IS 'Images that are not annotated yet at the day''s end: the backlog and those in jobs, as far as is_in_step is true; NULL: batches had told of jobs, which had never been read.';
COMMENT ON COLUMN analytics.burn_down.backlog IS 'Images not yet assigned at the day''s end.';
COMMENT ON COLUMN analytics.burn_down.annotated_work IS 'How many more images were annotated, as seen on the day; NULL: the jobs were not read.';
COMMENT ON COLUMN analytics.burn_down.assigned IS 'Images that left batches for jobs, as seen on the day; negative where that was told before and was found otherwise; NULL: nobody looked.';
COMMENT ON COLUMN analytics.burn_down.intake IS 'Images that came new into batches, as seen on the day, as far as can be told; negative where what a suspect answer showed as new turned out to have moved; NULL: nobody looked.';
COMMENT ON COLUMN analytics.burn_down.is_observed IS 'Whether a trusted observation fell on the day; if not, its numbers are those of the last one, but for what suspect ones have shown since: new batches and jobs and other counts are taken from them, and absences are not.';
COMMENT ON COLUMN analytics.burn_down.is_jobs_observed IS 'Whether a trusted reading of the jobs fell on the day; if not, what is said of jobs is that of the last one, but for what suspect ones have shown since.';
COMMENT ON COLUMN analytics.burn_down.last_observed_at IS 'Last trusted observation by the end of the day; NULL: there had been none.';
COMMENT ON COLUMN analytics.burn_down.jobs_observed_at IS 'Last trusted reading of the jobs by the end of the day; NULL: there had been none.';
COMMENT ON COLUMN analytics.burn_down.is_in_step IS 'Whether remaining adds up what belongs together: the last trusted reading of the jobs by the end of the day went with a trusted one of the batches, and no number of either has changed since; TRUE as well where no batch ever had a job by then. If not, images that went from one to the other may count twice or be missing; NULL: remaining is.';
