-- The observations of a project in their order, but for skipped ones, which read nothing. Grain: one observation.
-- Takes no lock.
SELECT
    observation.observation_id,
    observation.run_id,
    observation.verdict,
    observation.started_at,
    observation.observed_at,
    observation.http_status,
    observation.requests,
    observation.fetch_ms,
    observation.digest,
    observation.surroundings,
    observation.jobs_verdict,
    observation.jobs_at,
    observation.jobs_http_status,
    observation.jobs_digest,
    observation.jobs_surroundings,
    observation.jobs_changes IS NOT NULL AS is_jobs_applied,
    run.guard,
    observation.parse_ms IS NOT NULL OR observation.verdict IN ('changed', 'suspect') AS is_applied
FROM ledger.observation
INNER JOIN ledger.run
    ON run.run_id = observation.run_id
WHERE observation.project_id = %(project_id)s
    AND observation.observation_id > %(after)s
    AND observation.verdict <> 'skipped'
ORDER BY observation.observation_id
