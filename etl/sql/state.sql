-- What the ledger holds of some projects, stalest first. Grain: one row a project. Takes no lock.
SELECT
    project.project_id,
    project.workspace,
    project.project,
    project.batches,
    project.images,
    project.num_jobs,
    project.digest,
    project.etag,
    trusted.observed_at,
    latest.observed_at,
    project.loss_suspected_since,
    project.is_tracked,
    project.jobs,
    project.jobs_digest,
    project.jobs_etag,
    jobs_trusted.jobs_at,
    project.jobs_loss_suspected_since
FROM ledger.project
LEFT JOIN LATERAL (
    SELECT observation.observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.verdict IN ('changed', 'unchanged')
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS trusted ON TRUE
LEFT JOIN LATERAL (
    -- The jobs are read after the batches.
    SELECT greatest(observation.observed_at, observation.jobs_at) AS observed_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        -- Of a skipped one only the host that skipped it knows the time, and nothing was read.
        AND observation.verdict <> 'skipped'
    ORDER BY observation.observed_at DESC
    LIMIT 1
) AS latest ON TRUE
LEFT JOIN LATERAL (
    SELECT observation.jobs_at
    FROM ledger.observation
    WHERE observation.project_id = project.project_id
        AND observation.jobs_verdict IN ('changed', 'unchanged')
        AND project.jobs_since IS NOT NULL
    ORDER BY observation.jobs_at DESC
    LIMIT 1
) AS jobs_trusted ON TRUE
WHERE project.project_id = ANY(%(project_ids)s::integer[])
ORDER BY
    trusted.observed_at ASC NULLS FIRST,
    project.project_id ASC
