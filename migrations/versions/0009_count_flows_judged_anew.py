"""Count on its day what was judged anew while no batch changed, also on the days that are there already."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0009_count_flows_judged_anew"
down_revision = "0008_say_what_is_in_step"
branch_labels = None
depends_on = None

_VIEWS = Path(__file__).parents[1] / "views"


def upgrade() -> None:
    # What a run counts on a day in the meantime would be written over by sums that lack it.
    op.execute("LOCK TABLE ledger.project_day IN SHARE ROW EXCLUSIVE MODE")
    op.execute(_MEND)
    op.execute(_invariants(4))


def downgrade() -> None:
    op.execute(_invariants(3))


def _invariants(version: int) -> str:
    return (_VIEWS / "invariant_violation" / f"{version:03}.sql").read_text()


# A day without a row of its own stands as the one before it.
_MEND = """
INSERT INTO ledger.project_day (
    project_id, day, batches, images, num_jobs, images_delta, num_jobs_delta, batches_entered, batches_left,
    jobs, job_images, annotated, approved, rejected,
    job_images_delta, annotated_delta, approved_delta, rejected_delta,
    intake, moved, assigned, unassigned, removed, annotated_work, approved_work, rejected_work
)
SELECT
    flow.project_id,
    flow.day,
    before.batches,
    before.images,
    before.num_jobs,
    0,
    0,
    0,
    0,
    before.jobs,
    before.job_images,
    before.annotated,
    before.approved,
    before.rejected,
    0,
    0,
    0,
    0,
    flow.intake,
    flow.moved,
    flow.assigned,
    flow.unassigned,
    flow.removed,
    0,
    0,
    0
FROM (
    SELECT
        observation.project_id,
        (observation.observed_at AT TIME ZONE 'UTC')::date AS day,
        sum(observation.intake) AS intake,
        sum(observation.moved) AS moved,
        sum(observation.assigned) AS assigned,
        sum(observation.unassigned) AS unassigned,
        sum(observation.removed) AS removed
    FROM ledger.observation
    WHERE (
            observation.intake,
            observation.moved,
            observation.assigned,
            observation.unassigned,
            observation.removed
        ) <> (0, 0, 0, 0, 0)
    GROUP BY
        observation.project_id,
        (observation.observed_at AT TIME ZONE 'UTC')::date
) AS flow
CROSS JOIN LATERAL (
    SELECT
        project_day.batches,
        project_day.images,
        project_day.num_jobs,
        project_day.jobs,
        project_day.job_images,
        project_day.annotated,
        project_day.approved,
        project_day.rejected,
        (
            project_day.day,
            project_day.intake,
            project_day.moved,
            project_day.assigned,
            project_day.unassigned,
            project_day.removed
        ) = (flow.day, flow.intake, flow.moved, flow.assigned, flow.unassigned, flow.removed) AS is_right
    FROM ledger.project_day
    WHERE project_day.project_id = flow.project_id
        AND project_day.day <= flow.day
    ORDER BY project_day.day DESC
    LIMIT 1
) AS before
WHERE NOT before.is_right
ON CONFLICT (project_id, day) DO UPDATE SET
    intake = EXCLUDED.intake,
    moved = EXCLUDED.moved,
    assigned = EXCLUDED.assigned,
    unassigned = EXCLUDED.unassigned,
    removed = EXCLUDED.removed
"""
