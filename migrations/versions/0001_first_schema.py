"""The first schema: private tables in `ledger`, and in `analytics` the views that users rely on."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_first_schema"
down_revision = None
branch_labels = None
depends_on = None

_VIEWS = Path(__file__).parents[1] / "views"
_ORDER = (
    "project",
    "batch",
    "batch_change",
    "batch_history",
    "observation",
    "gap",
    "project_daily",
    "batch_as_of",
    "invariant_violation",
)
_TABLES = (
    "batch",
    "batch_change",
    "claim",
    "payload",
    "project",
    "run",
    "tick",
    "observation",
    "project_day",
    "reject",
)


def upgrade() -> None:
    op.execute("CREATE SCHEMA analytics")
    op.execute(
        "COMMENT ON SCHEMA analytics IS 'What users may rely on: views and functions that every release keeps.'"
    )
    op.execute("COMMENT ON SCHEMA ledger IS 'Private tables of batchledger; read schema analytics.'")
    _create_tables()
    for view in _ORDER:
        op.execute((_VIEWS / view / "001.sql").read_text())


def downgrade() -> None:
    op.execute("DROP SCHEMA analytics CASCADE")
    for table in reversed(_TABLES):
        op.drop_table(table, schema="ledger")


def _create_tables() -> None:
    op.create_table(
        "batch",
        sa.Column(
            "project_id", sa.Integer(), nullable=False, comment="The project that the batch belongs to."
        ),
        sa.Column("batch_id", sa.Text(collation="C"), nullable=False, comment="Roboflow's id of the batch."),
        sa.Column(
            "name",
            sa.Text(),
            nullable=True,
            comment="Name, neither unique nor stable; NULL: the source does not say.",
        ),
        sa.Column(
            "images",
            sa.Integer(),
            nullable=False,
            comment="Images still in the batch, not yet assigned to a job; 0 once it is gone.",
        ),
        sa.Column(
            "num_jobs",
            sa.Integer(),
            nullable=True,
            comment="Annotation jobs made from it; NULL: the source does not say; 0 once it is gone.",
        ),
        sa.Column(
            "uploaded_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was uploaded, floored to the microsecond; NULL: the source does not say.",
        ),
        sa.Column(
            "first_seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="observed_at of the observation that first saw it.",
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="observed_at of the observation that made its last change.",
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
            comment="First observation that showed it without usable values; NULL: its values are as last observed.",
        ),
        sa.Column(
            "gone_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Observation that confirmed its absence; NULL: it is not gone.",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Every field that we do not know by name; NULL: none.",
        ),
        sa.CheckConstraint("(missing_since IS NULL) = (present_at IS NULL)", name=op.f("ck_batch_missing")),
        sa.CheckConstraint(
            "gone_at IS NULL OR (missing_since IS NOT NULL AND images = 0 AND num_jobs = 0)",
            name=op.f("ck_batch_gone"),
        ),
        sa.CheckConstraint("images >= 0 AND num_jobs >= 0", name=op.f("ck_batch_counts")),
        sa.PrimaryKeyConstraint("project_id", "batch_id", name="pk_batch"),
        schema="ledger",
        comment="One batch, as last believed.",
        postgresql_with={"fillfactor": 90},
    )
    op.create_table(
        "batch_change",
        sa.Column(
            "project_id", sa.Integer(), nullable=False, comment="The project that the batch belongs to."
        ),
        sa.Column("batch_id", sa.Text(collation="C"), nullable=False, comment="Roboflow's id of the batch."),
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
        sa.Column("images", sa.Integer(), nullable=False, comment="Images after the change; 0 when it left."),
        sa.Column(
            "num_jobs",
            sa.Integer(),
            nullable=True,
            comment="Jobs after the change; NULL: the source does not say; 0 when it left.",
        ),
        sa.Column(
            "uploaded_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Upload time after the change; NULL: the source does not say.",
        ),
        sa.Column("images_delta", sa.Integer(), nullable=False, comment="Images after less images before."),
        sa.Column(
            "num_jobs_delta",
            sa.Integer(),
            nullable=False,
            comment="Jobs after less jobs before, NULL counted as 0.",
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
            comment="Last observation of the state before; NULL: the project had never been observed.",
        ),
        sa.CheckConstraint(
            "kind IN ('entered', 'changed', 'renamed', 'left', 'returned')", name=op.f("ck_batch_change_kind")
        ),
        sa.CheckConstraint("changed_after < observed_at", name=op.f("ck_batch_change_interval")),
        sa.PrimaryKeyConstraint("project_id", "batch_id", "observation_id", name="pk_batch_change"),
        schema="ledger",
        comment="One change of one batch against the last trusted observation of it. Append-only.",
    )
    op.create_table(
        "claim",
        sa.Column(
            "project_id", sa.Integer(), autoincrement=False, nullable=False, comment="The claimed project."
        ),
        sa.Column(
            "run_id",
            sa.BigInteger(),
            nullable=False,
            comment="The run that may write the project; every write checks this number.",
        ),
        sa.PrimaryKeyConstraint("project_id", name="pk_claim"),
        schema="ledger",
        comment="One project that a run has claimed, until it ends or its lease lapses. Unlogged: no cost in the write-ahead log, and a crash of the database frees every project.",
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "payload",
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the body as received."),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="The body, compressed by zlib."),
        sa.Column("body_bytes", sa.Integer(), nullable=False, comment="Size of the body before compression."),
        sa.PrimaryKeyConstraint("digest", name="pk_payload"),
        schema="ledger",
        comment="One distinct response body. Equal bodies are stored once.",
    )
    op.create_table(
        "project",
        sa.Column(
            "project_id",
            sa.Integer(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the project in this ledger.",
        ),
        sa.Column("workspace", sa.Text(), nullable=False, comment="Slug of the workspace at Roboflow."),
        sa.Column(
            "project",
            sa.Text(),
            nullable=False,
            comment="Slug of the project at Roboflow, without the workspace.",
        ),
        sa.Column(
            "name", sa.Text(), nullable=True, comment="Name as the workspace lists it; NULL if it never said."
        ),
        sa.Column(
            "type",
            sa.Text(),
            nullable=True,
            comment="Type as the workspace lists it, such as object-detection; NULL if it never said.",
        ),
        sa.Column(
            "is_tracked",
            sa.Boolean(),
            nullable=False,
            comment="Whether the settings of the last full run asked for it.",
        ),
        sa.Column(
            "first_seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When a run first knew of it.",
        ),
        sa.Column(
            "batches", sa.Integer(), nullable=False, comment="Batches that are not gone, as last believed."
        ),
        sa.Column(
            "images", sa.BigInteger(), nullable=False, comment="Images not yet assigned, over those batches."
        ),
        sa.Column("num_jobs", sa.BigInteger(), nullable=False, comment="Jobs made from those batches."),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of the last trusted body; NULL: something is pending, so the same body is evidence.",
        ),
        sa.Column(
            "etag",
            sa.Text(),
            nullable=True,
            comment="ETag of the last trusted body; NULL as for digest, or the source offers none.",
        ),
        sa.Column(
            "loss_suspected_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Observation that first disbelieved a loss, with no trusted one since; NULL: none.",
        ),
        sa.PrimaryKeyConstraint("project_id", name="pk_project"),
        sa.UniqueConstraint("workspace", "project", name="uq_project_workspace_project"),
        schema="ledger",
        comment="One project of a workspace, with its totals as last believed.",
    )
    op.create_table(
        "run",
        sa.Column(
            "run_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the run; also the number that its claims carry.",
        ),
        sa.Column(
            "trigger",
            sa.Text(),
            nullable=False,
            comment="What started it: sync (a command), schedule (the daemon), demo.",
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, comment="When it began."),
        sa.Column(
            "leased_until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When its claims lapse unless it renews them, by the database's clock.",
        ),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it ended; NULL while it runs, and for ever if it died.",
        ),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=True,
            comment="completed (every project trusted), partial (some failed, suspect or skipped), stopped (asked to stop), deadline (out of time); NULL as for ended_at.",
        ),
        sa.Column(
            "changed",
            sa.Integer(),
            nullable=True,
            comment="Projects whose verdict was changed; NULL until it ended.",
        ),
        sa.Column(
            "unchanged",
            sa.Integer(),
            nullable=True,
            comment="Projects whose verdict was unchanged; NULL until it ended.",
        ),
        sa.Column(
            "suspect",
            sa.Integer(),
            nullable=True,
            comment="Projects whose verdict was suspect; NULL until it ended.",
        ),
        sa.Column(
            "failed",
            sa.Integer(),
            nullable=True,
            comment="Projects whose verdict was failed; NULL until it ended.",
        ),
        sa.Column(
            "skipped",
            sa.Integer(),
            nullable=True,
            comment="Projects whose verdict was skipped; NULL until it ended.",
        ),
        sa.Column(
            "batch_changes",
            sa.BigInteger(),
            nullable=True,
            comment="Rows of history that it appended; NULL until it ended.",
        ),
        sa.Column(
            "requests",
            sa.Integer(),
            nullable=True,
            comment="HTTP requests that it sent, repeated ones included; NULL until it ended.",
        ),
        sa.Column("host", sa.Text(), nullable=False, comment="Name of the machine that it ran on."),
        sa.Column("version", sa.Text(), nullable=False, comment="Version of batchledger that ran it."),
        sa.CheckConstraint(
            "outcome IN ('completed', 'partial', 'stopped', 'deadline')", name=op.f("ck_run_outcome")
        ),
        sa.CheckConstraint("trigger IN ('sync', 'schedule', 'demo')", name=op.f("ck_run_trigger")),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name=op.f("ck_run_ended")),
        sa.PrimaryKeyConstraint("run_id", name="pk_run"),
        schema="ledger",
        comment="One run: one pass over the projects that were due.",
    )
    op.create_table(
        "tick",
        sa.Column(
            "tick_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the tick.",
        ),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=False, comment="When a run was due."),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="missed (nobody was there to start it), coalesced (one run made up for several), overlap (the run before was still going).",
        ),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), nullable=False, comment="When that was noticed."
        ),
        sa.Column("host", sa.Text(), nullable=False, comment="Name of the machine that noticed it."),
        sa.CheckConstraint("reason IN ('missed', 'coalesced', 'overlap')", name=op.f("ck_tick_reason")),
        sa.PrimaryKeyConstraint("tick_id", name="pk_tick"),
        sa.UniqueConstraint("host", "scheduled_at", name="uq_tick_host_scheduled_at"),
        schema="ledger",
        comment="One scheduled time at which no run started, and why.",
    )
    op.create_table(
        "observation",
        sa.Column(
            "observation_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the observation; rises with time within a project.",
        ),
        sa.Column("run_id", sa.BigInteger(), nullable=False, comment="The run that made it."),
        sa.Column("project_id", sa.Integer(), nullable=False, comment="The project that it read."),
        sa.Column(
            "verdict",
            sa.Text(),
            nullable=False,
            comment="changed, unchanged (both trusted), suspect (read, but an absence is not believed), failed, skipped.",
        ),
        sa.Column(
            "rule",
            sa.Text(),
            nullable=True,
            comment="The rule that made it suspect; NULL for every other verdict.",
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the attempt that decided it began; the answer may be as old as this.",
        ),
        sa.Column(
            "observed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the answer, or the failure, was complete.",
        ),
        sa.Column(
            "previous_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="observed_at of the trusted observation before it; NULL: there is none.",
        ),
        sa.Column(
            "http_status",
            sa.SmallInteger(),
            nullable=True,
            comment="Status of the last answer; NULL: there was none.",
        ),
        sa.Column(
            "requests",
            sa.Integer(),
            nullable=False,
            comment="HTTP requests sent for it, repeated ones and look-ups included.",
        ),
        sa.Column(
            "body_bytes",
            sa.Integer(),
            nullable=True,
            comment="Size of the body as received; NULL: there was none.",
        ),
        sa.Column(
            "fetch_ms",
            sa.REAL(),
            nullable=True,
            comment="Milliseconds to fetch it, waits included; NULL: nothing was fetched.",
        ),
        sa.Column(
            "parse_ms", sa.REAL(), nullable=True, comment="Milliseconds to parse it; NULL: it was not parsed."
        ),
        sa.Column(
            "store_ms",
            sa.REAL(),
            nullable=True,
            comment="Milliseconds until its statement had compared it; NULL: nothing was compared.",
        ),
        sa.Column(
            "batches",
            sa.Integer(),
            nullable=True,
            comment="Batches that are not gone, as believed after it; NULL: never observed.",
        ),
        sa.Column(
            "images",
            sa.BigInteger(),
            nullable=True,
            comment="Images not yet assigned, as believed after it; NULL: never observed.",
        ),
        sa.Column(
            "num_jobs",
            sa.BigInteger(),
            nullable=True,
            comment="Jobs, as believed after it; NULL: never observed.",
        ),
        sa.Column(
            "batches_entered", sa.Integer(), nullable=False, comment="Batches seen for the first time."
        ),
        sa.Column(
            "batches_changed",
            sa.Integer(),
            nullable=False,
            comment="Batches whose values differ from the last trusted ones.",
        ),
        sa.Column(
            "batches_renamed", sa.Integer(), nullable=False, comment="Batches of which only the name differs."
        ),
        sa.Column("batches_left", sa.Integer(), nullable=False, comment="Batches confirmed absent."),
        sa.Column(
            "batches_returned",
            sa.Integer(),
            nullable=False,
            comment="Batches that were gone and are there again.",
        ),
        sa.Column(
            "images_delta", sa.BigInteger(), nullable=False, comment="How far it moved the project's images."
        ),
        sa.Column(
            "num_jobs_delta", sa.BigInteger(), nullable=False, comment="How far it moved the project's jobs."
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of the body; NULL: there was none, or a 304.",
        ),
        sa.Column(
            "error_class", sa.Text(), nullable=True, comment="Kind of the error; NULL: it did not fail."
        ),
        sa.Column(
            "error", sa.Text(), nullable=True, comment="What went wrong, without secrets; NULL: nothing."
        ),
        sa.CheckConstraint(
            "(error_class IS NOT NULL) = (verdict = 'failed')", name=op.f("ck_observation_error")
        ),
        sa.CheckConstraint("(rule IS NOT NULL) = (verdict = 'suspect')", name=op.f("ck_observation_rule")),
        sa.CheckConstraint(
            "verdict IN ('changed', 'unchanged', 'suspect', 'failed', 'skipped')",
            name=op.f("ck_observation_verdict"),
        ),
        sa.CheckConstraint("previous_at < observed_at", name=op.f("ck_observation_previous")),
        sa.CheckConstraint("started_at <= observed_at", name=op.f("ck_observation_order")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["ledger.project.project_id"], name="fk_observation_project_id_project"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["ledger.run.run_id"], name="fk_observation_run_id_run"),
        sa.PrimaryKeyConstraint("observation_id", name="pk_observation"),
        sa.UniqueConstraint("run_id", "project_id", name="uq_observation_run_id_project_id"),
        schema="ledger",
        comment="One attempt, in one run, to read one project.",
    )
    op.create_index(
        "ix_observation_project_id_observed_at",
        "observation",
        ["project_id", "observed_at"],
        unique=False,
        schema="ledger",
        postgresql_include=["verdict"],
    )
    op.create_index(
        "ix_observation_untrusted",
        "observation",
        ["project_id", "observed_at"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("verdict IN ('failed', 'suspect')"),
    )
    op.create_table(
        "project_day",
        sa.Column("project_id", sa.Integer(), nullable=False, comment="The project."),
        sa.Column("day", sa.Date(), nullable=False, comment="The day, in UTC."),
        sa.Column(
            "batches",
            sa.Integer(),
            nullable=False,
            comment="Batches that were not gone when the day's last change was seen.",
        ),
        sa.Column(
            "images", sa.BigInteger(), nullable=False, comment="Images not yet assigned at that moment."
        ),
        sa.Column("num_jobs", sa.BigInteger(), nullable=False, comment="Jobs at that moment."),
        sa.Column(
            "images_delta", sa.BigInteger(), nullable=False, comment="Sum of the day's changes of images."
        ),
        sa.Column(
            "num_jobs_delta", sa.BigInteger(), nullable=False, comment="Sum of the day's changes of jobs."
        ),
        sa.Column(
            "batches_entered",
            sa.Integer(),
            nullable=False,
            comment="Batches that entered or returned on the day.",
        ),
        sa.Column("batches_left", sa.Integer(), nullable=False, comment="Batches that left on the day."),
        sa.ForeignKeyConstraint(
            ["project_id"], ["ledger.project.project_id"], name="fk_project_day_project_id_project"
        ),
        sa.PrimaryKeyConstraint("project_id", "day", name="pk_project_day"),
        schema="ledger",
        comment="One project and UTC day on which something changed; a day without a row changed nothing.",
    )
    op.create_table(
        "reject",
        sa.Column(
            "observation_id", sa.BigInteger(), nullable=False, comment="The observation that received it."
        ),
        sa.Column("position", sa.Integer(), nullable=False, comment="Place in the list, from 0."),
        sa.Column(
            "batch_id",
            sa.Text(collation="C"),
            nullable=True,
            comment="Id of the batch that it tells of; NULL: not readable.",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why it could not be used."),
        sa.Column("raw", sa.Text(), nullable=False, comment="The record as received."),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["ledger.observation.observation_id"],
            name="fk_reject_observation_id_observation",
        ),
        sa.PrimaryKeyConstraint("observation_id", "position", name="pk_reject"),
        schema="ledger",
        comment="One record of a list that could not be used.",
    )
