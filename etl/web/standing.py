"""How the ledger stands, for metrics: each followed project's numbers, how readings ended, the last run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands.queries import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """
    The followed projects, the first of them by name, and the latest run that ended.

    `verdicts` and `jobs_verdicts` count all of them by how the last attempt at each ended, of whichever run.
    One that was never tried is in none; neither is one whose jobs are not to be read, or were not because the
    batches failed.
    """

    total: int
    verdicts: Mapping[str, int]
    jobs_verdicts: Mapping[str, int]
    projects: tuple[ProjectStanding, ...]
    last_run: EndedRun | None


class ProjectStanding(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is measured of one project.

    `max_age_s` and `is_kept` are None where nothing is promised, `is_jobs_kept` and `jobs_verdict` also where
    the jobs are not to be read.
    """

    workspace: str
    project: str
    images: int
    last_observed_at: datetime | None
    max_age_s: int | None
    is_kept: bool | None
    jobs_observed_at: datetime | None
    jobs_verdict: str | None
    is_jobs_kept: bool | None


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured of a run."""

    started_at: datetime
    ended_at: datetime
    changed: int
    unchanged: int
    suspect: int
    failed: int
    skipped: int


def standing(connection: Connection, *, limit: int) -> Standing:
    """
    Read what is measured of the ledger.

    Args:
        connection: A reading one.
        limit: Projects at most.
    """
    ends = rows(connection, _Ends, _ENDS)
    runs = rows(connection, EndedRun, _ENDED_RUN)
    return Standing(
        total=sum(end.projects for end in ends),
        verdicts=_counted((end.last_verdict, end.projects) for end in ends),
        jobs_verdicts=_counted((end.jobs_verdict, end.projects) for end in ends),
        projects=rows(connection, ProjectStanding, _STANDING, limit=limit),
        last_run=runs[0] if runs else None,
    )


class _Ends(msgspec.Struct, frozen=True, kw_only=True):
    """So many projects, the last attempts of which ended so."""

    last_verdict: str | None
    jobs_verdict: str | None
    projects: int


def _counted(ends: Iterable[tuple[str | None, int]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for verdict, projects in ends:
        if verdict is not None:
            counts[verdict] += projects
    return counts


# Jobs are asked for only where the batches could be read: of a project that fails nobody knows how they are.
_ENDS: Final = """
SELECT
    last_verdict,
    CASE WHEN last_verdict IS DISTINCT FROM 'failed' THEN jobs_verdict END AS jobs_verdict,
    count(*) AS projects
FROM analytics.project
WHERE is_tracked
GROUP BY
    1,
    2
"""

_STANDING: Final = """
SELECT
    chosen.workspace,
    chosen.project,
    chosen.images,
    chosen.last_observed_at,
    promised.max_age_s,
    promised.is_kept,
    promised.jobs_observed_at,
    promised.jobs_verdict,
    promised.is_jobs_kept
FROM (
    SELECT
        workspace,
        project,
        images,
        last_observed_at
    FROM analytics.project
    WHERE is_tracked
    ORDER BY
        workspace,
        project
    LIMIT :limit
) AS chosen
CROSS JOIN LATERAL (
    SELECT
        max_age_s,
        is_kept,
        jobs_observed_at,
        jobs_verdict,
        is_jobs_kept
    FROM analytics.freshness
    WHERE freshness.workspace = chosen.workspace
        AND freshness.project = chosen.project
    LIMIT 1
) AS promised
ORDER BY
    chosen.workspace,
    chosen.project
"""

_ENDED_RUN: Final = """
SELECT
    started_at,
    ended_at,
    changed,
    unchanged,
    suspect,
    failed,
    skipped
FROM analytics.run
WHERE ended_at IS NOT NULL
ORDER BY run_id DESC
LIMIT 1
"""
