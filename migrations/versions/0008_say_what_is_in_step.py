"""Say of a project whether its batches and its jobs were seen together."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0008_say_what_is_in_step"
down_revision = "0007_find_times"
branch_labels = None
depends_on = None

_VIEWS = Path(__file__).parents[1] / "views"


def upgrade() -> None:
    op.execute(_text(3))


def downgrade() -> None:
    op.execute("DROP VIEW analytics.project")
    # It was an addition to a view that was there, so what is made anew is made in whole.
    op.execute(_text(2).replace("CREATE OR REPLACE VIEW", "CREATE VIEW", 1))


def _text(version: int) -> str:
    return (_VIEWS / "project" / f"{version:03}.sql").read_text()
