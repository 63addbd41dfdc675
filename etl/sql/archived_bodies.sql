-- What an observation received: the lists, and what came of its look-ups. Grain: one answer. Takes no lock.
SELECT
    received.subject,
    received.record_id,
    received.outcome,
    received.digest,
    payload.body
FROM (
    SELECT
        'batch' AS subject,
        NULL::text AS record_id,
        'listed' AS outcome,
        %(digest)s::bytea AS digest
    UNION ALL
    SELECT
        'job',
        NULL,
        'listed',
        %(jobs_digest)s::bytea
    UNION ALL
    SELECT
        look_up.subject,
        look_up.record_id,
        look_up.outcome,
        look_up.digest
    FROM ledger.look_up
    WHERE look_up.observation_id = %(observation_id)s
) AS received
LEFT JOIN ledger.payload
    ON payload.digest = received.digest
WHERE received.digest IS NOT NULL
    OR received.outcome <> 'listed'
ORDER BY
    received.subject,
    received.record_id NULLS FIRST
