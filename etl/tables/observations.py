"""The table of observations: what each attempt to read a project found, and what is believed of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from etl.tables.columns import at, count, flows, job_totals, total, words, work
from etl.tables.projects import project
from etl.tables.runs import run
from etl.tables.schema import metadata

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
    words(
        "verdict",
        "changed, unchanged (both trusted), suspect (read, but an absence is not believed), failed, skipped.",
        nullable=False,
    ),
    words(
        "rule",
        "The rule that made it suspect; of a skipped one held (another run had the project) or stopped; NULL "
        "for every other verdict.",
    ),
    at("started_at", "When the attempt that decided it began; the answer may be as old as this."),
    at("observed_at", "When the answer, or the failure, was complete."),
    at(
        "previous_at", "observed_at of the trusted observation before it; NULL: there is none.", nullable=True
    ),
    Column("http_status", SmallInteger, comment="Status of the last answer; NULL: there was none."),
    count("requests", "HTTP requests sent for it, repeated ones and look-ups included."),
    count("body_bytes", "Size of the body as received; NULL: there was none.", nullable=True),
    Column("fetch_ms", REAL, comment="Milliseconds to fetch it, waits included; NULL: nothing was fetched."),
    Column("parse_ms", REAL, comment="Milliseconds to parse it; NULL: it was not parsed."),
    Column(
        "store_ms",
        REAL,
        comment="Milliseconds until its statement had compared it; NULL: nothing was compared.",
    ),
    count("batches", "Batches that are not gone, as believed after it; NULL: never observed.", nullable=True),
    total("images", "Images not yet assigned, as believed after it; NULL: never observed.", nullable=True),
    total("num_jobs", "Jobs, as believed after it; NULL: never observed.", nullable=True),
    count("batches_entered", "Batches seen for the first time."),
    count("batches_changed", "Batches whose values differ from the last trusted ones."),
    count("batches_renamed", "Batches of which only the name differs."),
    count("batches_left", "Batches confirmed absent."),
    count("batches_returned", "Batches that were gone and are there again."),
    total("images_delta", "How far it moved the project's images."),
    total("num_jobs_delta", "How far it moved the project's jobs."),
    Column("digest", LargeBinary, comment="SHA-256 of the body; NULL: there was none, or a 304."),
    words("error_class", "Kind of the error; NULL: it did not fail."),
    words("error", "What went wrong, without secrets; NULL: nothing."),
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
    words(
        "jobs_verdict",
        "Of the list of jobs: changed, unchanged (both trusted), suspect, failed; NULL: it was not asked "
        "for.",
    ),
    words("jobs_rule", "As rule, of the list of jobs; NULL as there."),
    at(
        "jobs_at", "When its answer, or its failure, was complete; NULL: it was not asked for.", nullable=True
    ),
    at(
        "jobs_previous_at",
        "jobs_at of the trusted reading of the jobs before it; NULL: there is none.",
        nullable=True,
    ),
    Column("jobs_http_status", SmallInteger, comment="As http_status, of the list of jobs; NULL as there."),
    count("jobs_body_bytes", "As body_bytes, of the list of jobs; NULL as there.", nullable=True),
    Column(
        "jobs_digest",
        LargeBinary,
        comment="SHA-256 of the list of jobs as kept, without what is not to be kept of people; NULL as for "
        "digest.",
    ),
    *job_totals("that are not gone, as believed after it"),
    count(
        "jobs_changes",
        "Rows of the history of jobs that it appended; NULL: none was compared.",
        nullable=True,
    ),
    words("jobs_error_class", "Kind of the error; NULL: the jobs did not fail."),
    words("jobs_error", "What went wrong with the jobs, without secrets; NULL: nothing."),
    Column("jobs_surroundings", JSONB, comment="As surroundings, of the list of jobs; NULL as there."),
    Column(
        "jobs_settled", Boolean, comment="As is_settled, of the list of jobs; NULL: they were never read."
    ),
    *flows(),
    *work(),
    at(
        "span_from",
        "observed_at of the first of the observations folded into it; NULL: it stands for itself.",
        nullable=True,
    ),
    count(
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
    Index("ix_observation_moved", "project_id", "observed_at", postgresql_where=text("moved <> 0")),
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
