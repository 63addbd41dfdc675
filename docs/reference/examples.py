"""Takes an example for each column from the demonstration: `python docs/reference/examples.py`."""  # noqa: INP001

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from etl.commands.queries import reading
from etl.dictionary import relations
from etl.embedded import server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from etl.dictionary import Relation

EXAMPLES: Final = Path(__file__).parents[2] / "etl/examples.json"
_LONGEST: Final = 80
_MOST_ROWS: Final = 5_000
_CALLS: Final = {
    "batch_as_of": "batch_as_of(now(), NULL, NULL)",
    "batch_diff": "batch_diff(now() - INTERVAL '7 days', now(), 'acme', 'cars')",
    "project_as_of": "project_as_of(now())",
    "project_period": "project_period('week', 'UTC', NULL, NULL, NULL, NULL)",
}
_OF_THIS_MACHINE: Final = {"host": "worker-1"}
"""What no two machines have in common, and nobody has to know of this one."""


_LATER: Final = "2026-11-19 12:00:00+00"
_BY_HAND: Final = {
    "carried_since": _LATER,
    "detail": '{"batch_id": "YR5JOsaGOnZ9wfKbFc3O", "delta": 5, "total": 4}',
    "extra": '{"uploadedVia": "api"}',
    "gone_at": _LATER,
    "invariant": "flows_balance",
    "jobs_error": "large_loss",
    "labeler": "person-ca978112ca1bbdca",
    "missing_since": _LATER,
    "observed_after": _LATER,
    "project": "cars",
    "reviewer": "person-3e23e8160039594a",
    "span_from": "2026-11-18 00:00:00+00",
    "workspace": "acme",
}
"""What the demonstration has nothing of: it ends with nothing missing, shows no people, no broken books."""


def main() -> None:
    """Run the demonstration, look at what it left, and write the file."""
    with tempfile.TemporaryDirectory(prefix="batchledger-examples-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder, "ledger")
        command = [sys.executable, "-m", "etl", "demo", "--keep", str(home)]
        subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - our own.
        with server(home) as uri, reading(uri) as connection:
            found = {one.name: _examples(connection, one) for one in relations(connection)}
    EXAMPLES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _examples(connection: Connection, one: Relation) -> Mapping[str, str]:
    """Take the row that has the most to show, and what it lacks from others."""
    first: dict[str, str] = {}
    for row in sorted(_rows(connection, one), key=_shown, reverse=True):
        first = {**{column: value for column, value in row.items() if value}, **first}
    told = {**_BY_HAND, **first, **_OF_THIS_MACHINE}
    return {column.name: told[column.name] for column in one.columns}


def _shown(row: Mapping[str, str | None]) -> int:
    return sum(value is not None and len(value) <= _LONGEST for value in row.values())


def _rows(connection: Connection, one: Relation) -> Sequence[Mapping[str, str | None]]:
    cast = ", ".join(f'CAST("{column.name}" AS text)' for column in one.columns)
    source = _CALLS.get(one.name, one.name)
    found = connection.execute(text(f"SELECT {cast} FROM analytics.{source} LIMIT {_MOST_ROWS}"))
    return [dict(zip((column.name for column in one.columns), row, strict=True)) for row in found]


if __name__ == "__main__":
    main()
