"""Rows as Parquet: types as exact as Postgres has them, in groups of rows that fit in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

from psycopg.postgres import types
from psycopg.sql import SQL, Composed, Identifier

from etl.commands.queries.extract import fetched
from etl.errors import SettingsError

try:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter
except ImportError as error:
    raise SettingsError(
        "Parquet needs pyarrow, which is not installed",
        remedy="install batchledger[parquet], or take --format csv or jsonl",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import psycopg

    from etl.commands.queries.extract import Column, Extract

_GROUP_ROWS: Final = 50_000
_GROUP_BYTES: Final = 32 * 2**20

_KINDS: Final[Mapping[str, Any]] = {
    "bool": pa.bool_(),
    "date": pa.date32(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
"""What there is an equal type for. All else is the text of it, as Postgres writes it: JSON, an interval."""

_BY_OID: Final[Mapping[int, Any]] = {
    **{types[name].oid: kind for name, kind in _KINDS.items()},
    **{types[name].array_oid: pa.list_(kind) for name, kind in _KINDS.items()},
}
_NUMERIC: Final = types["numeric"].oid
_ARRAYS: Final = frozenset(one.array_oid for one in types if one.array_oid)
_MOST_DIGITS: Final = 76


def parquet(pg: psycopg.Connection, extract: Extract, to: BinaryIO, told: Callable[[int], None]) -> int:
    """
    Write all rows as Parquet.

    Args:
        pg: A reading connection.
        extract: What to read.
        to: Where to.
        told: Told how many rows are read, now and then.

    Returns:
        How many rows were written.
    """
    kinds = {column.name: _kind(pg, extract, column) for column in extract.columns}
    schema = pa.schema(list(kinds.items()))
    count, held = 0, list[pa.RecordBatch]()
    with ParquetWriter(to, schema, compression="zstd") as writer:
        for rows in fetched(pg, _typed(extract, kinds)):
            held.append(_batch(rows, schema))
            count += len(rows)
            told(count)
            if sum(batch.num_rows for batch in held) >= _GROUP_ROWS or _size(held) >= _GROUP_BYTES:
                _flush(writer, held)
        _flush(writer, held)
    return count


def _batch(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _size(held: Sequence[pa.RecordBatch]) -> int:
    return sum(batch.nbytes for batch in held)


def _flush(writer: ParquetWriter, held: list[pa.RecordBatch]) -> None:
    """Write what is held as one group of rows."""
    if held:
        writer.write_table(pa.Table.from_batches(held), row_group_size=_GROUP_ROWS * 2)
        held.clear()


def _kind(pg: psycopg.Connection, extract: Extract, column: Column) -> Any:  # noqa: ANN401 - pyarrow has no types.
    """Return the type that a column has in the file."""
    if column.type == _NUMERIC:
        return _decimal(pg, extract, column)
    return _BY_OID.get(column.type, pa.list_(pa.string()) if column.type in _ARRAYS else pa.string())


_DIGITS: Final = SQL("""
SELECT
    coalesce(max(length(CAST(trunc(abs({column})) AS text))), 1),
    coalesce(max(scale({column})), 0),
    count(*) FILTER (WHERE {column} IS NOT NULL AND scale({column}) IS NULL)
FROM ({query}) AS row
""")


def _decimal(pg: psycopg.Connection, extract: Extract, column: Column) -> Any:  # noqa: ANN401 - as above.
    """Look how many digits there are, which Parquet wants to know; text if they are too many for it."""
    query = _DIGITS.format(column=Identifier(column.name), query=extract.query)
    whole, scale, infinite = pg.execute(query).fetchone() or (1, 0, 0)
    if infinite or whole + scale > _MOST_DIGITS:
        return pa.string()
    return (pa.decimal128 if whole + scale <= _MOST_DIGITS // 2 else pa.decimal256)(whole + scale, scale)


def _typed(extract: Extract, kinds: Mapping[str, Any]) -> Composed:
    """Have everything written as text by the database that is text in the file."""
    chosen = [
        SQL("CAST({0} AS {1}) AS {0}").format(Identifier(name), SQL("text[]" if _is_list(kind) else "text"))
        if kind in (pa.string(), pa.list_(pa.string()))
        else Identifier(name)
        for name, kind in kinds.items()
    ]
    return SQL("SELECT {} FROM ({}) AS row").format(SQL(", ").join(chosen), extract.query)


def _is_list(kind: Any) -> bool:  # noqa: ANN401 - as above.
    return bool(pa.types.is_list(kind))
