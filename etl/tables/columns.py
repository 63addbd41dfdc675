"""The columns that tables have in common, each kind alone and in the groups that several tables share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, Text, text


def at(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    """Make a column of instants."""
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=comment)


def count(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    """Make a column that counts what one list can hold."""
    return Column(name, Integer, nullable=nullable, comment=comment)


def total(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    """Make a column that adds up what many lists hold."""
    return Column(name, BigInteger, nullable=nullable, comment=comment)


def words(name: str, comment: str, *, nullable: bool = True) -> Column[Any]:
    """Make a column of text."""
    return Column(name, Text, nullable=nullable, comment=comment)


def identifier(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    """Make a column of ids, compared byte by byte."""
    return Column(name, Text(collation="C"), nullable=nullable, comment=comment)


def batch_id(comment: str, *, nullable: bool = False) -> Column[Any]:
    """Make the column of Roboflow's id of a batch."""
    return identifier("batch_id", comment, nullable=nullable)


def job_totals(which: str, *, is_known: bool = False) -> tuple[Column[Any], ...]:
    """Make the columns that count jobs and the images in them; `is_known` starts them at 0."""
    unknown = "" if is_known else "; NULL: they were never read"
    return (
        _tally("jobs", f"Annotation jobs {which}{unknown}.", Integer(), is_known=is_known),
        *(
            _tally(name, f"{what}{unknown}.", is_known=is_known)
            for name, what in (
                ("job_images", "Images in those jobs"),
                ("annotated", "Images in those jobs that are annotated"),
                ("approved", "Images in those jobs that a reviewer approved"),
                ("rejected", "Images in those jobs that a reviewer rejected"),
            )
        ),
    )


def flows(*, is_known: bool = False) -> tuple[Column[Any], ...]:
    """Make the columns that say where images came from and went; `is_known` starts them at 0."""
    unknown = "" if is_known else "; NULL: nothing was compared, or with nothing"
    return tuple(
        _tally(name, f"{what}{unknown}.", is_known=is_known)
        for name, what in (
            ("intake", "Images that came new into batches, as far as can be told"),
            ("moved", "Images that left one batch while as many entered another, so that they likely moved"),
            ("assigned", "Images that left batches for jobs"),
            ("unassigned", "Images that came back into batches from jobs"),
            (
                "removed",
                "Images that left batches for neither a job nor another batch, less what came back with one",
            ),
        )
    )


def work(*, is_known: bool = False) -> tuple[Column[Any], ...]:
    """Make the columns that count what labellers and reviewers did; `is_known` starts them at 0."""
    unknown = "" if is_known else "; NULL: the jobs were not compared, or with nothing"
    return tuple(
        _tally(
            f"{name}_work",
            f"How many more images of the jobs that are there are {name}{unknown}.",
            is_known=is_known,
        )
        for name in ("annotated", "approved", "rejected")
    )


def _tally(name: str, comment: str, kind: Integer | None = None, *, is_known: bool) -> Column[Any]:
    return Column(
        name,
        kind or BigInteger(),
        nullable=not is_known,
        server_default=text("0") if is_known else None,
        comment=comment,
    )


def absence() -> tuple[Column[Any], ...]:
    """Make the columns that say whether a batch or job is there, and how that is known."""
    return (
        at(
            "missing_since",
            "First observation of the present absence; NULL: it was there when last observed.",
            nullable=True,
        ),
        at(
            "present_at",
            "Last observation that saw it before that absence; NULL as for missing_since.",
            nullable=True,
        ),
        at(
            "unlisted_since",
            "First observation whose list left it out while a look-up found it; NULL: the list has it.",
            nullable=True,
        ),
        at(
            "carried_since",
            "First observation since which none showed usable values; NULL: they are as last observed.",
            nullable=True,
        ),
        at("gone_at", "Observation that confirmed its absence; NULL: it is not gone.", nullable=True),
    )


def in_order_of_time(table: str) -> Index:
    """Find a stretch of time in what is only appended, by a summary of its pages that costs little."""
    return Index(
        f"ix_{table}_observed_at",
        "observed_at",
        postgresql_using="brin",
        # Or what was appended since the last vacuum would have to be looked through.
        postgresql_with={"autosummarize": "on"},
    )
