CREATE OR REPLACE VIEW analytics.freshness AS
SELECT
    project.workspace,
    project.project,
    trusted.observed_at AS last_observed_at,
    extract(EPOCH FROM now() - trusted.observed_at)::double precision AS age_s,
    project.max_age_s,
    CASE WHEN project.is_tracked AND project.max_age_s IS NOT NULL THEN open.late_s IS NULL END AS is_kept,
    kept.day AS kept_1d,
    kept.week AS kept_7d,
    kept.month AS kept_30d,
    jobs.observed_at AS jobs_observed_at,
    extract(EPOCH FROM now() - jobs.observed_at)::double precision AS jobs_age_s,
    jobs.verdict AS jobs_verdict,
    jobs.error AS jobs_error,
    CASE
        WHEN project.is_tracked AND project.max_age_s IS NOT NULL AND jobs.verdict IS NOT NULL
            THEN jobs.late_s IS NULL
    END AS is_jobs_kept
FROM ledger.project
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE
CROSS JOIN LATERAL ledger.stretch(project.project_id, trusted.observed_at, now()) AS open
CROSS JOIN LATERAL ledger.jobs_reading(project.project_id) AS jobs
CROSS JOIN LATERAL (
    SELECT
        max(share) FILTER (WHERE days = 1) AS day,
        max(share) FILTER (WHERE days = 7) AS week,
        max(share) FILTER (WHERE days = 30) AS month
    FROM (
        SELECT
            span.days,
            -- Nothing is promised before a project is known, nor while it is paused.
            1 - least(coalesce(broken.seconds, 0), promised.seconds) / nullif(promised.seconds, 0) AS share
        FROM (
            SELECT
                length.days,
                greatest(now() - make_interval(days => length.days), project.first_seen_at) AS from_at
            FROM (VALUES (1), (7), (30)) AS length (days)
        ) AS span
        CROSS JOIN LATERAL (
            SELECT sum(extract(EPOCH FROM late.to_at - greatest(late.from_at, span.from_at)))::double precision AS seconds
            FROM (
                SELECT
                    observation.observed_at - make_interval(secs => observation.late_s) AS from_at,
                    observation.observed_at AS to_at
                FROM ledger.observation
                WHERE observation.project_id = project.project_id
                    AND observation.gap_reasons IS NOT NULL
                    AND observation.late_s IS NOT NULL
                    AND observation.observed_at > span.from_at
                UNION ALL
                -- What is late now, or was when a pause began: nothing is promised in it, and no more can be broken than
                -- was promised.
                SELECT
                    now() - make_interval(secs => open.late_s),
                    now()
                WHERE open.late_s IS NOT NULL
            ) AS late
        ) AS broken
        CROSS JOIN LATERAL (
            SELECT
                sum(
                    extract(EPOCH FROM coalesce(pause.to_at, now()) - greatest(pause.from_at, span.from_at))
                )::double precision AS seconds
            FROM ledger.pause
            WHERE pause.project_id = project.project_id
                AND coalesce(pause.to_at, now()) > span.from_at
        ) AS paused
        CROSS JOIN LATERAL (
            SELECT
                extract(EPOCH FROM now() - span.from_at)::double precision - coalesce(paused.seconds, 0) AS seconds
        ) AS promised
        WHERE project.max_age_s IS NOT NULL
    ) AS window_share
) AS kept;

COMMENT ON VIEW analytics.freshness IS 'One project: how old its numbers are, beside what is promised.';
COMMENT ON COLUMN analytics.freshness.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.freshness.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.freshness.last_observed_at IS 'Last trusted observation; NULL: there was none yet.';
COMMENT ON COLUMN analytics.freshness.age_s IS 'Seconds since then; NULL: there was none yet.';
COMMENT ON COLUMN analytics.freshness.max_age_s IS 'The promise: the age in seconds that it should never exceed; NULL: nothing is promised.';
COMMENT ON COLUMN analytics.freshness.is_kept IS 'Whether the promise is kept now; NULL: nothing is promised, or the project is paused.';
COMMENT ON COLUMN analytics.freshness.kept_1d IS 'Share of the last day (0 to 1) in which it was kept, as promised at the time; NULL: nothing is promised, or the project was paused all the time.';
COMMENT ON COLUMN analytics.freshness.kept_7d IS 'The same for the last 7 days; NULL as for kept_1d.';
COMMENT ON COLUMN analytics.freshness.kept_30d IS 'The same for the last 30 days; NULL as for kept_1d.';
COMMENT ON COLUMN analytics.freshness.jobs_observed_at IS 'Last trusted reading of the annotation jobs, which have their own: one that fails leaves the batches trusted; NULL: there was none yet.';
COMMENT ON COLUMN analytics.freshness.jobs_age_s IS 'Seconds since then; NULL: there was none yet.';
COMMENT ON COLUMN analytics.freshness.jobs_verdict IS 'How the last reading of the jobs ended: changed, unchanged (both trusted), suspect, failed; NULL: they are not to be read, by the settings or for want of any.';
COMMENT ON COLUMN analytics.freshness.jobs_error IS 'What went wrong with it, or the rule that made it suspect; NULL: nothing.';
COMMENT ON COLUMN analytics.freshness.is_jobs_kept IS 'Whether the promise is kept now of what is told of jobs; NULL as for is_kept, or the jobs are not to be read.';
