"""Read annotation jobs beside the batches: their rows, their history, and where images came from and went."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_read_jobs"
down_revision = "0004_tell_gaps"
branch_labels = None
depends_on = None

_CHECKS = {
    "jobs_verdict": "jobs_verdict IN ('changed', 'unchanged', 'suspect', 'failed') AND jobs_at IS NOT NULL OR jobs_verdict IS NULL AND jobs_at IS NULL",
    "jobs_rule": "(jobs_rule IS NOT NULL) = (jobs_verdict = 'suspect')",
    "jobs_error": "(jobs_error_class IS NOT NULL) = (jobs_verdict = 'failed')",
    "jobs_previous": "jobs_previous_at < jobs_at",
}

_VIEWS = Path(__file__).parents[1] / "views"

_KEYS = {"look_up": "record_id", "reject": "position"}
_OLD_KEYS = {"look_up": "batch_id", "reject": "position"}
_COMMENTS = {
    "look_up": ("The batch or job that was asked for.", "The batch that was asked for."),
    "reject": (
        "Id of the batch or job that it tells of; NULL: not readable.",
        "Id of the batch that it tells of; NULL: not readable.",
    ),
}
_CARRIED = (
    "First observation since which none showed usable values; NULL: they are as last observed.",
    "First observation that showed it without usable values; NULL: its values are as last observed.",
)
_TABLE_COMMENT = "One batch{} that an observation asked for on its own, and what came of it."


def upgrade() -> None:
    _create_job()
    _create_job_change()
    _widen_evidence()
    _widen_project()
    _widen_observation()
    _widen_project_day()
    _say_of_batches(_CARRIED[0])
    _backfill()
    op.execute(_invariants(3))


def downgrade() -> None:
    op.execute("DROP VIEW analytics.invariant_violation")
    for table, columns in _ADDED.items():
        for column in columns:
            op.drop_column(table, column, schema="ledger")
    _say_of_batches(_CARRIED[1])
    _narrow_evidence()
    op.drop_table("job_change", schema="ledger")
    op.drop_table("job", schema="ledger")
    op.execute(_invariants(2).replace("CREATE OR REPLACE VIEW", "CREATE VIEW", 1))


def _say_of_batches(carried: str) -> None:
    op.execute(f"COMMENT ON COLUMN ledger.batch.carried_since IS '{carried}'")
    op.execute(f"COMMENT ON COLUMN analytics.batch.carried_since IS '{carried}'")


def _invariants(version: int) -> str:
    return (_VIEWS / "invariant_violation" / f"{version:03}.sql").read_text()


def _backfill() -> None:
    """Say of the observations that are there already what flowed, as far as batches alone tell it."""
    op.execute(_FLOWS)
    op.execute(_DAYS)


_FLOWS = """
UPDATE ledger.observation SET
    intake = flow.gained - least(flow.gained, flow.lost),
    moved = least(flow.gained, flow.lost),
    assigned = flow.assigned,
    unassigned = flow.unassigned,
    removed = flow.lost - least(flow.gained, flow.lost) - flow.restored
