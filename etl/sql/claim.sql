-- Claim every wanted project that no living run holds.
-- Grain: one claim a project. Locks the claims that may be taken, in order, so that two runs cannot deadlock.
-- A run lives until it ends or its lease lapses; who takes over waits for a write of the old holder to finish.
INSERT INTO ledger.claim AS held (
    project_id,
    run_id
)
SELECT
    wanted.project_id,
    %(run_id)s
FROM unnest(%(project_ids)s::integer[]) AS wanted (project_id)
-- What a living run holds is not even touched: ON CONFLICT would wait for its writes, and then hold up the rest
-- of them, only to find that there is nothing to take.
WHERE NOT EXISTS (
    SELECT FROM ledger.claim
    INNER JOIN ledger.run
        ON run.run_id = claim.run_id
    WHERE claim.project_id = wanted.project_id
        AND run.ended_at IS NULL
        AND run.leased_until > clock_timestamp()
)
ORDER BY wanted.project_id
-- Who came first in the meantime keeps it.
ON CONFLICT (project_id) DO UPDATE SET
    run_id = EXCLUDED.run_id
WHERE NOT EXISTS (
    SELECT FROM ledger.run
    WHERE run.run_id = held.run_id
        AND run.ended_at IS NULL
        AND run.leased_until > clock_timestamp()
)
RETURNING project_id
