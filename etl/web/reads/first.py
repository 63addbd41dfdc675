"""What the first page reads: all projects at a glance."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands.queries import rows
from etl.commands.queries.gaps import Gap
from etl.commands.queries.status import ProjectStatus
from etl.records import Slug
from etl.web.reads.bounds import ATTENTION, GAPS, PROJECTS, RUNS, TREND_DAYS
from etl.web.reads.days import DAY_COLUMNS, DayRow
from etl.web.reads.excerpt import Excerpt, cut, excerpt
from etl.web.reads.standings import standings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All followed projects together."""

    projects: int
    batches: int
    images: int
    last_observed_at: datetime | None


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


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The first page: `attention` has the worst first, `projects` one page of all of them by name."""

    totals: Totals
    attention: Excerpt[ProjectStatus]
    projects: Excerpt[ProjectStatus]
    days: tuple[DayRow, ...]
    runs: tuple[RunRow, ...]
    gaps: Excerpt[LateGap]


def overview(connection: Connection, *, find: str, page: int) -> Overview:
    """
    Read the first page.

    Args:
        connection: A reading one.
        find: Part of the address of the projects that are wanted; empty for all.
        page: Which page of them, from 1.
    """
    values = {"find": find, "limit": PROJECTS + 1, "offset": (page - 1) * PROJECTS}
    found = cut(standings(connection, _PAGE, **values), PROJECTS)
    return Overview(
        totals=rows(connection, Totals, _TOTALS)[0],
        attention=_attention(connection),
        projects=found,
        days=_trends(connection, [project.slug for project in found.rows]),
        runs=rows(connection, RunRow, _RUNS, limit=RUNS),
        gaps=excerpt(connection, LateGap, _LATE_GAPS, limit=GAPS),
    )


class _Address(msgspec.Struct, frozen=True, kw_only=True):
    workspace: str
    project: str


def _attention(connection: Connection) -> Excerpt[ProjectStatus]:
    chosen = excerpt(connection, _Address, _ATTENTION, limit=ATTENTION)
    slugs = [Slug(one.workspace, one.project) for one in chosen.rows]
    by_slug = {one.slug: one for one in standings(connection, _CHOSEN, **_columns(slugs))}
    return Excerpt(tuple(by_slug[slug] for slug in slugs), chosen.is_whole)


def _trends(connection: Connection, slugs: Iterable[Slug]) -> tuple[DayRow, ...]:
    return rows(connection, DayRow, _TRENDS, **_columns(slugs), days=TREND_DAYS)


def _columns(slugs: Iterable[Slug]) -> dict[str, list[str]]:
    workspaces, projects = [list(names) for names in zip(*slugs, strict=True)] or ([], [])
    return {"workspaces": workspaces, "projects": projects}


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
    OR last_observed_at IS NULL
-- False comes before true: broken promises, then never read, late jobs, what waits for a word of somebody.
ORDER BY
    is_kept IS NOT FALSE,
    last_observed_at IS NOT NULL,
    is_jobs_kept IS NOT FALSE,
    (last_verdict = 'suspect' OR jobs_verdict = 'suspect') IS NOT TRUE,
    last_observed_at,
    workspace,
    project
LIMIT :limit
"""

_CHOSEN: Final = """
SELECT
    workspace,
    project
FROM unnest(CAST(:workspaces AS text []), CAST(:projects AS text [])) AS chosen (workspace, project)
"""

_TRENDS: Final = f"""
SELECT {DAY_COLUMNS}
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
