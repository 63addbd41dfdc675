-- Pause projects that the settings do not ask for any more. Grain: one project. Locks only those that differ.
WITH
dropped AS (
    UPDATE ledger.project SET
        is_tracked = FALSE
    WHERE project_id = ANY(%(project_ids)s::integer[])
        AND is_tracked
    RETURNING project_id
)
INSERT INTO ledger.pause (
    project_id,
    from_at
)
SELECT
    dropped.project_id,
    %(at)s::timestamptz
FROM dropped
ORDER BY dropped.project_id
-- A pause that ended at this very moment goes on.
ON CONFLICT (project_id, from_at) DO UPDATE SET
    to_at = NULL
