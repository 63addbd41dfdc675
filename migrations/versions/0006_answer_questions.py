"""Answer the questions that people ask of backlog, flow, progress, lead time and what stands still."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0006_answer_questions"
down_revision = "0005_read_jobs"
branch_labels = None
depends_on = None

_VIEWS = Path(__file__).parents[1] / "views"
_CHANGED = {"observation": 3, "project": 2, "project_daily": 2, "freshness": 2}
"""Which version each of them becomes; the one before it is restored on the way back."""

# In the order in which they build on one another.
_NEW = (
    "run",
    "schema_revision",
    "job",
    "job_change",
    "job_history",
    "backlog",
    "backlog_age",
    "project_weekly",
    "project_monthly",
    "batch_progress",
    "stalled",
    "burn_down",
    "forecast",
    "batch_lead_time",
    "batch_move",
)
_PERIOD = "project_period(text, text, timestamptz, timestamptz, text, text)"


def upgrade() -> None:
    op.execute(_text("jobs_reading", 1))
    for view, version in _CHANGED.items():
        op.execute(_text(view, version))
    for view in _NEW:
        op.execute(_text(view, 1))
    op.execute(_text("project_period", 1))


def downgrade() -> None:
    op.execute(f"DROP FUNCTION analytics.{_PERIOD}")
    for view in (*reversed(_NEW), *_CHANGED):
        op.execute(f"DROP VIEW analytics.{view}")
    op.execute("DROP FUNCTION ledger.jobs_reading(integer)")
    for view, version in _CHANGED.items():
        # Later versions replace a view in place; this one is made anew.
        op.execute(_text(view, version - 1).replace("CREATE OR REPLACE VIEW", "CREATE VIEW", 1))


def _text(view: str, version: int) -> str:
    return (_VIEWS / view / f"{version:03}.sql").read_text()
