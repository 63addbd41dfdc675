"""How commands read the ledger: a connection that sees one moment, rows as typed values, known names."""

from __future__ import annotations

import difflib
import shlex
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from sqlalchemy import text

from etl.commands.plain import operand
from etl.database import connect
from etl.errors import UnknownProjectError, UnknownViewError
from etl.records import Slug

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection

    from etl.settings import DatabaseSettings

_Row = TypeVar("_Row", bound=msgspec.Struct)

_MOST_COMPARED: Final = 1000
"""Batches that a name is compared with: those that begin or end alike, if there are more."""


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


def rows(connection: Connection, kind: type[_Row], sql: str, **values: Any) -> tuple[_Row, ...]:  # noqa: ANN401 - as SQL takes them.
    """Run a query of ours and return its rows, each as one typed value."""
    found = connection.execute(text(sql), values).mappings()
    return tuple(msgspec.convert({name: _utc(value) for name, value in row.items()}, kind) for row in found)


def _utc(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def server_version(connection: Connection) -> str:
    """Return the version of Postgres, such as 18.1."""
    return str(connection.scalar(text("SHOW server_version"))).split(" ", maxsplit=1)[0]


class Answer(msgspec.Struct, frozen=True):
    """What a query answered."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def answer(connection: Connection, sql: str) -> Answer:
    """Run a query of ours as it stands."""
    result = connection.exec_driver_sql(sql)
    return Answer(tuple(result.keys()), tuple(tuple(row) for row in result))


# What the ledger knows by name


def slugs(connection: Connection) -> list[str]:
    """Return every project that the ledger knows, as `workspace/project`."""
    found = connection.execute(text("SELECT workspace, project FROM analytics.project ORDER BY 1, 2"))
    return [str(Slug(*row)) for row in found]


_IS_PROJECT: Final = """
SELECT EXISTS (
    SELECT FROM analytics.project
    WHERE workspace = :workspace
        AND project = :project
)
"""


def require_project(connection: Connection, slug: Slug) -> None:
    """
    See that the ledger knows a project.

    Raises:
        UnknownProjectError: It does not.
    """
    key = {"workspace": slug.workspace, "project": slug.project}
    if not connection.scalar(text(_IS_PROJECT), key):
        raise UnknownProjectError(
            f"the ledger knows no project {slug}{_near(str(slug), slugs(connection))}",
            remedy="`batchledger status` lists what it knows, `batchledger projects` what a key sees",
        )


_IS_KNOWN: Final = """
SELECT EXISTS (
    SELECT FROM analytics.{one}
    WHERE workspace = :workspace
        AND project = :project
        AND {one}_id = :record_id
)
"""

_ALIKE: Final = """
SELECT {one}_id
FROM analytics.{one}
WHERE workspace = :workspace
    AND project = :project
ORDER BY
    -- First those that begin or end alike, the more the sooner, whatever their case.
    CAST(starts_with(lower({one}_id), lower(left(:record_id, 2))) AS integer)
        + CAST(starts_with(lower({one}_id), lower(left(:record_id, 6))) AS integer)
        + CAST(lower(right({one}_id, 3)) = lower(right(:record_id, 3)) AS integer) DESC,
    {one}_id
LIMIT :most
"""


def require_batch(connection: Connection, slug: Slug, batch_id: str) -> None:
    """
    See that the ledger knows a batch.

    Raises:
        UnknownProjectError: It does not, or not even the project.
    """
    remedy = f"`batchledger history {operand(str(slug), '--at now')}` lists the batches with their ids"
    _require(connection, slug, "batch", batch_id, remedy)


def require_job(connection: Connection, slug: Slug, job_id: str) -> None:
    """
    See that the ledger knows an annotation job.

    Raises:
        UnknownProjectError: It does not, or not even the project.
    """
    chosen = f"--project {shlex.quote(str(slug))} --columns job_id,name"
    remedy = f"`batchledger export job {chosen}` lists the jobs with their ids"
    _require(connection, slug, "job", job_id, remedy)


def _require(connection: Connection, slug: Slug, one: str, record_id: str, remedy: str) -> None:
    require_project(connection, slug)
    key = {"workspace": slug.workspace, "project": slug.project, "record_id": record_id}
    if not connection.scalar(text(_IS_KNOWN.format(one=one)), key):
        found = connection.execute(text(_ALIKE.format(one=one)), {**key, "most": _MOST_COMPARED})
        near = _near(record_id, [row[0] for row in found])
        raise UnknownProjectError(f"the ledger knows no {one} {record_id} in {slug}{near}", remedy=remedy)


def unknown(what: str, name: str, known: Collection[str]) -> UnknownViewError:
    """Say that there is no view, function or column of that name, and which ones are near."""
    remedies = (
        "run `batchledger migrate`; it has no schema yet",
        "`batchledger dictionary` lists what there is",
    )
    return UnknownViewError(f"{what} {name!r}{_near(name, known, 0.5)}", remedy=remedies[bool(known)])


def _near(name: str, known: Collection[str], cutoff: float = 0.75) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=cutoff)
    return f"; did you mean {' or '.join(near)}?" if near else ""
