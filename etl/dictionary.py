"""Writes the data dictionary from the database's own comments: `python -m etl.dictionary`."""

from __future__ import annotations

import os
import re
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import text

from etl.commands.assembly import open_database, prepare
from etl.config import load
from etl.database import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

Examples: TypeAlias = "Mapping[str, Mapping[str, str]]"
"""A value of each column, by view and name."""

_HEAD: Final = """\
# Data dictionary

<!-- Written by `python -m etl.dictionary` from the comments of a migrated database. Change them there. -->

All times are in UTC. `(after, until]` is an interval without its beginning and with its end. What NULL means
is said of each column that can hold it. Examples are those of the demonstration (`batchledger demo`), of one
row where it has a value in every column. `batchledger dictionary batch` and psql (`\\d+ analytics.batch`)
show the same comments.
"""

_SCHEMAS: Final = {
    "analytics": """\
What you may rely on: every release keeps these views and functions with their columns. Columns may be added;
none is renamed or taken away.
""",
    "ledger": """\
Private tables, shown so that nothing is hidden. Any release may change them: build nothing on them, and write
nothing to them.
""",
}

_RELATIONS: Final = """
SELECT relation.oid, relation.relname, relation.relkind, obj_description(relation.oid, 'pg_class')
FROM pg_class AS relation
WHERE relation.relnamespace = to_regnamespace(:schema)
    AND relation.relkind IN ('r', 'v')
    AND relation.relname <> 'alembic_version'
ORDER BY relation.relname
"""

_COLUMNS: Final = """
SELECT attribute.attname, format_type(attribute.atttypid, attribute.atttypmod),
    col_description(attribute.attrelid, attribute.attnum)
FROM pg_attribute AS attribute
WHERE attribute.attrelid = :relation
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
ORDER BY attribute.attnum
"""

_FUNCTIONS: Final = """
SELECT function.oid, function.proname, pg_get_function_arguments(function.oid),
    obj_description(function.oid, 'pg_proc')
FROM pg_proc AS function
WHERE function.pronamespace = to_regnamespace(:schema)
ORDER BY function.proname, function.pronargs
"""

_RESULTS: Final = """
SELECT argument.name, format_type(argument.type, NULL)
FROM pg_proc AS function
CROSS JOIN LATERAL unnest(function.proargnames, function.proallargtypes, function.proargmodes)
    WITH ORDINALITY AS argument (name, type, mode, position)
WHERE function.oid = :function
    AND argument.mode = 't'
ORDER BY argument.position
"""


class Column(msgspec.Struct, frozen=True):
    """
    One column of a view, function or table.

    `unit` is None where it counts nothing; `null` says what NULL means, None where it never is; `example` is
    a value of the demonstration's, None where that has none.
    """

    name: str
    type: str
    unit: str | None
    meaning: str
    null: str | None
    example: str | None


class Relation(msgspec.Struct, frozen=True):
    """A view, function or table. `grain` says what one row of it is; `call` is its name with arguments."""

    schema: str
    name: str
    kind: Literal["view", "function", "table"]
    call: str
    grain: str
    columns: tuple[Column, ...]


def dictionary(connection: Connection) -> str:
    """Return the page: every view, function and table with its grain, and every column with its meaning."""
    return _HEAD + "".join(part for schema in _SCHEMAS for part in _schema(connection, schema))


def relations(connection: Connection, schema: str = "analytics") -> tuple[Relation, ...]:
    """Read what a schema holds: views or tables first, functions after them, each by name."""
    examples = _examples() if schema == "analytics" else {}
    return (*_views(connection, schema, examples), *_functions(connection, schema, examples))


def markdown(relation: Relation) -> str:
    """Return the section of the page about one view, function or table."""
    lines = map(_row, relation.columns)
    titles = ("column", "type", "unit", "meaning", "NULL", "example")
    table = "".join(f"| {' | '.join(line)} |\n" for line in (titles, ["---"] * len(titles), *lines))
    return f"\n### `{relation.schema}.{relation.call}`\n\n{relation.grain}\n\n{table}"


