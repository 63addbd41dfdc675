-- Say where an observation came from. Grain: one observation. Takes no lock.
SELECT
    observation.observation_id,
    observation.run_id,
    run.version,
    observation.observed_at,
    encode(observation.digest, 'hex') AS digest
FROM ledger.observation
INNER JOIN ledger.run
    ON run.run_id = observation.run_id
WHERE observation.observation_id = %(observation_id)s
