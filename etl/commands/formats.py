"""How rows become a file: CSV as Postgres writes it, JSON lines, or Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from psycopg.sql import SQL

from etl.commands.arguments import Format
from etl.commands.queries.extract import copied, fetched, pure

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from sqlalchemy import Connection

    from etl.commands.queries.extract import Extract

_TOLD_EVERY: Final = 1000


def write(
    connection: Connection, extract: Extract, form: Format, to: BinaryIO, told: Callable[[int], None]
) -> int:
    """
    Write all rows, holding few of them at a time.

    Args:
        connection: A reading one.
        extract: What to read.
        form: How to write it.
        to: Where to.
        told: Told how many rows are written, now and then.

    Returns:
        How many rows were written.

    Raises:
        SettingsError: It is Parquet, and the library for that is not installed.
        DatabaseUnavailableError: The database went away.
    """
    with pure(connection) as pg:
        if form is Format.PARQUET:
            from etl.commands.parquet import parquet  # noqa: PLC0415 - 100 MB, which only Parquet pays.

            return parquet(pg, extract, to, told)
        return (_csv if form is Format.CSV else _jsonl)(pg, extract, to, told)


def _csv(pg: psycopg.Connection, extract: Extract, to: BinaryIO, told: Callable[[int], None]) -> int:
    count = -1  # The line of names is none.
    for count, row in enumerate(copied(pg, extract.query)):
        to.write(row)
        if not count % _TOLD_EVERY:
            told(count)
    return count


_ESCAPED: Final = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}
"""What JSON lets stand within a line, and many readers of lines take for the end of one."""


def _jsonl(pg: psycopg.Connection, extract: Extract, to: BinaryIO, told: Callable[[int], None]) -> int:
    count = 0
    query = SQL("SELECT CAST(row_to_json(row) AS text) FROM ({}) AS row").format(extract.query)
    for rows in fetched(pg, query):
        to.write("".join(f"{line.translate(_ESCAPED)}\n" for (line,) in rows).encode())
        count += len(rows)
        told(count)
    return count