FROM (
    SELECT
        examined.observation_id,
        coalesce(sum(change.images_delta) FILTER (
            WHERE change.images_delta > 0 AND change.num_jobs_delta >= 0 AND change.kind <> 'returned'
        ), 0) AS gained,
        coalesce(sum(change.images_delta) FILTER (
            WHERE change.images_delta > 0 AND change.num_jobs_delta >= 0 AND change.kind = 'returned'
        ), 0) AS restored,
        coalesce(-sum(change.images_delta) FILTER (WHERE change.images_delta < 0 AND change.num_jobs_delta <= 0), 0)
            AS lost,
        coalesce(-sum(change.images_delta) FILTER (WHERE change.images_delta < 0 AND change.num_jobs_delta > 0), 0)
            AS assigned,
        coalesce(sum(change.images_delta) FILTER (WHERE change.images_delta > 0 AND change.num_jobs_delta < 0), 0)
            AS unassigned
    FROM ledger.observation AS examined
    LEFT JOIN ledger.batch_change AS change
        ON change.observation_id = examined.observation_id
        AND change.project_id = examined.project_id
    WHERE examined.previous_at IS NOT NULL
        AND (examined.parse_ms IS NOT NULL OR examined.verdict IN ('changed', 'suspect'))
    GROUP BY examined.observation_id
) AS flow
WHERE observation.observation_id = flow.observation_id
"""

_DAYS = """
UPDATE ledger.project_day SET
    intake = flow.intake,
    moved = flow.moved,
    assigned = flow.assigned,
    unassigned = flow.unassigned,
    removed = flow.removed
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
    WHERE observation.intake IS NOT NULL
    GROUP BY
        observation.project_id,
        (observation.observed_at AT TIME ZONE 'UTC')::date
) AS flow
WHERE project_day.project_id = flow.project_id
    AND project_day.day = flow.day
