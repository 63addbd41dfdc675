"""What `export` reads: a view or a function of schema `analytics`, the part that is asked for, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import psycopg
from psycopg.errors import InsufficientPrivilege, QueryCanceled
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from etl.commands.instants import Span
from etl.commands.queries import unknown
from etl.database import denied, given_up, unavailable
from etl.errors import SettingsError
from etl.records import Slug

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

_FETCHED: Final = 500
"""Rows that are in memory at a time. Any of them may hold a megabyte."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is asked for.

    `columns` and `projects` are all of them where empty. `span` is when the rows are about, `at` the instant
    at which a function tells how things stood. `arguments` are what else a function is told, by their names.
    """

    view: str
    columns: tuple[str, ...] = ()
    projects: tuple[Slug, ...] = ()
    span: Span = Span()
    at: datetime | None = None
    arguments: Mapping[str, str] = MappingProxyType({})


class Column(NamedTuple):
    """One column: its name, and its type by the number that Postgres gives it."""

    name: str
    type: int


class Extract(msgspec.Struct, frozen=True):
    """A query that was found to be one, with its columns."""

    query: Composed
    columns: tuple[Column, ...]


def extract(connection: Connection, wish: Wish) -> Extract:
    """
    Turn what is asked for into a query.

    Args:
        connection: A reading one.
        wish: What is asked for.

    Raises:
        UnknownViewError: There is no such view, function or column.
        SettingsError: It cannot be asked that way: a view has no time to go by, a function needs an instant.
    """
    with pure(connection) as pg:
        source = _source(pg, wish)
        columns = _columns(pg, source)
        chosen = _chosen(wish, columns)
        conditions = list(_conditions(wish, source, {column.name for column in columns}))
    query = SQL("SELECT {} FROM {}").format(
        SQL(", ").join(Identifier(column.name) for column in chosen), source.sql
    )
    return Extract(query + SQL(" WHERE ") + SQL(" AND ").join(conditions) if conditions else query, chosen)


@contextmanager
def pure(connection: Connection) -> Iterator[psycopg.Connection]:
    """
    Lend the psycopg connection beneath, which alone can copy and has cursors on the server.

    Raises:
        DatabaseUnavailableError: The database went away, or gave up a statement.
        SettingsError: The role may not read it, or a function cannot do with what it is told.
    """
    pg = connection.connection.driver_connection
    if not isinstance(pg, psycopg.Connection):
        raise TypeError("the ledger needs psycopg")
    try:
        yield pg
    except InsufficientPrivilege as error:
        raise denied(error) from None
    except QueryCanceled as error:
        raise given_up(error) from None
    except psycopg.DataError as error:
        raise SettingsError(
            f"the database cannot do with what it is told: {error.diag.message_primary}", remedy=_TOLD_REMEDY
        ) from None
    except psycopg.OperationalError as error:
        raise unavailable(connection.engine, error) from None


_TOLD_REMEDY: Final = "`batchledger dictionary VIEW` says what a function takes"


# Where from


class _Source(NamedTuple):
    """What stands after FROM, and whether it was told the stretch of time already."""

    sql: Composable
    has_span: bool = False


class _Callable(NamedTuple):
    """A function: the arguments that it must be given, and those that it may be."""

    required: tuple[str, ...]
    optional: tuple[str, ...]


_VIEWS: Final = """
SELECT relname
FROM pg_class
WHERE relnamespace = to_regnamespace('analytics')
    AND relkind IN ('m', 'v')
"""

_FUNCTIONS: Final = """
SELECT
    proname,
    -- Of several of one name the last one counts: it can be told the most.
    coalesce(proargnames[1:pronargs - pronargdefaults], '{}'),
    coalesce(proargnames[pronargs - pronargdefaults + 1:pronargs], '{}')
FROM pg_proc
WHERE pronamespace = to_regnamespace('analytics')
    AND proretset
