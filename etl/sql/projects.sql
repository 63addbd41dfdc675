-- Numbers of all projects that the ledger knows, followed or not. Grain: one project. Takes no lock.
SELECT project.project_id
FROM ledger.project
