"""Writes the data dictionary from the database's own comments: `python -m etl.dictionary`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from etl.commands.assembly import open_database, prepare
from etl.config import load
from etl.database import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

_HEAD: Final = """\
# Data dictionary

<!-- Written by `python -m etl.dictionary` from the comments of a migrated database. Change them there. -->

All times are in UTC. `(after, until]` is an interval without its beginning and with its end. What NULL means
is said of each column that can hold it. psql shows the same comments: `\\d+ analytics.batch`.
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
SELECT relation.oid, relation.relname, obj_description(relation.oid, 'pg_class')
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
SELECT function.oid, function.proname || '(' || pg_get_function_arguments(function.oid) || ')',
    obj_description(function.oid, 'pg_proc')
FROM pg_proc AS function
WHERE function.pronamespace = to_regnamespace(:schema)
ORDER BY function.proname
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


def dictionary(connection: Connection) -> str:
    """Return the page: every view, function and table with its grain, and every column with its meaning."""
    return _HEAD + "".join(part for schema in _SCHEMAS for part in _schema(connection, schema))


def _schema(connection: Connection, schema: str) -> Iterator[str]:
    yield f"\n## Schema `{schema}`\n\n{_SCHEMAS[schema]}"
    for oid, name, comment in connection.execute(text(_RELATIONS), {"schema": schema}):
        yield f"\n### `{schema}.{name}`\n\n{comment}\n\n"
        yield _table(("column", "type", "meaning"), connection.execute(text(_COLUMNS), {"relation": oid}))
    for oid, signature, comment in connection.execute(text(_FUNCTIONS), {"schema": schema}):
        yield f"\n### `{schema}.{_short(signature)}`\n\n{comment}\n\n"
        yield _table(("column", "type"), connection.execute(text(_RESULTS), {"function": oid}))


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *([f"`{name}`", *map(_short, cells)] for name, *cells in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _short(told: str) -> str:
    return told.replace("timestamp with time zone", "timestamptz").replace("|", "\\|")


def main() -> None:
    """Print the page from the configured database; the embedded one unless `DATABASE_URL` says otherwise."""
    with open_database(load(os.environ, Path.cwd()), os.environ) as database:
        prepare(database)
        with connect(database.uri) as connection:
            sys.stdout.write(dictionary(connection))


if __name__ == "__main__":
    main()
