-- Write one observation with all that it changed; goes on from `delta`. Grain: one observation; a row of history
-- for each batch that moved; only batches that differ are written. Locks the claim, the project's row and the
-- batches that differ. Returns no row, and writes nothing, if the project is not ours any more.
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
        batches = project.batches + moved.entered + moved.returned - moved.departed,
        images = project.images + moved.images_delta,
        num_jobs = project.num_jobs + moved.num_jobs_delta,
        digest = CASE WHEN NOT %(is_pending)s THEN %(digest)s::bytea END,
        etag = CASE WHEN NOT %(is_pending)s THEN %(etag)s::text END,
        is_settled = %(is_settled)s,
        loss_suspected_since = CASE
            WHEN %(is_loss)s THEN coalesce(project.loss_suspected_since, %(observed_at)s::timestamptz)
        END
    FROM moved
    CROSS JOIN held
    WHERE project.project_id = held.project_id
    RETURNING
        project.batches,
        project.images,
        project.num_jobs
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
        late_s
    )
    SELECT
        %(run_id)s,
        %(project_id)s,
        CASE
            WHEN %(rule)s::text IS NOT NULL THEN 'suspect'
            WHEN moved.changes > 0 THEN 'changed'
            ELSE 'unchanged'
        END,
        %(rule)s,
        %(started_at)s,
        %(observed_at)s::timestamptz,
        %(previous_at)s,
        %(http_status)s,
        %(requests)s,
        %(body_bytes)s,
        %(fetch_ms)s,
        %(parse_ms)s,
        extract(EPOCH FROM clock_timestamp() - transaction_timestamp()) * 1000,
        believed.batches,
        believed.images,
        believed.num_jobs,
        moved.entered,
        moved.changed,
        moved.renamed,
        moved.departed,
        moved.returned,
        moved.images_delta,
        moved.num_jobs_delta,
        %(digest)s,
        %(surroundings)s::jsonb,
        %(is_settled)s,
        judged.gap_reasons,
        judged.late_s
    FROM moved
    CROSS JOIN believed
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
        verdict
),
history AS (
    INSERT INTO ledger.batch_change (
        project_id,
        batch_id,
        observation_id,
        kind,
        name,
        images,
        num_jobs,
        uploaded_at,
        images_delta,
        num_jobs_delta,
        observed_at,
        changed_after
    )
    SELECT
        %(project_id)s,
        delta.batch_id,
        observed.observation_id,
        delta.kind,
        delta.name,
        delta.images,
        delta.num_jobs,
        delta.uploaded_at,
        delta.images_delta,
        delta.num_jobs_delta,
        %(observed_at)s::timestamptz,
        delta.changed_after
    FROM delta
    CROSS JOIN observed
    WHERE delta.kind IS NOT NULL
    ORDER BY delta.batch_id
),
updated AS (
    UPDATE ledger.batch SET
        name = delta.name,
        images = delta.images,
        num_jobs = delta.num_jobs,
        uploaded_at = delta.uploaded_at,
        changed_at = CASE WHEN delta.kind IS NULL THEN batch.changed_at ELSE %(observed_at)s::timestamptz END,
        missing_since = delta.missing_since,
        present_at = delta.present_at,
        unlisted_since = delta.unlisted_since,
        carried_since = delta.carried_since,
        gone_at = delta.gone_at,
        extra = delta.extra
    FROM delta
    CROSS JOIN held
    WHERE batch.project_id = held.project_id
        AND batch.batch_id = delta.batch_id
        AND delta.kind IS DISTINCT FROM 'entered'
),
inserted AS (
    INSERT INTO ledger.batch (
        project_id,
        batch_id,
        name,
        images,
        num_jobs,
        uploaded_at,
        first_seen_at,
        changed_at,
        unlisted_since,
        extra
    )
    SELECT
        held.project_id,
        delta.batch_id,
        delta.name,
        delta.images,
        delta.num_jobs,
        delta.uploaded_at,
        %(observed_at)s::timestamptz,
        %(observed_at)s::timestamptz,
        delta.unlisted_since,
        delta.extra
    FROM delta
    CROSS JOIN held
    WHERE delta.kind = 'entered'
    ORDER BY delta.batch_id
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
        batches_left
    )
    SELECT
        %(project_id)s,
        (%(observed_at)s::timestamptz AT TIME ZONE 'UTC')::date,
        believed.batches,
        believed.images,
        believed.num_jobs,
        moved.images_delta,
        moved.num_jobs_delta,
        moved.entered + moved.returned,
        moved.departed
    FROM moved
    CROSS JOIN believed
    WHERE moved.changes > 0
    ON CONFLICT (project_id, day) DO UPDATE SET
        batches = EXCLUDED.batches,
        images = EXCLUDED.images,
        num_jobs = EXCLUDED.num_jobs,
        images_delta = day.images_delta + EXCLUDED.images_delta,
        num_jobs_delta = day.num_jobs_delta + EXCLUDED.num_jobs_delta,
        batches_entered = day.batches_entered + EXCLUDED.batches_entered,
        batches_left = day.batches_left + EXCLUDED.batches_left
),
-- Every body that is not here yet, or not any more: that of the list, and those that answered look-ups.
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
),
asked AS (
    INSERT INTO ledger.look_up (
        observation_id,
        record_id,
        outcome,
        digest
    )
    SELECT
        observed.observation_id,
        look_up.record_id,
        look_up.outcome,
        look_up.digest
    FROM observed
    CROSS JOIN unnest(
        %(look_up_record_ids)s::text[],
        %(look_up_outcomes)s::text[],
        %(look_up_digests)s::bytea[]
    ) AS look_up (record_id, outcome, digest)
),
rejected AS (
    INSERT INTO ledger.reject (
        observation_id,
        position,
        record_id,
        reason,
        raw
    )
    SELECT
        observed.observation_id,
        record.position,
        record.record_id,
        record.reason,
        record.raw
    FROM observed
    CROSS JOIN unnest(
        %(reject_positions)s::integer[],
        %(reject_record_ids)s::text[],
        %(reject_reasons)s::text[],
        %(reject_raws)s::text[]
    ) AS record (position, record_id, reason, raw)
)
SELECT
    observed.observation_id,
    observed.verdict,
    moved.entered,
    moved.changed,
    moved.renamed,
    moved.departed,
    moved.returned,
    moved.images_delta,
    moved.num_jobs_delta
FROM observed
CROSS JOIN moved
