"""The tables of projects: their totals as last believed, day by day, and when they were not followed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from etl.tables.columns import at, count, flows, job_totals, total, words, work
from etl.tables.schema import metadata

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
    words("workspace", "Slug of the workspace at Roboflow.", nullable=False),
    words("project", "Slug of the project at Roboflow, without the workspace.", nullable=False),
    words("name", "Name as the workspace lists it; NULL if it never said."),
    words("type", "Type as the workspace lists it, such as object-detection; NULL if it never said."),
    Column(
        "is_tracked",
        Boolean,
        nullable=False,
        comment="Whether the settings of the last full run asked for it.",
    ),
    at("first_seen_at", "When a run first knew of it."),
    count("batches", "Batches that are not gone, as last believed."),
    total("images", "Images not yet assigned, over those batches."),
    total("num_jobs", "Jobs made from those batches."),
    Column(
        "digest",
        LargeBinary,
        comment="SHA-256 of the last trusted body; NULL: something is pending, so the same body is evidence.",
    ),
    words(
        "etag",
        "ETag of the last trusted body; NULL as for digest, or the source offers none.",
    ),
    at(
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
    count(
        "max_age_s",
        "Promised: no more than so many seconds between two trusted observations; NULL: nothing is promised.",
        nullable=True,
    ),
    at("jobs_since", "First trusted reading of its jobs; NULL: they were never read.", nullable=True),
    *job_totals("that are not gone, as last believed", is_known=True),
    Column("jobs_digest", LargeBinary, comment="As digest, of the list of jobs; NULL as there."),
    words(
        "jobs_etag",
        "As etag, of the list of jobs, after a mark of what was taken out of its body; NULL as there.",
    ),
    at(
        "jobs_loss_suspected_since",
        "As loss_suspected_since, of the list of jobs; NULL as there.",
        nullable=True,
    ),
    Column("jobs_settled", Boolean, comment="As is_settled, of the list of jobs; NULL as there."),
    UniqueConstraint("workspace", "project"),
    comment="One project of a workspace, with its totals as last believed.",
)


project_day: Final = Table(
    "project_day",
    metadata,
    Column("project_id", Integer, ForeignKey(project.c.project_id), nullable=False, comment="The project."),
    Column("day", Date, nullable=False, comment="The day, in UTC."),
    count("batches", "Batches that were not gone when the day's last change was seen."),
    total("images", "Images not yet assigned at that moment."),
    total("num_jobs", "Jobs at that moment."),
    total("images_delta", "Sum of the day's changes of images."),
    total("num_jobs_delta", "Sum of the day's changes of jobs."),
    count("batches_entered", "Batches that entered or returned on the day."),
    count("batches_left", "Batches that left on the day."),
    *job_totals("that were not gone when the day's last change was seen"),
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
    *flows(is_known=True),
    *work(is_known=True),
    PrimaryKeyConstraint("project_id", "day"),
    comment="One project and UTC day on which something changed; a day without a row changed nothing.",
)


pause: Final = Table(
    "pause",
    metadata,
    Column("project_id", Integer, ForeignKey(project.c.project_id), nullable=False, comment="The project."),
    at("from_at", "The run that found that the settings do not ask for it any more."),
    at("to_at", "The run that found that they do again; NULL: not yet.", nullable=True),
    PrimaryKeyConstraint("project_id", "from_at"),
    CheckConstraint("from_at <= to_at", name="order"),
    comment="One stretch of time in which the settings did not ask for a project.",
)
