"""What `history --at` reads: a project, or one batch of it, as it stood at an instant."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import text

from etl.commands.queries import require_batch, require_project, rows
from etl.commands.queries.gaps import Gap, gaps

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.records import Slug


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """
    A project's totals at an instant, and how well they are known.

    The counts are None where it had never been observed. `observed_before` and `observed_after` are the
    trusted observations around the instant. `gap` is the one that it falls into; None: it falls into none.
    """

    at: datetime
    batches: int | None
    images: int | None
    num_jobs: int | None
    knowledge: str
    observed_before: datetime | None
    observed_after: datetime | None
    gap: Gap | None


class BatchThen(msgspec.Struct, frozen=True, kw_only=True):
    """
    One batch as it stood at an instant, and how well that is known.

    `knowledge` is observed, carried, unknown or gone; `observed_before` and `observed_after` are the trusted
    observations of its project around the instant.
    """

    batch_id: str
    name: str | None
    images: int | None
    num_jobs: int | None
    uploaded_at: datetime | None
    changed_at: datetime | None
    knowledge: str
    observed_before: datetime | None
    observed_after: datetime | None


class JobThen(msgspec.Struct, frozen=True, kw_only=True):
    """The same of an annotation job; the observations around the instant are trusted readings of the jobs."""

    job_id: str
    name: str | None
    status: str | None
    batch_id: str | None
    images: int | None
    annotated: int | None
    approved: int | None
    rejected: int | None
    changed_at: datetime | None
    knowledge: str
    observed_before: datetime | None
    observed_after: datetime | None


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A project, or one batch of it, as it stood at an instant. `batch_id` is None for the whole project."""

    at: datetime
    workspace: str
    project: str
    batch_id: str | None
    totals: Stand
    batches: tuple[BatchThen, ...]


_TOTALS: Final = """
SELECT
    CAST(:at AS timestamptz) AS at,
    batches,
    images,
    num_jobs,
    knowledge,
    observed_before,
    observed_after,
    NULL AS gap
FROM analytics.project_as_of(:at)
WHERE workspace = :workspace
    AND project = :project
"""

_FIRST: Final = """
SELECT min(observed_at)
FROM analytics.observation
WHERE workspace = :workspace
    AND project = :project
    AND verdict IN ('changed', 'unchanged')
    AND observed_at > :at
"""

_BATCHES: Final = """
SELECT
    batch_id,
    name,
    images,
    num_jobs,
    uploaded_at,
    changed_at,
    knowledge,
    observed_before,
    observed_after
FROM analytics.batch_as_of(:at, :workspace, :project)
WHERE CAST(:batch_id AS text) IS NULL
    OR batch_id = :batch_id
ORDER BY
    uploaded_at,
    batch_id
"""


def past(connection: Connection, slug: Slug, batch_id: str | None, at: datetime) -> Past:
    """
    Read how a project's batches, or one of them, stood at an instant.

    Raises:
        UnknownProjectError: The ledger does not know the project, or not the batch.
    """
    if batch_id is None:
        require_project(connection, slug)
    else:
        require_batch(connection, slug, batch_id)
    return Past(
        at=at,
        workspace=slug.workspace,
        project=slug.project,
        batch_id=batch_id,
        totals=stand(connection, slug, at),
        batches=batches_then(connection, slug, batch_id, at),
    )


def stand(connection: Connection, slug: Slug, at: datetime) -> Stand:
    """Read a project's totals at an instant; of a time before it was known nothing is."""
    key = {"workspace": slug.workspace, "project": slug.project}
    found = rows(connection, Stand, _TOTALS, at=at, **key)
    if not found:
        return _nothing(at, connection.scalar(text(_FIRST), {**key, "at": at}))
    return replace(found[0], gap=next(iter(gaps(connection, slug, at, at)), None))


def _nothing(at: datetime, first_at: datetime | None) -> Stand:
    return Stand(
        at=at,
        batches=None,
        images=None,
        num_jobs=None,
        knowledge="unknown",
        observed_before=None,
        observed_after=first_at,
        gap=None,
    )


def batches_then(
    connection: Connection, slug: Slug, batch_id: str | None, at: datetime
) -> tuple[BatchThen, ...]:
    """Read how the batches of a project, or one of them, stood at an instant."""
    key = {"workspace": slug.workspace, "project": slug.project, "batch_id": batch_id}
    return rows(connection, BatchThen, _BATCHES, at=at, **key)


