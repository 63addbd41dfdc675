-- Give each project its row, refresh its name, type and promise, and end its pause. Grain: one row a project.
-- Compares first and locks only the rows that differ: ON CONFLICT would lock and log every row that it meets.
WITH
listed AS (
    SELECT
        workspace,
        project,
        name,
        type,
        max_age_s
    FROM unnest(
        %(workspaces)s::text[],
        %(projects)s::text[],
        %(names)s::text[],
        %(types)s::text[],
        %(max_ages_s)s::integer[]
    ) AS listed (workspace, project, name, type, max_age_s)
),
resumed AS (
    UPDATE ledger.pause SET
        to_at = greatest(%(at)s::timestamptz, pause.from_at)
    FROM listed
    INNER JOIN ledger.project
        ON project.workspace = listed.workspace
        AND project.project = listed.project
    WHERE %(is_whole)s
        AND pause.project_id = project.project_id
        AND pause.to_at IS NULL
)
INSERT INTO ledger.project AS held (
    workspace,
    project,
    name,
    type,
    is_tracked,
    first_seen_at,
    max_age_s,
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
    listed.max_age_s,
    0,
    0,
    0
FROM listed
LEFT JOIN ledger.project AS known
    ON known.workspace = listed.workspace
    AND known.project = listed.project
WHERE known.project_id IS NULL
    OR (%(is_whole)s AND NOT known.is_tracked)
    OR listed.max_age_s IS DISTINCT FROM known.max_age_s
    OR coalesce(listed.name, known.name) IS DISTINCT FROM known.name
    OR coalesce(listed.type, known.type) IS DISTINCT FROM known.type
ORDER BY
    listed.workspace,
    listed.project
ON CONFLICT (workspace, project) DO UPDATE SET
    name = coalesce(EXCLUDED.name, held.name),
    type = coalesce(EXCLUDED.type, held.type),
    max_age_s = EXCLUDED.max_age_s,
    -- Who asks for one project by its name says nothing of what the settings ask for.
    is_tracked = held.is_tracked OR %(is_whole)s
