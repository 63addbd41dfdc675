"""What the page of a project reads."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands.queries import rows
from etl.commands.queries.gaps import Gap
from etl.commands.queries.history import BatchNow
from etl.commands.queries.status import ProjectStatus
from etl.errors import UnknownProjectError
from etl.web.reads.batches import page_of_batches
from etl.web.reads.days import DAY_COLUMNS, DayRow
from etl.web.reads.excerpt import Excerpt, late_gaps
from etl.web.reads.standings import standings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.records import Slug


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the jobs of a project say of it; all is None where they were never read.

    Where `is_in_step` is false, `size` adds up batches and jobs of different times.
    """

    jobs: int | None
    size: int | None
    is_in_step: bool | None
    annotated: int | None
    approved: int | None
    rejected: int | None
    jobs_observed_at: datetime | None
    basis: str | None
    end_early: date | None
    end_likely: date | None
    end_late: date | None


class ProjectPage(msgspec.Struct, frozen=True, kw_only=True):
    """One project: its freshness, its days, its gaps, and a page of its batches."""

    project: ProjectStatus
    work: Work
    days: tuple[DayRow, ...]
    gaps: Excerpt[Gap]
    batches: Excerpt[BatchNow]


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
    project = _project(connection, slug)
    return ProjectPage(
        project=project,
        work=rows(connection, Work, _WORK, **key)[0],
        days=rows(connection, DayRow, _DAYS, **key, days=days),
        gaps=late_gaps(connection, slug),
        batches=page_of_batches(connection, slug, page),
    )


def _project(connection: Connection, slug: Slug) -> ProjectStatus:
    found = standings(connection, _ONE, workspace=slug.workspace, project=slug.project)
    if not found:
        raise UnknownProjectError("the ledger knows no such project")
    return found[0]


_ONE: Final = """
SELECT
    CAST(:workspace AS text) AS workspace,
    CAST(:project AS text) AS project
"""

_DAYS: Final = f"""
SELECT {DAY_COLUMNS}
FROM analytics.project_daily
WHERE workspace = :workspace
    AND project = :project
    AND day > CAST(now() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer)
ORDER BY day
"""

_WORK: Final = """
SELECT
    project.jobs,
    project.size,
    project.is_in_step,
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
