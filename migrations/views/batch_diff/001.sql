CREATE FUNCTION analytics.batch_diff(from_at timestamptz, to_at timestamptz, of_workspace text, of_project text)
RETURNS TABLE (
    workspace text,
    project text,
    batch_id text,
    name text,
    change text,
    images_before integer,
    images_after integer,
    images_delta integer,
    num_jobs_before integer,
    num_jobs_after integer,
    num_jobs_delta integer,
    knowledge_before text,
    knowledge_after text
)
LANGUAGE sql
STABLE
-- As a view does, it reads the private tables for whoever may read the schema.
SECURITY DEFINER
PARALLEL SAFE
ROWS 1000
SET search_path = pg_catalog
AS $$
    WITH
    -- Each batch as it stood at the two instants. It is there once it was seen, until it is known to have left.
    stood AS (
        SELECT
            coalesce(after.workspace, before.workspace) AS workspace,
            coalesce(after.project, before.project) AS project,
            coalesce(after.batch_id, before.batch_id) AS batch_id,
            before.name AS name_before,
            after.name AS name_after,
            before.images AS images_before,
            after.images AS images_after,
            before.num_jobs AS num_jobs_before,
            after.num_jobs AS num_jobs_after,
            coalesce(before.knowledge, 'unknown') AS knowledge_before,
            coalesce(after.knowledge, 'unknown') AS knowledge_after,
            coalesce(before.knowledge IN ('observed', 'carried'), FALSE) AS is_there_before,
            coalesce(after.knowledge IN ('observed', 'carried'), FALSE) AS is_there_after,
            -- Of one that was never seen nothing is known; of one that left, its zeros.
            before.images IS NOT NULL AS was_seen_before
        FROM analytics.batch_as_of(batch_diff.from_at, batch_diff.of_workspace, batch_diff.of_project) AS before
        FULL JOIN analytics.batch_as_of(batch_diff.to_at, batch_diff.of_workspace, batch_diff.of_project) AS after
            ON after.workspace = before.workspace
            AND after.project = before.project
            AND after.batch_id = before.batch_id
    ),
    compared AS (
        SELECT
            stood.workspace,
            stood.project,
            stood.batch_id,
            coalesce(stood.name_after, stood.name_before) AS name,
            CASE
                WHEN stood.is_there_after AND NOT stood.is_there_before AND stood.was_seen_before THEN 'returned'
                WHEN stood.is_there_after AND NOT stood.is_there_before THEN 'entered'
                WHEN stood.is_there_before AND NOT stood.is_there_after THEN 'left'
                WHEN NOT stood.is_there_before THEN NULL
                WHEN stood.images_after > stood.images_before THEN 'grown'
                WHEN stood.images_after < stood.images_before THEN 'shrunk'
                WHEN stood.num_jobs_after IS DISTINCT FROM stood.num_jobs_before THEN 'changed'
                WHEN stood.name_after IS DISTINCT FROM stood.name_before THEN 'renamed'
            END AS change,
            CASE WHEN stood.is_there_before THEN stood.images_before END AS images_before,
            CASE WHEN stood.is_there_after THEN stood.images_after END AS images_after,
            CASE WHEN stood.is_there_before THEN stood.num_jobs_before END AS num_jobs_before,
            CASE WHEN stood.is_there_after THEN stood.num_jobs_after END AS num_jobs_after,
            stood.knowledge_before,
            stood.knowledge_after
        FROM stood
    )
    SELECT
        compared.workspace,
        compared.project,
        compared.batch_id,
        compared.name,
        compared.change,
        compared.images_before,
        compared.images_after,
        coalesce(compared.images_after, 0) - coalesce(compared.images_before, 0),
        compared.num_jobs_before,
        compared.num_jobs_after,
        coalesce(compared.num_jobs_after, 0) - coalesce(compared.num_jobs_before, 0),
        compared.knowledge_before,
        compared.knowledge_after
    FROM compared
    WHERE compared.change IS NOT NULL
$$;

COMMENT ON FUNCTION analytics.batch_diff(timestamptz, timestamptz, text, text) IS 'One batch that differs between two instants. change: entered, returned (it had left before), left, grown, shrunk (by its images), changed (by its jobs alone), renamed. Counts are NULL where it was not there, and jobs where the source does not say; the deltas add up to how far the project''s totals moved. Of one project; of all where of_workspace or of_project is NULL.';
