-- Make sure that a project is still ours, and keep it so until the transaction ends. Grain: one row, or none if
-- another run has taken over. Locks the claim.
SELECT claim.project_id
FROM ledger.claim
WHERE claim.project_id = %(project_id)s
    AND claim.run_id = %(run_id)s
FOR UPDATE
