-- What an observation received: the list, and what came of its look-ups. Grain: one answer. Takes no lock.
SELECT
    received.record_id,
    received.outcome,
    received.digest,
    payload.body
FROM (
    SELECT
        NULL::text AS record_id,
        'listed' AS outcome,
        %(digest)s::bytea AS digest
    UNION ALL
    SELECT
        look_up.record_id,
        look_up.outcome,
        look_up.digest
    FROM ledger.look_up
    WHERE look_up.observation_id = %(observation_id)s
) AS received
LEFT JOIN ledger.payload
    ON payload.digest = received.digest
ORDER BY received.record_id NULLS FIRST
