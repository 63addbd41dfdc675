"""The bundle of deploy/superset as tests read it; `python -m tests.superset` brings columns up to date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLE: Final = Path(__file__).parents[1] / "deploy/superset/bundle"

_COLUMNS: Final = """
    SELECT
        attribute.attname AS column_name,
        upper(format_type(attribute.atttypid, attribute.atttypmod)) AS type,
        attribute.atttypid IN ('date'::regtype, 'timestamptz'::regtype) AS is_dttm,
        col_description(attribute.attrelid, attribute.attnum) AS description
    FROM pg_attribute AS attribute
    WHERE attribute.attrelid = to_regclass(%s)
        AND attribute.attnum > 0
        AND NOT attribute.attisdropped
    ORDER BY attribute.attnum
"""
_SAME_IN_ALL: Final = {
    "is_active": True,
    "groupby": True,
    "filterable": True,
    "expression": None,
    "python_date_format": None,
    "extra": None,
}


def documents(kind: str) -> dict[str, Any]:
    """Read the files of one kind, such as `charts`, by the names of the files."""
    return {path.stem: _yaml().load(path) for path in _files(kind)}


def charts_of(dashboard: Any) -> list[str]:
    """The ids of the charts that are placed on a dashboard."""
    return [item["meta"]["uuid"] for item in dashboard["position"].values() if _is_chart(item)]


def refreshed(dataset: Any, connection: psycopg.Connection) -> Any:
    """Return a dataset with the columns, types and comments that its view has; what is computed stays."""
    known = {column["column_name"]: column for column in dataset["columns"]}
    own = [
        _refreshed(known.get(column["column_name"], {}), column) for column in _columns(dataset, connection)
    ]
    computed = [column for column in dataset["columns"] if column["expression"]]
    return {**dataset, "description": _comment(dataset, connection), "columns": own + computed}


def _refreshed(known: dict[str, Any], column: dict[str, Any]) -> dict[str, Any]:
    name = column["column_name"].replace("_", " ")
    default = {"verbose_name": name if name != column["column_name"] else None}
    return {"column_name": None, **default, **_SAME_IN_ALL, **known, **column}


def _comment(dataset: Any, connection: psycopg.Connection) -> str:
    statement = "SELECT obj_description(to_regclass(%s), 'pg_class')"
    (comment,) = connection.execute(statement, [_view(dataset)]).fetchone() or (None,)
    return str(comment)


def _view(dataset: Any) -> str:
    return f"{dataset['schema']}.{dataset['table_name']}"


def _columns(dataset: Any, connection: psycopg.Connection) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(_COLUMNS, [_view(dataset)])
    names = [column.name for column in cursor.description or ()]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


def _files(kind: str) -> list[Path]:
    return sorted((BUNDLE / kind).rglob("*.yaml"))


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _is_chart(item: Any) -> bool:
    return isinstance(item, dict) and item["type"] == "CHART"


def main() -> None:
    """Bring the columns of all datasets up to date with the views of `DATABASE_URL`."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        for file in _files("datasets"):
            dataset = refreshed(_yaml().load(file), connection)
            _yaml().dump(dataset, file)


if __name__ == "__main__":
    main()
