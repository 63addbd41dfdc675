"""What is kept with history, batches and jobs, as the statements that serve both need to know it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Column(NamedTuple):
    """
    One value of a batch or job that history keeps.

    `is_counted` tells whether it counts images or jobs, and so is 0 once its batch or job is gone; `total` is
    the column of the project that adds it up, None where none does.
    """

    name: str
    type: str
    is_counted: bool = False
    total: str | None = None


class Subject(NamedTuple):
    """
    Batches, or jobs: a table, its history, and the totals of the project.

    `prefix` stands before the names of parameters and columns that an observation has for each of the two;
    `at` and `previous_at` name when the answer was observed and the trusted one before it; `settled` and
    `since` are columns of the project, `since` the one that tells since when it was ever read.
    """

    name: str
    columns: tuple[Column, ...]
    total: str
    prefix: str
    at: str
    previous_at: str
    settled: str
    since: str | None = None

    @property
    def key(self) -> str:
        """The column that tells one from another within a project."""
        return f"{self.name}_id"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of its values."""
        return tuple(column.name for column in self.columns)

    @property
    def compared(self) -> tuple[str, ...]:
        """Those that make a change more than a new name."""
        return tuple(name for name in self.names if name != "name")

    @property
    def summed(self) -> tuple[Column, ...]:
        """Those that the project adds up, each with a delta in the history."""
        return tuple(column for column in self.columns if column.total)


BATCH: Final = Subject(
    name="batch",
    columns=(
        Column("name", "text"),
        Column("images", "integer", is_counted=True, total="images"),
        Column("num_jobs", "integer", is_counted=True, total="num_jobs"),
        Column("uploaded_at", "timestamptz"),
    ),
    total="batches",
    prefix="",
    at="observed_at",
    previous_at="previous_at",
    settled="is_settled",
)

JOB: Final = Subject(
    name="job",
    columns=(
        Column("name", "text"),
        Column("status", "text"),
        Column("batch_id", 'text COLLATE "C"'),
        Column("images", "integer", is_counted=True, total="job_images"),
        Column("annotated", "integer", is_counted=True, total="annotated"),
        Column("unannotated", "integer", is_counted=True),
        Column("approved", "integer", is_counted=True, total="approved"),
        Column("rejected", "integer", is_counted=True, total="rejected"),
        Column("labeler", "text"),
        Column("reviewer", "text"),
        Column("created_at", "timestamptz"),
    ),
    total="jobs",
    prefix="jobs_",
    at="jobs_at",
    previous_at="jobs_previous_at",
    settled="jobs_settled",
    since="jobs_since",
)
