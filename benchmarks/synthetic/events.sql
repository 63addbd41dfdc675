-- What happens to batches and jobs of one share in the days of one slice. Grain: one batch and step of its life.
CREATE TEMPORARY TABLE event AS
WITH lived AS (
    SELECT
        plan.project_id,
        plan.batch_id,
        plan.name,
        plan.uploaded_at,
        plan.part,
        plan.total,
        age.age,
        plan.step_from + age.age * plan.stride AS step,
        age.age > %(growths)s AS has_jobs,
        (age.age - %(growths)s - 1) / (%(parts)s + 2) AS job,
        (age.age - %(growths)s - 1) %% (%(parts)s + 2) AS progress,
        plan.step_from + plan.stride
            * (age.age - (age.age - %(growths)s - 1) %% (%(parts)s + 2)) AS job_step
    FROM plan
    CROSS JOIN LATERAL generate_series(
        greatest(0, (%(step_from)s - plan.step_from + plan.stride - 1) / plan.stride),
        least(plan.last_age, (%(step_to)s - 1 - plan.step_from) / plan.stride)
    ) AS age (age)
    WHERE plan.project_id %% %(shares)s = %(share)s
        AND plan.step_from < %(step_to)s
        AND plan.step_from + plan.last_age * plan.stride >= %(step_from)s
),
told AS (
    SELECT
        lived.*,
        step.day,
        step.slot,
        NOT lived.has_jobs OR lived.progress = 0 AS is_of_batch,
        lived.has_jobs AND lived.job < %(jobs)s AS is_of_job,
        lived.has_jobs AND lived.job = %(jobs)s AS is_left,
        lived.total * (lived.job + 1) / %(jobs)s - lived.total * lived.job / %(jobs)s AS share,
        least(lived.progress, %(parts)s) AS done
    FROM lived
    INNER JOIN step
        ON step.step = lived.step
)
SELECT
    told.project_id,
    told.batch_id,
    told.name,
    told.uploaded_at,
    told.day,
    told.slot,
    told.slot * %(projects)s::bigint + told.project_id AS observation_id,
    read_at(told.slot, told.project_id) AS observed_at,
    read_at(told.slot - 1, told.project_id) AS changed_after,
    told.is_of_batch,
    CASE WHEN told.age = 0 THEN 'entered' WHEN told.is_left THEN 'left' ELSE 'changed' END AS kind,
    CASE
        WHEN told.age < %(growths)s THEN (told.age + 1) * told.part
        WHEN NOT told.has_jobs THEN told.total
        WHEN told.is_left THEN 0
        ELSE told.total - told.total * (told.job + 1) / %(jobs)s
    END AS images,
    CASE
        WHEN NOT told.is_of_batch OR told.is_left THEN 0
        WHEN told.age < %(growths)s THEN told.part
        WHEN NOT told.has_jobs THEN told.total - %(growths)s * told.part
        ELSE -told.share
    END AS images_delta,
    CASE WHEN told.has_jobs AND NOT told.is_left THEN told.job + 1 ELSE 0 END AS num_jobs,
    CASE
        WHEN told.is_left THEN -%(jobs)s
        WHEN told.has_jobs AND told.is_of_batch THEN 1
        ELSE 0
    END AS num_jobs_delta,
    told.is_of_job,
    CASE WHEN told.is_of_job THEN told.job END AS job,
    CASE WHEN told.is_of_job THEN told.progress END AS progress,
    CASE WHEN told.is_of_job THEN read_at(begun.slot, told.project_id) - INTERVAL '10 minutes' END
        AS created_at,
    CASE WHEN told.is_of_job THEN told.share END AS job_images,
    CASE WHEN NOT told.is_of_job THEN 0 WHEN told.progress = 0 THEN told.share ELSE 0 END
        AS job_images_delta,
    CASE WHEN told.is_of_job THEN told.share * told.done / %(parts)s END AS annotated,
    CASE
        WHEN NOT told.is_of_job OR told.progress NOT BETWEEN 1 AND %(parts)s THEN 0
        ELSE told.share * told.done / %(parts)s - told.share * (told.done - 1) / %(parts)s
    END AS annotated_delta,
    CASE WHEN told.is_of_job AND told.progress > %(parts)s THEN told.share - told.share / 20 ELSE 0 END
        AS approved,
    CASE WHEN told.is_of_job AND told.progress > %(parts)s THEN told.share / 20 ELSE 0 END AS rejected
FROM told
LEFT JOIN step AS begun
    ON begun.step = told.job_step
    AND told.is_of_job;

-- Grain: one reading that found something.
CREATE TEMPORARY TABLE tally AS
SELECT
    event.project_id,
    event.day,
    event.slot,
    count(*) FILTER (WHERE event.is_of_batch)::integer AS batch_changes,
    count(*) FILTER (WHERE event.is_of_batch AND event.kind = 'entered')::integer AS batches_entered,
    count(*) FILTER (WHERE event.is_of_batch AND event.kind = 'changed')::integer AS batches_changed,
    count(*) FILTER (WHERE event.is_of_batch AND event.kind = 'left')::integer AS batches_left,
    sum(event.images_delta) AS images_delta,
    sum(event.num_jobs_delta) AS num_jobs_delta,
    coalesce(sum(event.images_delta) FILTER (WHERE event.images_delta > 0), 0)::integer AS gained,
    coalesce(-sum(event.images_delta) FILTER (WHERE event.images_delta < 0 AND event.num_jobs_delta > 0), 0)::integer
        AS assigned,
    coalesce(-sum(event.images_delta) FILTER (WHERE event.images_delta < 0 AND event.num_jobs_delta = 0), 0)::integer
        AS lost,
    count(*) FILTER (WHERE event.is_of_job)::integer AS jobs_changes,
    count(*) FILTER (WHERE event.progress = 0)::integer AS jobs_entered,
    sum(event.job_images_delta)::integer AS job_images_delta,
    sum(event.annotated_delta)::integer AS annotated_delta,
    sum(event.approved)::integer AS approved_delta,
    sum(event.rejected)::integer AS rejected_delta
FROM event
GROUP BY
    event.project_id,
    event.day,
    event.slot;

ANALYZE tally;
