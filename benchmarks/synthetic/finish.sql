-- The totals of the projects, and the numbers that the next rows get.
UPDATE ledger.project SET
    batches = total.batches,
    images = total.images,
    num_jobs = total.num_jobs,
    jobs = total.jobs,
    job_images = total.job_images,
    annotated = total.annotated,
    approved = total.approved,
    rejected = total.rejected
FROM total
WHERE total.project_id = project.project_id;

SELECT setval(pg_get_serial_sequence('ledger.project', 'project_id'), (SELECT max(project_id) FROM ledger.project));

SELECT setval(pg_get_serial_sequence('ledger.run', 'run_id'), (SELECT max(run_id) FROM ledger.run));

SELECT setval(
    pg_get_serial_sequence('ledger.observation', 'observation_id'),
    (SELECT max(observation_id) FROM ledger.observation)
);
