"""What people see of the keys: the projects that they can see, and what `check` found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from etl.commands.plain import plain, plain_lines
from etl.commands.show import COLOURS, moment, number, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from etl.commands.checks import Finding
    from etl.commands.inventory import Listed
    from etl.commands.show import Cell

_FINDING_INDENT: Final = 19


def projects(out: Console, listed: Sequence[Listed]) -> None:
    """Show what the keys can see and what the ledger follows, side by side."""
    columns = ("project", "type", "tracked", "last observed (UTC)", ">batches", ">images")
    table(out, columns, map(_listed_row, listed))


def _listed_row(listed: Listed) -> tuple[Cell, ...]:
    return (
        f"{listed.workspace}/{listed.project}",
        listed.type or "",
        listed.tracking,
        moment(listed.last_observed_at),
        number(listed.batches),
        number(listed.images),
    )


def finding(out: Console, found: Finding) -> None:
    """Show one verdict, and the remedy below it where there is one."""
    indent = "\n" + " " * _FINDING_INDENT
    said = found.said if not found.remedy else f"{found.said}\nremedy: {found.remedy}"
    line = Text.assemble((f"{found.verdict:9}", COLOURS[found.verdict]), plain(f"{found.subject:10}"))
    out.print(line.append(plain_lines(said).replace("\n", indent)), soft_wrap=True)
