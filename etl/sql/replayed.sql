-- Everything of a project that follows from its archive, but for numbers of rows and how long things took; of what
-- is appended, only what came after `since`. Grain: one row of a table. Takes no lock.
-- `at` is the observation that a row goes back to, or shortly after it.
SELECT
    'observation' AS place,
    observation.run_id::text AS key,
    observation.observed_at AS at,
    jsonb_build_object(
        'verdict', observation.verdict,
        'rule', observation.rule,
        'observed_at', observation.observed_at,
        'previous_at', observation.previous_at,
        'batches', observation.batches,
        'images', observation.images,
        'num_jobs', observation.num_jobs,
        'batches_entered', observation.batches_entered,
        'batches_changed', observation.batches_changed,
        'batches_renamed', observation.batches_renamed,
        'batches_left', observation.batches_left,
        'batches_returned', observation.batches_returned,
        'images_delta', observation.images_delta,
        'num_jobs_delta', observation.num_jobs_delta,
        'body_bytes', CASE WHEN observation.parse_ms IS NOT NULL THEN observation.body_bytes END,
        'digest', CASE WHEN observation.parse_ms IS NOT NULL THEN observation.digest END,
        'is_settled', observation.is_settled,
        'jobs_verdict', observation.jobs_verdict,
        'jobs_rule', observation.jobs_rule,
        'jobs_at', observation.jobs_at,
        'jobs_previous_at', observation.jobs_previous_at,
        'jobs', observation.jobs,
        'job_images', observation.job_images,
        'annotated', observation.annotated,
        'approved', observation.approved,
        'rejected', observation.rejected,
        'jobs_changes', observation.jobs_changes,
        'jobs_body_bytes', CASE WHEN observation.jobs_changes IS NOT NULL THEN observation.jobs_body_bytes END,
        'jobs_digest', CASE WHEN observation.jobs_changes IS NOT NULL THEN observation.jobs_digest END,
        'jobs_settled', observation.jobs_settled,
        'intake', observation.intake,
        'moved', observation.moved,
        'assigned', observation.assigned,
        'unassigned', observation.unassigned,
        'removed', observation.removed
    ) || jsonb_build_object(
        'annotated_work', observation.annotated_work,
        'approved_work', observation.approved_work,
        'rejected_work', observation.rejected_work
    ) AS doc
FROM ledger.observation
WHERE observation.project_id = %(project_id)s
    AND observation.observed_at > %(since)s::timestamptz
    AND (
        observation.parse_ms IS NOT NULL
        OR observation.verdict IN ('changed', 'suspect')
        OR observation.jobs_changes IS NOT NULL
    )
UNION ALL
SELECT
    'reject',
    concat_ws(' ', observation.run_id, reject.subject, reject.position),
    observation.observed_at,
    to_jsonb(reject) - 'observation_id'
FROM ledger.reject
INNER JOIN ledger.observation
    ON observation.observation_id = reject.observation_id
WHERE observation.project_id = %(project_id)s
    AND observation.observed_at > %(since)s::timestamptz
UNION ALL
SELECT
    'batch_change',
    batch_change.batch_id || ' ' || coalesce(observation.run_id::text, 'of no run'),
    batch_change.observed_at,
    to_jsonb(batch_change) - 'observation_id' - 'project_id'
FROM ledger.batch_change
LEFT JOIN ledger.observation
    ON observation.observation_id = batch_change.observation_id
    AND observation.project_id = batch_change.project_id
WHERE batch_change.project_id = %(project_id)s
    AND batch_change.observed_at > %(since)s::timestamptz
UNION ALL
SELECT
    'batch',
    batch.batch_id,
    greatest(batch.changed_at, batch.missing_since, batch.unlisted_since, batch.carried_since, batch.gone_at),
    to_jsonb(batch) - 'project_id'
FROM ledger.batch
WHERE batch.project_id = %(project_id)s
UNION ALL
SELECT
    'job_change',
    job_change.job_id || ' ' || coalesce(observation.run_id::text, 'of no run'),
    job_change.observed_at,
    to_jsonb(job_change) - 'observation_id' - 'project_id'
FROM ledger.job_change
LEFT JOIN ledger.observation
    ON observation.observation_id = job_change.observation_id
    AND observation.project_id = job_change.project_id
WHERE job_change.project_id = %(project_id)s
    AND job_change.observed_at > %(since)s::timestamptz
UNION ALL
SELECT
    'job',
    job.job_id,
    greatest(job.changed_at, job.missing_since, job.unlisted_since, job.carried_since, job.gone_at),
    to_jsonb(job) - 'project_id'
FROM ledger.job
WHERE job.project_id = %(project_id)s
UNION ALL
SELECT
    'project_day',
    project_day.day::text,
    (project_day.day + 1)::timestamp AT TIME ZONE 'UTC' - INTERVAL '1 microsecond',
    to_jsonb(project_day) - 'project_id'
FROM ledger.project_day
WHERE project_day.project_id = %(project_id)s
UNION ALL
SELECT
    'project',
    '',
    'infinity'::timestamptz,
    jsonb_build_object(
        'batches', project.batches,
        'images', project.images,
        'num_jobs', project.num_jobs,
        'digest', project.digest,
        'is_settled', project.is_settled,
        'loss_suspected_since', project.loss_suspected_since,
        'jobs_since', project.jobs_since,
        'jobs', project.jobs,
        'job_images', project.job_images,
        'annotated', project.annotated,
        'approved', project.approved,
        'rejected', project.rejected,
        'jobs_digest', project.jobs_digest,
        'jobs_settled', project.jobs_settled,
        'jobs_loss_suspected_since', project.jobs_loss_suspected_since
    )
FROM ledger.project
WHERE project.project_id = %(project_id)s
