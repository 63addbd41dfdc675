-- The history of batches and jobs in one share and slice, in the order in which runs would have written it.
INSERT INTO ledger.batch_change (
    project_id, batch_id, observation_id, kind, name, images, num_jobs, uploaded_at,
    images_delta, num_jobs_delta, observed_at, changed_after
)
SELECT
    event.project_id,
    event.batch_id,
    event.observation_id,
    event.kind,
    event.name,
    event.images,
    event.num_jobs,
    event.uploaded_at,
    event.images_delta,
    event.num_jobs_delta,
    event.observed_at,
    event.changed_after
FROM event
WHERE event.is_of_batch
ORDER BY event.observation_id;

INSERT INTO ledger.job_change (
    project_id, job_id, observation_id, kind, name, status, batch_id, images, annotated, unannotated,
    approved, rejected, created_at, images_delta, annotated_delta, approved_delta, rejected_delta,
    observed_at, changed_after
)
SELECT
    event.project_id,
    substr(md5(event.batch_id || event.job), 1, 20),
    event.observation_id,
    CASE WHEN event.progress = 0 THEN 'entered' ELSE 'changed' END,
    format('Job %%s', event.job + 1),
    CASE
        WHEN event.progress = 0 THEN 'assigned'
        WHEN event.progress <= %(parts)s THEN 'annotating'
        ELSE 'complete'
    END,
    event.batch_id,
    event.job_images,
    event.annotated,
    event.job_images - event.annotated,
    event.approved,
    event.rejected,
    event.created_at,
    event.job_images_delta,
    event.annotated_delta,
    event.approved,
    event.rejected,
    event.observed_at + INTERVAL '1 second',
    event.changed_after + INTERVAL '1 second'
FROM event
WHERE event.is_of_job
ORDER BY event.observation_id;
