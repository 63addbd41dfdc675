-- The observations and days of one share and slice, from its readings; then the totals to go on from.
INSERT INTO counted (slot, changed, failed, batch_changes)
SELECT
    reading.slot,
    count(*) FILTER (WHERE reading.batch_changes > 0),
    count(*) FILTER (WHERE reading.kind = 'failed'),
    sum(reading.batch_changes)
FROM reading
WHERE reading.kind IN ('changed', 'failed')
GROUP BY reading.slot;

INSERT INTO ledger.observation (
    observation_id, run_id, project_id, verdict, started_at, observed_at, previous_at, http_status, requests,
    body_bytes, fetch_ms, parse_ms, store_ms, batches, images, num_jobs, batches_entered, batches_changed,
    batches_renamed, batches_left, batches_returned, images_delta, num_jobs_delta, error_class, error,
    is_settled, gap_reasons, late_s, jobs_verdict, jobs_at, jobs_previous_at, jobs_http_status, jobs_body_bytes,
    jobs, job_images, annotated, approved, rejected, jobs_changes, jobs_settled,
    intake, moved, assigned, unassigned, removed, annotated_work, approved_work, rejected_work,
    span_from, span_count
)
OVERRIDING SYSTEM VALUE
SELECT
    reading.slot * %(projects)s::bigint + reading.project_id,
    reading.slot + 1,
    reading.project_id,
    CASE
        WHEN reading.kind = 'failed' THEN 'failed'
        WHEN reading.batch_changes > 0 THEN 'changed'
        ELSE 'unchanged'
    END,
    read.at - INTERVAL '500 milliseconds',
    read.at,
    read.before_at,
    CASE WHEN reading.kind <> 'failed' THEN 200 END,
    2 * (reading.slot - reading.slot_from + 1),
    CASE WHEN reading.kind <> 'failed' THEN 200 * reading.batches END,
    180,
    CASE WHEN reading.batch_changes > 0 THEN 1.5 END,
    CASE WHEN reading.batch_changes > 0 THEN 4.5 END,
    reading.batches,
    reading.images,
    reading.num_jobs,
    reading.batches_entered,
    reading.batches_changed,
    0,
    reading.batches_left,
    0,
    reading.images_delta,
    reading.num_jobs_delta,
    CASE WHEN reading.kind = 'failed' THEN 'TimeLimitError' END,
    CASE WHEN reading.kind = 'failed' THEN 'no answer within 30 s' END,
    TRUE,
    CASE
        WHEN reading.kind = 'gap' AND reading.is_after THEN ARRAY['daemon not running']
        WHEN reading.kind = 'gap' THEN ARRAY['failed: TimeLimitError']
    END,
    CASE WHEN reading.kind = 'gap' THEN extract(EPOCH FROM read.at - read.before_at) - 10800 END,
    CASE
        WHEN reading.kind = 'failed' THEN NULL
        WHEN reading.jobs_changes > 0 THEN 'changed'
        ELSE 'unchanged'
    END,
    CASE WHEN reading.kind <> 'failed' THEN read.at + INTERVAL '1 second' END,
    CASE WHEN reading.kind <> 'failed' THEN read.before_at + INTERVAL '1 second' END,
    CASE WHEN reading.kind <> 'failed' THEN 200 END,
    CASE WHEN reading.kind <> 'failed' THEN 300 * reading.jobs END,
    reading.jobs,
    reading.job_images,
    reading.annotated,
    reading.approved,
    reading.rejected,
    nullif(reading.jobs_changes, 0),
    TRUE,
    -- What was not compared says nothing of it.
    CASE WHEN reading.batch_changes > 0 THEN reading.gained - least(reading.gained, reading.lost) END,
    CASE WHEN reading.batch_changes > 0 THEN least(reading.gained, reading.lost) END,
    CASE WHEN reading.batch_changes > 0 THEN reading.assigned END,
    CASE WHEN reading.batch_changes > 0 THEN 0 END,
    CASE WHEN reading.batch_changes > 0 THEN reading.lost - least(reading.gained, reading.lost) END,
    CASE WHEN reading.jobs_changes > 0 THEN reading.annotated_delta END,
    CASE WHEN reading.jobs_changes > 0 THEN reading.approved_delta END,
    CASE WHEN reading.jobs_changes > 0 THEN reading.rejected_delta END,
    CASE WHEN reading.slot_from < reading.slot THEN read_at(reading.slot_from, reading.project_id) END,
    CASE WHEN reading.slot_from < reading.slot THEN reading.slot - reading.slot_from + 1 END