ORDER BY pronargs
"""


def _source(pg: psycopg.Connection, wish: Wish) -> _Source:
    views = {name for (name,) in pg.execute(_VIEWS)}
    functions = {name: _Callable(tuple(must), tuple(may)) for name, must, may in pg.execute(_FUNCTIONS)}
    if wish.view in functions:
        return _call(wish, functions[wish.view])
    if wish.view not in views:
        raise unknown("schema analytics has no view", wish.view, {*views, *functions})
    if wish.at is not None:
        can = sorted(name for name, one in functions.items() if "at" in one.required)
        raise SettingsError(
            f"{wish.view} is a view, and tells how things are now",
            remedy=f"leave out --at, or export {' or '.join(can)}",
        )
    if wish.arguments:
        raise SettingsError(f"{wish.view} is a view, and takes no arguments", remedy="leave out --argument")
    return _Source(Identifier("analytics", wish.view))


def _call(wish: Wish, function: _Callable) -> _Source:
    """Write a call; what nobody asked for is left to its default, or is NULL: of all."""
    given, takes = _arguments(wish), (*function.required, *function.optional)
    lacking = [name for name in function.required if name not in given]
    if lacking:
        options = [_OPTIONS.get(name, f"--argument {name}=...") for name in lacking]
        raise SettingsError(
            f"{wish.view} needs to be told {', '.join(lacking)}", remedy=f"give {' and '.join(options)}"
        )
    if wish.at is not None and "at" not in takes:
        raise SettingsError(f"{wish.view} is not about one instant", remedy="leave out --at")
    for name in wish.arguments:
        if name not in takes or name in _OPTIONS:
            raise _misnamed(wish.view, name, [one for one in takes if one not in _OPTIONS])
    named = {name: given[name] for name in takes if name in function.required or given.get(name) is not None}
    arguments = [SQL("{} => {}").format(Identifier(name), Literal(value)) for name, value in named.items()]
    call = SQL("{}({})").format(Identifier("analytics", wish.view), SQL(", ").join(arguments))
    return _Source(call, has_span="from_at" in named)


_OPTIONS: Final = {
    "at": "--at T",
    "from_at": "--from T",
    "to_at": "--to T",
    **dict.fromkeys(("of_workspace", "of_project", "workspace", "project"), "--project W/P"),
}
"""What is told by an option of its own."""


def _misnamed(view: str, name: str, takes: Sequence[str]) -> SettingsError:
    if name in _OPTIONS:
        return SettingsError(f"{name} is not told by --argument", remedy=f"give {_OPTIONS[name]}")
    remedy = f"it takes {' and '.join(takes)}" if takes else "leave out --argument"
    return SettingsError(f"{view} has no argument {name!r}", remedy=remedy)


def _arguments(wish: Wish) -> Mapping[str, Any]:
    """Return what can be told to a function by the names of its arguments."""
    (only,) = wish.projects if len(wish.projects) == 1 else (None,)
    told = {"at": wish.at, "from_at": wish.span.from_at, "to_at": wish.span.to_at}
    return {
        **wish.arguments,
        **{name: at for name, at in told.items() if at is not None},
        **dict.fromkeys(("of_workspace", "workspace"), only and only.workspace),
        **dict.fromkeys(("of_project", "project"), only and only.project),
    }


# Which part


def _columns(pg: psycopg.Connection, source: _Source) -> tuple[Column, ...]:
    described = pg.execute(SQL("SELECT * FROM {} LIMIT 0").format(source.sql)).description or ()
    return tuple(Column(column.name, column.type_code) for column in described)


def _chosen(wish: Wish, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    known = {column.name: column for column in columns}
    for name in wish.columns:
        if name not in known:
            raise unknown(f"{wish.view} has no column", name, known)
    return tuple(known[name] for name in dict.fromkeys(wish.columns)) or columns


def _conditions(wish: Wish, source: _Source, names: set[str]) -> Iterator[Composable]:
    if wish.projects:
        if not names >= {"workspace", "project"}:
            raise SettingsError(f"{wish.view} is not about projects", remedy="leave out --project")
        slugs = SQL(", ").join(SQL("({}, {})").format(*map(Literal, slug)) for slug in wish.projects)
        yield SQL("(workspace, project) IN ({})").format(slugs)
    if wish.span != Span() and not source.has_span:
        yield from _within(wish, names)


_MOMENTS: Final = ("observed_at", "day", "week", "month", "period_start")
_STRETCHES: Final = (("from_at", "to_at"), ("valid_from", "valid_to"))
_LENGTHS: Final = {"day": "1 day", "week": "7 days", "month": "1 month"}


def _within(wish: Wish, names: set[str]) -> Iterator[Composable]:
    """Say which rows are about some part of the stretch of time; it includes its beginning, not its end."""
    for begin, end in _STRETCHES:
        if names >= {begin, end}:
            yield from _overlapping(wish.span, begin, end)
            return
    moment = next((name for name in _MOMENTS if name in names), None)
    if moment is None:
        raise SettingsError(
            f"{wish.view} has no time of its own to go by",
            remedy=f"leave out --from and --to; they choose rows by {', '.join(_MOMENTS)} or a stretch",
        )
    yield from _dated(wish.span, moment) if moment in _LENGTHS else _timed(wish.span, moment)


def _overlapping(span: Span, begin: str, end: str) -> Iterator[Composable]:
    if span.from_at is not None:
        still = SQL("({0} > {1} OR {0} IS NULL)")
        yield still.format(Identifier(end), Literal(span.from_at))
    if span.to_at is not None:
        yield SQL("{} < {}").format(Identifier(begin), Literal(span.to_at))


def _timed(span: Span, moment: str) -> Iterator[Composable]:
    for sign, at in (("{} >= {}", span.from_at), ("{} < {}", span.to_at)):
        if at is not None:
            yield SQL(sign).format(Identifier(moment), Literal(at))


def _dated(span: Span, unit: str) -> Iterator[Composable]:
    """Compare days with days, which needs no time zone; the session's is UTC."""
    if span.from_at is not None:
        begins = SQL("{} > {} - CAST({} AS interval)")
        first = span.from_at.astimezone(UTC).date()
        yield begins.format(Identifier(unit), Literal(first), Literal(_LENGTHS[unit]))
    if span.to_at is not None:
        last = (span.to_at.astimezone(UTC) - timedelta(microseconds=1)).date()
        yield SQL("{} <= {}").format(Identifier(unit), Literal(last))


# Row by row


def estimate(connection: Connection, extract: Extract) -> int:
    """Return how many rows the planner expects."""
    with pure(connection) as pg:
        row = pg.execute(SQL("EXPLAIN (FORMAT JSON) ") + extract.query).fetchone()
    return int(row[0][0]["Plan"]["Plan Rows"]) if row else 0


def copied(pg: psycopg.Connection, query: Composed) -> Iterator[memoryview]:
    """Yield the rows as CSV of UTF-8, after a line of the names; none where the query fails at once."""
    with (
        pg.cursor() as cursor,
        cursor.copy(SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(query)) as rows,
    ):
        lines = iter(rows)
        # The names come before anything was computed, and wait for the first row.
        first = [line for line in (next(lines, None), next(lines, None)) if line is not None]
        yield from (memoryview(line) for line in first)
        yield from (memoryview(line) for line in lines)


def fetched(pg: psycopg.Connection, query: Composed) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows, some at a time, from a cursor on the server."""
    with pg.cursor(name="export") as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(_FETCHED):
            yield rows
