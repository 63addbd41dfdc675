CREATE FUNCTION analytics.project_as_of(at timestamptz)
RETURNS TABLE (
    workspace text,
    project text,
    batches integer,
    images bigint,
    num_jobs bigint,
    knowledge text,
    observed_before timestamptz,
    observed_after timestamptz
)
LANGUAGE sql
STABLE
-- As a view does, it reads the private tables for whoever may read the schema.
SECURITY DEFINER
PARALLEL SAFE
ROWS 100
SET search_path = pg_catalog
AS $$
    SELECT
        project.workspace,
        project.project,
        believed.batches,
        believed.images,
        believed.num_jobs,
        CASE
            WHEN believed.batches IS NULL THEN 'unknown'
            WHEN NOT coalesce(believed.is_settled, FALSE) THEN 'carried'
            WHEN around.observed_before = project_as_of.at THEN 'observed'
            WHEN around.is_same_after AND NOT around.is_gap THEN 'observed'
            ELSE 'carried'
        END,
        around.observed_before,
        around.observed_after
    FROM ledger.project
    LEFT JOIN LATERAL (
        SELECT observation.observed_at
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.verdict IN ('changed', 'unchanged')
            AND observation.observed_at <= project_as_of.at
        ORDER BY observation.observed_at DESC
        LIMIT 1
    ) AS before ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            observation.observed_at,
            observation.span_from,
            observation.verdict,
            observation.is_settled,
            observation.gap_reasons
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.verdict IN ('changed', 'unchanged')
            AND observation.observed_at > project_as_of.at
        ORDER BY observation.observed_at ASC
        LIMIT 1
    ) AS after ON TRUE
    -- Of folded observations the first and the last are known, and that nothing happened in between.
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN after.span_from <= project_as_of.at THEN after.span_from ELSE before.observed_at END
                AS observed_before,
            CASE WHEN after.span_from > project_as_of.at THEN after.span_from ELSE after.observed_at END
                AS observed_after,
            -- What it did not find may have left before.
            after.verdict = 'unchanged' AND after.is_settled AS is_same_after,
            after.gap_reasons IS NOT NULL AND coalesce(after.span_from > project_as_of.at, TRUE) AS is_gap
    ) AS around
    -- What was believed by then, after whatever attempt: of a suspect answer, too, what is present is applied.
    LEFT JOIN LATERAL (
        SELECT
            observation.batches,
            observation.images,
            observation.num_jobs,
            observation.is_settled
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.batches IS NOT NULL
            AND observation.observed_at <= project_as_of.at
        ORDER BY observation.observed_at DESC
        LIMIT 1
    ) AS believed ON TRUE
    WHERE project.first_seen_at <= project_as_of.at
        OR before.observed_at IS NOT NULL
$$;

COMMENT ON FUNCTION analytics.project_as_of(timestamptz) IS 'One project as it stood at an instant, if it was known by then. knowledge: observed (seen before and after, unchanged, all of it that could be used), carried (as last believed; nobody looked since, or something changed around the instant, or is pending), unknown (it had never been observed: NULL counts). observed_before and observed_after are the trusted observations around the instant; NULL: there is none.';
