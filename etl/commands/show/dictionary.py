"""What people see of the data dictionary: a list of views, or one of them column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from etl.commands.show import line, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from etl.dictionary import Column, Relation

_INDENT = (0, 0, 0, 4)


def listing(out: Console, found: Sequence[Relation]) -> None:
    """Show what there is, each with what a row of it is."""
    rows = {one.name: _sentence(one.grain) for one in found}
    table(out, ("=view or function", "a row is"), rows.items())


def _sentence(grain: str) -> str:
    """Return the first sentence."""
    first, dot, _ = grain.partition(". ")
    return first + dot.strip()


def relation(out: Console, found: Relation) -> None:
    """Show one view or function, column by column."""
    out.print(Text(f"{found.schema}.{found.call}", style="bold"), soft_wrap=True)
    _indented(out, found.grain)
    for column in found.columns:
        out.print()
        _column(out, column)


def _column(out: Console, column: Column) -> None:
    unit = f", {column.unit}" if column.unit else ""
    out.print(Text.assemble((column.name, "bold"), f"  {column.type}{unit}"), soft_wrap=True)
    if column.meaning:
        _indented(out, column.meaning)
    if column.null:
        _indented(out, f"NULL: {column.null}.")
    if column.example:
        _indented(out, f"such as {column.example}")


def _indented(out: Console, text: str) -> None:
    if out.is_terminal:
        out.print(Padding(Text(text), _INDENT, expand=False))
    else:
        line(out, f"    {text}")
