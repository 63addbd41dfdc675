-- Note a scheduled time at which no run started. Grain: one tick of one host; noted once.
INSERT INTO ledger.tick (
    scheduled_at,
    reason,
    recorded_at,
    host
)
VALUES (
    %(scheduled_at)s,
    %(reason)s,
    %(recorded_at)s,
    %(host)s
)
ON CONFLICT (host, scheduled_at) DO NOTHING
