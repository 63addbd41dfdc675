-- Add what is believed of the batches that the answer does not show, or shows without usable values.
-- Grain: one row a batch of which something is believed anew. Writes only the temporary table. Takes no lock.
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
    missing_since,
    present_at,
    unlisted_since,
    carried_since,
    gone_at
)
WITH
-- What is believed of each, and the last observation that saw it.
believed AS (
    SELECT
        was.batch_id,
        was.name,
        was.images,
        was.num_jobs,
        was.uploaded_at,
        was.extra,
        was.batch_id = ANY(%(gone)s::text[]) AS is_gone,
        was.batch_id = ANY(%(missing)s::text[]) AS is_missing,
        was.missing_since,
        coalesce(was.present_at, greatest(%(previous_at)s::timestamptz, was.changed_at)) AS present_at,
        was.unlisted_since,
        was.carried_since
    FROM ledger.batch AS was
    WHERE was.project_id = %(project_id)s
        AND was.batch_id = ANY(%(gone)s::text[] || %(missing)s::text[] || %(present_only)s::text[])
        AND was.gone_at IS NULL
)
SELECT
    batch_id,
    CASE WHEN is_gone THEN 'left' END,
    name,
    CASE WHEN is_gone THEN 0 ELSE images END,
    CASE WHEN is_gone THEN 0 ELSE num_jobs END,
    uploaded_at,
    extra,
    CASE WHEN is_gone THEN -images ELSE 0 END,
    CASE WHEN is_gone THEN -coalesce(num_jobs, 0) ELSE 0 END,
    CASE WHEN is_gone THEN present_at END,
    CASE WHEN is_gone OR is_missing THEN coalesce(missing_since, %(observed_at)s) END,
    CASE WHEN is_gone OR is_missing THEN present_at END,
    CASE WHEN is_missing THEN unlisted_since END,
    CASE WHEN NOT is_gone THEN coalesce(carried_since, CASE WHEN NOT is_missing THEN %(observed_at)s END) END,
    CASE WHEN is_gone THEN %(observed_at)s END
FROM believed
WHERE is_gone
    OR (is_missing AND missing_since IS NULL)
    OR (NOT is_missing AND (carried_since IS NULL OR missing_since IS NOT NULL OR unlisted_since IS NOT NULL))
