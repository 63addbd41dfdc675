"""What the pages read: views of schema `analytics`, in pages of a bounded size, long names cut."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import text

from etl.commands.queries import rows
from etl.commands.queries.gaps import Gap, last_gaps
from etl.commands.queries.history import BatchNow, JobNow, State
from etl.commands.queries.status import ProjectStatus, projects
from etl.errors import UnknownProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from etl.records import Slug

_Row = TypeVar("_Row", bound=msgspec.Struct)

PROJECTS: Final = 50
BATCHES: Final = 100
CHANGES: Final = 200
JOBS: Final = 100
RUNS: Final = 15
GAPS: Final = 20
ATTENTION: Final = 50
HOLES: Final = 500
"""Rows of each table at most. What is more has a page of its own, or is said to be left out."""

TREND_DAYS: Final = 30
"""Days of the small charts beside each project."""

NAME: Final = 160
"""Characters of a name that are shown. The source sets no limit to it, and a page must stay one."""

LONGEST: Final = 300
"""Characters that are read of what else is told of a project, such as an error."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All followed projects together."""

    projects: int
    batches: int
    images: int
    last_observed_at: datetime | None


class Excerpt(msgspec.Struct, Generic[_Row], frozen=True):
    """The first rows of a table; not `is_whole`: there are more."""

    rows: tuple[_Row, ...]
    is_whole: bool


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run. What it ended with is None while it runs, and for ever if it died."""

    run_id: int
    trigger: str
    host: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    is_running: bool
    changed: int | None
    unchanged: int | None
    suspect: int | None
    failed: int | None
    skipped: int | None
    batch_changes: int | None
    requests: int | None


class LateGap(Gap, frozen=True, kw_only=True):
    """A gap, and of which project."""

    workspace: str
    project: str


class DayRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    One project and UTC day, as at its end; not `is_observed`: carried from the day before.

    What came in and went out is None on such a day, `annotated_work` also where the jobs were not read.
    """

    workspace: str
    project: str
    day: date
    batches: int
    images: int
    intake: int | None
    assigned: int | None
    annotated_work: int | None
    is_observed: bool


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of a project say of it; all is None where they were never read."""

    jobs: int | None
    size: int | None
    annotated: int | None
    approved: int | None
    rejected: int | None
    jobs_observed_at: datetime | None
    basis: str | None
    end_early: date | None
    end_likely: date | None
    end_late: date | None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is by its jobs, and when it came there; None: they do not say, or it is not there."""

    size: int | None
    share_assigned: float | None
    share_annotated: float | None
    share_approved: float | None
    share_rejected: float | None
    first_job_at: datetime | None
    assigned_by: datetime | None
    completed_by: datetime | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The first page. `is_last` is whether no project comes after those of this page."""

    totals: Totals
    attention: tuple[ProjectStatus, ...]
    projects: tuple[ProjectStatus, ...]
    is_last: bool
    days: tuple[DayRow, ...]
    runs: tuple[RunRow, ...]
    gaps: Excerpt[LateGap]


class ProjectPage(msgspec.Struct, frozen=True, kw_only=True):
    """One project: its freshness, its days, its gaps, and a page of its batches."""

    project: ProjectStatus
    work: Work
    days: tuple[DayRow, ...]
    gaps: Excerpt[Gap]
    batches: tuple[BatchNow, ...]
    is_last: bool


class BatchPage(msgspec.Struct, frozen=True, kw_only=True):
    """One batch, its life and its jobs, latest first; `holes` are the gaps within its life, latest first."""

    batch: BatchNow
    progress: Progress | None
    changes: Excerpt[State]
    holes: Excerpt[Gap]
    jobs: Excerpt[JobNow]
    gaps: Excerpt[Gap]


def overview(connection: Connection, *, find: str, page: int) -> Overview:
    """
    Read the first page.

    Args:
        connection: A reading one.
        find: Part of the address of the projects that are wanted; empty for all.
        page: Which page of them, from 1.
    """
    values = {"find": find, "limit": PROJECTS + 1, "offset": (page - 1) * PROJECTS}
    found = _cut(_projects(connection, _PAGE, **values), PROJECTS)
    return Overview(
        totals=rows(connection, Totals, _TOTALS)[0],
        attention=_worst_first(_projects(connection, _ATTENTION, limit=ATTENTION)),
        projects=_worst_first(found.rows),
        is_last=found.is_whole,
        days=_trends(connection, [project.slug for project in found.rows]),
        runs=rows(connection, RunRow, _RUNS, limit=RUNS),
        gaps=_excerpt(connection, LateGap, _LATE_GAPS, limit=GAPS),
    )


def project_page(connection: Connection, slug: Slug, *, days: int, page: int) -> ProjectPage:
    """
    Read the page of one project.

    Args:
        connection: A reading one.
        slug: Which project.
        days: How many days, up to today.
        page: Which page of its batches, from 1.

    Raises:
        UnknownProjectError: The ledger does not know it.
    """
    key = {"workspace": slug.workspace, "project": slug.project}
    found = rows(
        connection, BatchNow, _BATCHES, **key, batch_id=None, limit=BATCHES + 1, offset=(page - 1) * BATCHES
    )
    project = _project(connection, slug)
    return ProjectPage(
        project=project,
        work=rows(connection, Work, _WORK, **key)[0],
        days=rows(connection, DayRow, _DAYS, **key, days=days),
        gaps=_last_gaps(connection, slug),
        batches=found[:BATCHES],
        is_last=len(found) <= BATCHES,
    )


def batch_page(connection: Connection, slug: Slug, batch_id: str) -> BatchPage:
    """
    Read the page of one batch.

    Raises:
        UnknownProjectError: The ledger does not know it.
    """
    key = {"workspace": slug.workspace, "project": slug.project}
    found = rows(connection, BatchNow, _BATCHES, **key, batch_id=batch_id, limit=1, offset=0)
    if not found:
        raise UnknownProjectError("the ledger knows no such batch")
    progress = rows(connection, Progress, _PROGRESS, **key, batch_id=batch_id)
    changes = _excerpt(connection, State, _CHANGES, limit=CHANGES, **key, batch_id=batch_id)
    since = changes.rows[-1].observed_at if changes.rows else found[0].first_seen_at
    until = max(found[0].last_seen_at, found[0].changed_at)
    return BatchPage(
        batch=found[0],
        progress=progress[0] if progress else None,
        changes=changes,
        holes=_cut(last_gaps(connection, slug, since, until, limit=HOLES + 1), HOLES),
        jobs=_excerpt(connection, JobNow, _JOBS, limit=JOBS, **key, batch_id=batch_id),
        gaps=_last_gaps(connection, slug),
    )


def _excerpt(
    connection: Connection,
    kind: type[_Row],
    sql: str,
    *,
    limit: int,
    **values: Any,  # noqa: ANN401 - as SQL takes them.
) -> Excerpt[_Row]:
    """Read so many rows at most, and one more to know whether there is one."""
    return _cut(rows(connection, kind, sql, limit=limit + 1, **values), limit)


def _last_gaps(connection: Connection, slug: Slug) -> Excerpt[Gap]:
    return _cut(last_gaps(connection, slug, limit=GAPS + 1), GAPS)


def _cut(found: tuple[_Row, ...], limit: int) -> Excerpt[_Row]:
    return Excerpt(found[:limit], len(found) <= limit)


def _project(connection: Connection, slug: Slug) -> ProjectStatus:
    found = _projects(connection, _ONE, workspace=slug.workspace, project=slug.project)
    if not found:
        raise UnknownProjectError("the ledger knows no such project")
    return found[0]


def _projects(connection: Connection, chosen: str, **values: Any) -> tuple[ProjectStatus, ...]:  # noqa: ANN401 - as SQL takes them.
    return projects(connection, chosen=chosen, longest=LONGEST, **values)


def _worst_first(found: tuple[ProjectStatus, ...]) -> tuple[ProjectStatus, ...]:
    return tuple(sorted(found, key=lambda project: project.is_kept is not False))


def _trends(connection: Connection, slugs: Iterable[Slug]) -> tuple[DayRow, ...]:
    workspaces, projects = [list(names) for names in zip(*slugs, strict=True)] or ([], [])
    return rows(connection, DayRow, _TRENDS, workspaces=workspaces, projects=projects, days=TREND_DAYS)


# How the schema stands


def revision(connection: Connection) -> str | None:
    """Return the revision of the schema, as who only reads may know it."""
    found: str | None = connection.scalar(text("SELECT revision FROM analytics.schema_revision"))
    return found


_TOTALS: Final = """
SELECT
    count(*) AS projects,
    coalesce(sum(batches), 0)::bigint AS batches,
    coalesce(sum(images), 0)::bigint AS images,
    max(last_observed_at) AS last_observed_at
