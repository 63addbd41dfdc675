-- Find the latest run of a daemon, on any host. Grain: at most one run.
-- One that was stopped, or died, left the rest undone; of one that is still at it nobody knows yet.
SELECT
    started_at,
    CASE
        WHEN outcome IS NOT NULL THEN outcome <> 'stopped'
        WHEN leased_until <= clock_timestamp() THEN FALSE
    END AS is_served
FROM ledger.run
WHERE trigger = 'schedule'
ORDER BY run_id DESC
LIMIT 1
