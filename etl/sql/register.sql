-- Give each project its row, and refresh its name and type. Grain: one row a project.
-- Compares first and locks only the rows that differ: ON CONFLICT would lock and log every row that it meets.
INSERT INTO ledger.project AS held (
    workspace,
    project,
    name,
    type,
    is_tracked,
    first_seen_at,
    batches,
    images,
    num_jobs
)
SELECT
    listed.workspace,
    listed.project,
    listed.name,
    listed.type,
    TRUE,
    %(at)s,
    0,
    0,
    0
FROM unnest(
    %(workspaces)s::text[],
    %(projects)s::text[],
    %(names)s::text[],
    %(types)s::text[]
) AS listed (workspace, project, name, type)
LEFT JOIN ledger.project AS known
    ON known.workspace = listed.workspace
    AND known.project = listed.project
WHERE known.project_id IS NULL
    OR NOT known.is_tracked
    OR coalesce(listed.name, known.name) IS DISTINCT FROM known.name
    OR coalesce(listed.type, known.type) IS DISTINCT FROM known.type
ORDER BY
    listed.workspace,
    listed.project
ON CONFLICT (workspace, project) DO UPDATE SET
    name = coalesce(EXCLUDED.name, held.name),
    type = coalesce(EXCLUDED.type, held.type),
    is_tracked = TRUE
