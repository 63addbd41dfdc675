"""The set-based statements, one named file each; `statement("apply")` is that of `apply.sql`."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Statement(NamedTuple):
    """
    A statement with numbered parameters, and the name of each.

    The files name their parameters, as people do. Postgres numbers them, and psycopg would translate a long
    statement anew at each execution, which costs more than to execute it.
    """

    text: str
    names: tuple[str, ...]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Put values in the order of their numbers."""
        return [values[name] for name in self.names]


@cache
def statement(*files: str, schema: str = "ledger") -> Statement:
    """
    Read a statement from one file, or from several that go on from one another.

    Args:
        files: Their names.
        schema: Where its tables are. Functions are those of the ledger, whoever calls them.
    """
    return numbered(within(schema, "".join(text_of(file) for file in files)))


def within(schema: str, text: str) -> str:
    """Turn a statement on the tables of the ledger into one on those of another schema."""
    return _TABLE.sub(f"{schema}.", text)


def numbered(text: str) -> Statement:
    """Turn `%(name)s` into `$1`, the same number for the same name."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {name: f"${number}" for number, name in enumerate(names, start=1)}
    return Statement(_PARAMETER.sub(lambda found: numbers[found[1]], text), names)


_PARAMETER = re.compile(r"%\((\w+)\)s")
_TABLE = re.compile(r"\bledger\.(?=\w+\b(?!\())")
"""What stands before a table's name. That of a function is followed by its arguments at once."""


def text_of(file: str) -> str:
    """Read one file as it is."""
    return (resources.files(__name__) / f"{file}.sql").read_text(encoding="utf-8")
