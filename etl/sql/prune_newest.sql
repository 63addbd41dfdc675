-- The newest observation of each project. Grain: one project that has one. Takes no lock.
-- What its next reading writes is later, whatever the clocks; only of a skipped one that is not sure.
SELECT
    project.project_id,
    newest.observed_at
FROM ledger.project
CROSS JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict <> 'skipped'
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS newest
