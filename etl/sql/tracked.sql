-- Numbers of the projects that the ledger follows. Grain: one project. Takes no lock.
SELECT project.project_id
FROM ledger.project
WHERE project.is_tracked
