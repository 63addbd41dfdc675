-- The batches and the jobs as they stand at the end.
INSERT INTO ledger.batch (
    project_id, batch_id, name, images, num_jobs, uploaded_at, first_seen_at, changed_at,
    missing_since, present_at, gone_at
)
WITH aged AS (
    SELECT
        plan.*,
        plan.last_age - %(growths)s - 1 AS age_of_jobs,
        (plan.last_age - %(growths)s - 1) / (%(parts)s + 2) AS job
    FROM plan
),
stood AS (
    SELECT
        aged.project_id,
        aged.batch_id,
        aged.name,
        aged.uploaded_at,
        aged.step_from,
        CASE
            WHEN aged.age_of_jobs < 0 AND aged.last_age < %(growths)s THEN (aged.last_age + 1) * aged.part
            WHEN aged.age_of_jobs < 0 THEN aged.total
            WHEN aged.job < %(jobs)s THEN aged.total - aged.total * (aged.job + 1) / %(jobs)s
            ELSE 0
        END AS images,
        CASE
            WHEN aged.age_of_jobs < 0 OR aged.job = %(jobs)s THEN 0
            ELSE aged.job + 1
        END AS num_jobs,
        aged.step_from + aged.stride * CASE
            WHEN aged.age_of_jobs < 0 THEN aged.last_age
            ELSE %(growths)s + 1 + aged.job * (%(parts)s + 2)
        END AS last_step,
        aged.age_of_jobs >= 0 AND aged.job = %(jobs)s AS is_gone
    FROM aged
)
SELECT
    stood.project_id,
    stood.batch_id,
    stood.name,
    stood.images,
    stood.num_jobs,
    stood.uploaded_at,
    read_at(first.slot, stood.project_id),
    read_at(last.slot, stood.project_id),
    CASE WHEN stood.is_gone THEN read_at(last.slot, stood.project_id) END,
    CASE WHEN stood.is_gone THEN read_at(last.slot - 1, stood.project_id) END,
    CASE WHEN stood.is_gone THEN read_at(last.slot, stood.project_id) END
FROM stood
INNER JOIN step AS first
    ON first.step = stood.step_from
INNER JOIN step AS last
    ON last.step = stood.last_step
ORDER BY
    first.slot,
    stood.project_id;

INSERT INTO ledger.job (
    project_id, job_id, name, status, batch_id, images, annotated, unannotated, approved, rejected,
    created_at, first_seen_at, changed_at
)
WITH begun AS (
    SELECT
        plan.project_id,
        plan.batch_id,
        job.job,
        plan.total * (job.job + 1) / %(jobs)s - plan.total * job.job / %(jobs)s AS images,
        plan.step_from + plan.stride * (%(growths)s + 1 + job.job * (%(parts)s + 2)) AS first_step,
        plan.stride,
        least(plan.last_age - %(growths)s - 1 - job.job * (%(parts)s + 2), %(parts)s + 1) AS age
    FROM plan
    CROSS JOIN generate_series(0, %(jobs)s - 1) AS job (job)
    WHERE plan.last_age >= %(growths)s + 1 + job.job * (%(parts)s + 2)
)
SELECT
    begun.project_id,
    substr(md5(begun.batch_id || begun.job), 1, 20),
    format('Job %%s', begun.job + 1),
    CASE WHEN begun.age = 0 THEN 'assigned' WHEN begun.age <= %(parts)s THEN 'annotating' ELSE 'complete' END,
    begun.batch_id,
    begun.images,
    begun.images * least(begun.age, %(parts)s) / %(parts)s,
    begun.images - begun.images * least(begun.age, %(parts)s) / %(parts)s,
    CASE WHEN begun.age > %(parts)s THEN begun.images - begun.images / 20 ELSE 0 END,
    CASE WHEN begun.age > %(parts)s THEN begun.images / 20 ELSE 0 END,
    read_at(first.slot, begun.project_id) - INTERVAL '10 minutes',
    read_at(first.slot, begun.project_id) + INTERVAL '1 second',
    read_at(last.slot, begun.project_id) + INTERVAL '1 second'
FROM begun
INNER JOIN step AS first
    ON first.step = begun.first_step
INNER JOIN step AS last
    ON last.step = begun.first_step + begun.stride * begun.age
ORDER BY
    first.slot,
    begun.project_id;
