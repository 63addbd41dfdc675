-- Numbers of the projects of that name. Grain: one project. Takes no lock.
SELECT project.project_id
FROM unnest(
    %(workspaces)s::text[],
    %(projects)s::text[]
) AS listed (workspace, project)
INNER JOIN ledger.project
    ON project.workspace = listed.workspace
    AND project.project = listed.project