FROM analytics.project
WHERE is_tracked
"""

_PAGE: Final = """
SELECT
    workspace,
    project
FROM analytics.project
WHERE position(lower(:find) IN lower(workspace || '/' || project)) > 0
ORDER BY
    workspace,
    project
LIMIT :limit
OFFSET :offset
"""

_ONE: Final = """
SELECT
    CAST(:workspace AS text) AS workspace,
    CAST(:project AS text) AS project
"""

_ATTENTION: Final = """
SELECT
    workspace,
    project
FROM (
    SELECT
        workspace,
        project,
        is_kept,
        last_verdict,
        last_observed_at,
        jobs_verdict,
        is_jobs_kept
    FROM analytics.project
    WHERE is_tracked
    -- So that each is judged once.
    OFFSET 0
) AS judged
WHERE NOT is_kept
    OR last_verdict IN ('suspect', 'failed')
    OR NOT is_jobs_kept
    OR jobs_verdict IN ('suspect', 'failed')
ORDER BY
    is_kept,
    is_jobs_kept,
    last_observed_at NULLS FIRST
LIMIT :limit
"""

_DAY_COLUMNS: Final = """
    workspace,
    project,
    day,
    batches,
    images,
    intake,
    assigned,
    annotated_work,
    is_observed
"""

_DAYS: Final = f"""
SELECT {_DAY_COLUMNS}
FROM analytics.project_daily
WHERE workspace = :workspace
    AND project = :project
    AND day > CAST(now() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer)
