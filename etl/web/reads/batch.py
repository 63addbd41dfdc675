"""What the page of a batch reads."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands.queries import rows
from etl.commands.queries.gaps import Gap, last_gaps
from etl.commands.queries.history import BatchNow, JobNow, State
from etl.errors import UnknownProjectError
from etl.web.reads.batches import one_batch
from etl.web.reads.bounds import CHANGES, HOLES, JOBS, NAME
from etl.web.reads.excerpt import Excerpt, cut, excerpt, late_gaps

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.records import Slug


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """
    How far a batch is by its jobs, and when it came there; None: they do not say, or it is not there.

    Where `is_in_step` is false, `size` adds up the batch and its jobs at different times.
    """

    size: int | None
    is_in_step: bool | None
    share_assigned: float | None
    share_annotated: float | None
    share_approved: float | None
    share_rejected: float | None
    first_job_at: datetime | None
    assigned_by: datetime | None
    completed_by: datetime | None


class BatchPage(msgspec.Struct, frozen=True, kw_only=True):
    """One batch, its life and its jobs, latest first; `holes` are the gaps within its life, latest first."""

    batch: BatchNow
    progress: Progress | None
    changes: Excerpt[State]
    holes: Excerpt[Gap]
    jobs: Excerpt[JobNow]
    gaps: Excerpt[Gap]


def batch_page(connection: Connection, slug: Slug, batch_id: str) -> BatchPage:
    """
    Read the page of one batch.

    Raises:
        UnknownProjectError: The ledger does not know it.
    """
    key = {"workspace": slug.workspace, "project": slug.project}
    batch = one_batch(connection, slug, batch_id)
    if batch is None:
        raise UnknownProjectError("the ledger knows no such batch")
    progress = rows(connection, Progress, _PROGRESS, **key, batch_id=batch_id)
    changes = excerpt(connection, State, _CHANGES, limit=CHANGES, **key, batch_id=batch_id)
    since = changes.rows[-1].observed_at if changes.rows else batch.first_seen_at
    until = max(batch.last_seen_at, batch.changed_at)
    return BatchPage(
        batch=batch,
        progress=progress[0] if progress else None,
        changes=changes,
        holes=cut(last_gaps(connection, slug, since, until, limit=HOLES + 1), HOLES),
        jobs=excerpt(connection, JobNow, _JOBS, limit=JOBS, **key, batch_id=batch_id),
        gaps=late_gaps(connection, slug),
    )


_PROGRESS: Final = """
SELECT
    batch_progress.size,
    batch_progress.is_in_step,
    batch_progress.share_assigned,
    batch_progress.share_annotated,
    batch_progress.share_approved,
    batch_progress.share_rejected,
    batch_lead_time.first_job_at,
    batch_lead_time.assigned_by,
    batch_lead_time.completed_by
FROM analytics.batch_progress
LEFT JOIN analytics.batch_lead_time
    ON batch_lead_time.workspace = batch_progress.workspace
    AND batch_lead_time.project = batch_progress.project
    AND batch_lead_time.batch_id = batch_progress.batch_id
WHERE batch_progress.workspace = :workspace
    AND batch_progress.project = :project
    AND batch_progress.batch_id = :batch_id
"""

_CHANGES: Final = f"""
SELECT
    kind,
    changed_after,
    observed_at,
    left(name, {NAME + 1}) AS name,
    images,
    images_delta,
    num_jobs,
    num_jobs_delta,
    run_id
FROM analytics.batch_change
WHERE workspace = :workspace
    AND project = :project
    AND batch_id = :batch_id
ORDER BY observation_id DESC
LIMIT :limit
"""

_JOBS: Final = f"""
SELECT
    job_id,
    left(name, {NAME + 1}) AS name,
    left(status, {NAME + 1}) AS status,
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
    coalesce(created_at, first_seen_at) DESC,
    job_id DESC
LIMIT :limit
"""
