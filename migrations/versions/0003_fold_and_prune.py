"""Let what grows without bound be trimmed: like observations fold into one, old bodies are dropped and say so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_fold_and_prune"
down_revision = "0002_keep_evidence"
branch_labels = None
depends_on = None

_SPAN = "(span_from IS NULL) = (span_count IS NULL) AND span_from < observed_at AND span_count > 1"


def upgrade() -> None:
    op.add_column(
        "observation",
        sa.Column(
            "span_from",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="observed_at of the first of the observations folded into it; NULL: it stands for itself.",
        ),
        schema="ledger",
    )
    op.add_column(
        "observation",
        sa.Column(
            "span_count",
            sa.Integer(),
            nullable=True,
            comment="Observations that it stands for, itself included; NULL: it stands for itself.",
        ),
        schema="ledger",
    )
    op.execute(f"ALTER TABLE ledger.observation ADD CONSTRAINT ck_observation_span CHECK ({_SPAN}) NOT VALID")
    op.execute("ALTER TABLE ledger.observation VALIDATE CONSTRAINT ck_observation_span")
    op.add_column(
        "payload",
        sa.Column(
            "pruned_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the body was dropped for its age; NULL: it is here.",
        ),
        schema="ledger",
    )
    op.alter_column("payload", "body", nullable=True, schema="ledger")
    op.execute(
        "ALTER TABLE ledger.payload ADD CONSTRAINT ck_payload_pruned"
        " CHECK ((body IS NULL) = (pruned_at IS NOT NULL)) NOT VALID"
    )
    op.execute("ALTER TABLE ledger.payload VALIDATE CONSTRAINT ck_payload_pruned")
    op.execute(
        "COMMENT ON COLUMN ledger.payload.body IS 'The body, compressed by zlib; NULL: dropped for its age.'"
    )


def downgrade() -> None:
    op.drop_constraint("ck_payload_pruned", "payload", schema="ledger")
    # What was dropped is gone; an empty body is the nearest that the earlier schema can say.
    op.execute("UPDATE ledger.payload SET body = '' WHERE body IS NULL")
    op.alter_column("payload", "body", nullable=False, schema="ledger")
    op.execute("COMMENT ON COLUMN ledger.payload.body IS 'The body, compressed by zlib.'")
    op.drop_column("payload", "pruned_at", schema="ledger")
    op.drop_constraint("ck_observation_span", "observation", schema="ledger")
    op.drop_column("observation", "span_count", schema="ledger")
    op.drop_column("observation", "span_from", schema="ledger")