"""


_ADDED = {
    "observation": (
        "jobs_verdict",
        "jobs_rule",
        "jobs_at",
        "jobs_previous_at",
        "jobs_http_status",
        "jobs_body_bytes",
        "jobs_digest",
        "jobs",
        "job_images",
        "annotated",
        "approved",
        "rejected",
        "jobs_changes",
        "jobs_error_class",
        "jobs_error",
        "jobs_surroundings",
        "jobs_settled",
        "intake",
        "moved",
        "assigned",
        "unassigned",
        "removed",
        "annotated_work",
        "approved_work",
        "rejected_work",
    ),
    "project": (
        "jobs_since",
        "jobs",
        "job_images",
        "annotated",
        "approved",
        "rejected",
        "jobs_digest",
        "jobs_etag",
        "jobs_loss_suspected_since",
        "jobs_settled",
    ),
    "project_day": (
        "jobs",
        "job_images",
        "annotated",
        "approved",
        "rejected",
        "job_images_delta",
        "annotated_delta",
        "approved_delta",
        "rejected_delta",
        "intake",
        "moved",
        "assigned",
        "unassigned",
        "removed",
        "annotated_work",
        "approved_work",
        "rejected_work",
    ),
}


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("project_id", sa.Integer(), nullable=False, comment="The project that the job belongs to."),
        sa.Column(
            "job_id", sa.Text(collation="C"), nullable=False, comment="Roboflow's id of the annotation job."
        ),
        sa.Column("name", sa.Text(), nullable=True, comment="Name; NULL: the source does not say."),
        sa.Column(
            "status",
            sa.Text(),
            nullable=True,
            comment="Status in the source's own words, such as assigned or complete; NULL: it does not say.",
        ),
        sa.Column(
            "batch_id",
            sa.Text(collation="C"),
            nullable=True,
            comment="Batch that it was made from; NULL: the source does not say.",
        ),
        sa.Column("images", sa.Integer(), nullable=False, comment="Images in the job; 0 once it is gone."),
        sa.Column(
            "annotated",
            sa.Integer(),
            nullable=True,
            comment="Images in the job that are annotated; 0 once it is gone; NULL: the source does not say.",
        ),
        sa.Column(
            "unannotated",
            sa.Integer(),
            nullable=True,
            comment="Images in the job that are not annotated yet; 0 once it is gone; NULL: the source does not say.",
        ),
        sa.Column(
            "approved",
            sa.Integer(),
            nullable=True,
            comment="Images in the job that a reviewer approved; 0 once it is gone; NULL: the source does not say.",
        ),
        sa.Column(
            "rejected",
            sa.Integer(),
            nullable=True,
            comment="Images in the job that a reviewer rejected; 0 once it is gone; NULL: the source does not say.",
        ),
        sa.Column(
            "labeler",
            sa.Text(),
            nullable=True,
            comment="Who annotates, as the settings let it be kept: NULL, a pseudonym, or as the source has it.",
        ),
        sa.Column(
            "reviewer",
            sa.Text(),
            nullable=True,
            comment="Who reviews, as the settings let it be kept: NULL, a pseudonym, or as the source has it.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was made, floored to the microsecond; NULL: the source does not say.",
        ),
        sa.Column(
            "first_seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="jobs_at of the observation that first saw it.",
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="jobs_at of the observation that made its last change.",
        ),
        sa.Column(
            "missing_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="First observation of the present absence; NULL: it was there when last observed.",
        ),
        sa.Column(
            "present_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Last observation that saw it before that absence; NULL as for missing_since.",
        ),
        sa.Column(
            "unlisted_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="First observation whose list left it out while a look-up found it; NULL: the list has it.",
        ),
        sa.Column(
            "carried_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="First observation since which none showed usable values; NULL: they are as last observed.",
        ),
        sa.Column(
            "gone_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Observation that confirmed its absence; NULL: it is not gone.",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(),
            nullable=True,
            comment="Every field that we do not know by name; NULL: none.",
        ),
        sa.CheckConstraint("(missing_since IS NULL) = (present_at IS NULL)", name=op.f("ck_job_missing")),
        sa.CheckConstraint(
            "gone_at IS NULL OR (missing_since IS NOT NULL AND images = 0)", name=op.f("ck_job_gone")
        ),
        sa.CheckConstraint(
            "images >= 0 AND annotated >= 0 AND unannotated >= 0 AND approved >= 0 AND rejected >= 0",
            name=op.f("ck_job_counts"),
        ),
        sa.PrimaryKeyConstraint("project_id", "job_id", name=op.f("pk_job")),
        schema="ledger",
        comment="One annotation job, as last believed.",
        postgresql_with={"fillfactor": 90},
    )
    op.create_index(
        "ix_job_project_id_batch_id", "job", ["project_id", "batch_id"], unique=False, schema="ledger"
    )


def _create_job_change() -> None:
    op.create_table(
        "job_change",
        sa.Column("project_id", sa.Integer(), nullable=False, comment="The project that the job belongs to."),
        sa.Column(
            "job_id", sa.Text(collation="C"), nullable=False, comment="Roboflow's id of the annotation job."
        ),
        sa.Column(
            "observation_id", sa.BigInteger(), nullable=False, comment="The observation that saw the change."
        ),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="entered, changed, renamed (only the name), left (confirmed absent), returned.",
        ),
        sa.Column(
            "name", sa.Text(), nullable=True, comment="Name after the change; NULL: the source does not say."
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=True,
            comment="Status after the change; NULL: the source does not say.",
        ),
        sa.Column(
            "batch_id",
            sa.Text(collation="C"),
            nullable=True,
            comment="Batch that it was made from; NULL: the source does not say.",
        ),
        sa.Column(
            "images",
            sa.Integer(),
            nullable=False,
            comment="Images in the job after the change; 0 when it left.",
        ),
        sa.Column(
            "annotated",
            sa.Integer(),
            nullable=True,
            comment="Images in the job that are annotated after the change; 0 when it left; NULL: the source does not say.",
        ),
        sa.Column(
            "unannotated",
            sa.Integer(),
            nullable=True,
            comment="Images in the job that are not annotated yet after the change; 0 when it left; NULL: the source does not say.",
        ),
        sa.Column(
            "approved",
            sa.Integer(),
            nullable=True,
            comment="Images in the job that a reviewer approved after the change; 0 when it left; NULL: the source does not say.",
        ),
        sa.Column(
            "rejected",
            sa.Integer(),
            nullable=True,
            comment="Images in the job that a reviewer rejected after the change; 0 when it left; NULL: the source does not say.",
        ),
        sa.Column(
            "labeler",
            sa.Text(),
            nullable=True,
            comment="Who annotates, as the settings let it be kept: NULL, a pseudonym, or as the source has it.",
        ),
        sa.Column(
            "reviewer",
            sa.Text(),
            nullable=True,
            comment="Who reviews, as the settings let it be kept: NULL, a pseudonym, or as the source has it.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was made; NULL: the source does not say.",
        ),
        sa.Column("images_delta", sa.Integer(), nullable=False, comment="Images after less images before."),
        sa.Column(
            "annotated_delta",
            sa.Integer(),
            nullable=False,
            comment="The same of annotated ones, NULL counted as 0.",
        ),
        sa.Column(
            "approved_delta",
            sa.Integer(),
            nullable=False,
            comment="The same of approved ones, NULL counted as 0.",
        ),
        sa.Column(
            "rejected_delta",
            sa.Integer(),
            nullable=False,
            comment="The same of rejected ones, NULL counted as 0.",
        ),
        sa.Column(
            "observed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the change was seen: it fell in (changed_after, observed_at].",
        ),
        sa.Column(
            "changed_after",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Last observation of the state before; NULL: the jobs had never been read.",
        ),
        sa.CheckConstraint(
            "kind IN ('entered', 'changed', 'renamed', 'left', 'returned')", name=op.f("ck_job_change_kind")
        ),
        sa.CheckConstraint("changed_after < observed_at", name=op.f("ck_job_change_interval")),
        sa.PrimaryKeyConstraint("project_id", "job_id", "observation_id", name=op.f("pk_job_change")),
        schema="ledger",
        comment="One change of one annotation job against the last trusted reading of it. Append-only.",
    )


def _widen_evidence() -> None:
    """Let what was looked up, and what could not be used, be of jobs as well; all there is is of batches."""
    for table, key in _KEYS.items():
        op.alter_column(table, "batch_id", new_column_name="record_id", schema="ledger")
        op.execute(f"COMMENT ON COLUMN ledger.{table}.record_id IS '{_COMMENTS[table][0]}'")
        op.add_column(
            table,
            sa.Column(
                "subject",
                sa.Text(),
                server_default=sa.text("'batch'"),
                nullable=False,
                comment="What it is about: batch or job.",
            ),
            schema="ledger",
        )
        _check(table, "subject", "subject IN ('batch', 'job')")
        op.drop_constraint(f"pk_{table}", table, schema="ledger")
        op.create_primary_key(f"pk_{table}", table, ["observation_id", "subject", key], schema="ledger")
    op.execute(f"COMMENT ON TABLE ledger.look_up IS '{_TABLE_COMMENT.format(' or job')}'")


def _narrow_evidence() -> None:
    for table, key in _OLD_KEYS.items():
        op.execute(f"DELETE FROM ledger.{table} WHERE subject <> 'batch'")
        op.drop_constraint(f"pk_{table}", table, schema="ledger")
        op.drop_column(table, "subject", schema="ledger")
        op.alter_column(table, "record_id", new_column_name="batch_id", schema="ledger")
        op.execute(f"COMMENT ON COLUMN ledger.{table}.batch_id IS '{_COMMENTS[table][1]}'")
        op.create_primary_key(f"pk_{table}", table, ["observation_id", key], schema="ledger")
    op.execute(f"COMMENT ON TABLE ledger.look_up IS '{_TABLE_COMMENT.format('')}'")


def _widen_project() -> None:
    for column in (
        sa.Column(
            "jobs_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="First trusted reading of its jobs; NULL: they were never read.",
        ),
        sa.Column(
            "jobs",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Annotation jobs that are not gone, as last believed.",
        ),
        sa.Column(
            "job_images",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images in those jobs.",
        ),
        sa.Column(
            "annotated",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images in those jobs that are annotated.",
        ),
        sa.Column(
            "approved",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images in those jobs that a reviewer approved.",
        ),
        sa.Column(
            "rejected",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images in those jobs that a reviewer rejected.",
        ),
        sa.Column(
            "jobs_digest",
            sa.LargeBinary(),
            nullable=True,
            comment="As digest, of the list of jobs; NULL as there.",
        ),
        sa.Column(
            "jobs_etag",
            sa.Text(),
            nullable=True,
            comment="As etag, of the list of jobs, after a mark of what was taken out of its body; NULL as there.",
        ),
        sa.Column(
            "jobs_loss_suspected_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="As loss_suspected_since, of the list of jobs; NULL as there.",
        ),
        sa.Column(
            "jobs_settled",
            sa.Boolean(),
            nullable=True,
            comment="As is_settled, of the list of jobs; NULL as there.",
        ),
    ):
        op.add_column("project", column, schema="ledger")


def _widen_observation() -> None:
    for column in (
        sa.Column(
            "jobs_verdict",
            sa.Text(),
            nullable=True,
            comment="Of the list of jobs: changed, unchanged (both trusted), suspect, failed; NULL: it was not asked for.",
        ),
        sa.Column(
            "jobs_rule", sa.Text(), nullable=True, comment="As rule, of the list of jobs; NULL as there."
        ),
        sa.Column(
            "jobs_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When its answer, or its failure, was complete; NULL: it was not asked for.",
        ),
        sa.Column(
            "jobs_previous_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="jobs_at of the trusted reading of the jobs before it; NULL: there is none.",
        ),
        sa.Column(
            "jobs_http_status",
            sa.SmallInteger(),
            nullable=True,
            comment="As http_status, of the list of jobs; NULL as there.",
        ),
        sa.Column(
            "jobs_body_bytes",
            sa.Integer(),
            nullable=True,
            comment="As body_bytes, of the list of jobs; NULL as there.",
        ),
        sa.Column(
            "jobs_digest",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of the list of jobs as kept, without what is not to be kept of people; NULL as for digest.",
        ),
        sa.Column(
            "jobs",
            sa.Integer(),
            nullable=True,
            comment="Annotation jobs that are not gone, as believed after it; NULL: they were never read.",
        ),
        sa.Column(
            "job_images",
            sa.BigInteger(),
            nullable=True,
            comment="Images in those jobs; NULL: they were never read.",
        ),
        sa.Column(
            "annotated",
            sa.BigInteger(),
            nullable=True,
            comment="Images in those jobs that are annotated; NULL: they were never read.",
        ),
        sa.Column(
            "approved",
            sa.BigInteger(),
            nullable=True,
            comment="Images in those jobs that a reviewer approved; NULL: they were never read.",
        ),
        sa.Column(
            "rejected",
            sa.BigInteger(),
            nullable=True,
            comment="Images in those jobs that a reviewer rejected; NULL: they were never read.",
        ),
        sa.Column(
            "jobs_changes",
            sa.Integer(),
            nullable=True,
            comment="Rows of the history of jobs that it appended; NULL: none was compared.",
        ),
        sa.Column(
            "jobs_error_class",
            sa.Text(),
            nullable=True,
            comment="Kind of the error; NULL: the jobs did not fail.",
        ),
        sa.Column(
            "jobs_error",
            sa.Text(),
            nullable=True,
            comment="What went wrong with the jobs, without secrets; NULL: nothing.",
        ),
        sa.Column(
            "jobs_surroundings",
            postgresql.JSONB(),
            nullable=True,
            comment="As surroundings, of the list of jobs; NULL as there.",
        ),
        sa.Column(
            "jobs_settled",
            sa.Boolean(),
            nullable=True,
            comment="As is_settled, of the list of jobs; NULL: they were never read.",
        ),
        sa.Column(
            "intake",
            sa.BigInteger(),
            nullable=True,
            comment="Images that came new into batches, as far as can be told; NULL: nothing was compared, or with nothing.",
        ),
        sa.Column(
            "moved",
            sa.BigInteger(),
            nullable=True,
            comment="Images that left one batch while as many entered another, so that they likely moved; NULL: nothing was compared, or with nothing.",
        ),
        sa.Column(
            "assigned",
            sa.BigInteger(),
            nullable=True,
            comment="Images that left batches for jobs; NULL: nothing was compared, or with nothing.",
        ),
        sa.Column(
            "unassigned",
            sa.BigInteger(),
            nullable=True,
            comment="Images that came back into batches from jobs; NULL: nothing was compared, or with nothing.",
        ),
        sa.Column(
            "removed",
            sa.BigInteger(),
            nullable=True,
            comment="Images that left batches for neither a job nor another batch, less what came back with one; NULL: nothing was compared, or with nothing.",
        ),
        sa.Column(
            "annotated_work",
            sa.BigInteger(),
            nullable=True,
            comment="How many more images of the jobs that are there are annotated; NULL: the jobs were not compared, or with nothing.",
        ),
        sa.Column(
            "approved_work",
            sa.BigInteger(),
            nullable=True,
            comment="How many more images of the jobs that are there are approved; NULL: the jobs were not compared, or with nothing.",
        ),
        sa.Column(
            "rejected_work",
            sa.BigInteger(),
            nullable=True,
            comment="How many more images of the jobs that are there are rejected; NULL: the jobs were not compared, or with nothing.",
        ),
    ):
        op.add_column("observation", column, schema="ledger")
    for name, condition in _CHECKS.items():
        _check("observation", name, condition)
    op.create_index(
        "ix_observation_jobs",
        "observation",
        ["project_id", "jobs_at"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("jobs_verdict IN ('changed', 'unchanged')"),
    )


def _widen_project_day() -> None:
    for column in (
        sa.Column(
            "jobs",
            sa.Integer(),
            nullable=True,
            comment="Annotation jobs that were not gone when the day's last change was seen; NULL: they were never read.",
        ),
        sa.Column(
            "job_images",
            sa.BigInteger(),
            nullable=True,
            comment="Images in those jobs; NULL: they were never read.",
        ),
        sa.Column(
            "annotated",
            sa.BigInteger(),
            nullable=True,
            comment="Images in those jobs that are annotated; NULL: they were never read.",
        ),
        sa.Column(
            "approved",
            sa.BigInteger(),
            nullable=True,
            comment="Images in those jobs that a reviewer approved; NULL: they were never read.",
        ),
        sa.Column(
            "rejected",
            sa.BigInteger(),
            nullable=True,
            comment="Images in those jobs that a reviewer rejected; NULL: they were never read.",
        ),
        sa.Column(
            "job_images_delta",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Sum of the day's changes of job_images.",
        ),
        sa.Column(
            "annotated_delta",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Sum of the day's changes of annotated.",
        ),
        sa.Column(
            "approved_delta",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Sum of the day's changes of approved.",
        ),
        sa.Column(
            "rejected_delta",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Sum of the day's changes of rejected.",
        ),
        sa.Column(
            "intake",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images that came new into batches, as far as can be told.",
        ),
        sa.Column(
            "moved",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images that left one batch while as many entered another, so that they likely moved.",
        ),
        sa.Column(
            "assigned",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images that left batches for jobs.",
        ),
        sa.Column(
            "unassigned",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images that came back into batches from jobs.",
        ),
        sa.Column(
            "removed",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Images that left batches for neither a job nor another batch, less what came back with one.",
        ),
        sa.Column(
            "annotated_work",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="How many more images of the jobs that are there are annotated.",
        ),
        sa.Column(
            "approved_work",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="How many more images of the jobs that are there are approved.",
        ),
        sa.Column(
            "rejected_work",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="How many more images of the jobs that are there are rejected.",
        ),
    ):
        op.add_column("project_day", column, schema="ledger")


def _check(table: str, name: str, condition: str) -> None:
    constraint = f"ck_{table}_{name}"
    op.execute(f"ALTER TABLE ledger.{table} ADD CONSTRAINT {constraint} CHECK ({condition}) NOT VALID")
    op.execute(f"ALTER TABLE ledger.{table} VALIDATE CONSTRAINT {constraint}")
