CREATE VIEW analytics.gap AS
WITH
-- Attempts that gave nothing to trust, gathered by the trusted observation before them.
failed AS (
    SELECT
        observation.project_id,
        observation.previous_at AS from_at,
        max(observation.observed_at) AS last_attempt_at,
        (array_agg(
            observation.verdict || ': ' || coalesce(observation.error_class, observation.rule)
            ORDER BY observation.observed_at
        ))[1] AS reason
    FROM ledger.observation
    WHERE observation.verdict IN ('failed', 'suspect')
    GROUP BY
        observation.project_id,
        observation.previous_at
),
-- Scheduled times at which no run started, for every project that existed then and is still followed.
unscheduled AS (
    SELECT
        project.project_id,
        before.observed_at AS from_at,
        max(tick.scheduled_at) AS last_attempt_at,
        (array_agg('no run: ' || tick.reason ORDER BY tick.scheduled_at))[1] AS reason
    FROM ledger.tick
    INNER JOIN ledger.project
        ON project.is_tracked
        AND project.first_seen_at < tick.scheduled_at
    LEFT JOIN LATERAL (
        SELECT observation.observed_at
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.verdict IN ('changed', 'unchanged')
            AND observation.observed_at <= tick.scheduled_at
        ORDER BY observation.observed_at DESC
        LIMIT 1
    ) AS before ON TRUE
    GROUP BY
        project.project_id,
        before.observed_at
),
-- One stretch may have several causes: the one that lasted longest names it.
untrusted AS (
    SELECT DISTINCT ON (project_id, from_at)
        project_id,
        from_at,
        last_attempt_at,
        reason
    FROM (
        SELECT
            project_id,
            from_at,
            last_attempt_at,
            reason
        FROM failed
        UNION ALL
        SELECT
            project_id,
            from_at,
            last_attempt_at,
            reason
        FROM unscheduled
    ) AS cause
    ORDER BY
        project_id,
        from_at,
        last_attempt_at DESC
)
SELECT
    project.workspace,
    project.project,
    coalesce(untrusted.from_at, project.first_seen_at) AS from_at,
    after.observed_at AS to_at,
    untrusted.reason
FROM untrusted
INNER JOIN ledger.project
    ON project.project_id = untrusted.project_id
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = untrusted.project_id
        AND observation.verdict IN ('changed', 'unchanged')
        AND observation.observed_at > coalesce(untrusted.from_at, '-infinity')
    ORDER BY observation.observed_at ASC
    LIMIT 1
) AS after ON TRUE;

COMMENT ON VIEW analytics.gap IS 'One stretch for which a project was due and no trusted observation exists.';
COMMENT ON COLUMN analytics.gap.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.gap.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.gap.from_at IS 'The last trusted observation before it, or when the project was first known.';
COMMENT ON COLUMN analytics.gap.to_at IS 'The first trusted observation after it; NULL: it is still open.';
COMMENT ON COLUMN analytics.gap.reason IS 'What the first attempt in it ended with (failed or suspect, and why), or why no run was started.';
