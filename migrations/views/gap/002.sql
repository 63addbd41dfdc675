CREATE OR REPLACE VIEW analytics.gap AS
-- Those that have ended are facts of the observation that ended them.
SELECT
    project.workspace,
    project.project,
    coalesce(observation.previous_at, project.first_seen_at) AS from_at,
    observation.observed_at AS to_at,
    array_to_string(observation.gap_reasons, ', ') AS reason,
    observation.gap_reasons AS reasons,
    observation.late_s IS NOT NULL AS is_promise_broken
FROM ledger.observation
INNER JOIN ledger.project
    ON project.project_id = observation.project_id
WHERE observation.gap_reasons IS NOT NULL
UNION ALL
-- Of those that are open, it depends on the time of asking.
SELECT
    project.workspace,
    project.project,
    coalesce(trusted.observed_at, project.first_seen_at),
    NULL,
    array_to_string(judged.gap_reasons, ', '),
    judged.gap_reasons,
    judged.late_s IS NOT NULL
FROM ledger.project
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE
CROSS JOIN LATERAL ledger.stretch(project.project_id, trusted.observed_at, now()) AS judged
WHERE judged.gap_reasons IS NOT NULL;

COMMENT ON VIEW analytics.gap IS 'One stretch of time between two trusted observations in which one was due.';
COMMENT ON COLUMN analytics.gap.workspace IS 'Slug of the workspace at Roboflow.';
COMMENT ON COLUMN analytics.gap.project IS 'Slug of the project at Roboflow, without the workspace.';
COMMENT ON COLUMN analytics.gap.from_at IS 'The trusted observation before it; the moment at which the project became known if there is none.';
COMMENT ON COLUMN analytics.gap.to_at IS 'The trusted observation that ended it; NULL: it is still open.';
COMMENT ON COLUMN analytics.gap.reason IS 'The reasons as one text, with commas between them.';
COMMENT ON COLUMN analytics.gap.reasons IS 'Why, each reason once, by time: failed and the kind of error, suspect and the rule, skipped: stopped, run died, daemon not running, missed or coalesced by the scheduler, overlap, project paused; no run: nothing is known but that it lasted longer than promised.';
COMMENT ON COLUMN analytics.gap.is_promise_broken IS 'Whether it lasted longer than was promised when it ended, or, while it is open, than is promised now.';
