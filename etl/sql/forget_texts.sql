-- Every text that may have an address in it, of those that jobs and errors told. Grain: one row a distinct text. Takes
-- no lock.
SELECT told.words
FROM (
    SELECT job.name AS words FROM ledger.job
    UNION
    SELECT job.status FROM ledger.job
    UNION
    SELECT job_change.name FROM ledger.job_change
    UNION
    SELECT job_change.status FROM ledger.job_change
    UNION
    SELECT observation.error FROM ledger.observation
    UNION
    SELECT observation.jobs_error FROM ledger.observation
) AS told
WHERE told.words ~ '[@%%&\\]|person-'
