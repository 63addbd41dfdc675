-- Forget the people that jobs tell of: in the jobs, in their history, in what was received, and in what the source said
-- of errors. Grain: one row, which says how much that was. The jobs of each project are compared anew when they are read
-- next. Which text becomes which is given, since the recogniser of addresses is not in SQL.
WITH
received AS (
    SELECT observation.jobs_digest AS digest
    FROM ledger.observation
    WHERE observation.jobs_digest IS NOT NULL
    UNION
    SELECT look_up.digest
    FROM ledger.look_up
    WHERE look_up.subject = 'job'
        AND look_up.digest IS NOT NULL
),
bodies AS (
    UPDATE ledger.payload SET
        body = NULL,
        pruned_at = %(at)s::timestamptz
    FROM received
    WHERE payload.digest = received.digest
        AND payload.body IS NOT NULL
        -- A bare empty list may be one of batches, too.
        AND NOT EXISTS (
            SELECT FROM ledger.observation
            WHERE observation.digest = payload.digest
        )
    RETURNING payload.digest
),
rejects AS (
    DELETE FROM ledger.reject
    WHERE reject.subject = 'job'
    RETURNING reject.position
),
cleaned AS (
    SELECT
        pair.before,
        pair.after
    FROM unnest(%(before)s::text[], %(after)s::text[]) AS pair (before, after)
),
jobs AS (
    UPDATE ledger.job SET
        name = coalesce(of_name.after, told.name),
        status = coalesce(of_status.after, told.status),
        labeler = NULL,
        reviewer = NULL,
        extra = NULL
    FROM ledger.job AS told
    LEFT JOIN cleaned AS of_name
        ON of_name.before = told.name
    LEFT JOIN cleaned AS of_status
        ON of_status.before = told.status
    WHERE told.project_id = job.project_id
        AND told.job_id = job.job_id
        AND (
            told.labeler IS NOT NULL
            OR told.reviewer IS NOT NULL
            OR told.extra IS NOT NULL
            OR coalesce(of_name.before, of_status.before) IS NOT NULL
        )
    RETURNING job.job_id
),
history AS (
    UPDATE ledger.job_change SET
        name = coalesce(of_name.after, told.name),
        status = coalesce(of_status.after, told.status),
        labeler = NULL,
        reviewer = NULL
    FROM ledger.job_change AS told
    LEFT JOIN cleaned AS of_name
        ON of_name.before = told.name
    LEFT JOIN cleaned AS of_status
        ON of_status.before = told.status
    WHERE told.project_id = job_change.project_id
        AND told.job_id = job_change.job_id
        AND told.observation_id = job_change.observation_id
        AND (
            told.labeler IS NOT NULL
            OR told.reviewer IS NOT NULL
            OR coalesce(of_name.before, of_status.before) IS NOT NULL
        )
    RETURNING job_change.job_id
),
errors AS (
    UPDATE ledger.observation SET
        error = coalesce(of_batches.after, told.error),
        jobs_error = coalesce(of_jobs.after, told.jobs_error)
    FROM ledger.observation AS told
    LEFT JOIN cleaned AS of_batches
        ON of_batches.before = told.error
    LEFT JOIN cleaned AS of_jobs
        ON of_jobs.before = told.jobs_error
    WHERE told.observation_id = observation.observation_id
        AND coalesce(of_batches.before, of_jobs.before) IS NOT NULL
    RETURNING observation.observation_id
),
compared_anew AS (
    UPDATE ledger.project SET
        jobs_digest = NULL,
        jobs_etag = NULL
    WHERE project.jobs_digest IS NOT NULL
        OR project.jobs_etag IS NOT NULL
)
SELECT
    (SELECT count(*) FROM jobs) AS jobs,
    (SELECT count(*) FROM history) AS changes,
    (SELECT count(*) FROM bodies) AS bodies,
    (SELECT count(*) FROM rejects) AS rejects,
    (SELECT count(*) FROM errors) AS errors
