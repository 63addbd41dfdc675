"""The tables of schema `ledger`: names, types, constraints, comments. Users read schema `analytics`."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA: Final = "ledger"

metadata: Final = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def _at(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=comment)


def _count(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Integer, nullable=nullable, comment=comment)


def _sum(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable, comment=comment)


def _text(name: str, comment: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, Text, nullable=nullable, comment=comment)


def _id(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Text(collation="C"), nullable=nullable, comment=comment)


def _batch_id(comment: str, *, nullable: bool = False) -> Column[Any]:
    return _id("batch_id", comment, nullable=nullable)


def _job_id(comment: str) -> Column[Any]:
    return _id("job_id", comment)


def _job_totals(which: str, *, is_known: bool = False) -> tuple[Column[Any], ...]:
    """Make the columns that count jobs and the images in them; `is_known` starts them at 0."""
    unknown = "" if is_known else "; NULL: they were never read"
    default = text("0") if is_known else None
    return (
        Column(
            "jobs",
            Integer,
            nullable=not is_known,
            server_default=default,
            comment=f"Annotation jobs {which}{unknown}.",
        ),
        *(
            Column(
                name,
                BigInteger,
                nullable=not is_known,
                server_default=default,
                comment=f"{what}{unknown}.",
            )
            for name, what in (
                ("job_images", "Images in those jobs"),
                ("annotated", "Images in those jobs that are annotated"),
                ("approved", "Images in those jobs that a reviewer approved"),
                ("rejected", "Images in those jobs that a reviewer rejected"),
            )
        ),
    )


def _flows(default: str | None = None) -> tuple[Column[Any], ...]:
    """Make the columns that say where images came from and went; NULL unless there is a default."""
    rest = "" if default else "; NULL: nothing was compared, or with nothing"
    return tuple(
        Column(
            name,
            BigInteger,
            nullable=default is None,
            server_default=None if default is None else text(default),
            comment=f"{what}{rest}.",
        )
        for name, what in (
            ("intake", "Images that came new into batches, as far as can be told"),
            ("moved", "Images that left one batch while as many entered another, so that they likely moved"),
            ("assigned", "Images that left batches for jobs"),
            ("unassigned", "Images that came back into batches from jobs"),
            ("removed", "Images that left batches for neither a job nor another batch"),
        )
    )


def _work(default: str | None = None) -> tuple[Column[Any], ...]:
    """Make the columns that count what labellers and reviewers did; NULL unless there is a default."""
    rest = "" if default else "; NULL: the jobs were not compared, or with nothing"
    return tuple(
        Column(
            f"{name}_work",
            BigInteger,
            nullable=default is None,
            server_default=None if default is None else text(default),
            comment=f"How many more images of the jobs that are there are {name}{rest}.",
        )
        for name in ("annotated", "approved", "rejected")
    )


def _subject() -> Column[Any]:
    return Column(
        "subject",
        Text,
        nullable=False,
        server_default=text("'batch'"),
        comment="What it is about: batch or job.",
    )


def _absence() -> tuple[Column[Any], ...]:
    """Make the columns that say whether a batch or job is there, and how that is known."""
    return (
        _at(
            "missing_since",
            "First observation of the present absence; NULL: it was there when last observed.",
            nullable=True,
        ),
        _at(
            "present_at",
            "Last observation that saw it before that absence; NULL as for missing_since.",
            nullable=True,
        ),
        _at(
            "unlisted_since",
            "First observation whose list left it out while a look-up found it; NULL: the list has it.",
            nullable=True,
        ),
        _at(
            "carried_since",
            "First observation that showed it without usable values; NULL: its values are as last observed.",
            nullable=True,
        ),
        _at("gone_at", "Observation that confirmed its absence; NULL: it is not gone.", nullable=True),
    )


def _job_counts(which: str) -> tuple[Column[Any], ...]:
    return (
        _count("images", f"Images in the job{which}."),
        *(
            _count(
                name, f"Images in the job that {what}{which}; NULL: the source does not say.", nullable=True
            )
            for name, what in (
                ("annotated", "are annotated"),
                ("unannotated", "are not annotated yet"),
                ("approved", "a reviewer approved"),
                ("rejected", "a reviewer rejected"),
            )
        ),
    )


def _people() -> tuple[Column[Any], ...]:
    return tuple(
        _text(name, f"{who}, as the settings let it be kept: NULL, a pseudonym, or as the source has it.")
        for name, who in (("labeler", "Who annotates"), ("reviewer", "Who reviews"))
    )


def _in_order_of_time(table: str) -> Index:
    """Find a stretch of time in what is only appended, by a summary of its pages that costs little."""
    return Index(
        f"ix_{table}_observed_at",
        "observed_at",
        postgresql_using="brin",
        # Or what was appended since the last vacuum would have to be looked through.
        postgresql_with={"autosummarize": "on"},
    )


_SUBJECT: Final = "subject IN ('batch', 'job')"


run: Final = Table(
    "run",
    metadata,
    Column(
        "run_id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Number of the run; also the number that its claims carry.",
    ),
    _text(
        "trigger",
        "What started it: sync (a command), schedule (the daemon), confirm (an operator), demo.",
        nullable=False,
    ),
    _at("started_at", "When it began."),
    _at("leased_until", "When its claims lapse unless it renews them, by the database's clock."),
    _at("ended_at", "When it ended; NULL while it runs, and for ever if it died.", nullable=True),
    _text(
        "outcome",
        "completed (every project trusted), partial (some failed, suspect or skipped), stopped (asked to "
        "stop), deadline (out of time); NULL as for ended_at.",
    ),
    _count("changed", "Projects whose verdict was changed; NULL until it ended.", nullable=True),
    _count("unchanged", "Projects whose verdict was unchanged; NULL until it ended.", nullable=True),
    _count("suspect", "Projects whose verdict was suspect; NULL until it ended.", nullable=True),
    _count("failed", "Projects whose verdict was failed; NULL until it ended.", nullable=True),
    _count("skipped", "Projects whose verdict was skipped; NULL until it ended.", nullable=True),
    _sum("batch_changes", "Rows of history that it appended; NULL until it ended.", nullable=True),
    _count(
        "requests", "HTTP requests that it sent, repeated ones included; NULL until it ended.", nullable=True
    ),
    _text("host", "Name of the machine that it ran on.", nullable=False),
    _text("version", "Version of batchledger that ran it.", nullable=False),
    Column(
        "is_whole",
        Boolean,
        comment="Whether it was asked for every project and not for named ones; NULL: it was not noted.",
    ),
    Column("guard", JSONB, comment="The thresholds that the guard went by; NULL: they were not noted."),
    # A run that died is found without a look at the others.
    Index("ix_run_unended", "started_at", postgresql_where=text("ended_at IS NULL")),
    CheckConstraint("trigger IN ('sync', 'schedule', 'confirm', 'demo')", name="trigger"),
    CheckConstraint("outcome IN ('completed', 'partial', 'stopped', 'deadline')", name="outcome"),
    CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended"),
    comment="One run: one pass over the projects that were due.",
)

project: Final = Table(
    "project",
    metadata,
    Column(
        "project_id",
        Integer,
        Identity(always=True),
        primary_key=True,
        comment="Number of the project in this ledger.",
    ),
    _text("workspace", "Slug of the workspace at Roboflow.", nullable=False),
    _text("project", "Slug of the project at Roboflow, without the workspace.", nullable=False),
    _text("name", "Name as the workspace lists it; NULL if it never said."),
    _text("type", "Type as the workspace lists it, such as object-detection; NULL if it never said."),
    Column(
        "is_tracked",
        Boolean,
        nullable=False,
        comment="Whether the settings of the last full run asked for it.",
    ),
    _at("first_seen_at", "When a run first knew of it."),
    _count("batches", "Batches that are not gone, as last believed."),
    _sum("images", "Images not yet assigned, over those batches."),
    _sum("num_jobs", "Jobs made from those batches."),
    Column(
        "digest",
        LargeBinary,
        comment="SHA-256 of the last trusted body; NULL: something is pending, so the same body is evidence.",
    ),
    _text(
        "etag",
        "ETag of the last trusted body; NULL as for digest, or the source offers none.",
    ),
    _at(
        "loss_suspected_since",
        "Observation that first disbelieved a loss, with no trusted one since; NULL: none.",
        nullable=True,
    ),
    Column(
        "is_settled",
        Boolean,
        comment="Whether the last answer shows all that is believed: nothing of it is missing, unlisted or "
        "carried; NULL: never observed.",
    ),
    _count(
        "max_age_s",
        "Promised: no more than so many seconds between two trusted observations; NULL: nothing is promised.",
        nullable=True,
    ),
    _at("jobs_since", "First trusted reading of its jobs; NULL: they were never read.", nullable=True),
    *_job_totals("that are not gone, as last believed", is_known=True),
    Column("jobs_digest", LargeBinary, comment="As digest, of the list of jobs; NULL as there."),
    _text("jobs_etag", "As etag, of the list of jobs; NULL as there."),
    _at(
        "jobs_loss_suspected_since",
        "As loss_suspected_since, of the list of jobs; NULL as there.",
        nullable=True,
    ),
    Column("jobs_settled", Boolean, comment="As is_settled, of the list of jobs; NULL as there."),
    UniqueConstraint("workspace", "project"),
    comment="One project of a workspace, with its totals as last believed.",
)

claim: Final = Table(
    "claim",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False, comment="The claimed project."),
    Column(
        "run_id",
        BigInteger,
        nullable=False,
        comment="The run that may write the project; every write checks this number.",
    ),
    prefixes=["UNLOGGED"],
    comment="One project that a run has claimed, until it ends or its lease lapses. Unlogged: no cost in the "
    "write-ahead log, and a crash of the database frees every project.",
)

observation: Final = Table(
    "observation",
    metadata,
    Column(
        "observation_id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Number of the observation; rises with time within a project.",
    ),
    Column("run_id", BigInteger, ForeignKey(run.c.run_id), nullable=False, comment="The run that made it."),
    Column(
        "project_id",
        Integer,
        ForeignKey(project.c.project_id),
        nullable=False,
        comment="The project that it read.",
    ),
    _text(
        "verdict",
        "changed, unchanged (both trusted), suspect (read, but an absence is not believed), failed, skipped.",
        nullable=False,
    ),
    _text(
        "rule",
        "The rule that made it suspect; of a skipped one held (another run had the project) or stopped; NULL "
        "for every other verdict.",
    ),
    _at("started_at", "When the attempt that decided it began; the answer may be as old as this."),
    _at("observed_at", "When the answer, or the failure, was complete."),
    _at(
        "previous_at", "observed_at of the trusted observation before it; NULL: there is none.", nullable=True
    ),
    Column("http_status", SmallInteger, comment="Status of the last answer; NULL: there was none."),
    _count("requests", "HTTP requests sent for it, repeated ones and look-ups included."),
    _count("body_bytes", "Size of the body as received; NULL: there was none.", nullable=True),
    Column("fetch_ms", REAL, comment="Milliseconds to fetch it, waits included; NULL: nothing was fetched."),
    Column("parse_ms", REAL, comment="Milliseconds to parse it; NULL: it was not parsed."),
    Column(
        "store_ms",
        REAL,
        comment="Milliseconds until its statement had compared it; NULL: nothing was compared.",
    ),
    _count(
        "batches", "Batches that are not gone, as believed after it; NULL: never observed.", nullable=True
    ),
    _sum("images", "Images not yet assigned, as believed after it; NULL: never observed.", nullable=True),
    _sum("num_jobs", "Jobs, as believed after it; NULL: never observed.", nullable=True),
    _count("batches_entered", "Batches seen for the first time."),
    _count("batches_changed", "Batches whose values differ from the last trusted ones."),
    _count("batches_renamed", "Batches of which only the name differs."),
    _count("batches_left", "Batches confirmed absent."),
    _count("batches_returned", "Batches that were gone and are there again."),
    _sum("images_delta", "How far it moved the project's images."),
    _sum("num_jobs_delta", "How far it moved the project's jobs."),
    Column("digest", LargeBinary, comment="SHA-256 of the body; NULL: there was none, or a 304."),
    _text("error_class", "Kind of the error; NULL: it did not fail."),
    _text("error", "What went wrong, without secrets; NULL: nothing."),
    Column(
        "surroundings",
        JSONB,
        comment="What the rest of the workspace said of it (is_listed, is_whole, witness); NULL: no loss was "
        "suspected.",
    ),
    Column(
        "is_settled",
        Boolean,
        comment="Whether after it nothing was missing, unlisted or carried; NULL: never observed.",
    ),
    Column(
        "gap_reasons",
        ARRAY(Text),
        comment="Why the stretch since previous_at, which it ends, is a gap, by time; NULL: it is none.",
    ),
    Column(
        "late_s",
        Double,
        comment="Seconds by which it came later than promised; NULL: in time, or nothing was promised.",
    ),
    _text(
        "jobs_verdict",
        "Of the list of jobs: changed, unchanged (both trusted), suspect, failed; NULL: it was not asked "
        "for.",
    ),
    _text("jobs_rule", "As rule, of the list of jobs; NULL as there."),
    _at(
        "jobs_at", "When its answer, or its failure, was complete; NULL: it was not asked for.", nullable=True
    ),
    _at(
        "jobs_previous_at",
        "jobs_at of the trusted reading of the jobs before it; NULL: there is none.",
        nullable=True,
    ),
    Column("jobs_http_status", SmallInteger, comment="As http_status, of the list of jobs; NULL as there."),
    _count("jobs_body_bytes", "As body_bytes, of the list of jobs; NULL as there.", nullable=True),
    Column(
        "jobs_digest",
        LargeBinary,
        comment="SHA-256 of the list of jobs as kept, without what is not to be kept of people; NULL as for "
        "digest.",
    ),
    *_job_totals("that are not gone, as believed after it"),
    _count(
        "jobs_changes",
        "Rows of the history of jobs that it appended; NULL: none was compared.",
        nullable=True,
    ),
    _text("jobs_error_class", "Kind of the error; NULL: the jobs did not fail."),
    _text("jobs_error", "What went wrong with the jobs, without secrets; NULL: nothing."),
    Column("jobs_surroundings", JSONB, comment="As surroundings, of the list of jobs; NULL as there."),
    Column(
        "jobs_settled", Boolean, comment="As is_settled, of the list of jobs; NULL: they were never read."
    ),
    *_flows(),
    *_work(),
    _at(
        "span_from",
        "observed_at of the first of the observations folded into it; NULL: it stands for itself.",
        nullable=True,
    ),
    _count(
        "span_count",
        "Observations that it stands for, itself included; NULL: it stands for itself.",
        nullable=True,
    ),
    UniqueConstraint("run_id", "project_id"),
    Index(
        "ix_observation_project_id_observed_at", "project_id", "observed_at", postgresql_include=["verdict"]
    ),
    # Gaps are found without a look at what went well; an observation that did costs nothing more.
    Index(
        "ix_observation_untrusted",
        "project_id",
        "observed_at",
        postgresql_where=text("verdict IN ('failed', 'suspect', 'skipped')"),
    ),
    Index(
        "ix_observation_gap",
        "project_id",
        "observed_at",
        postgresql_where=text("gap_reasons IS NOT NULL"),
    ),
    # The last reading of the jobs is found without a look at those that came after it and did not read them.
    Index(
        "ix_observation_jobs",
        "project_id",
        "jobs_at",
        postgresql_where=text("jobs_verdict IN ('changed', 'unchanged')"),
    ),
    Index(
        "ix_observation_jobs_untrusted",
        "project_id",
        "observed_at",
        postgresql_where=text("jobs_verdict IN ('failed', 'suspect')"),
    ),
    # Moves are few, and looked for among all observations.
    Index("ix_observation_moved", "project_id", "observed_at", postgresql_where=text("moved > 0")),
    CheckConstraint("verdict IN ('changed', 'unchanged', 'suspect', 'failed', 'skipped')", name="verdict"),
    CheckConstraint(
        "(rule IS NOT NULL) = (verdict = 'suspect') OR (verdict = 'skipped' AND rule IN ('held', 'stopped'))",
        name="rule",
    ),
    CheckConstraint("gap_reasons IS NULL OR verdict IN ('changed', 'unchanged')", name="gap"),
    CheckConstraint("late_s IS NULL OR (late_s > 0 AND gap_reasons IS NOT NULL)", name="late"),
    CheckConstraint(
        "(span_from IS NULL) = (span_count IS NULL) AND span_from < observed_at AND span_count > 1",
        name="span",
    ),
    CheckConstraint("(error_class IS NOT NULL) = (verdict = 'failed')", name="error"),
    CheckConstraint(
        "jobs_verdict IN ('changed', 'unchanged', 'suspect', 'failed') AND jobs_at IS NOT NULL"
        " OR jobs_verdict IS NULL AND jobs_at IS NULL",
        name="jobs_verdict",
    ),
    CheckConstraint("(jobs_rule IS NOT NULL) = (jobs_verdict = 'suspect')", name="jobs_rule"),
    CheckConstraint("(jobs_error_class IS NOT NULL) = (jobs_verdict = 'failed')", name="jobs_error"),
    CheckConstraint("jobs_previous_at < jobs_at", name="jobs_previous"),
    CheckConstraint("started_at <= observed_at", name="order"),
    CheckConstraint("previous_at < observed_at", name="previous"),
    comment="One attempt, in one run, to read one project.",
)

batch: Final = Table(
    "batch",
    metadata,
    Column("project_id", Integer, nullable=False, comment="The project that the batch belongs to."),
    _batch_id("Roboflow's id of the batch."),
    _text("name", "Name, neither unique nor stable; NULL: the source does not say."),
    _count("images", "Images still in the batch, not yet assigned to a job; 0 once it is gone."),
    _count(
        "num_jobs",
        "Annotation jobs made from it; NULL: the source does not say; 0 once it is gone.",
        nullable=True,
    ),
    _at(
        "uploaded_at",
        "When it was uploaded, floored to the microsecond; NULL: the source does not say.",
        nullable=True,
    ),
    _at("first_seen_at", "observed_at of the observation that first saw it."),
    _at("changed_at", "observed_at of the observation that made its last change."),
    *_absence(),
    Column("extra", JSONB, comment="Every field that we do not know by name; NULL: none."),
    PrimaryKeyConstraint("project_id", "batch_id"),
    CheckConstraint("images >= 0 AND num_jobs >= 0", name="counts"),
    CheckConstraint("(missing_since IS NULL) = (present_at IS NULL)", name="missing"),
    CheckConstraint(
        "gone_at IS NULL OR (missing_since IS NOT NULL AND images = 0 AND num_jobs = 0)", name="gone"
    ),
    comment="One batch, as last believed.",
    postgresql_with={"fillfactor": 90},  # Room for new versions in place: no index is touched by a change.
)

batch_change: Final = Table(
    "batch_change",
    metadata,
    Column("project_id", Integer, nullable=False, comment="The project that the batch belongs to."),
    _batch_id("Roboflow's id of the batch."),
    Column("observation_id", BigInteger, nullable=False, comment="The observation that saw the change."),
    _text(
        "kind",
        "entered, changed, renamed (only the name), left (confirmed absent), returned.",
        nullable=False,
    ),
    _text("name", "Name after the change; NULL: the source does not say."),
    _count("images", "Images after the change; 0 when it left."),
    _count(
        "num_jobs", "Jobs after the change; NULL: the source does not say; 0 when it left.", nullable=True
    ),
    _at("uploaded_at", "Upload time after the change; NULL: the source does not say.", nullable=True),
    _count("images_delta", "Images after less images before."),
    _count("num_jobs_delta", "Jobs after less jobs before, NULL counted as 0."),
    _at("observed_at", "When the change was seen: it fell in (changed_after, observed_at]."),
    _at(
        "changed_after",
        "Last observation of the state before; NULL: the project had never been observed.",
        nullable=True,
    ),
    PrimaryKeyConstraint("project_id", "batch_id", "observation_id"),
    CheckConstraint("kind IN ('entered', 'changed', 'renamed', 'left', 'returned')", name="kind"),
    _in_order_of_time("batch_change"),
    CheckConstraint("changed_after < observed_at", name="interval"),
    comment="One change of one batch against the last trusted observation of it. Append-only.",
)

job: Final = Table(
    "job",
    metadata,
    Column("project_id", Integer, nullable=False, comment="The project that the job belongs to."),
    _job_id("Roboflow's id of the annotation job."),
    _text("name", "Name; NULL: the source does not say."),
    _text("status", "Status in the source's own words, such as assigned or complete; NULL: it does not say."),
    _batch_id("Batch that it was made from; NULL: the source does not say.", nullable=True),
    *_job_counts("; 0 once it is gone"),
    *_people(),
    _at(
        "created_at",
        "When it was made, floored to the microsecond; NULL: the source does not say.",
        nullable=True,
    ),
    _at("first_seen_at", "jobs_at of the observation that first saw it."),
    _at("changed_at", "jobs_at of the observation that made its last change."),
    *_absence(),
    Column("extra", JSONB, comment="Every field that we do not know by name; NULL: none."),
    PrimaryKeyConstraint("project_id", "job_id"),
    Index("ix_job_project_id_batch_id", "project_id", "batch_id"),
    CheckConstraint(
        "images >= 0 AND annotated >= 0 AND unannotated >= 0 AND approved >= 0 AND rejected >= 0",
        name="counts",
    ),
    CheckConstraint("(missing_since IS NULL) = (present_at IS NULL)", name="missing"),
    CheckConstraint("gone_at IS NULL OR (missing_since IS NOT NULL AND images = 0)", name="gone"),
    comment="One annotation job, as last believed.",
    postgresql_with={"fillfactor": 90},
)

job_change: Final = Table(
    "job_change",
    metadata,
    Column("project_id", Integer, nullable=False, comment="The project that the job belongs to."),
    _job_id("Roboflow's id of the annotation job."),
    Column("observation_id", BigInteger, nullable=False, comment="The observation that saw the change."),
    _text(
        "kind",
        "entered, changed, renamed (only the name), left (confirmed absent), returned.",
        nullable=False,
    ),
    _text("name", "Name after the change; NULL: the source does not say."),
    _text("status", "Status after the change; NULL: the source does not say."),
    _batch_id("Batch that it was made from; NULL: the source does not say.", nullable=True),
    *_job_counts(" after the change; 0 when it left"),
    *_people(),
    _at("created_at", "When it was made; NULL: the source does not say.", nullable=True),
    _count("images_delta", "Images after less images before."),
    _count("annotated_delta", "The same of annotated ones, NULL counted as 0."),
    _count("approved_delta", "The same of approved ones, NULL counted as 0."),
    _count("rejected_delta", "The same of rejected ones, NULL counted as 0."),
    _at("observed_at", "When the change was seen: it fell in (changed_after, observed_at]."),
    _at(
        "changed_after",
        "Last observation of the state before; NULL: the jobs had never been read.",
        nullable=True,
    ),
    PrimaryKeyConstraint("project_id", "job_id", "observation_id"),
    CheckConstraint("kind IN ('entered', 'changed', 'renamed', 'left', 'returned')", name="kind"),
    _in_order_of_time("job_change"),
    CheckConstraint("changed_after < observed_at", name="interval"),
    comment="One change of one annotation job against the last trusted reading of it. Append-only.",
)

project_day: Final = Table(
    "project_day",
    metadata,
    Column("project_id", Integer, ForeignKey(project.c.project_id), nullable=False, comment="The project."),
    Column("day", Date, nullable=False, comment="The day, in UTC."),
    _count("batches", "Batches that were not gone when the day's last change was seen."),
    _sum("images", "Images not yet assigned at that moment."),
    _sum("num_jobs", "Jobs at that moment."),
    _sum("images_delta", "Sum of the day's changes of images."),
    _sum("num_jobs_delta", "Sum of the day's changes of jobs."),
    _count("batches_entered", "Batches that entered or returned on the day."),
    _count("batches_left", "Batches that left on the day."),
    *_job_totals("that were not gone when the day's last change was seen"),
    *(
        Column(
            f"{name}_delta",
            BigInteger,
            nullable=False,
            server_default=text("0"),
            comment=f"Sum of the day's changes of {name}.",
        )
        for name in ("job_images", "annotated", "approved", "rejected")
    ),
    *_flows("0"),
    *_work("0"),
    PrimaryKeyConstraint("project_id", "day"),
    comment="One project and UTC day on which something changed; a day without a row changed nothing.",
)

payload: Final = Table(
    "payload",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="SHA-256 of the body as received."),
    Column("body", LargeBinary, comment="The body, compressed by zlib; NULL: dropped for its age."),
    _count("body_bytes", "Size of the body before compression."),
    _at("pruned_at", "When the body was dropped for its age; NULL: it is here.", nullable=True),
    CheckConstraint("(body IS NULL) = (pruned_at IS NOT NULL)", name="pruned"),
    comment="One distinct response body. Equal bodies are stored once.",
)

reject: Final = Table(
    "reject",
    metadata,
    Column(
        "observation_id",
        BigInteger,
        ForeignKey(observation.c.observation_id),
        nullable=False,
        comment="The observation that received it.",
    ),
    _subject(),
    _count("position", "Place in the list, from 0."),
    _id("record_id", "Id of the batch or job that it tells of; NULL: not readable.", nullable=True),
    _text("reason", "Why it could not be used.", nullable=False),
    _text("raw", "The record as received.", nullable=False),
    PrimaryKeyConstraint("observation_id", "subject", "position"),
    CheckConstraint(_SUBJECT, name="subject"),
    comment="One record of a list that could not be used.",
)

look_up: Final = Table(
    "look_up",
    metadata,
    Column(
        "observation_id",
        BigInteger,
        ForeignKey(observation.c.observation_id),
        nullable=False,
        comment="The observation that asked.",
    ),
    _subject(),
    _id("record_id", "The batch or job that was asked for."),
    _text(
        "outcome",
        "found, not_found, inconclusive (it told nothing), accepted (an operator took its absence for true).",
        nullable=False,
    ),
    Column("digest", LargeBinary, comment="SHA-256 of the body that answered; NULL: there was none."),
    PrimaryKeyConstraint("observation_id", "subject", "record_id"),
    CheckConstraint(_SUBJECT, name="subject"),
    CheckConstraint("outcome IN ('found', 'not_found', 'inconclusive', 'accepted')", name="outcome"),
    CheckConstraint("(digest IS NOT NULL) = (outcome = 'found')", name="digest"),
    comment="One batch or job that an observation asked for on its own, and what came of it.",
)

pause: Final = Table(
    "pause",
    metadata,
    Column("project_id", Integer, ForeignKey(project.c.project_id), nullable=False, comment="The project."),
    _at("from_at", "The run that found that the settings do not ask for it any more."),
    _at("to_at", "The run that found that they do again; NULL: not yet.", nullable=True),
    PrimaryKeyConstraint("project_id", "from_at"),
    CheckConstraint("from_at <= to_at", name="order"),
    comment="One stretch of time in which the settings did not ask for a project.",
)

tick: Final = Table(
    "tick",
    metadata,
    Column("tick_id", BigInteger, Identity(always=True), primary_key=True, comment="Number of the tick."),
    _at("scheduled_at", "When a run was due."),
    _text(
        "reason",
        "down (no daemon was running), missed (it could not start a run), coalesced (one run made up for "
        "several), overlap (the run before was still going).",
        nullable=False,
    ),
    _at("recorded_at", "When that was noticed."),
    _text("host", "Name of the machine that noticed it.", nullable=False),
    UniqueConstraint("host", "scheduled_at"),
    Index("ix_tick_scheduled_at", "scheduled_at"),
    CheckConstraint("reason IN ('down', 'missed', 'coalesced', 'overlap')", name="reason"),
    comment="One scheduled time at which no run started, and why.",
)
