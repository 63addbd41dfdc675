-- Close a run and give back its claims. Grain: one run.
WITH
released AS (
    DELETE FROM ledger.claim
    WHERE claim.run_id = %(run_id)s
)
UPDATE ledger.run SET
    ended_at = %(ended_at)s,
    outcome = %(outcome)s,
    changed = %(changed)s,
    unchanged = %(unchanged)s,
    suspect = %(suspect)s,
    failed = %(failed)s,
    skipped = %(skipped)s,
    batch_changes = %(batch_changes)s,
    requests = %(requests)s
WHERE run_id = %(run_id)s
