"""The tables of annotation jobs: each as last believed, and every change of it."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, Table
from sqlalchemy.dialects.postgresql import JSONB

from etl.tables.columns import absence, at, batch_id, count, identifier, in_order_of_time, words
from etl.tables.schema import metadata


def _job_id(comment: str) -> Column[Any]:
    return identifier("job_id", comment)


def _job_counts(which: str) -> tuple[Column[Any], ...]:
    return (
        count("images", f"Images in the job{which}."),
        *(
            count(
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
        words(name, f"{who}, as the settings let it be kept: NULL, a pseudonym, or as the source has it.")
        for name, who in (("labeler", "Who annotates"), ("reviewer", "Who reviews"))
    )


job: Final = Table(
    "job",
    metadata,
    Column("project_id", Integer, nullable=False, comment="The project that the job belongs to."),
    _job_id("Roboflow's id of the annotation job."),
    words("name", "Name; NULL: the source does not say."),
    words("status", "Status in the source's own words, such as assigned or complete; NULL: it does not say."),
    batch_id("Batch that it was made from; NULL: the source does not say.", nullable=True),
    *_job_counts("; 0 once it is gone"),
    *_people(),
    at(
        "created_at",
        "When it was made, floored to the microsecond; NULL: the source does not say.",
        nullable=True,
    ),
    at("first_seen_at", "jobs_at of the observation that first saw it."),
    at("changed_at", "jobs_at of the observation that made its last change."),
    *absence(),
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
    words(
        "kind",
        "entered, changed, renamed (only the name), left (confirmed absent), returned.",
        nullable=False,
    ),
    words("name", "Name after the change; NULL: the source does not say."),
    words("status", "Status after the change; NULL: the source does not say."),
    batch_id("Batch that it was made from; NULL: the source does not say.", nullable=True),
    *_job_counts(" after the change; 0 when it left"),
    *_people(),
    at("created_at", "When it was made; NULL: the source does not say.", nullable=True),
    count("images_delta", "Images after less images before."),
    count("annotated_delta", "The same of annotated ones, NULL counted as 0."),
    count("approved_delta", "The same of approved ones, NULL counted as 0."),
    count("rejected_delta", "The same of rejected ones, NULL counted as 0."),
    at("observed_at", "When the change was seen: it fell in (changed_after, observed_at]."),
    at(
        "changed_after",
        "Last observation of the state before; NULL: the jobs had never been read.",
        nullable=True,
    ),
    PrimaryKeyConstraint("project_id", "job_id", "observation_id"),
    CheckConstraint("kind IN ('entered', 'changed', 'renamed', 'left', 'returned')", name="kind"),
    in_order_of_time("job_change"),
    CheckConstraint("changed_after < observed_at", name="interval"),
    comment="One change of one annotation job against the last trusted reading of it. Append-only.",
)