FROM reading
CROSS JOIN LATERAL (
    SELECT
        read_at(reading.slot, reading.project_id) AS at,
        read_at(reading.slot_before, reading.project_id) AS before_at
) AS read
ORDER BY
    reading.slot,
    reading.project_id;

INSERT INTO ledger.project_day (
    project_id, day, batches, images, num_jobs, images_delta, num_jobs_delta, batches_entered, batches_left,
    jobs, job_images, annotated, approved, rejected,
    job_images_delta, annotated_delta, approved_delta, rejected_delta,
    intake, moved, assigned, unassigned, removed, annotated_work, approved_work, rejected_work
)
SELECT
    reading.project_id,
    (%(start)s::timestamptz AT TIME ZONE 'UTC')::date + reading.day,
    (array_agg(reading.batches ORDER BY reading.slot DESC))[1],
    (array_agg(reading.images ORDER BY reading.slot DESC))[1],
    (array_agg(reading.num_jobs ORDER BY reading.slot DESC))[1],
    sum(reading.images_delta),
    sum(reading.num_jobs_delta),
    sum(reading.batches_entered),
    sum(reading.batches_left),
    (array_agg(reading.jobs ORDER BY reading.slot DESC))[1],
    (array_agg(reading.job_images ORDER BY reading.slot DESC))[1],
    (array_agg(reading.annotated ORDER BY reading.slot DESC))[1],
    (array_agg(reading.approved ORDER BY reading.slot DESC))[1],
    (array_agg(reading.rejected ORDER BY reading.slot DESC))[1],
    sum(reading.job_images_delta),
    sum(reading.annotated_delta),
    sum(reading.approved_delta),
    sum(reading.rejected_delta),
    sum(reading.gained - least(reading.gained, reading.lost)),
    sum(least(reading.gained, reading.lost)),
    sum(reading.assigned),
    0,
    sum(reading.lost - least(reading.gained, reading.lost)),
    sum(reading.annotated_delta),
    sum(reading.approved_delta),
    sum(reading.rejected_delta)
FROM reading
WHERE reading.kind = 'changed'
GROUP BY
    reading.project_id,
    reading.day
ORDER BY
    reading.day,
    reading.project_id;

UPDATE total SET
    batches = total.batches + added.batches,
    images = total.images + added.images,
    num_jobs = total.num_jobs + added.num_jobs,
    jobs = total.jobs + added.jobs,
    job_images = total.job_images + added.job_images,
    annotated = total.annotated + added.annotated,
    approved = total.approved + added.approved,
    rejected = total.rejected + added.rejected
FROM (
    SELECT
        tally.project_id,
        sum(tally.batches_entered - tally.batches_left) AS batches,
        sum(tally.images_delta) AS images,
        sum(tally.num_jobs_delta) AS num_jobs,
        sum(tally.jobs_entered) AS jobs,
        sum(tally.job_images_delta) AS job_images,
        sum(tally.annotated_delta) AS annotated,
        sum(tally.approved_delta) AS approved,
        sum(tally.rejected_delta) AS rejected
    FROM tally
    GROUP BY tally.project_id
) AS added
WHERE added.project_id = total.project_id;

DROP TABLE event, tally, reading;
