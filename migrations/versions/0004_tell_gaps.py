"""Tell every gap by its causes, and what was promised: facts of the observation that ends the gap."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0004_tell_gaps"
down_revision = "0003_fold_and_prune"
branch_labels = None
depends_on = None

_VIEWS = Path(__file__).parents[1] / "views"
_NEW = ("freshness", "project_as_of", "batch_diff")
_CHANGED = ("observation", "gap", "batch_as_of", "invariant_violation")

_RULE = "(rule IS NOT NULL) = (verdict = 'suspect')"
_RULE_OF_SKIPPED = f"{_RULE} OR (verdict = 'skipped' AND rule IN ('held', 'stopped'))"


def upgrade() -> None:
    _add_columns()
    _create_pause()
    _check("observation", "rule", _RULE_OF_SKIPPED, is_new=False)
    _comment(
        "observation.rule",
        "The rule that made it suspect; of a skipped one held (another run had the project) or stopped; NULL for"
        " every other verdict.",
    )
    _check("tick", "reason", "reason IN ('down', 'missed', 'coalesced', 'overlap')", is_new=False)
    _comment(
        "tick.reason",
        "down (no daemon was running), missed (it could not start a run), coalesced (one run made up for several),"
        " overlap (the run before was still going).",
    )
    _index_causes()
    op.execute((_VIEWS / "stretch" / "001.sql").read_text())
    _backfill()
    for view in _CHANGED:
        op.execute((_VIEWS / view / "002.sql").read_text())
    for view in _NEW:
        op.execute((_VIEWS / view / "001.sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION analytics.batch_diff(timestamptz, timestamptz, text, text)")
    op.execute("DROP FUNCTION analytics.project_as_of(timestamptz)")
    op.execute("DROP FUNCTION analytics.batch_as_of(timestamptz)")
    op.execute("DROP FUNCTION analytics.batch_as_of(timestamptz, text, text)")
    for view in ("freshness", "invariant_violation", "gap", "observation"):
        op.execute(f"DROP VIEW analytics.{view}")
    op.execute("DROP FUNCTION ledger.stretch(integer, timestamptz, timestamptz)")
    _forget_causes()
    for view in _CHANGED:
        op.execute((_VIEWS / view / "001.sql").read_text())


def _add_columns() -> None:
    op.add_column(
        "project",
        sa.Column(
            "max_age_s",
            sa.Integer(),
            nullable=True,
            comment="Promised: no more than so many seconds between two trusted observations; NULL: nothing is promised.",
        ),
        schema="ledger",
    )
    op.add_column(
        "observation",
        sa.Column(
            "gap_reasons",
            sa.ARRAY(sa.Text()),
            nullable=True,
            comment="Why the stretch since previous_at, which it ends, is a gap, by time; NULL: it is none.",
        ),
        schema="ledger",
    )
    op.add_column(
        "observation",
        sa.Column(
            "late_s",
            sa.Double(),
            nullable=True,
            comment="Seconds by which it came later than promised; NULL: in time, or nothing was promised.",
        ),
        schema="ledger",
    )
    _check("observation", "gap", "gap_reasons IS NULL OR verdict IN ('changed', 'unchanged')")
    _check("observation", "late", "late_s IS NULL OR (late_s > 0 AND gap_reasons IS NOT NULL)")


def _create_pause() -> None:
    op.create_table(
        "pause",
        sa.Column("project_id", sa.Integer(), nullable=False, comment="The project."),
        sa.Column(
            "from_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="The run that found that the settings do not ask for it any more.",
        ),
        sa.Column(
            "to_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The run that found that they do again; NULL: not yet.",
        ),
        sa.CheckConstraint("from_at <= to_at", name=op.f("ck_pause_order")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["ledger.project.project_id"], name=op.f("fk_pause_project_id_project")
        ),
        sa.PrimaryKeyConstraint("project_id", "from_at", name=op.f("pk_pause")),
        schema="ledger",
        comment="One stretch of time in which the settings did not ask for a project.",
    )


def _index_causes() -> None:
    """Index what may make a gap; none of it grows while all is well."""
    op.drop_index("ix_observation_untrusted", table_name="observation", schema="ledger")
    op.create_index(
        "ix_observation_untrusted",
        "observation",
        ["project_id", "observed_at"],
        schema="ledger",
        postgresql_where=sa.text("verdict IN ('failed', 'suspect', 'skipped')"),
    )
    op.create_index(
        "ix_observation_gap",
        "observation",
        ["project_id", "observed_at"],
        schema="ledger",
        postgresql_where=sa.text("gap_reasons IS NOT NULL"),
    )
    op.create_index(
        "ix_run_unended", "run", ["started_at"], schema="ledger", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index("ix_tick_scheduled_at", "tick", ["scheduled_at"], schema="ledger")


def _backfill() -> None:
    """Say of the observations that are there already which gaps they ended."""
    op.execute(
        "UPDATE ledger.observation SET gap_reasons = judged.gap_reasons, late_s = judged.late_s"
        " FROM ledger.observation AS trusted"
        " CROSS JOIN LATERAL ledger.stretch(trusted.project_id, trusted.previous_at, trusted.observed_at) AS judged"
        " WHERE trusted.observation_id = observation.observation_id"
        " AND trusted.verdict IN ('changed', 'unchanged')"
        " AND judged.gap_reasons IS NOT NULL"
        # Nothing was promised yet, so only a stretch with a cause can be a gap; few have one.
        " AND (EXISTS ("
        "SELECT FROM ledger.observation AS untrusted"
        " WHERE untrusted.project_id = trusted.project_id"
        " AND untrusted.verdict IN ('failed', 'suspect', 'skipped')"
        " AND untrusted.observed_at > coalesce(trusted.previous_at, '-infinity')"
        " AND untrusted.observed_at < trusted.observed_at"
        ") OR EXISTS ("
        "SELECT FROM ledger.tick"
        " WHERE tick.scheduled_at > coalesce(trusted.previous_at, '-infinity')"
        " AND tick.scheduled_at < trusted.observed_at"
        ") OR EXISTS ("
        "SELECT FROM ledger.run"
        " WHERE run.ended_at IS NULL"
        " AND run.started_at > coalesce(trusted.previous_at, '-infinity')"
        " AND run.started_at < trusted.observed_at"
        "))"
    )


def _forget_causes() -> None:
    op.drop_index("ix_tick_scheduled_at", table_name="tick", schema="ledger")
    op.drop_index("ix_run_unended", table_name="run", schema="ledger")
    op.drop_index("ix_observation_gap", table_name="observation", schema="ledger")
    op.drop_index("ix_observation_untrusted", table_name="observation", schema="ledger")
    op.create_index(
        "ix_observation_untrusted",
        "observation",
        ["project_id", "observed_at"],
        schema="ledger",
        postgresql_where=sa.text("verdict IN ('failed', 'suspect')"),
    )
    op.execute("UPDATE ledger.tick SET reason = 'missed' WHERE reason = 'down'")
    _check("tick", "reason", "reason IN ('missed', 'coalesced', 'overlap')", is_new=False)
    _comment(
        "tick.reason",
        "missed (nobody was there to start it), coalesced (one run made up for several), overlap (the run before"
        " was still going).",
    )
    op.execute("UPDATE ledger.observation SET rule = NULL WHERE verdict = 'skipped'")
    _check("observation", "rule", _RULE, is_new=False)
    _comment("observation.rule", "The rule that made it suspect; NULL for every other verdict.")
    op.drop_table("pause", schema="ledger")
    op.drop_column("observation", "late_s", schema="ledger")
    op.drop_column("observation", "gap_reasons", schema="ledger")
    op.drop_column("project", "max_age_s", schema="ledger")


def _check(table: str, name: str, condition: str, *, is_new: bool = True) -> None:
    constraint = f"ck_{table}_{name}"
    if not is_new:
        op.drop_constraint(constraint, table, schema="ledger")
    op.execute(f"ALTER TABLE ledger.{table} ADD CONSTRAINT {constraint} CHECK ({condition}) NOT VALID")
    op.execute(f"ALTER TABLE ledger.{table} VALIDATE CONSTRAINT {constraint}")


def _comment(column: str, comment: str) -> None:
    op.execute(f"COMMENT ON COLUMN ledger.{column} IS '{comment}'")
