{# Goes on from the deltas of `apply`. #}
{% if BATCH in examined %}
-- The suspect observations since the last trusted one: what they saw is judged anew together with what this one sees,
-- for only now it is known what left. Grain: one observation; nearly always none.
unsettled AS (
    SELECT
        observation.observation_id,
        observation.observed_at,
        observation.jobs_at,
        observation.jobs_previous_at,
        observation.intake,
        observation.moved,
        observation.assigned,
        observation.unassigned,
        observation.removed
    FROM ledger.observation
    WHERE observation.project_id = %(project_id)s
        AND observation.observed_at > %(previous_at)s::timestamptz
        AND observation.verdict = 'suspect'
),
-- How far the jobs of each batch grew and shrank, and how many more there are. The first reading of the jobs is
-- compared with nothing.
job_shift AS (
    SELECT
        batch_id,
        sum(greatest(images_delta, 0)) AS rise,
        sum(greatest(-images_delta, 0)) AS fall,
        count(*) FILTER (WHERE kind IN ('entered', 'returned')) - count(*) FILTER (WHERE kind = 'left') AS jobs_delta
    FROM (
{% if JOB in examined %}
        SELECT
            batch_id,
            kind,
            images_delta
        FROM job_delta
        WHERE %(jobs_previous_at)s::timestamptz IS NOT NULL
        UNION ALL
{% endif %}
        SELECT
            seen.batch_id,
            seen.kind,
            seen.images_delta
        FROM unsettled
        CROSS JOIN LATERAL (
            SELECT
                job_change.batch_id,
                job_change.kind,
                job_change.images_delta
            FROM ledger.job_change
            WHERE job_change.project_id = %(project_id)s
                AND job_change.observation_id = unsettled.observation_id
                AND job_change.observed_at = unsettled.jobs_at
                AND unsettled.jobs_previous_at IS NOT NULL
            -- Keeps the planner to look only where there is such an observation.
            OFFSET 0
        ) AS seen
    ) AS change
    GROUP BY batch_id
),
-- Where the images that each batch lost went to, and where those that it gained came from, as far as its own jobs
-- tell: as many as they took or gave; all, where the list of jobs does not show those that the batch made or lost.
batch_shift AS (
    SELECT
        changed.is_restored,
        changed.gain,
        changed.loss,
        CASE
            WHEN changed.num_jobs_delta > 0 AND changed.num_jobs_delta IS DISTINCT FROM job_shift.jobs_delta
                THEN changed.loss
            ELSE least(changed.loss, coalesce(job_shift.rise, 0))
        END AS assigned,
        CASE
            WHEN changed.num_jobs_delta < 0 AND changed.num_jobs_delta IS DISTINCT FROM job_shift.jobs_delta
                THEN changed.gain
            ELSE least(changed.gain, coalesce(job_shift.fall, 0))
        END AS unassigned
    FROM (
        SELECT
            batch_id,
            bool_or(kind = 'returned') AS is_restored,
            sum(num_jobs_delta) AS num_jobs_delta,
            greatest(sum(images_delta), 0) AS gain,
            greatest(-sum(images_delta), 0) AS loss
        FROM (
            SELECT
                batch_id,
                kind,
                images_delta,
                num_jobs_delta
            FROM batch_delta
            UNION ALL
            SELECT
                seen.batch_id,
                seen.kind,
                seen.images_delta,
                seen.num_jobs_delta
            FROM unsettled
            CROSS JOIN LATERAL (
                SELECT
                    batch_change.batch_id,
                    batch_change.kind,
                    batch_change.images_delta,
                    batch_change.num_jobs_delta
                FROM ledger.batch_change
                WHERE batch_change.project_id = %(project_id)s
                    AND batch_change.observation_id = unsettled.observation_id
                    AND batch_change.observed_at = unsettled.observed_at
                OFFSET 0
            ) AS seen
        ) AS change
        GROUP BY batch_id
        HAVING sum(images_delta) <> 0
    ) AS changed
    LEFT JOIN job_shift
        ON job_shift.batch_id = changed.batch_id
),
-- The same of the project. What else left batches while as much entered others likely moved; what came with a batch
-- that had been gone was removed before. Less what was told of it already. Grain: one row; none if nothing was
-- compared, or with nothing.
flow AS (
    SELECT
        judged.gained - judged.moved - told.intake AS intake,
        judged.moved - told.moved AS moved,
        judged.assigned - told.assigned AS assigned,
        judged.unassigned - told.unassigned AS unassigned,
        judged.lost - judged.moved - judged.restored - told.removed AS removed
    FROM (
        SELECT
            shifted.gained,
            shifted.restored,
            shifted.lost,
            shifted.assigned,
            shifted.unassigned,
            least(shifted.gained, shifted.lost) AS moved
        FROM (
            SELECT
                coalesce(sum(gain - unassigned) FILTER (WHERE NOT is_restored), 0) AS gained,
                coalesce(sum(gain - unassigned) FILTER (WHERE is_restored), 0) AS restored,
                coalesce(sum(loss - assigned), 0) AS lost,
                coalesce(sum(assigned), 0) AS assigned,
                coalesce(sum(unassigned), 0) AS unassigned
            FROM batch_shift
        ) AS shifted
    ) AS judged
    CROSS JOIN (
        SELECT
            coalesce(sum(intake), 0) AS intake,
            coalesce(sum(moved), 0) AS moved,
            coalesce(sum(assigned), 0) AS assigned,
            coalesce(sum(unassigned), 0) AS unassigned,
            coalesce(sum(removed), 0) AS removed
        FROM unsettled
    ) AS told
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
-- How much further the jobs that are there have come; one that is made anew of another of its batch begins where that
-- one ended. Grain: one row; none if nothing was compared, or with nothing.
work AS (
    SELECT
{% if JOB in examined %}
{% for done in ("annotated", "approved", "rejected") %}
        coalesce(sum({{ done }}_done), 0) AS {{ done }}{{ "," if not loop.last }}
{% endfor %}
    FROM (
        SELECT
{% for done in ("annotated", "approved", "rejected") %}
            coalesce(sum({{ done }}_delta) FILTER (WHERE kind = 'changed'), 0)
                + greatest(coalesce(sum({{ done }}_delta) FILTER (WHERE kind IN ('entered', 'left')), 0), 0)
                AS {{ done }}_done{{ "," if not loop.last }}
{% endfor %}
        FROM job_delta
        WHERE kind IS NOT NULL
        GROUP BY batch_id
    ) AS of_batch
    HAVING %(jobs_previous_at)s::timestamptz IS NOT NULL
{% else %}
        0 AS annotated,
        0 AS approved,
        0 AS rejected
    WHERE FALSE
{% endif %}
)
