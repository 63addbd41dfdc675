-- Write one observation with all that it changed, of batches, of jobs, or of both: what is not examined is as it was.
-- Grain: one observation; a row of history for each batch or job that moved; only rows that differ are written.
-- Locks the claim, the project's row and the rows that differ. The claim keeps other writers out. Returns no row,
-- and writes nothing, if the project is not ours any more.
WITH
{% for subject in (BATCH, JOB) %}
{% if subject in examined %}
{% include "delta" %}
{% else %}
{% include "unmoved" %}
{% endif %}
,
{% endfor %}
{% include "flows" %}
,
held AS (
    SELECT claim.project_id
    FROM ledger.claim
    WHERE claim.project_id = %(project_id)s
        AND claim.run_id = %(run_id)s
    FOR UPDATE
),
-- The project's totals, moved by it. A digest counts only if nothing is pending: until then the same body again
-- is evidence and must be looked at.
believed AS (
    UPDATE ledger.project SET
{% for subject in examined %}
{% set moved, p, at = subject.name ~ "_moved", subject.prefix, "%(" ~ subject.at ~ ")s::timestamptz" %}
        {{ subject.total }} = project.{{ subject.total }} + {{ moved }}.entered + {{ moved }}.returned - {{ moved }}.departed,
{% for column in subject.summed %}
        {{ column.total }} = project.{{ column.total }} + {{ moved }}.{{ column.name }}_delta,
{% endfor %}
{% if subject.since %}
        {{ subject.since }} = coalesce(project.{{ subject.since }}, {{ at }}),
{% endif %}
        {{ p }}digest = CASE WHEN NOT %({{ p }}is_pending)s THEN %({{ p }}digest)s::bytea END,
        {{ p }}etag = CASE WHEN NOT %({{ p }}is_pending)s THEN %({{ p }}etag)s::text END,
        {{ subject.settled }} = %({{ subject.settled }})s,
        {{ p }}loss_suspected_since = CASE
            WHEN %({{ p }}is_loss)s THEN coalesce(project.{{ p }}loss_suspected_since, {{ at }})
        END{{ "," if not loop.last }}
{% endfor %}
    FROM held
    CROSS JOIN batch_moved
    CROSS JOIN job_moved
    WHERE project.project_id = held.project_id
    RETURNING
        project.batches,
        project.images,
        project.num_jobs,
        project.is_settled,
        project.jobs_since,
        project.jobs,
        project.job_images,
        project.annotated,
        project.approved,
        project.rejected,
        project.jobs_settled
),
observed AS (
    INSERT INTO ledger.observation (
        run_id,
        project_id,
        verdict,
        rule,
        started_at,
        observed_at,
        previous_at,
        http_status,
        requests,
        body_bytes,
        fetch_ms,
        parse_ms,
        store_ms,
        batches,
        images,
        num_jobs,
        batches_entered,
        batches_changed,
        batches_renamed,
        batches_left,
        batches_returned,
        images_delta,
        num_jobs_delta,
        digest,
        surroundings,
        is_settled,
        gap_reasons,
        late_s,
        jobs_verdict,
        jobs_rule,
        jobs_at,
        jobs_previous_at,
        jobs_http_status,
        jobs_body_bytes,
        jobs_digest,
        jobs,
        job_images,
        annotated,
        approved,
        rejected,
        jobs_changes,
        jobs_error_class,
        jobs_error,
        jobs_surroundings,
        jobs_settled,
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
        %(run_id)s,
        %(project_id)s,
        CASE
            WHEN %(rule)s::text IS NOT NULL THEN 'suspect'
            WHEN batch_moved.changes > 0 THEN 'changed'
            ELSE 'unchanged'
        END,
        %(rule)s,
        %(started_at)s,
        %(observed_at)s::timestamptz,
        %(previous_at)s::timestamptz,
        %(http_status)s,
        %(requests)s,
        %(body_bytes)s,
        %(fetch_ms)s,
        %(parse_ms)s,
        extract(EPOCH FROM clock_timestamp() - transaction_timestamp()) * 1000,
        believed.batches,
        believed.images,
        believed.num_jobs,
        batch_moved.entered,
        batch_moved.changed,
        batch_moved.renamed,
        batch_moved.departed,
        batch_moved.returned,
        batch_moved.images_delta,
        batch_moved.num_jobs_delta,
        %(digest)s,
        %(surroundings)s::jsonb,
        believed.is_settled,
        judged.gap_reasons,
        judged.late_s,
{% if JOB in examined %}
        CASE
            WHEN %(jobs_rule)s::text IS NOT NULL THEN 'suspect'
            WHEN job_moved.changes > 0 THEN 'changed'
            ELSE 'unchanged'
        END,
{% else %}
        %(jobs_verdict)s::text,
{% endif %}
        %(jobs_rule)s,
        %(jobs_at)s::timestamptz,
        %(jobs_previous_at)s::timestamptz,
        %(jobs_http_status)s,
        %(jobs_body_bytes)s,
        %(jobs_digest)s,
        CASE WHEN believed.jobs_since IS NOT NULL THEN believed.jobs END,
        CASE WHEN believed.jobs_since IS NOT NULL THEN believed.job_images END,
        CASE WHEN believed.jobs_since IS NOT NULL THEN believed.annotated END,
        CASE WHEN believed.jobs_since IS NOT NULL THEN believed.approved END,
        CASE WHEN believed.jobs_since IS NOT NULL THEN believed.rejected END,
        {{ "job_moved.changes" if JOB in examined else "NULL" }},
        %(jobs_error_class)s,
        %(jobs_error)s,
        %(jobs_surroundings)s::jsonb,
        believed.jobs_settled,
        flow.intake,
        flow.moved,
        flow.assigned,
        flow.unassigned,
        flow.removed,
        work.annotated,
        work.approved,
        work.rejected
    FROM believed
    CROSS JOIN batch_moved
    CROSS JOIN job_moved
    LEFT JOIN flow ON TRUE
    LEFT JOIN work ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            stretch.gap_reasons,
            stretch.late_s
        FROM ledger.stretch(
            %(project_id)s::integer,
            %(previous_at)s::timestamptz,
            %(observed_at)s::timestamptz
        ) AS stretch
        -- Only a trusted observation ends a gap.
        WHERE %(rule)s::text IS NULL
    ) AS judged ON TRUE
    RETURNING
        observation_id,
        verdict,
        jobs_verdict
),
{% for subject in examined %}
{% include "keep" %}
,
{% endfor %}
-- What changed, each on its day. The jobs are read after the batches, and midnight may fall in between.
changed_days AS (
    SELECT
        (%(observed_at)s::timestamptz AT TIME ZONE 'UTC')::date AS day,
        batch_moved.images_delta,
        batch_moved.num_jobs_delta,
        batch_moved.entered + batch_moved.returned AS batches_entered,
        batch_moved.departed AS batches_left,
        coalesce(flow.intake, 0) AS intake,
        coalesce(flow.moved, 0) AS moved,
        coalesce(flow.assigned, 0) AS assigned,
        coalesce(flow.unassigned, 0) AS unassigned,
        coalesce(flow.removed, 0) AS removed,
        0 AS jobs_delta,
        0 AS job_images_delta,
        0 AS annotated_delta,
        0 AS approved_delta,
        0 AS rejected_delta,
        0 AS annotated_work,
        0 AS approved_work,
        0 AS rejected_work
    FROM batch_moved
    LEFT JOIN flow ON TRUE
    WHERE batch_moved.changes > 0
        -- What suspect ones saw is judged anew also where only the jobs changed.
        OR (flow.intake, flow.moved, flow.assigned, flow.unassigned, flow.removed) <> (0, 0, 0, 0, 0)
    UNION ALL
    SELECT
        (%(jobs_at)s::timestamptz AT TIME ZONE 'UTC')::date AS day,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        job_moved.entered + job_moved.returned - job_moved.departed,
        job_moved.images_delta,
        job_moved.annotated_delta,
        job_moved.approved_delta,
        job_moved.rejected_delta,
        coalesce(work.annotated, 0),
        coalesce(work.approved, 0),
        coalesce(work.rejected, 0)
    FROM job_moved
    LEFT JOIN work ON TRUE
    WHERE job_moved.changes > 0
),
rolled_up AS (
    INSERT INTO ledger.project_day AS day (
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
        changed.day,
        believed.batches,
        believed.images,
        believed.num_jobs,
        changed.images_delta,
        changed.num_jobs_delta,
        changed.batches_entered,
        changed.batches_left,
        -- On the day before, the jobs are still as they were.
        changed.jobs_known + believed.jobs - (job_moved.entered + job_moved.returned - job_moved.departed) + changed.jobs_delta,
        changed.jobs_known + believed.job_images - job_moved.images_delta + changed.job_images_delta,
        changed.jobs_known + believed.annotated - job_moved.annotated_delta + changed.annotated_delta,
        changed.jobs_known + believed.approved - job_moved.approved_delta + changed.approved_delta,
        changed.jobs_known + believed.rejected - job_moved.rejected_delta + changed.rejected_delta,
        changed.job_images_delta,
        changed.annotated_delta,
        changed.approved_delta,
        changed.rejected_delta,
        changed.intake,
        changed.moved,
        changed.assigned,
        changed.unassigned,
        changed.removed,
        changed.annotated_work,
        changed.approved_work,
        changed.rejected_work
    FROM believed
    CROSS JOIN job_moved
    CROSS JOIN LATERAL (
        SELECT
            changed_days.day,
            sum(changed_days.images_delta) AS images_delta,
            sum(changed_days.num_jobs_delta) AS num_jobs_delta,
            sum(changed_days.batches_entered) AS batches_entered,
            sum(changed_days.batches_left) AS batches_left,
            -- Zero, or NULL where the jobs had never been read.
            CASE WHEN (believed.jobs_since AT TIME ZONE 'UTC')::date <= changed_days.day THEN 0 END AS jobs_known,
            sum(changed_days.jobs_delta) AS jobs_delta,
            sum(changed_days.job_images_delta) AS job_images_delta,
            sum(changed_days.annotated_delta) AS annotated_delta,
            sum(changed_days.approved_delta) AS approved_delta,
            sum(changed_days.rejected_delta) AS rejected_delta,
            sum(changed_days.intake) AS intake,
            sum(changed_days.moved) AS moved,
            sum(changed_days.assigned) AS assigned,
            sum(changed_days.unassigned) AS unassigned,
            sum(changed_days.removed) AS removed,
            sum(changed_days.annotated_work) AS annotated_work,
            sum(changed_days.approved_work) AS approved_work,
            sum(changed_days.rejected_work) AS rejected_work
        FROM changed_days
        GROUP BY changed_days.day
    ) AS changed
    ON CONFLICT (project_id, day) DO UPDATE SET
        batches = EXCLUDED.batches,
        images = EXCLUDED.images,
        num_jobs = EXCLUDED.num_jobs,
        images_delta = day.images_delta + EXCLUDED.images_delta,
        num_jobs_delta = day.num_jobs_delta + EXCLUDED.num_jobs_delta,
        batches_entered = day.batches_entered + EXCLUDED.batches_entered,
        batches_left = day.batches_left + EXCLUDED.batches_left,
        jobs = EXCLUDED.jobs,
        job_images = EXCLUDED.job_images,
        annotated = EXCLUDED.annotated,
        approved = EXCLUDED.approved,
        rejected = EXCLUDED.rejected,
        job_images_delta = day.job_images_delta + EXCLUDED.job_images_delta,
        annotated_delta = day.annotated_delta + EXCLUDED.annotated_delta,
        approved_delta = day.approved_delta + EXCLUDED.approved_delta,
        rejected_delta = day.rejected_delta + EXCLUDED.rejected_delta,
        intake = day.intake + EXCLUDED.intake,
        moved = day.moved + EXCLUDED.moved,
        assigned = day.assigned + EXCLUDED.assigned,
        unassigned = day.unassigned + EXCLUDED.unassigned,
        removed = day.removed + EXCLUDED.removed,
        annotated_work = day.annotated_work + EXCLUDED.annotated_work,
        approved_work = day.approved_work + EXCLUDED.approved_work,
        rejected_work = day.rejected_work + EXCLUDED.rejected_work
),
-- Every body that is not here yet, or not any more: those of the lists, and those that answered look-ups.
archived AS (
    INSERT INTO ledger.payload (
        digest,
        body,
        body_bytes
    )
    SELECT
        received.digest,
        received.body,
        received.body_bytes
    FROM held
    CROSS JOIN unnest(
        %(payload_digests)s::bytea[],
        %(payload_bodies)s::bytea[],
        %(payload_bytes)s::integer[]
    ) AS received (digest, body, body_bytes)
    -- ON CONFLICT would lock the row of a body that many projects share, such as the empty list.
    WHERE NOT EXISTS (
        SELECT FROM ledger.payload
        WHERE payload.digest = received.digest
            AND payload.body IS NOT NULL
    )
    ORDER BY received.digest
    ON CONFLICT (digest) DO UPDATE SET
        body = EXCLUDED.body,
        pruned_at = NULL
    WHERE payload.body IS NULL
)
SELECT
    observed.verdict,
    batch_moved.entered,
    batch_moved.changed,
    batch_moved.renamed,
    batch_moved.departed,
    batch_moved.returned,
    batch_moved.images_delta,
    batch_moved.num_jobs_delta,
    observed.jobs_verdict,
    job_moved.entered,
    job_moved.changed,
    job_moved.renamed,
    job_moved.departed,
    job_moved.returned,
    job_moved.images_delta
FROM observed
CROSS JOIN batch_moved
CROSS JOIN job_moved
