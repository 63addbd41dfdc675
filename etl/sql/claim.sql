-- Claim every wanted project that no living run holds.
-- Grain: one claim a project. Locks the claims of wanted projects, in order, so that two runs cannot deadlock.
-- A run lives until it ends or its lease lapses; who takes over waits for a write of the old holder to finish.
INSERT INTO ledger.claim AS held (
    project_id,
    run_id
)
SELECT
    wanted.project_id,
    %(run_id)s
FROM unnest(%(project_ids)s::integer[]) AS wanted (project_id)
ORDER BY wanted.project_id
ON CONFLICT (project_id) DO UPDATE SET
    run_id = EXCLUDED.run_id
WHERE NOT EXISTS (
    SELECT FROM ledger.run
    WHERE run.run_id = held.run_id
        AND run.ended_at IS NULL
        AND run.leased_until > clock_timestamp()
)
RETURNING project_id
