"""Keep the evidence for beliefs: look-ups, thresholds, surroundings, what is pending. A replay needs it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_keep_evidence"
down_revision = "0001_first_schema"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "look_up",
        sa.Column("observation_id", sa.BigInteger(), nullable=False, comment="The observation that asked."),
        sa.Column(
            "batch_id", sa.Text(collation="C"), nullable=False, comment="The batch that was asked for."
        ),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=False,
            comment="found, not_found, inconclusive (it told nothing), accepted (an operator took its absence for true).",
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of the body that answered; NULL: there was none.",
        ),
        sa.CheckConstraint("(digest IS NOT NULL) = (outcome = 'found')", name=op.f("ck_look_up_digest")),
        sa.CheckConstraint(
            "outcome IN ('found', 'not_found', 'inconclusive', 'accepted')", name=op.f("ck_look_up_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["ledger.observation.observation_id"],
            name=op.f("fk_look_up_observation_id_observation"),
        ),
        sa.PrimaryKeyConstraint("observation_id", "batch_id", name=op.f("pk_look_up")),
        schema="ledger",
        comment="One batch that an observation asked for on its own, and what came of it.",
    )
    op.add_column(
        "run",
        sa.Column(
            "is_whole",
            sa.Boolean(),
            nullable=True,
            comment="Whether it was asked for every project and not for named ones; NULL: it was not noted.",
        ),
        schema="ledger",
    )
    op.add_column(
        "run",
        sa.Column(
            "guard",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The thresholds that the guard went by; NULL: they were not noted.",
        ),
        schema="ledger",
    )
    op.add_column(
        "project",
        sa.Column(
            "is_settled",
            sa.Boolean(),
            nullable=True,
            comment="Whether the last answer shows all that is believed: nothing of it is missing, unlisted or carried; NULL: never observed.",
        ),
        schema="ledger",
    )
    op.add_column(
        "observation",
        sa.Column(
            "surroundings",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="What the rest of the workspace said of it (is_listed, is_whole, witness); NULL: no loss was suspected.",
        ),
        schema="ledger",
    )
    op.add_column(
        "observation",
        sa.Column(
            "is_settled",
            sa.Boolean(),
            nullable=True,
            comment="Whether after it nothing was missing, unlisted or carried; NULL: never observed.",
        ),
        schema="ledger",
    )
    _say_triggers(
        "What started it: sync (a command), schedule (the daemon), confirm (an operator), demo.",
        "'sync', 'schedule', 'confirm', 'demo'",
    )


def downgrade() -> None:
    op.execute("UPDATE ledger.run SET trigger = 'sync' WHERE trigger = 'confirm'")
    _say_triggers(
        "What started it: sync (a command), schedule (the daemon), demo.", "'sync', 'schedule', 'demo'"
    )
    op.drop_column("observation", "is_settled", schema="ledger")
    op.drop_column("observation", "surroundings", schema="ledger")
    op.drop_column("project", "is_settled", schema="ledger")
    op.drop_column("run", "guard", schema="ledger")
    op.drop_column("run", "is_whole", schema="ledger")
    op.drop_table("look_up", schema="ledger")


def _say_triggers(comment: str, triggers: str) -> None:
    op.execute(f"COMMENT ON COLUMN ledger.run.trigger IS '{comment}'")
    op.drop_constraint("ck_run_trigger", "run", schema="ledger")
    op.execute(
        f"ALTER TABLE ledger.run ADD CONSTRAINT ck_run_trigger CHECK (trigger IN ({triggers})) NOT VALID"
    )
    op.execute("ALTER TABLE ledger.run VALIDATE CONSTRAINT ck_run_trigger")
