-- Push the end of a run's lease. Grain: one run. No claim is touched.
UPDATE ledger.run SET
    leased_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE run_id = %(run_id)s
    AND ended_at IS NULL
