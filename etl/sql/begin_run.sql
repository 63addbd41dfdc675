-- Open a run, with its lease. Grain: one run.
INSERT INTO ledger.run (
    trigger,
    started_at,
    leased_until,
    host,
    version,
    is_whole,
    guard
)
VALUES (
    %(trigger)s,
    %(started_at)s,
    clock_timestamp() + make_interval(secs => %(lease_s)s),
    %(host)s,
    %(version)s,
    %(is_whole)s,
    %(guard)s::jsonb
)
RETURNING run_id
