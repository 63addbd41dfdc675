"""
The set-based statements, one named file each; `statement("apply")` is that of `apply.sql`.

The files are Jinja templates, the way dbt has them, where one text serves batches and jobs.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined

from etl.sql.subjects import BATCH, JOB, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BATCH", "JOB", "Statement", "Subject", "numbered", "rendered", "statement", "text_of", "within"]


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
def statement(file: str, *, schema: str = "ledger", examined: tuple[Subject, ...] = (BATCH,)) -> Statement:
    """
    Read a statement from its file.

    Args:
        file: Its name.
        schema: Where its tables are. Functions are those of the ledger, whoever calls them.
        examined: What the answers that it is about are compared with, where it compares any.
    """
    return numbered(within(schema, _TEMPLATES.get_template(file).render(examined=examined)))


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


def rendered(file: str) -> str:
    """Read a file that serves batches and jobs at once, its parameters left as they are."""
    return _TEMPLATES.get_template(file).render(examined=(BATCH, JOB))


# What is made here is SQL, of texts of our own, and no HTML.
_TEMPLATES = Environment(
    autoescape=False,  # noqa: S701
    loader=FunctionLoader(text_of),
    lstrip_blocks=True,
    trim_blocks=True,
    undefined=StrictUndefined,
)
_TEMPLATES.globals |= {"BATCH": BATCH, "JOB": JOB}
