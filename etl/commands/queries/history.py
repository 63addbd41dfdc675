"""What `history` reads: the life of a project day by day, that of a batch state by state, and their gaps."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands.instants import Span
from etl.commands.queries import require_batch, require_project, rows
from etl.commands.queries.gaps import Gap, gaps
from etl.commands.queries.past import BatchThen, batches_then

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.records import Slug


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """
    One project and UTC day, as at its end; not `is_observed`: carried from the day before.

    `intake`, `assigned` and `unassigned` count the images that came new, left for jobs and came back from
    them, None where nobody looked; `annotated_work` those that were annotated, None where nobody read the
    jobs. `remaining` counts the images that are not annotated yet, None where the jobs were never read.
    """

    day: date
    batches: int
    images: int
    num_jobs: int
    images_delta: int
    num_jobs_delta: int
    is_observed: bool
    intake: int | None = None
    assigned: int | None = None
    unassigned: int | None = None
    annotated_work: int | None = None
    remaining: int | None = None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """
    One change of one batch, and the state that it left.

    It began in (`changed_after`, `observed_at`]; `changed_after` is None where nobody had looked before.
    """

    kind: str
    changed_after: datetime | None
    observed_at: datetime
    name: str | None
    images: int
    images_delta: int
    num_jobs: int | None
    num_jobs_delta: int
    run_id: int


class BatchNow(msgspec.Struct, frozen=True, kw_only=True):
    """One batch, as last believed."""

    workspace: str
    project: str
    batch_id: str
    name: str | None
    images: int
    num_jobs: int | None
    uploaded_at: datetime | None
    first_seen_at: datetime
    changed_at: datetime
    last_seen_at: datetime
    missing_since: datetime | None
    gone_at: datetime | None


class JobNow(msgspec.Struct, frozen=True, kw_only=True):
    """One annotation job of a batch, as last believed; counts are None where the source does not say."""

    job_id: str
    name: str | None
    status: str | None
    images: int
    annotated: int | None
    approved: int | None
    rejected: int | None
    created_at: datetime | None
    changed_at: datetime
    missing_since: datetime | None = None
    gone_at: datetime | None


class ProjectHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The life of one project, day by day, with the gaps in it; `from_at` and `to_at` are as asked for."""

    workspace: str
    project: str
    from_at: datetime | None
    to_at: datetime | None
    days: tuple[Day, ...]
    gaps: tuple[Gap, ...]


class BatchHistory(msgspec.Struct, frozen=True, kw_only=True):
    """
    The life of one batch, state by state, with the gaps in it; `from_at` and `to_at` are as asked for.

    `begins` is how it stood at `from_at`; None where that is not asked for, or it was not known of yet.
    `jobs` are those that were ever made from it, as they are now.
    """

    batch: BatchNow
    from_at: datetime | None
    to_at: datetime | None
    begins: BatchThen | None
    states: tuple[State, ...]
    gaps: tuple[Gap, ...]
    jobs: tuple[JobNow, ...] = ()


_ALWAYS: Final = Span()

_DAYS: Final = """
SELECT
    day,
    batches,
    images,
    num_jobs,
    images_delta,
    num_jobs_delta,
    is_observed,
    intake,
    assigned,
    unassigned,
    annotated_work,
    remaining
FROM analytics.project_daily
WHERE workspace = :workspace
    AND project = :project
    AND (CAST(:from_on AS date) IS NULL OR day >= :from_on)
    AND (CAST(:to_on AS date) IS NULL OR day <= :to_on)
ORDER BY day
"""


def project_history(connection: Connection, slug: Slug, span: Span = _ALWAYS) -> ProjectHistory:
    """
    Read the life of one project, day by day; every day of which some part is asked for is told whole.

    Raises:
        UnknownProjectError: The ledger does not know it.
    """
    require_project(connection, slug)
    key = {"workspace": slug.workspace, "project": slug.project}
    return ProjectHistory(
        **key,
        from_at=span.from_at,
        to_at=span.to_at,
        days=rows(connection, Day, _DAYS, from_on=_on(span.from_at), to_on=_on(span.to_at), **key),
        gaps=gaps(connection, slug, span.from_at, span.to_at),
    )


def _on(at: datetime | None) -> date | None:
    return at.astimezone(UTC).date() if at else None


_BATCH: Final = """
SELECT
    workspace,
    project,
    batch_id,
    name,
    images,
    num_jobs,
    uploaded_at,
    first_seen_at,
    changed_at,
    last_seen_at,
    missing_since,
    gone_at
FROM analytics.batch
WHERE workspace = :workspace
    AND project = :project
    AND batch_id = :batch_id
"""

_STATES: Final = """
SELECT
    kind,
    changed_after,
    observed_at,
    name,
    images,
    images_delta,
    num_jobs,
    num_jobs_delta,
    run_id
FROM analytics.batch_change
WHERE workspace = :workspace
    AND project = :project
    AND batch_id = :batch_id
    -- A change belongs to a stretch of time if it may have fallen into it.
    AND (CAST(:from_at AS timestamptz) IS NULL OR observed_at > :from_at)
    AND (CAST(:to_at AS timestamptz) IS NULL OR coalesce(changed_after, '-infinity') < :to_at)
ORDER BY observation_id
"""


_JOBS: Final = """
SELECT
    job_id,
    name,
    status,
    images,
    annotated,
    approved,
    rejected,
    created_at,
    changed_at,
    missing_since,
    gone_at
FROM analytics.job
WHERE workspace = :workspace
    AND project = :project
    AND batch_id = :batch_id
ORDER BY
    coalesce(created_at, first_seen_at),
    job_id
"""


def batch_history(connection: Connection, slug: Slug, batch_id: str, span: Span = _ALWAYS) -> BatchHistory:
    """
    Read the life of one batch, state by state.

    Raises:
        UnknownProjectError: The ledger does not know the project, or not the batch.
    """
    require_batch(connection, slug, batch_id)
    key = {"workspace": slug.workspace, "project": slug.project, "batch_id": batch_id}
    (batch,) = rows(connection, BatchNow, _BATCH, **key)
    # Before a batch was first seen there is nothing of it that a gap could hide.
    since = max(batch.first_seen_at, span.from_at or batch.first_seen_at)
    return BatchHistory(
        batch=batch,
        from_at=span.from_at,
        to_at=span.to_at,
        begins=_begins(connection, slug, batch_id, span.from_at),
        states=rows(connection, State, _STATES, from_at=span.from_at, to_at=span.to_at, **key),
        gaps=gaps(connection, slug, since, span.to_at),
        jobs=rows(connection, JobNow, _JOBS, **key),
    )


def _begins(connection: Connection, slug: Slug, batch_id: str, at: datetime | None) -> BatchThen | None:
    found = batches_then(connection, slug, batch_id, at) if at else ()
    return found[0] if found else None
