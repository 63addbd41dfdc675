-- Of one project, or with NULLs of all: a filter around the call would come too late to save any work.
CREATE FUNCTION analytics.batch_as_of(at timestamptz, of_workspace text, of_project text)
RETURNS TABLE (
    workspace text,
    project text,
    batch_id text,
    name text,
    images integer,
    num_jobs integer,
    uploaded_at timestamptz,
    first_seen_at timestamptz,
    changed_at timestamptz,
    knowledge text,
    observed_before timestamptz,
    observed_after timestamptz
)
LANGUAGE sql
STABLE
-- As a view does, it reads the private tables for whoever may read the schema.
SECURITY DEFINER
PARALLEL SAFE
ROWS 10000
SET search_path = pg_catalog
AS $$
    WITH
    -- The two trusted observations around the instant, and whether there is a gap between them. Materialized,
    -- or the planner would ask that for each batch instead of each project: a minute, at a million of them.
    around AS MATERIALIZED (
        SELECT
            project.project_id,
            project.workspace,
            project.project,
            -- Of folded observations the first and the last are known, and that nothing happened in between.
            CASE WHEN after.span_from <= batch_as_of.at THEN after.span_from ELSE before.observed_at END
                AS observed_before,
            CASE WHEN after.span_from > batch_as_of.at THEN after.span_from ELSE after.observed_at END
                AS observed_after,
            after.gap_reasons IS NOT NULL AND coalesce(after.span_from > batch_as_of.at, TRUE) AS is_gap
        FROM ledger.project
        LEFT JOIN LATERAL (
            SELECT observation.observed_at
            FROM ledger.observation
            WHERE observation.project_id = project.project_id
                AND observation.verdict IN ('changed', 'unchanged')
                AND observation.observed_at <= batch_as_of.at
            ORDER BY observation.observed_at DESC
            LIMIT 1
        ) AS before ON TRUE
        LEFT JOIN LATERAL (
            SELECT
                observation.observed_at,
                observation.span_from,
                observation.gap_reasons
            FROM ledger.observation
            WHERE observation.project_id = project.project_id
                AND observation.verdict IN ('changed', 'unchanged')
                AND observation.observed_at > batch_as_of.at
            ORDER BY observation.observed_at ASC
            LIMIT 1
        ) AS after ON TRUE
        WHERE (batch_as_of.of_workspace IS NULL OR project.workspace = batch_as_of.of_workspace)
            AND (batch_as_of.of_project IS NULL OR project.project = batch_as_of.of_project)
    ),
    -- The last change by then and the first one after it, for every batch ever seen.
    known AS (
        SELECT
            around.workspace,
            around.project,
            batch.batch_id,
            last.kind,
            last.name,
            last.images,
            last.num_jobs,
            coalesce(last.uploaded_at, batch.uploaded_at) AS uploaded_at,
            batch.first_seen_at,
            last.observed_at AS changed_at,
            -- The state may have changed before the instant already, and nobody had looked.
            next.kind IS NOT NULL AND coalesce(next.changed_after < batch_as_of.at, TRUE) AS may_differ,
            -- Since some observation its values are not known; and what one did not find may have changed before.
            pending.since <= batch_as_of.at
                OR (around.observed_before < batch_as_of.at AND pending.since <= around.observed_after) AS is_unread,
            around.observed_before,
            around.observed_after,
            around.is_gap
        FROM around
        INNER JOIN ledger.batch
            ON batch.project_id = around.project_id
        CROSS JOIN LATERAL (
            SELECT least(
                batch.carried_since,
                batch.unlisted_since,
                CASE WHEN batch.gone_at IS NULL THEN batch.missing_since END
            ) AS since
        ) AS pending
        LEFT JOIN LATERAL (
            SELECT
                batch_change.kind,
                batch_change.name,
                batch_change.images,
                batch_change.num_jobs,
                batch_change.uploaded_at,
                batch_change.observed_at
            FROM ledger.batch_change
            WHERE batch_change.project_id = batch.project_id
                AND batch_change.batch_id = batch.batch_id
                AND batch_change.observed_at <= batch_as_of.at
            ORDER BY batch_change.observation_id DESC
            LIMIT 1
        ) AS last ON TRUE
        LEFT JOIN LATERAL (
            SELECT
                batch_change.kind,
                batch_change.changed_after
            FROM ledger.batch_change
            WHERE batch_change.project_id = batch.project_id
                AND batch_change.batch_id = batch.batch_id
                AND batch_change.observed_at > batch_as_of.at
            ORDER BY batch_change.observation_id ASC
            LIMIT 1
        ) AS next ON TRUE
    )
    SELECT
        known.workspace,
        known.project,
        known.batch_id,
        known.name,
        known.images,
        known.num_jobs,
        known.uploaded_at,
        known.first_seen_at,
        known.changed_at,
        CASE
            WHEN known.kind IS NULL THEN 'unknown'
            WHEN known.kind = 'left' AND known.may_differ THEN 'unknown'
            WHEN known.kind = 'left' THEN 'gone'
            WHEN known.changed_at = batch_as_of.at THEN 'observed'
            WHEN known.may_differ OR coalesce(known.is_unread, FALSE) THEN 'carried'
            WHEN known.observed_before = batch_as_of.at THEN 'observed'
            WHEN known.observed_before IS NULL OR known.observed_after IS NULL OR known.is_gap THEN 'carried'
            ELSE 'observed'
        END,
        known.observed_before,
        known.observed_after
    FROM known
    -- A batch not seen by then is told only if it may have been there: it entered in the interval around the
    -- instant, and was not uploaded later.
    WHERE known.kind IS NOT NULL
        OR (known.may_differ AND coalesce(known.uploaded_at <= batch_as_of.at, TRUE))
$$;

COMMENT ON FUNCTION analytics.batch_as_of(timestamptz, text, text) IS 'One batch as it stood at an instant. knowledge: observed (seen before and after, unchanged), carried (the last known values; nobody looked since, or a change fell around the instant), unknown (it may have been there), gone (confirmed absent). observed_before and observed_after are the trusted observations of its project around the instant; NULL: there is none. Of one project; of all where of_workspace or of_project is NULL.';

CREATE OR REPLACE FUNCTION analytics.batch_as_of(at timestamptz)
RETURNS TABLE (
    workspace text,
    project text,
    batch_id text,
    name text,
    images integer,
    num_jobs integer,
    uploaded_at timestamptz,
    first_seen_at timestamptz,
    changed_at timestamptz,
    knowledge text,
    observed_before timestamptz,
    observed_after timestamptz
)
LANGUAGE sql
STABLE
-- As a view does, it reads the private tables for whoever may read the schema.
SECURITY DEFINER
PARALLEL SAFE
ROWS 10000
SET search_path = pg_catalog
AS $$
    SELECT
        workspace,
        project,
        batch_id,
        name,
        images,
        num_jobs,
        uploaded_at,
        first_seen_at,
        changed_at,
        knowledge,
        observed_before,
        observed_after
    FROM analytics.batch_as_of(batch_as_of.at, NULL, NULL)
$$;
