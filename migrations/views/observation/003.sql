CREATE OR REPLACE VIEW analytics.observation AS
SELECT
    observation.run_id,
    project.workspace,
    project.project,
    observation.observed_at,
    observation.verdict,
    observation.batches,
    observation.images,
    observation.num_jobs,
    coalesce(observation.error, observation.rule) AS error,
    observation.previous_at,
    observation.started_at,
    observation.images_delta,
    observation.num_jobs_delta,
    observation.http_status,
    observation.requests,
    observation.body_bytes,
    observation.fetch_ms,
    observation.parse_ms,
    observation.store_ms,
    observation.observation_id,
    observation.is_settled,
    observation.gap_reasons,
    observation.late_s,
    observation.span_from,
    coalesce(observation.span_count, 1) AS span_count,
    observation.jobs_verdict,
    observation.jobs_at,
    coalesce(observation.jobs_error, observation.jobs_rule) AS jobs_error,
    observation.jobs,
    observation.job_images,
    observation.annotated,
    observation.approved,
    observation.rejected,
    observation.intake,
    observation.moved,
    observation.assigned,
    observation.unassigned,
    observation.removed,
    observation.annotated_work,
    observation.approved_work,
    observation.rejected_work
FROM ledger.observation
INNER JOIN ledger.project
    ON project.project_id = observation.project_id;

COMMENT ON VIEW analytics.observation IS 'One attempt, in one run, to read one project; or several like ones, folded into the last of them.';
COMMENT ON COLUMN analytics.observation.run_id IS 'The run that made it.';
COMMENT ON COLUMN analytics.observation.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.observation.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.observation.observed_at IS 'When the answer, or the failure, was complete.';
COMMENT ON COLUMN analytics.observation.verdict IS 'changed, unchanged (both trusted), suspect (an absence is not believed), failed, skipped (another run held the project).';
COMMENT ON COLUMN analytics.observation.batches IS 'Batches that are not gone, as believed after it; NULL: never observed.';
COMMENT ON COLUMN analytics.observation.images IS 'Images not yet assigned, as believed after it; NULL: never observed.';
COMMENT ON COLUMN analytics.observation.num_jobs IS 'Jobs, as believed after it; NULL: never observed.';
COMMENT ON COLUMN analytics.observation.error IS 'What went wrong, or the rule that made it suspect, or why it was skipped (held by another run, stopped); NULL: nothing.';
COMMENT ON COLUMN analytics.observation.previous_at IS 'The trusted observation before it; NULL: there is none.';
COMMENT ON COLUMN analytics.observation.started_at IS 'When the attempt that decided it began; the answer may be as old as this.';
COMMENT ON COLUMN analytics.observation.images_delta IS 'How far it moved the project''s images.';
COMMENT ON COLUMN analytics.observation.num_jobs_delta IS 'How far it moved the project''s jobs.';
COMMENT ON COLUMN analytics.observation.http_status IS 'Status of the last answer; NULL: there was none.';
COMMENT ON COLUMN analytics.observation.requests IS 'HTTP requests sent for it, repeated ones and look-ups included.';
COMMENT ON COLUMN analytics.observation.body_bytes IS 'Size of the body in bytes; NULL: there was none.';
COMMENT ON COLUMN analytics.observation.fetch_ms IS 'Milliseconds to fetch it, waits included; NULL: nothing was fetched.';
COMMENT ON COLUMN analytics.observation.parse_ms IS 'Milliseconds to parse it; NULL: it was not parsed.';
COMMENT ON COLUMN analytics.observation.store_ms IS 'Milliseconds until its statement had compared it; NULL: nothing was compared.';
COMMENT ON COLUMN analytics.observation.observation_id IS 'Number of the observation; rises with time within a project.';
COMMENT ON COLUMN analytics.observation.is_settled IS 'Whether after it nothing was missing, unlisted or carried; NULL: never observed.';
COMMENT ON COLUMN analytics.observation.gap_reasons IS 'Why the stretch since previous_at, which it ends, is a gap; NULL: it is none.';
COMMENT ON COLUMN analytics.observation.late_s IS 'Seconds by which it came later than promised; NULL: in time, or nothing was promised.';
COMMENT ON COLUMN analytics.observation.span_from IS 'observed_at of the first of the observations folded into it; NULL: it stands for itself.';
COMMENT ON COLUMN analytics.observation.span_count IS 'Observations that it stands for, itself included.';
COMMENT ON COLUMN analytics.observation.jobs_verdict IS 'Of the list of jobs: changed, unchanged (both trusted), suspect, failed; NULL: it was not asked for.';
COMMENT ON COLUMN analytics.observation.jobs_at IS 'When the answer with the jobs, or its failure, was complete; NULL: it was not asked for.';
COMMENT ON COLUMN analytics.observation.jobs_error IS 'What went wrong with the jobs, without e-mail addresses, or the rule that made them suspect; NULL: nothing, or they were not asked for.';
COMMENT ON COLUMN analytics.observation.jobs IS 'Annotation jobs that are not gone, as believed after it; NULL: they were never read.';
COMMENT ON COLUMN analytics.observation.job_images IS 'Images in those jobs; NULL: they were never read.';
COMMENT ON COLUMN analytics.observation.annotated IS 'Images in those jobs that are annotated; NULL: they were never read.';
COMMENT ON COLUMN analytics.observation.approved IS 'Images in those jobs that a reviewer approved; NULL: they were never read.';
COMMENT ON COLUMN analytics.observation.rejected IS 'Images in those jobs that a reviewer rejected; NULL: they were never read.';
COMMENT ON COLUMN analytics.observation.intake IS 'Images that came new into batches, as far as can be told; NULL: nothing was compared, or with nothing.';
COMMENT ON COLUMN analytics.observation.moved IS 'Images that left one batch while as many entered another, so that they likely moved; NULL as for intake.';
COMMENT ON COLUMN analytics.observation.assigned IS 'Images that left batches for jobs; NULL as for intake.';
COMMENT ON COLUMN analytics.observation.unassigned IS 'Images that came back into batches from jobs; NULL as for intake.';
COMMENT ON COLUMN analytics.observation.removed IS 'Images that left batches for neither a job nor another batch; NULL as for intake.';
COMMENT ON COLUMN analytics.observation.annotated_work IS 'How many more images of the jobs that are there are annotated; negative where work was undone; NULL: the jobs were not compared, or with nothing.';
COMMENT ON COLUMN analytics.observation.approved_work IS 'The same of approved images; NULL as for annotated_work.';
COMMENT ON COLUMN analytics.observation.rejected_work IS 'The same of rejected images; NULL as for annotated_work.';
