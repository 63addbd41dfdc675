"""What `status` reads: each project's age beside its promise, what is open, and the last run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from etl.commands.queries import rows
from etl.records import Slug

if TYPE_CHECKING:
    from sqlalchemy import Connection


class ProjectStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    One project with its freshness. Times are UTC.

    `age_s` is the age of the last trusted observation, None before the first one. `max_age_s` is the age that
    is promised, None where nothing is; `is_kept` whether it is kept now, None also for a project that is
    paused; `kept_1d`, `kept_7d` and `kept_30d` are the shares (0 to 1) of the last days in which it was.
    `gap_since` is the start of the gap that is still open, None where there is none, and `gap_reasons` say
    why. `missing` counts the batches that are absent and not yet confirmed so. `last_verdict` says how the
    last attempt ended: changed, unchanged (both trusted), suspect or failed; None where there was none, and a
    turn that was skipped is none. `error` is that of the last attempt, `rule` the one that made it suspect.

    What begins with `jobs_` says the same of the last reading of the annotation jobs, `is_jobs_kept` of what
    is promised; `jobs_verdict` has the same words, and is None where they are not to be read.
    """

    workspace: str
    project: str
    name: str | None
    type: str | None
    is_tracked: bool
    batches: int
    images: int
    num_jobs: int
    missing: int
    last_observed_at: datetime | None
    age_s: float | None
    max_age_s: int | None
    is_kept: bool | None
    kept_1d: float | None
    kept_7d: float | None
    kept_30d: float | None
    last_verdict: str | None
    last_attempt_at: datetime | None
    rule: str | None
    error: str | None
    gap_since: datetime | None
    gap_reason: str | None
    gap_reasons: tuple[str, ...] | None
    jobs_observed_at: datetime | None
    jobs_age_s: float | None
    jobs_verdict: str | None
    jobs_error: str | None
    is_jobs_kept: bool | None

    @property
    def slug(self) -> Slug:
        """The project's address."""
        return Slug(self.workspace, self.project)


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """The latest run. `outcome` and what follows are None while it runs, and for ever if it died."""

    run_id: int
    trigger: str
    host: str
    version: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    changed: int | None
    unchanged: int | None
    suspect: int | None
    failed: int | None
    skipped: int | None
    batch_changes: int | None
    requests: int | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole ledger at a glance. `is_kept` is false as soon as one promise is broken."""

    at: datetime
    is_kept: bool
    last_run: LastRun | None
    projects: tuple[ProjectStatus, ...]


# The projects are chosen first, so that what is costly to tell is told of them alone. Each LIMIT keeps it so:
# without it the planner may judge every project and then join, as it does where it has no statistics yet.
_PROJECTS: Final = """
WITH chosen AS MATERIALIZED ({chosen})
SELECT
    project.workspace,
    project.project,
    left(project.name, :longest) AS name,
    left(project.type, :longest) AS type,
    project.is_tracked,
    project.batches,
    project.images,
    project.num_jobs,
    project.last_observed_at,
    project.last_verdict,
    project.last_attempt_at,
    CAST(extract(EPOCH FROM clock.told_at - project.last_observed_at) AS double precision) AS age_s,
    freshness.max_age_s,
    freshness.is_kept,
    freshness.kept_1d,
    freshness.kept_7d,
    freshness.kept_30d,
    absent.batches AS missing,
    CASE WHEN project.last_verdict = 'suspect' THEN attempt.error END AS rule,
    left(attempt.error, :longest) AS error,
    gap.from_at AS gap_since,
    gap.reason AS gap_reason,
    gap.reasons AS gap_reasons,
    freshness.jobs_observed_at,
    CAST(extract(EPOCH FROM clock.told_at - freshness.jobs_observed_at) AS double precision) AS jobs_age_s,
    freshness.jobs_verdict,
    left(freshness.jobs_error, :longest) AS jobs_error,
    freshness.is_jobs_kept
