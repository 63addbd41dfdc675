"""The set-based statements, one named file each; `statement("apply")` is that of `apply.sql`."""

from __future__ import annotations

import re
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


def statement(*files: str) -> Statement:
    """Read a statement from one file, or from several that go on from one another."""
    return numbered("".join(_text(file) for file in files))


def numbered(text: str) -> Statement:
    """Turn `%(name)s` into `$1`, the same number for the same name."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbers = {name: f"${number}" for number, name in enumerate(names, start=1)}
    return Statement(_PARAMETER.sub(lambda found: numbers[found[1]], text), names)


_PARAMETER = re.compile(r"%\((\w+)\)s")


def _text(file: str) -> str:
    return (resources.files(__name__) / f"{file}.sql").read_text(encoding="utf-8")
