-- Give a replay the project as it stood after an observation that showed all that was believed, by its history; or
-- without one as it stood before the first. Grain: one project, each of its batches and jobs, each day on which
-- something changed. Writes only the schema of the replay.
WITH
{% for subject in (BATCH, JOB) %}
{% set name, key = subject.name, subject.key %}
{{ name }}_past AS (
    SELECT
        change.{{ key }},
        change.observation_id,
        change.kind,
{% for column in subject.names %}
        change.{{ column }},
{% endfor %}
{% for column in subject.summed %}
        change.{{ column.name }}_delta,
{% endfor %}
        change.observed_at,
        change.changed_after,
        (change.observed_at AT TIME ZONE 'UTC')::date AS day
    FROM ledger.{{ name }}_change AS change
    WHERE change.project_id = %(project_id)s
        AND change.observation_id <= %(base)s
),
-- Of one that is still gone, the history does not tell everything. One that has returned is new in all of it.
{{ name }}_stood AS (
    SELECT DISTINCT ON (past.{{ key }})
        past.{{ key }},
{% for column in subject.names %}
        past.{{ column }},
{% endfor %}
        min(past.observed_at) OVER (PARTITION BY past.{{ key }}) AS first_seen_at,
        past.observed_at AS changed_at,
        CASE WHEN past.kind = 'left' THEN coalesce(gone.missing_since, past.observed_at) END AS missing_since,
        CASE WHEN past.kind = 'left' THEN coalesce(gone.present_at, past.changed_after) END AS present_at,
        CASE WHEN past.kind = 'left' THEN past.observed_at END AS gone_at,
        coalesce(gone.extra, shown.extra::jsonb) AS extra
    FROM {{ name }}_past AS past
    LEFT JOIN ledger.{{ name }} AS gone
        ON past.kind = 'left'
        AND gone.project_id = %(project_id)s
        AND gone.{{ key }} = past.{{ key }}
        AND gone.gone_at = past.observed_at
    LEFT JOIN json_to_recordset(%({{ subject.prefix }}shown)s::json) AS shown (
        {{ key }} text COLLATE "C",
        extra text
    )
        ON past.kind <> 'left'
        AND shown.{{ key }} = past.{{ key }}
    ORDER BY
        past.{{ key }},
        past.observation_id DESC
),
{{ name }}_seeded AS (
    INSERT INTO ledger_replay.{{ name }} (
        project_id,
        {{ key }},
{% for column in subject.names %}
        {{ column }},
{% endfor %}
        first_seen_at,
        changed_at,
        missing_since,
        present_at,
        gone_at,
        extra
    )
    SELECT
        %(project_id)s,
        stood.{{ key }},
{% for column in subject.names %}
        stood.{{ column }},
{% endfor %}
        stood.first_seen_at,
        stood.changed_at,
        stood.missing_since,
        stood.present_at,
        stood.gone_at,
        stood.extra
    FROM {{ name }}_stood AS stood
),
{% endfor %}
seen AS (
    SELECT
        (observation.observed_at AT TIME ZONE 'UTC')::date AS day,
        (observation.jobs_at AT TIME ZONE 'UTC')::date AS jobs_day,
        observation.intake,
        observation.moved,
        observation.assigned,
        observation.unassigned,
        observation.removed,
        observation.annotated_work,
        observation.approved_work,
        observation.rejected_work
    FROM ledger.observation
    WHERE observation.project_id = %(project_id)s
        AND observation.observation_id <= %(base)s
        AND (observation.batches_changed + observation.batches_entered + observation.batches_left
            + observation.batches_returned > 0 OR observation.jobs_changes > 0)
),
-- Grain: one day on which something changed.
changed AS (
    SELECT
        day,
        count(*) FILTER (WHERE kind IN ('entered', 'returned')) AS entered,
        count(*) FILTER (WHERE kind = 'left') AS departed,
        sum(images_delta) AS images_delta,
        sum(num_jobs_delta) AS num_jobs_delta
    FROM batch_past
    GROUP BY day
),
jobs_changed AS (
    SELECT
        day,
        count(*) FILTER (WHERE kind IN ('entered', 'returned')) - count(*) FILTER (WHERE kind = 'left') AS jobs_delta,
        sum(images_delta) AS job_images_delta,
        sum(annotated_delta) AS annotated_delta,
        sum(approved_delta) AS approved_delta,
        sum(rejected_delta) AS rejected_delta
    FROM job_past
    GROUP BY day
),
flowed AS (
    SELECT
        day,
        sum(intake) AS intake,
        sum(moved) AS moved,
        sum(assigned) AS assigned,
        sum(unassigned) AS unassigned,
        sum(removed) AS removed
    FROM seen
    GROUP BY day
),
worked AS (
    SELECT
        jobs_day AS day,
        sum(annotated_work) AS annotated_work,
        sum(approved_work) AS approved_work,
        sum(rejected_work) AS rejected_work
    FROM seen
    WHERE jobs_day IS NOT NULL
    GROUP BY jobs_day
),
days AS (
    SELECT
        day,
        coalesce(changed.entered, 0) AS entered,
        coalesce(changed.departed, 0) AS departed,
        coalesce(changed.images_delta, 0) AS images_delta,
        coalesce(changed.num_jobs_delta, 0) AS num_jobs_delta,
        coalesce(jobs_changed.jobs_delta, 0) AS jobs_delta,
        coalesce(jobs_changed.job_images_delta, 0) AS job_images_delta,
        coalesce(jobs_changed.annotated_delta, 0) AS annotated_delta,
        coalesce(jobs_changed.approved_delta, 0) AS approved_delta,
        coalesce(jobs_changed.rejected_delta, 0) AS rejected_delta,
        coalesce(flowed.intake, 0) AS intake,
        coalesce(flowed.moved, 0) AS moved,
        coalesce(flowed.assigned, 0) AS assigned,
        coalesce(flowed.unassigned, 0) AS unassigned,
        coalesce(flowed.removed, 0) AS removed,
        coalesce(worked.annotated_work, 0) AS annotated_work,
        coalesce(worked.approved_work, 0) AS approved_work,
        coalesce(worked.rejected_work, 0) AS rejected_work
    FROM changed
    FULL JOIN jobs_changed USING (day)
    LEFT JOIN flowed USING (day)
    LEFT JOIN worked USING (day)
),
-- When the jobs were first read, if that was by then.
begun AS (
    SELECT project.jobs_since
    FROM ledger.project
    INNER JOIN ledger.observation
        ON observation.observation_id = %(base)s
    WHERE project.project_id = %(project_id)s
        AND observation.jobs IS NOT NULL
),
project_days AS (
    INSERT INTO ledger_replay.project_day (
        project_id,
        day,
        batches,
        images,
        num_jobs,
        images_delta,
        num_jobs_delta,
        batches_entered,
        batches_left,
        jobs,
        job_images,
        annotated,
        approved,
        rejected,
        job_images_delta,
        annotated_delta,
        approved_delta,
        rejected_delta,
        intake,
        moved,
        assigned,
        unassigned,
        removed,
        annotated_work,
        approved_work,
        rejected_work
    )
    SELECT
        %(project_id)s,
        days.day,
        sum(days.entered - days.departed) OVER until_then,
        sum(days.images_delta) OVER until_then,
        sum(days.num_jobs_delta) OVER until_then,
        days.images_delta,
        days.num_jobs_delta,
        days.entered,
        days.departed,
        known.jobs + sum(days.jobs_delta) OVER until_then,
        known.jobs + sum(days.job_images_delta) OVER until_then,
        known.jobs + sum(days.annotated_delta) OVER until_then,
        known.jobs + sum(days.approved_delta) OVER until_then,
        known.jobs + sum(days.rejected_delta) OVER until_then,
        days.job_images_delta,
        days.annotated_delta,
        days.approved_delta,
        days.rejected_delta,
        days.intake,
        days.moved,
        days.assigned,
        days.unassigned,
        days.removed,
        days.annotated_work,
        days.approved_work,
        days.rejected_work
    FROM days
    LEFT JOIN begun ON TRUE
    -- Zero, or NULL where the jobs had never been read.
    CROSS JOIN LATERAL (
        SELECT CASE WHEN (begun.jobs_since AT TIME ZONE 'UTC')::date <= days.day THEN 0 END AS jobs
    ) AS known
    WINDOW until_then AS (ORDER BY days.day)
)
INSERT INTO ledger_replay.project (
    project_id,
    workspace,
    project,
    is_tracked,
    first_seen_at,
    batches,
    images,
    num_jobs,
    digest,
    is_settled,
    jobs_since,
    jobs,
    job_images,
    annotated,
    approved,
    rejected,
    jobs_digest,
    jobs_settled
)
OVERRIDING SYSTEM VALUE
SELECT
    project.project_id,
    project.workspace,
    project.project,
    project.is_tracked,
    project.first_seen_at,
    batches.count,
    batches.images,
    batches.num_jobs,
    %(digest)s::bytea,
    CASE WHEN %(base)s::bigint IS NOT NULL THEN TRUE END,
    begun.jobs_since,
    jobs.count,
    jobs.images,
    jobs.annotated,
    jobs.approved,
    jobs.rejected,
    %(jobs_digest)s::bytea,
    CASE WHEN begun.jobs_since IS NOT NULL THEN TRUE END
FROM ledger.project
LEFT JOIN begun
    ON TRUE
CROSS JOIN (
    SELECT
        count(*) FILTER (WHERE gone_at IS NULL) AS count,
        coalesce(sum(images), 0) AS images,
        coalesce(sum(num_jobs), 0) AS num_jobs
    FROM batch_stood
) AS batches
CROSS JOIN (
    SELECT
        count(*) FILTER (WHERE gone_at IS NULL) AS count,
        coalesce(sum(images), 0) AS images,
        coalesce(sum(annotated), 0) AS annotated,
        coalesce(sum(approved), 0) AS approved,
        coalesce(sum(rejected), 0) AS rejected
    FROM job_stood
) AS jobs
WHERE project.project_id = %(project_id)s
