"""The batches of a project: a page of them, or one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.commands.queries import rows
from etl.commands.queries.history import BatchNow
from etl.web.reads.bounds import BATCHES, NAME
from etl.web.reads.excerpt import Excerpt, cut

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.records import Slug


def page_of_batches(connection: Connection, slug: Slug, page: int) -> Excerpt[BatchNow]:
    """
    Read a page of the batches of a project, from 1, the latest upload first.

    By nothing that changes: a batch that grew or went away would pass from page to page unseen.
    """
    limit, offset = BATCHES + 1, (page - 1) * BATCHES
    return cut(_batches(connection, slug, limit=limit, offset=offset), BATCHES)


def one_batch(connection: Connection, slug: Slug, batch_id: str) -> BatchNow | None:
    """Read one batch; None is one that the ledger does not know."""
    found = _batches(connection, slug, batch_id=batch_id, limit=1, offset=0)
    return found[0] if found else None


def _batches(
    connection: Connection, slug: Slug, *, batch_id: str | None = None, limit: int, offset: int
) -> tuple[BatchNow, ...]:
    key = {"workspace": slug.workspace, "project": slug.project, "batch_id": batch_id}
    return rows(connection, BatchNow, _BATCHES, **key, limit=limit, offset=offset)


_BATCHES: Final = f"""
SELECT
    workspace,
    project,
    batch_id,
    left(name, {NAME + 1}) AS name,
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
    AND (CAST(:batch_id AS text) IS NULL OR batch_id = :batch_id)
ORDER BY
    coalesce(uploaded_at, first_seen_at) DESC,
    batch_id DESC
LIMIT :limit
OFFSET :offset
"""
