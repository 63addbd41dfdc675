-- Write observations that changed nothing, many at a time. Grain: one observation a project.
-- Only of projects that this run still holds; a skipped one is another run's, so it needs no claim.
-- Locks the claims until the transaction ends, so that none is taken over in between.
WITH
incoming AS (
    SELECT *
    FROM unnest(
        %(project_id)s::integer[],
        %(verdict)s::text[],
        %(started_at)s::timestamptz[],
        %(observed_at)s::timestamptz[],
        %(previous_at)s::timestamptz[],
        %(http_status)s::smallint[],
        %(requests)s::integer[],
        %(body_bytes)s::integer[],
        %(fetch_ms)s::real[],
        %(batches)s::integer[],
        %(images)s::bigint[],
        %(num_jobs)s::bigint[],
        %(digest)s::bytea[],
        %(rule)s::text[],
        %(error_class)s::text[],
        %(error)s::text[],
        %(jobs_verdict)s::text[],
        %(jobs_at)s::timestamptz[],
        %(jobs_previous_at)s::timestamptz[],
        %(jobs_http_status)s::smallint[],
        %(jobs_body_bytes)s::integer[],
        %(jobs_digest)s::bytea[],
        %(jobs_error_class)s::text[],
        %(jobs_error)s::text[]
    ) AS observation (
        project_id,
        verdict,
        started_at,
        observed_at,
        previous_at,
        http_status,
        requests,
        body_bytes,
        fetch_ms,
        batches,
        images,
        num_jobs,
        digest,
        rule,
        error_class,
        error,
        jobs_verdict,
        jobs_at,
        jobs_previous_at,
        jobs_http_status,
        jobs_body_bytes,
        jobs_digest,
        jobs_error_class,
        jobs_error
    )
),
mine AS (
    SELECT claim.project_id
    FROM ledger.claim
    WHERE claim.project_id = ANY(%(project_id)s::integer[])
        AND claim.run_id = %(run_id)s
    ORDER BY claim.project_id
    FOR UPDATE
)
INSERT INTO ledger.observation (
    run_id,
    project_id,
    verdict,
    started_at,
    observed_at,
    previous_at,
    http_status,
    requests,
    body_bytes,
    fetch_ms,
    batches,
    images,
    num_jobs,
    batches_entered,
    batches_changed,
    batches_renamed,
    batches_left,
    batches_returned,
    images_delta,
    num_jobs_delta,
    digest,
    rule,
    error_class,
    error,
    is_settled,
    gap_reasons,
    late_s,
    jobs_verdict,
    jobs_at,
    jobs_previous_at,
    jobs_http_status,
    jobs_body_bytes,
    jobs_digest,
    jobs,
    job_images,
    annotated,
    approved,
    rejected,
    jobs_error_class,
    jobs_error,
    jobs_settled
)
SELECT
    %(run_id)s,
    incoming.project_id,
    incoming.verdict,
    incoming.started_at,
    incoming.observed_at,
    incoming.previous_at,
    incoming.http_status,
    incoming.requests,
    incoming.body_bytes,
    incoming.fetch_ms,
    incoming.batches,
    incoming.images,
    incoming.num_jobs,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    incoming.digest,
    incoming.rule,
    incoming.error_class,
    incoming.error,
    project.is_settled,
    judged.gap_reasons,
    judged.late_s,
    incoming.jobs_verdict,
    incoming.jobs_at,
    incoming.jobs_previous_at,
    incoming.jobs_http_status,
    incoming.jobs_body_bytes,
    incoming.jobs_digest,
    believed.jobs,
    believed.job_images,
    believed.annotated,
    believed.approved,
    believed.rejected,
    incoming.jobs_error_class,
    incoming.jobs_error,
    project.jobs_settled
FROM incoming
INNER JOIN ledger.project
    ON project.project_id = incoming.project_id
-- Of a skipped one nothing is told, and nothing of jobs that were never read.
LEFT JOIN ledger.project AS believed
    ON believed.project_id = incoming.project_id
    AND believed.jobs_since IS NOT NULL
    AND incoming.batches IS NOT NULL
LEFT JOIN LATERAL (
    SELECT
        stretch.gap_reasons,
        stretch.late_s
    FROM ledger.stretch(incoming.project_id, incoming.previous_at, incoming.observed_at) AS stretch
    -- Only a trusted observation ends a gap.
    WHERE incoming.verdict = 'unchanged'
) AS judged ON TRUE
LEFT JOIN mine
    ON mine.project_id = incoming.project_id
WHERE mine.project_id IS NOT NULL
    OR incoming.verdict = 'skipped'
ORDER BY incoming.project_id
ON CONFLICT (run_id, project_id) DO NOTHING
