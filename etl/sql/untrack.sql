-- Mark projects that the settings do not ask for any more. Grain: one project. Locks only those that differ.
UPDATE ledger.project SET
    is_tracked = FALSE
WHERE project_id = ANY(%(project_ids)s::integer[])
    AND is_tracked
