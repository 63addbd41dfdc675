-- Find the latest run of a daemon, on any host. Grain: at most one run.
-- It serves its tick if it did its work or is still at it; one that was stopped, or died, left the rest undone.
SELECT
    started_at,
    CASE
        WHEN outcome IS NULL THEN leased_until > clock_timestamp()
        ELSE outcome <> 'stopped'
    END AS is_served
FROM ledger.run
WHERE trigger = 'schedule'
ORDER BY run_id DESC
LIMIT 1
