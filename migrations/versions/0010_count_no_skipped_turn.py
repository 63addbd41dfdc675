"""Count a turn that was skipped as no attempt at a project."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0010_count_no_skipped_turn"
down_revision = "0009_count_flows_judged_anew"
branch_labels = None
depends_on = None

_VIEWS = Path(__file__).parents[1] / "views"


def upgrade() -> None:
    op.execute(_text(4))


def downgrade() -> None:
    op.execute(_text(3))


def _text(version: int) -> str:
    return (_VIEWS / "project" / f"{version:03}.sql").read_text()
