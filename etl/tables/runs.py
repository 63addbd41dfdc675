"""The tables of who works when: runs, what they have claimed, and the ticks at which none started."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from etl.tables.columns import at, count, total, words
from etl.tables.schema import metadata

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
    words(
        "trigger",
        "What started it: sync (a command), schedule (the daemon), confirm (an operator), demo.",
        nullable=False,
    ),
    at("started_at", "When it began."),
    at("leased_until", "When its claims lapse unless it renews them, by the database's clock."),
    at("ended_at", "When it ended; NULL while it runs, and for ever if it died.", nullable=True),
    words(
        "outcome",
        "completed (every project trusted), partial (some failed, suspect or skipped), stopped (asked to "
        "stop), deadline (out of time); NULL as for ended_at.",
    ),
    count("changed", "Projects whose verdict was changed; NULL until it ended.", nullable=True),
    count("unchanged", "Projects whose verdict was unchanged; NULL until it ended.", nullable=True),
    count("suspect", "Projects whose verdict was suspect; NULL until it ended.", nullable=True),
    count("failed", "Projects whose verdict was failed; NULL until it ended.", nullable=True),
    count("skipped", "Projects whose verdict was skipped; NULL until it ended.", nullable=True),
    total("batch_changes", "Rows of history that it appended; NULL until it ended.", nullable=True),
    count(
        "requests", "HTTP requests that it sent, repeated ones included; NULL until it ended.", nullable=True
    ),
    words("host", "Name of the machine that it ran on.", nullable=False),
    words("version", "Version of batchledger that ran it.", nullable=False),
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


tick: Final = Table(
    "tick",
    metadata,
    Column("tick_id", BigInteger, Identity(always=True), primary_key=True, comment="Number of the tick."),
    at("scheduled_at", "When a run was due."),
    words(
        "reason",
        "down (no daemon was running), missed (it could not start a run), coalesced (one run made up for "
        "several), overlap (the run before was still going).",
        nullable=False,
    ),
    at("recorded_at", "When that was noticed."),
    words("host", "Name of the machine that noticed it.", nullable=False),
    UniqueConstraint("host", "scheduled_at"),
    Index("ix_tick_scheduled_at", "scheduled_at"),
    CheckConstraint("reason IN ('down', 'missed', 'coalesced', 'overlap')", name="reason"),
    comment="One scheduled time at which no run started, and why.",
)
