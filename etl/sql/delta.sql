-- Compare an answer with what is believed. Grain: one row a batch of which anything differs; kind is NULL where
-- history has nothing to tell (a batch newly missing, a field that we do not know).
-- The beginning of `apply` and of `preview`, which say what becomes of it. Takes no lock: the claim keeps other
-- writers out.
WITH
-- What the answer shows, and what look-ups found that it leaves out.
answered AS (
    SELECT
        record.batch_id,
        record.name,
        record.images,
        record.num_jobs,
        record.uploaded_at,
        record.extra::jsonb AS extra,
        TRUE AS is_listed
    FROM json_to_recordset(%(shown)s::json) AS record (
        batch_id text COLLATE "C",
        name text,
        images integer,
        num_jobs integer,
        uploaded_at timestamptz,
        extra text
    )
    UNION ALL
    SELECT
        record.batch_id,
        record.name,
        record.images,
        record.num_jobs,
        record.uploaded_at,
        record.extra::jsonb,
        FALSE
    FROM json_to_recordset(%(found)s::json) AS record (
        batch_id text COLLATE "C",
        name text,
        images integer,
        num_jobs integer,
        uploaded_at timestamptz,
        extra text
    )
),
-- A batch that the answer shows, where anything differs from what is believed.
shown AS (
    SELECT
        now.batch_id,
        CASE
            WHEN was.batch_id IS NULL THEN 'entered'
            WHEN was.gone_at IS NOT NULL THEN 'returned'
            WHEN (now.images, now.num_jobs, now.uploaded_at)
                IS DISTINCT FROM (was.images, was.num_jobs, was.uploaded_at) THEN 'changed'
            WHEN now.name IS DISTINCT FROM was.name THEN 'renamed'
        END AS kind,
        now.name,
        now.images,
        now.num_jobs,
        now.uploaded_at,
        now.extra,
        now.images - coalesce(was.images, 0) AS images_delta,
        coalesce(now.num_jobs, 0) - coalesce(was.num_jobs, 0) AS num_jobs_delta,
        -- The last moment at which the state before is known: the last observation that read its values.
        greatest(
            CASE
                WHEN was.gone_at IS NOT NULL THEN %(previous_at)s::timestamptz
                WHEN was.unlisted_since IS NOT NULL THEN was.unlisted_since
                WHEN was.carried_since IS NULL THEN coalesce(was.present_at, %(previous_at)s::timestamptz)
            END,
            was.changed_at
        ) AS changed_after,
        NULL::timestamptz AS missing_since,
        NULL::timestamptz AS present_at,
        CASE
            WHEN NOT now.is_listed THEN coalesce(was.unlisted_since, %(observed_at)s::timestamptz)
        END AS unlisted_since,
        NULL::timestamptz AS carried_since,
        NULL::timestamptz AS gone_at
    FROM answered AS now
    LEFT JOIN ledger.batch AS was
        ON was.project_id = %(project_id)s
        AND was.batch_id = now.batch_id
    WHERE was.batch_id IS NULL
        OR was.missing_since IS NOT NULL
        OR was.carried_since IS NOT NULL
        OR (was.unlisted_since IS NULL) <> now.is_listed
        OR (now.name, now.images, now.num_jobs, now.uploaded_at, now.extra)
            IS DISTINCT FROM (was.name, was.images, was.num_jobs, was.uploaded_at, was.extra)
),
-- The batches that the answer does not show, or shows without usable values. No batch is named twice.
unshown AS (
    SELECT
        batch_id COLLATE "C" AS batch_id,
        TRUE AS is_gone,
        FALSE AS is_missing
    FROM unnest(%(gone)s::text[]) AS named (batch_id)
    UNION ALL
    SELECT
        batch_id COLLATE "C",
        FALSE,
        TRUE
    FROM unnest(%(missing)s::text[]) AS named (batch_id)
    UNION ALL
    SELECT
        batch_id COLLATE "C",
        FALSE,
        FALSE
    FROM unnest(%(present_only)s::text[]) AS named (batch_id)
),
-- What is believed of them. Each is looked up by its key, and the LIMIT keeps the planner to that: whatever it
-- compares with a list instead, or joins by a guess of ten names, takes the square of their number.
believed_absent AS (
    SELECT
        was.batch_id,
        was.name,
        was.images,
        was.num_jobs,
        was.uploaded_at,
        was.extra,
        unshown.is_gone,
        unshown.is_missing,
        was.missing_since,
        -- The last observation that saw it: a list that leaves it out did not.
        coalesce(
            was.present_at,
            greatest(coalesce(was.unlisted_since, %(previous_at)s::timestamptz), was.changed_at)
        ) AS present_at,
        was.changed_at,
        was.unlisted_since,
        was.carried_since
    FROM unshown
    CROSS JOIN LATERAL (
        SELECT
            batch.batch_id,
            batch.name,
            batch.images,
            batch.num_jobs,
            batch.uploaded_at,
            batch.extra,
            batch.missing_since,
            batch.present_at,
            batch.changed_at,
            batch.unlisted_since,
            batch.carried_since,
            batch.gone_at
        FROM ledger.batch
        WHERE batch.project_id = %(project_id)s
            AND batch.batch_id = unshown.batch_id
        LIMIT 1
    ) AS was
    WHERE was.gone_at IS NULL
),
-- Gone: nothing of it counts any more. Missing: it still counts, and waits to be confirmed. Else: carried on.
absent AS (
    SELECT
        batch_id,
        CASE WHEN is_gone THEN 'left' END AS kind,
        name,
        CASE WHEN is_gone THEN 0 ELSE images END AS images,
        CASE WHEN is_gone THEN 0 ELSE num_jobs END AS num_jobs,
        uploaded_at,
        extra,
        CASE WHEN is_gone THEN -images ELSE 0 END AS images_delta,
        CASE WHEN is_gone THEN -coalesce(num_jobs, 0) ELSE 0 END AS num_jobs_delta,
        -- Who saw it without usable values does not know its state before.
        CASE
            WHEN is_gone AND carried_since IS NOT NULL THEN changed_at
            WHEN is_gone THEN present_at
        END AS changed_after,
        CASE WHEN is_gone OR is_missing THEN coalesce(missing_since, %(observed_at)s::timestamptz) END AS missing_since,
        CASE WHEN is_gone OR is_missing THEN present_at END AS present_at,
        CASE WHEN is_missing THEN unlisted_since END AS unlisted_since,
        CASE
            WHEN is_missing THEN carried_since
            WHEN NOT is_gone THEN coalesce(carried_since, %(observed_at)s::timestamptz)
        END AS carried_since,
        CASE WHEN is_gone THEN %(observed_at)s::timestamptz END AS gone_at
    FROM believed_absent
    WHERE is_gone
        OR (is_missing AND missing_since IS NULL)
        OR (NOT is_missing AND (carried_since IS NULL OR missing_since IS NOT NULL OR unlisted_since IS NOT NULL))
),
-- All that is believed anew.
delta AS (
    SELECT
        batch_id,
        kind,
        name,
        images,
        num_jobs,
        uploaded_at,
        extra,
        images_delta,
        num_jobs_delta,
        changed_after,
        missing_since,
        present_at,
        unlisted_since,
        carried_since,
        gone_at
    FROM shown
    UNION ALL
    SELECT
        batch_id,
        kind,
        name,
        images,
        num_jobs,
        uploaded_at,
        extra,
        images_delta,
        num_jobs_delta,
        changed_after,
        missing_since,
        present_at,
        unlisted_since,
        carried_since,
        gone_at
    FROM absent
),
-- The same in numbers.
moved AS (
    SELECT
        count(*) FILTER (WHERE kind = 'entered') AS entered,
        count(*) FILTER (WHERE kind = 'changed') AS changed,
        count(*) FILTER (WHERE kind = 'renamed') AS renamed,
        count(*) FILTER (WHERE kind = 'left') AS departed,
        count(*) FILTER (WHERE kind = 'returned') AS returned,
        count(kind) AS changes,
        coalesce(sum(images_delta), 0) AS images_delta,
        coalesce(sum(num_jobs_delta), 0) AS num_jobs_delta
    FROM delta
)
