-- Forget the people that jobs tell of: in the jobs, in their history, and in what was received. Grain: one row, which
-- says how much that was. The jobs of each project are compared anew when they are read next.
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
jobs AS (
    UPDATE ledger.job SET
        name = regexp_replace(job.name, %(address)s, %(mark)s, 'g'),
        labeler = NULL,
        reviewer = NULL,
        extra = NULL
    WHERE job.labeler IS NOT NULL
        OR job.reviewer IS NOT NULL
        OR job.extra IS NOT NULL
        OR job.name ~ %(address)s
    RETURNING job.job_id
),
history AS (
    UPDATE ledger.job_change SET
        name = regexp_replace(job_change.name, %(address)s, %(mark)s, 'g'),
        labeler = NULL,
        reviewer = NULL
    WHERE job_change.labeler IS NOT NULL
        OR job_change.reviewer IS NOT NULL
        OR job_change.name ~ %(address)s
    RETURNING job_change.job_id
),
compared_anew AS (
    UPDATE ledger.project SET
        jobs_digest = NULL,
        jobs_etag = NULL
    WHERE project.jobs_digest IS NOT NULL
)
SELECT
    (SELECT count(*) FROM jobs) AS jobs,
    (SELECT count(*) FROM history) AS changes,
    (SELECT count(*) FROM bodies) AS bodies,
    (SELECT count(*) FROM rejects) AS rejects