ORDER BY day
"""

_TRENDS: Final = f"""
SELECT {_DAY_COLUMNS}
FROM unnest(CAST(:workspaces AS text []), CAST(:projects AS text [])) AS chosen (of_workspace, of_project)
CROSS JOIN LATERAL (
    SELECT project_daily.*
    FROM analytics.project_daily
    WHERE project_daily.workspace = chosen.of_workspace
        AND project_daily.project = chosen.of_project
        AND project_daily.day > CAST(now() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer)
) AS daily
ORDER BY
    workspace,
    project,
    day
"""

_WORK: Final = """
SELECT
    project.jobs,
    project.size,
    project.annotated,
    project.approved,
    project.rejected,
    project.jobs_observed_at,
    forecast.basis,
    forecast.end_early,
    forecast.end_likely,
    forecast.end_late
FROM analytics.project
LEFT JOIN LATERAL (
    SELECT
        basis,
        end_early,
        end_likely,
        end_late
    FROM analytics.forecast
    WHERE forecast.workspace = :workspace
        AND forecast.project = :project
) AS forecast ON TRUE
WHERE project.workspace = :workspace
    AND project.project = :project
"""

_PROGRESS: Final = """
SELECT
    batch_progress.size,
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

_RUNS: Final = """
SELECT
    run_id,
    trigger,
    left(host, 100) AS host,
    started_at,
    ended_at,
    outcome,
    is_running,
    changed,
    unchanged,
    suspect,
    failed,
    skipped,
    batch_changes,
    requests
FROM analytics.run
ORDER BY run_id DESC
LIMIT :limit
"""

_LATE_GAPS: Final = """
SELECT
    workspace,
    project,
    from_at,
    to_at,
    reasons,
    is_promise_broken
FROM analytics.gap
-- Open gaps are told of their projects; to look for them here would be to judge every project anew.
WHERE to_at > now() - INTERVAL '7 days'
ORDER BY to_at DESC
LIMIT :limit
"""

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
    gone_at IS NOT NULL,
    images DESC,
    batch_id
LIMIT :limit
OFFSET :offset
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