# As analytics.batch_as_of has it of batches: the last change by then, the first one after it, and the two
# trusted readings around the instant, between which no reading may have failed.
_JOB: Final = """
WITH
around AS (
    SELECT
        project.project_id,
        CASE WHEN after.span_from <= :at THEN after.span_from ELSE before.jobs_at END AS observed_before,
        CASE WHEN after.span_from > :at THEN after.span_from ELSE after.jobs_at END AS observed_after,
        EXISTS (
            SELECT FROM ledger.observation AS between_them
            WHERE between_them.project_id = project.project_id
                AND between_them.observed_at > before.observed_at
                AND between_them.observed_at < after.observed_at
                AND between_them.verdict <> 'skipped'
        )
        OR (after.gap_reasons IS NOT NULL AND coalesce(after.span_from > :at, TRUE)) AS is_gap
    FROM ledger.project
    LEFT JOIN LATERAL (
        SELECT
            observation.jobs_at,
            observation.observed_at
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.jobs_verdict IN ('changed', 'unchanged')
            AND observation.jobs_at <= :at
        ORDER BY observation.jobs_at DESC
        LIMIT 1
    ) AS before ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            observation.jobs_at,
            observation.observed_at,
            observation.span_from,
            observation.gap_reasons
        FROM ledger.observation
        WHERE observation.project_id = project.project_id
            AND observation.jobs_verdict IN ('changed', 'unchanged')
            AND observation.jobs_at > :at
        ORDER BY observation.jobs_at ASC
        LIMIT 1
    ) AS after ON TRUE
    WHERE project.workspace = :workspace
        AND project.project = :project
),
known AS (
    SELECT
        job.job_id,
        last.kind,
        last.name,
        last.status,
        last.batch_id,
        last.images,
        last.annotated,
        last.approved,
        last.rejected,
        last.observed_at AS changed_at,
        job.created_at,
        -- The state may have changed before the instant already, and nobody had looked.
        next.kind IS NOT NULL AND coalesce(next.changed_after < :at, TRUE) AS may_differ,
        pending.since <= :at
            OR (around.observed_before < :at AND pending.since <= around.observed_after) AS is_unread,
        around.observed_before,
        around.observed_after,
        around.is_gap
    FROM around
    INNER JOIN ledger.job
        ON job.project_id = around.project_id
        AND job.job_id = :job_id
    CROSS JOIN LATERAL (
        SELECT least(
            job.carried_since,
            job.unlisted_since,
            CASE WHEN job.gone_at IS NULL THEN job.missing_since END
        ) AS since
    ) AS pending
    LEFT JOIN LATERAL (
        SELECT *
        FROM ledger.job_change
        WHERE job_change.project_id = job.project_id
            AND job_change.job_id = job.job_id
            AND job_change.observed_at <= :at
        ORDER BY job_change.observation_id DESC
        LIMIT 1
    ) AS last ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            job_change.kind,
            job_change.changed_after
        FROM ledger.job_change
        WHERE job_change.project_id = job.project_id
            AND job_change.job_id = job.job_id
            AND job_change.observed_at > :at
        ORDER BY job_change.observation_id ASC
        LIMIT 1
    ) AS next ON TRUE
)
SELECT
    job_id,
    name,
    status,
    batch_id,
    images,
    annotated,
    approved,
    rejected,
    changed_at,
    CASE
        WHEN kind IS NULL OR (kind = 'left' AND may_differ) THEN 'unknown'
        WHEN kind = 'left' THEN 'gone'
        WHEN changed_at = :at THEN 'observed'
        WHEN may_differ OR coalesce(is_unread, FALSE) THEN 'carried'
        WHEN observed_before = :at THEN 'observed'
        WHEN observed_before IS NULL OR observed_after IS NULL OR is_gap THEN 'carried'
        ELSE 'observed'
    END AS knowledge,
    observed_before,
    observed_after
FROM known
WHERE kind IS NOT NULL
    OR (may_differ AND coalesce(created_at <= :at, TRUE))
"""


def job_then(connection: Connection, slug: Slug, job_id: str, at: datetime) -> JobThen | None:
    """Read how a job stood at an instant; None where it was not there, as far as is known."""
    key = {"workspace": slug.workspace, "project": slug.project, "job_id": job_id}
    found = rows(connection, JobThen, _JOB, at=at, **key)
    return found[0] if found else None
