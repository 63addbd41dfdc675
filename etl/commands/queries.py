"""What commands read of the ledger: schema `analytics` as any analyst would, and the row of the last run."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from sqlalchemy import text

from etl.database import connect
from etl.errors import UnknownProjectError
from etl.records import Slug

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection

    from etl.settings import DatabaseSettings

_Row = TypeVar("_Row", bound=msgspec.Struct)


class ProjectStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    One project with its freshness. Times are UTC.

    `age_s` is the age of the last trusted observation, None before the first one. `gap_since` is the start of
    the gap that is still open, None where there is none. `missing` counts the batches that are absent and not
    yet confirmed so. `error` is that of the last attempt.
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
    last_verdict: str | None
    last_attempt_at: datetime | None
    error: str | None
    gap_since: datetime | None
    gap_reason: str | None

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
    """The whole ledger at a glance."""

    at: datetime
    last_run: LastRun | None
    projects: tuple[ProjectStatus, ...]


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One project and UTC day, as at its end; not `is_observed`: carried from the day before."""

    day: date
    batches: int
    images: int
    num_jobs: int
    images_delta: int
    num_jobs_delta: int
    is_observed: bool


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


class BatchThen(msgspec.Struct, frozen=True, kw_only=True):
    """One batch as it stood at an instant, and how well that is known."""

    batch_id: str
    name: str | None
    images: int | None
    num_jobs: int | None
    uploaded_at: datetime | None
    changed_at: datetime | None
    knowledge: str
    observed_before: datetime | None
    observed_after: datetime | None


class ProjectHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The life of one project, day by day."""

    workspace: str
    project: str
    days: tuple[Day, ...]


class BatchHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The life of one batch, state by state."""

    batch: BatchNow
    states: tuple[State, ...]


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A project, or one batch of it, as it stood at an instant."""

    at: datetime
    workspace: str
    project: str
    batches: tuple[BatchThen, ...]


@contextmanager
def reading(uri: str, limits: DatabaseSettings | None = None) -> Iterator[Connection]:
    """
    Yield a connection that only reads, sees one moment, and tells times in UTC.

    Args:
        uri: As for `etl.database.connect`.
        limits: As for `etl.database.connect`.

    Raises:
        DatabaseUnavailableError: The database cannot be reached.
    """
    with connect(uri, limits) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        connection.execute(text("SET LOCAL TimeZone = 'UTC'"))
        yield connection


def server_version(connection: Connection) -> str:
    """Return the version of Postgres, such as 18.1."""
    return str(connection.scalar(text("SHOW server_version"))).split(" ", maxsplit=1)[0]


_STATUS: Final = """
SELECT
    project.workspace,
    project.project,
    project.name,
    project.type,
    project.is_tracked,
    project.batches,
    project.images,
    project.num_jobs,
    coalesce(absent.batches, 0) AS missing,
    project.last_observed_at,
    CAST(extract(EPOCH FROM :at - project.last_observed_at) AS double precision) AS age_s,
    project.last_verdict,
    project.last_attempt_at,
    (
        SELECT observation.error
        FROM analytics.observation
        WHERE observation.workspace = project.workspace
            AND observation.project = project.project
            -- Not the first by time: that would sort every observation of the project.
            AND observation.observed_at = project.last_attempt_at
        LIMIT 1
    ) AS error,
    gap.from_at AS gap_since,
    gap.reason AS gap_reason
FROM analytics.project
LEFT JOIN (
    SELECT
        workspace,
        project,
        count(*) AS batches
    FROM analytics.batch
    WHERE missing_since IS NOT NULL
        AND gone_at IS NULL
    GROUP BY
        workspace,
        project
) AS absent
    ON absent.workspace = project.workspace
    AND absent.project = project.project
LEFT JOIN (
    SELECT DISTINCT ON (workspace, project)
        workspace,
        project,
        from_at,
        reason
    FROM analytics.gap
    WHERE to_at IS NULL
    ORDER BY
        workspace,
        project,
        from_at
) AS gap
    ON gap.workspace = project.workspace
    AND gap.project = project.project
ORDER BY
    project.workspace,
    project.project
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


def status(connection: Connection, at: datetime) -> Status:
    """
    Read every project's freshness, and the last run.

    Args:
        connection: A reading one.
        at: Now, for the ages.
    """
    runs = _rows(connection, LastRun, _LAST_RUN)
    projects = _rows(connection, ProjectStatus, _STATUS, at=at)
    return Status(at=at, last_run=runs[0] if runs else None, projects=projects)