FROM chosen
CROSS JOIN (SELECT coalesce(CAST(:at AS timestamptz), now()) AS told_at) AS clock
CROSS JOIN LATERAL (
    SELECT
        workspace,
        project,
        name,
        type,
        is_tracked,
        batches,
        images,
        num_jobs,
        last_observed_at,
        last_verdict,
        last_attempt_at
    FROM analytics.project AS known
    WHERE known.workspace = chosen.workspace
        AND known.project = chosen.project
    LIMIT 1
) AS project
CROSS JOIN LATERAL (
    SELECT
        max_age_s,
        is_kept,
        kept_1d,
        kept_7d,
        kept_30d,
        jobs_observed_at,
        jobs_verdict,
        jobs_error,
        is_jobs_kept
    FROM analytics.freshness
    WHERE freshness.workspace = chosen.workspace
        AND freshness.project = chosen.project
    LIMIT 1
) AS freshness
CROSS JOIN LATERAL (
    SELECT count(*) AS batches
    FROM analytics.batch
    WHERE batch.workspace = chosen.workspace
        AND batch.project = chosen.project
        AND batch.missing_since IS NOT NULL
        AND batch.gone_at IS NULL
) AS absent
LEFT JOIN LATERAL (
    SELECT observation.error
    FROM analytics.observation
    WHERE observation.workspace = chosen.workspace
        AND observation.project = chosen.project
        -- Not the first by time: that would sort every observation of the project.
        AND observation.observed_at = project.last_attempt_at
    LIMIT 1
) AS attempt ON TRUE
LEFT JOIN LATERAL (
    SELECT
        from_at,
        reason,
        reasons
    FROM analytics.gap
    WHERE gap.workspace = chosen.workspace
        AND gap.project = chosen.project
        AND gap.to_at IS NULL
    LIMIT 1
) AS gap ON TRUE
ORDER BY
    project.workspace,
    project.project
"""

_ALL: Final = """
SELECT
    workspace,
    project
FROM analytics.project
"""

_WHOLE: Final = 2**31 - 1
"""More characters than a text can have."""


DRAWN_DAYS: Final = 30
"""Days of a backlog that are drawn, today among them."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """The backlog of one project at the end of each of the last days, and whether it was observed on it."""

    workspace: str
    project: str
    images: tuple[int, ...]
    is_observed: tuple[bool, ...]


_BACKLOGS: Final = """
SELECT
    workspace,
    project,
    array_agg(images ORDER BY day) AS images,
    array_agg(is_observed ORDER BY day) AS is_observed
FROM analytics.project_daily
WHERE day > CAST(now() AT TIME ZONE 'UTC' AS date) - :days
GROUP BY
    workspace,
    project
"""

_LAST_RUN: Final = """
SELECT
    run_id,
    trigger,
    host,
    version,
    started_at,
    ended_at,
    outcome,
    changed,
    unchanged,
    suspect,
    failed,
    skipped,
    batch_changes,
    requests
FROM ledger.run
ORDER BY run_id DESC
LIMIT 1
"""


def backlogs(connection: Connection) -> dict[Slug, Backlog]:
    """Read how the backlog of each project went over the last days (UTC), up to today."""
    found = rows(connection, Backlog, _BACKLOGS, days=DRAWN_DAYS)
    return {Slug(backlog.workspace, backlog.project): backlog for backlog in found}


def projects(
    connection: Connection,
    *,
    at: datetime | None = None,
    chosen: str = _ALL,
    longest: int = _WHOLE,
    **values: Any,  # noqa: ANN401 - as SQL takes them.
) -> tuple[ProjectStatus, ...]:
    """
    Read how projects stand, by name.

    Args:
        connection: A reading one.
        at: Now, for the ages; None for the clock of the database.
        chosen: A query of ours for their `workspace` and `project`.
        longest: Characters at most of what the source, or an error, says.
        values: What that query is told.
    """
    return rows(connection, ProjectStatus, _PROJECTS.format(chosen=chosen), at=at, longest=longest, **values)


def status(connection: Connection, at: datetime) -> Status:
    """
    Read every project's freshness, and the last run.

    Args:
        connection: A reading one.
        at: Now, for the ages.
    """
    runs = rows(connection, LastRun, _LAST_RUN)
    found = projects(connection, at=at)
    return Status(
        at=at,
        is_kept=all(False not in (project.is_kept, project.is_jobs_kept) for project in found),
        last_run=runs[0] if runs else None,
        projects=found,
    )