def _schema(connection: Connection, schema: str) -> Iterator[str]:
    yield f"\n## Schema `{schema}`\n\n{_SCHEMAS[schema]}"
    yield from map(markdown, relations(connection, schema))


def _row(column: Column) -> Sequence[str]:
    example = f"`{_cell(column.example)}`" if column.example else ""
    told = (column.type, column.unit or "", column.meaning, column.null or "")
    return (f"`{column.name}`", *map(_cell, told), example)


def _cell(told: str) -> str:
    return told.replace("|", "\\|")


# What the database says


def _views(connection: Connection, schema: str, examples: Examples) -> Iterator[Relation]:
    for oid, name, kind, comment in connection.execute(text(_RELATIONS), {"schema": schema}).all():
        columns = connection.execute(text(_COLUMNS), {"relation": oid})
        shown = examples.get(name, {})
        described = tuple(_column(column, type_, told, shown) for column, type_, told in columns)
        yield Relation(schema, name, "table" if kind == "r" else "view", name, comment or "", described)


def _functions(connection: Connection, schema: str, examples: Examples) -> Iterator[Relation]:
    for oid, name, arguments, comment in connection.execute(text(_FUNCTIONS), {"schema": schema}).all():
        results = connection.execute(text(_RESULTS), {"function": oid})
        shown = examples.get(name, {})
        described = tuple(_column(column, type_, None, shown) for column, type_ in results)
        call = f"{name}({_short(arguments)})"
        yield Relation(schema, name, "function", call, comment or "", described)


def _column(name: str, kind: str, comment: str | None, examples: Mapping[str, str]) -> Column:
    meaning, null = _parted(comment or "")
    return Column(name, _short(kind), unit_of(name, kind), meaning, null, examples.get(name))


_NULL: Final = re.compile(r"[;,]? ?\bNULL(?::| (?=as |where |of )) ?([^;.]*)")


def _parted(comment: str) -> tuple[str, str | None]:
    """Part what a column means from what NULL in it means."""
    found = _NULL.search(comment)
    return (_NULL.sub("", comment, count=1), found[1]) if found else (comment, None)


def _short(told: str) -> str:
    return told.replace("timestamp with time zone", "timestamptz")


# What the names of columns say: one suffix is one unit, everywhere.

_BY_TYPE: Final = {
    "timestamp with time zone": "time (UTC)",
    "date": "day (UTC)",
    "boolean": "true or false",
}
_IMAGES: Final = (
    "annotated|approved|assigned|backlog|intake|moved|rejected|remaining|removed|size|unannotated|unassigned"
)
_BY_NAME: Final = {
    r".*_s": "seconds",
    r".*_ms": "milliseconds",
    r".*bytes.*": "bytes",
    r".*_per_day|.*_se": "images a day",
    r"(kept|share)_.*": "share, 0 to 1",
    r"(.*_)?days": "days",
    r"(.*_)?images(_.*)?": "images",
    rf"({_IMAGES})(_work|_delta)?": "images",
    r"(.*_)?batches(_.*)?|batch_changes": "batches",
    r"num_jobs(_.*)?|jobs": "jobs",
    r"requests": "requests",
}


def unit_of(name: str, kind: str) -> str | None:
    """Return the unit of a column; None where it counts nothing: a text, a number that identifies."""
    if kind not in _NUMBERS:
        return _BY_TYPE.get(kind)
    return next((unit for pattern, unit in _BY_NAME.items() if re.fullmatch(pattern, name)), None)


_NUMBERS: Final = frozenset({"bigint", "double precision", "integer", "numeric", "real", "smallint"})


# What a value looks like


def _examples() -> Examples:
    """Return the examples that the demonstration gave; `docs/reference/examples.py` writes them."""
    body = (resources.files("etl") / "examples.json").read_bytes()
    return msgspec.json.decode(body, type=dict[str, dict[str, str]])


def main() -> None:
    """Print the page from the configured database; the embedded one unless `DATABASE_URL` says otherwise."""
    with open_database(load(os.environ, Path.cwd()), os.environ) as database:
        prepare(database)
        with connect(database.uri) as connection:
            sys.stdout.write(dictionary(connection))


if __name__ == "__main__":
    main()