def life(
    connection: Connection, slug: Slug, batch_id: str | None, at: datetime | None
) -> ProjectHistory | BatchHistory | Past:
    """
    Read the life of a project, or of one of its batches; with an instant, how it stood then.

    Args:
        connection: A reading one.
        slug: The project.
        batch_id: The batch; None for the whole project.
        at: The instant; None for the whole life.

    Raises:
        UnknownProjectError: The ledger does not know the project, or not the batch.
    """
    if at is not None:
        return past(connection, slug, batch_id, at)
    if batch_id is not None:
        return batch_history(connection, slug, batch_id)
    return project_history(connection, slug)


_DAYS: Final = """
SELECT
    day,
    batches,
    images,
    num_jobs,
    images_delta,
    num_jobs_delta,
    is_observed
FROM analytics.project_daily
WHERE workspace = :workspace
    AND project = :project
ORDER BY day
"""


def project_history(connection: Connection, slug: Slug) -> ProjectHistory:
    """
    Read the life of one project, day by day.

    Raises:
        UnknownProjectError: The ledger does not know it.
    """
    _require_project(connection, slug)
    days = _rows(connection, Day, _DAYS, workspace=slug.workspace, project=slug.project)
    return ProjectHistory(workspace=slug.workspace, project=slug.project, days=days)


_BATCHES: Final = """
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
    AND (CAST(:batch_id AS text) IS NULL OR batch_id = :batch_id)
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
ORDER BY observation_id
"""


def batches(connection: Connection, slug: Slug) -> tuple[BatchNow, ...]:
    """Return every batch of a project, as last believed; those that are gone, too."""
    key = {"workspace": slug.workspace, "project": slug.project, "batch_id": None}
    return _rows(connection, BatchNow, _BATCHES, **key)


def batch_history(connection: Connection, slug: Slug, batch_id: str) -> BatchHistory:
    """
    Read the life of one batch, state by state.

    Raises:
        UnknownProjectError: The ledger does not know the project, or not the batch.
    """
    key = {"workspace": slug.workspace, "project": slug.project, "batch_id": batch_id}
    found = _rows(connection, BatchNow, _BATCHES, **key)
    if not found:
        _refuse_batch(connection, slug, batch_id)
    return BatchHistory(batch=found[0], states=_rows(connection, State, _STATES, **key))


_THEN: Final = """
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
FROM analytics.batch_as_of(:at)
WHERE workspace = :workspace
    AND project = :project
    AND (CAST(:batch_id AS text) IS NULL OR batch_id = :batch_id)
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
    key = {"workspace": slug.workspace, "project": slug.project, "batch_id": batch_id}
    _require_project(connection, slug)
    if batch_id is not None and not _rows(connection, BatchNow, _BATCHES, **key):
        _refuse_batch(connection, slug, batch_id)
    batches = _rows(connection, BatchThen, _THEN, at=at, **key)
    return Past(at=at, workspace=slug.workspace, project=slug.project, batches=batches)


class Answer(msgspec.Struct, frozen=True):
    """What a query answered."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def answer(connection: Connection, sql: str) -> Answer:
    """Run a query of ours as it stands."""
    result = connection.exec_driver_sql(sql)
    return Answer(tuple(result.keys()), tuple(tuple(row) for row in result))


def violations(connection: Connection) -> list[str]:
    """Return which promises of the books are broken: none, unless something is very wrong."""
    rows = connection.execute(
        text("SELECT invariant, workspace, project, detail FROM analytics.invariant_violation")
    )
    return [f"{row.invariant}: {row.workspace}/{row.project}: {row.detail}" for row in rows]


def slugs(connection: Connection) -> list[str]:
    """Return every project that the ledger knows, as `workspace/project`."""
    rows = connection.execute(text("SELECT workspace, project FROM analytics.project ORDER BY 1, 2"))
    return [str(Slug(*row)) for row in rows]


def _require_project(connection: Connection, slug: Slug) -> None:
    known = slugs(connection)
    if str(slug) not in known:
        raise UnknownProjectError(
            f"the ledger knows no project {slug}{_near(str(slug), known)}",
            remedy="`batchledger status` lists what it knows, `batchledger projects` what a key sees",
        )


def _refuse_batch(connection: Connection, slug: Slug, batch_id: str) -> None:
    _require_project(connection, slug)
    rows = connection.execute(
        text("SELECT batch_id FROM analytics.batch WHERE workspace = :workspace AND project = :project"),
        {"workspace": slug.workspace, "project": slug.project},
    )
    raise UnknownProjectError(
        f"the ledger knows no batch {batch_id} in {slug}{_near(batch_id, [row[0] for row in rows])}",
        remedy=f"`batchledger history {slug} --at now` lists the batches with their ids",
    )


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.75)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _rows(connection: Connection, kind: type[_Row], sql: str, **values: Any) -> tuple[_Row, ...]:  # noqa: ANN401 - as SQL takes them.
    found = connection.execute(text(sql), values).mappings()
    return tuple(msgspec.convert({name: _utc(value) for name, value in row.items()}, kind) for row in found)


def _utc(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
