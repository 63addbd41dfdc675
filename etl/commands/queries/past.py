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
