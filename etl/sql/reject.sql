-- Keep a record that could not be used. Grain: one record of one observation.
INSERT INTO ledger.reject (
    observation_id,
    position,
    batch_id,
    reason,
    raw
)
VALUES (
    %(observation_id)s,
    %(position)s,
    %(batch_id)s,
    %(reason)s,
    %(raw)s
)
