-- Where folding goes on: the day after the last one that has a fold, since days are folded in their order.
-- Grain: one project with days that are not folded yet. Takes no lock.
SELECT
    project.project_id,
    began.from_at
FROM ledger.project
CROSS JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
    ORDER BY observation.observed_at ASC
    LIMIT 1
) AS first
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.span_from IS NOT NULL
        AND observation.observed_at < %(until)s::timestamptz
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS folded ON TRUE
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            date_trunc('day', folded.observed_at, 'UTC') + INTERVAL '24 hours',
            date_trunc('day', first.observed_at, 'UTC')
        ) AS from_at
) AS began
WHERE began.from_at < %(until)s::timestamptz
ORDER BY project.project_id
