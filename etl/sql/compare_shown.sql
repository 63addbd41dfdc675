-- Compare what the answer shows with what is believed. Grain: one row a shown batch that differs in anything.
-- Writes only the temporary table; kind is NULL where history has nothing to tell (a field that we do not know).
-- Takes no lock: the claim keeps other writers out.
INSERT INTO pg_temp.delta (
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
    unlisted_since
)
SELECT
    now.batch_id,
    CASE
        WHEN was.batch_id IS NULL THEN 'entered'
        WHEN was.gone_at IS NOT NULL THEN 'returned'
        WHEN (now.images, now.num_jobs, now.uploaded_at)
            IS DISTINCT FROM (was.images, was.num_jobs, was.uploaded_at) THEN 'changed'
        WHEN now.name IS DISTINCT FROM was.name THEN 'renamed'
    END,
    now.name,
    now.images,
    now.num_jobs,
    now.uploaded_at,
    now.extra::jsonb,
    now.images - coalesce(was.images, 0),
    coalesce(now.num_jobs, 0) - coalesce(was.num_jobs, 0),
    -- The last moment at which the state before is known: the last observation that read its values.
    greatest(
        CASE
            WHEN was.gone_at IS NOT NULL THEN %(previous_at)s::timestamptz
            WHEN was.unlisted_since IS NULL AND was.carried_since IS NULL
                THEN coalesce(was.present_at, %(previous_at)s)
        END,
        was.changed_at
    ),
    CASE
        WHEN NOT now.is_listed THEN coalesce(was.unlisted_since, %(observed_at)s)
    END
FROM pg_temp.snapshot AS now
LEFT JOIN ledger.batch AS was
    ON was.project_id = %(project_id)s
    AND was.batch_id = now.batch_id
WHERE was.batch_id IS NULL
    OR was.missing_since IS NOT NULL
    OR was.carried_since IS NOT NULL
    OR (was.unlisted_since IS NULL) <> now.is_listed
    OR (now.name, now.images, now.num_jobs, now.uploaded_at, now.extra::jsonb)
        IS DISTINCT FROM (was.name, was.images, was.num_jobs, was.uploaded_at, was.extra)
