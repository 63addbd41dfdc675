"""Find what happened in a stretch of time, what moved and what failed of the jobs without reading all that is kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_find_times"
down_revision = "0006_answer_questions"
branch_labels = None
depends_on = None

_HISTORIES = ("batch_change", "job_change")
_FEW = {
    "ix_observation_jobs_untrusted": "jobs_verdict IN ('failed', 'suspect')",
    "ix_observation_moved": "moved <> 0",
}


def upgrade() -> None:
    for table in _HISTORIES:
        op.create_index(
            f"ix_{table}_observed_at",
            table,
            ["observed_at"],
            schema="ledger",
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on"},
        )
    for name, condition in _FEW.items():
        op.create_index(
            name,
            "observation",
            ["project_id", "observed_at"],
            schema="ledger",
            postgresql_where=sa.text(condition),
        )


def downgrade() -> None:
    for name in _FEW:
        op.drop_index(name, table_name="observation", schema="ledger")
    for table in _HISTORIES:
        op.drop_index(f"ix_{table}_observed_at", table_name=table, schema="ledger")
