-- The readings of one share and slice, with the totals after each. Grain: one observation as it is kept.
CREATE TEMPORARY TABLE reading AS
WITH day_of_project AS (
    SELECT
        total.project_id,
        day.day,
        day.day <= %(days)s - 35 AS is_old,
        early.project_id IS NOT NULL AS is_early,
        late.project_id IS NOT NULL AS is_late,
        draw(total.project_id, day.day, 6, 100) = 0 AS has_failed,
        day.day = %(outage_to)s + 1 AS is_after
    FROM total
    CROSS JOIN generate_series(%(day_from)s, %(day_to)s - 1) AS day (day)
    LEFT JOIN tally AS early
        ON early.project_id = total.project_id
        AND early.slot = day.day * 24 + 10
    LEFT JOIN tally AS late
        ON late.project_id = total.project_id
        AND late.slot = day.day * 24 + 16
    WHERE total.project_id %% %(shares)s = %(share)s
        AND day.day NOT BETWEEN %(outage_from)s AND %(outage_to)s
),
taken AS (
    SELECT
        day_of_project.project_id,
        day_of_project.day,
        pattern.kind,
        day_of_project.day * 24 + pattern.hour_from AS slot_from,
        day_of_project.day * 24 + pattern.hour_to AS slot,
        CASE
            WHEN pattern.hour_before < 0 AND day_of_project.is_after THEN %(outage_from)s * 24 - 1
            ELSE nullif(day_of_project.day * 24 + pattern.hour_before, -1)
        END AS slot_before,
        day_of_project.is_after AND pattern.hour_from = 0 AS is_after
    FROM day_of_project
    INNER JOIN pattern
        ON pattern.is_old = day_of_project.is_old
        AND pattern.is_early = day_of_project.is_early
        AND pattern.is_late = day_of_project.is_late
        AND pattern.has_failed = day_of_project.has_failed
        AND pattern.is_after = day_of_project.is_after
    WHERE day_of_project.day * 24 + pattern.hour_to < %(slots)s
)
SELECT
    taken.project_id,
    taken.day,
    taken.kind,
    taken.slot_from,
    taken.slot,
    taken.slot_before,
    taken.is_after,
    coalesce(tally.batch_changes, 0) AS batch_changes,
    coalesce(tally.batches_entered, 0) AS batches_entered,
    coalesce(tally.batches_changed, 0) AS batches_changed,
    coalesce(tally.batches_left, 0) AS batches_left,
    coalesce(tally.images_delta, 0) AS images_delta,
    coalesce(tally.num_jobs_delta, 0) AS num_jobs_delta,
    tally.gained,
    tally.assigned,
    tally.lost,
    coalesce(tally.jobs_changes, 0) AS jobs_changes,
    coalesce(tally.job_images_delta, 0) AS job_images_delta,
    coalesce(tally.annotated_delta, 0) AS annotated_delta,
    coalesce(tally.approved_delta, 0) AS approved_delta,
    coalesce(tally.rejected_delta, 0) AS rejected_delta,
    total.batches + coalesce(sum(tally.batches_entered - tally.batches_left) OVER until, 0) AS batches,
    total.images + coalesce(sum(tally.images_delta) OVER until, 0) AS images,
    total.num_jobs + coalesce(sum(tally.num_jobs_delta) OVER until, 0) AS num_jobs,
    total.jobs + coalesce(sum(tally.jobs_entered) OVER until, 0) AS jobs,
    total.job_images + coalesce(sum(tally.job_images_delta) OVER until, 0) AS job_images,
    total.annotated + coalesce(sum(tally.annotated_delta) OVER until, 0) AS annotated,
    total.approved + coalesce(sum(tally.approved_delta) OVER until, 0) AS approved,
    total.rejected + coalesce(sum(tally.rejected_delta) OVER until, 0) AS rejected
FROM taken
INNER JOIN total
    ON total.project_id = taken.project_id
LEFT JOIN tally
    ON tally.project_id = taken.project_id
    AND tally.slot = taken.slot
WINDOW until AS (PARTITION BY taken.project_id ORDER BY taken.slot);
