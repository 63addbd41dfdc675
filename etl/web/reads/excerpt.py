"""The first rows of a table, and whether there are more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from etl.commands.queries import rows
from etl.commands.queries.gaps import Gap, last_gaps
from etl.web.reads.bounds import GAPS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.records import Slug

_Row = TypeVar("_Row", bound=msgspec.Struct)


class Excerpt(msgspec.Struct, Generic[_Row], frozen=True):
    """The first rows of a table; not `is_whole`: there are more."""

    rows: tuple[_Row, ...]
    is_whole: bool


def excerpt(
    connection: Connection,
    kind: type[_Row],
    sql: str,
    *,
    limit: int,
    **values: Any,  # noqa: ANN401 - as SQL takes them.
) -> Excerpt[_Row]:
    """Read so many rows at most, and one more to know whether there is one."""
    return cut(rows(connection, kind, sql, limit=limit + 1, **values), limit)


def late_gaps(connection: Connection, slug: Slug) -> Excerpt[Gap]:
    """Read the last gaps of a project."""
    return cut(last_gaps(connection, slug, limit=GAPS + 1), GAPS)


def cut(found: tuple[_Row, ...], limit: int) -> Excerpt[_Row]:
    """Cut what was read with one row more than is shown."""
    return Excerpt(found[:limit], len(found) <= limit)
