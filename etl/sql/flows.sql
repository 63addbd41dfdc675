{# Goes on from the deltas of `apply`. #}
{% if BATCH in examined and JOB in examined %}
-- How far the jobs of each batch grew and shrank. The first reading of the jobs is compared with nothing.
job_shift AS (
    SELECT
        batch_id,
        sum(greatest(images_delta, 0)) AS rise,
        sum(greatest(-images_delta, 0)) AS fall
    FROM job_delta
    WHERE images_delta <> 0
        AND %(jobs_previous_at)s::timestamptz IS NOT NULL
    GROUP BY batch_id
),
{% endif %}
{% if BATCH in examined %}
-- Where the images that each batch lost went to, and where those that it gained came from, as far as its own jobs
-- tell: all of it where it has more jobs, or fewer, than before.
batch_shift AS (
    SELECT
        changed.gain,
        changed.loss,
        CASE WHEN changed.num_jobs_delta > 0 THEN changed.loss ELSE least(changed.loss, changed.rise) END AS assigned,
        CASE WHEN changed.num_jobs_delta < 0 THEN changed.gain ELSE least(changed.gain, changed.fall) END AS unassigned
    FROM (
        SELECT
            delta.num_jobs_delta,
            greatest(delta.images_delta, 0) AS gain,
            greatest(-delta.images_delta, 0) AS loss,
{% if JOB in examined %}
            coalesce(job_shift.rise, 0) AS rise,
            coalesce(job_shift.fall, 0) AS fall
        FROM batch_delta AS delta
        LEFT JOIN job_shift
            ON job_shift.batch_id = delta.batch_id
{% else %}
            0 AS rise,
            0 AS fall
        FROM batch_delta AS delta
{% endif %}
        WHERE delta.images_delta <> 0
    ) AS changed
),
-- The same of the project. What else left batches while as much entered others likely moved. Grain: one row; none
-- if nothing was compared, or with nothing.
flow AS (
    SELECT
        shifted.gained - least(shifted.gained, shifted.lost) AS intake,
        least(shifted.gained, shifted.lost) AS moved,
        shifted.assigned,
        shifted.unassigned,
        shifted.lost - least(shifted.gained, shifted.lost) AS removed
    FROM (
        SELECT
            coalesce(sum(gain - unassigned), 0) AS gained,
            coalesce(sum(loss - assigned), 0) AS lost,
            coalesce(sum(assigned), 0) AS assigned,
            coalesce(sum(unassigned), 0) AS unassigned
        FROM batch_shift
    ) AS shifted
    -- What is compared with nothing came from nowhere.
    WHERE %(previous_at)s::timestamptz IS NOT NULL
),
{% else %}
flow AS (
    SELECT
        0 AS intake,
        0 AS moved,
        0 AS assigned,
        0 AS unassigned,
        0 AS removed
    WHERE FALSE
),
{% endif %}
-- How much further the jobs that are there have come. Grain: one row; none if nothing was compared, or with nothing.
work AS (
    SELECT
{% if JOB in examined %}
{% for done in ("annotated", "approved", "rejected") %}
        coalesce(sum({{ done }}_delta), 0) AS {{ done }}{{ "," if not loop.last }}
{% endfor %}
    FROM job_delta
    WHERE kind IN ('entered', 'changed')
    HAVING %(jobs_previous_at)s::timestamptz IS NOT NULL
{% else %}
        0 AS annotated,
        0 AS approved,
        0 AS rejected
    WHERE FALSE
{% endif %}
)
