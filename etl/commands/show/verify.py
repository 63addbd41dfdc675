"""What people see of the books: one line if they balance; else each broken promise with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.commands.show import line, marked, several

if TYPE_CHECKING:
    from rich.console import Console

    from etl.commands.queries.verify import Broken, Verification

_MOST_ROWS: Final = 10
"""Rows of one promise that are listed on a terminal; `--json` has the others."""


def verify(out: Console, found: Verification) -> None:
    """Show what is broken, and how much was checked."""
    for broken in found.broken:
        _broken(out, broken)
    line(out, summary(found))


def summary(found: Verification) -> str:
    """Say in one line whether the books balance, and what was checked."""
    count = sum(len(broken.rows) for broken in found.broken)
    fails = "does" if len(found.broken) == 1 else "do"
    ending = f"{len(found.broken)} {fails} not hold, in {several(count, 'row')}" if count else "all hold"
    checked = found.checked
    return (
        f"The books {'do not ' if count else ''}balance: {found.invariants} invariants over "
        f"{checked.projects} projects, {checked.batches} batches, {checked.changes} changes and "
        f"{checked.observations} observations in {found.took_s:.1f} s; {ending}."
    )


def _broken(out: Console, broken: Broken) -> None:
    marked(out, "broken", f" {broken.invariant}: {broken.means}")
    shown = broken.rows[:_MOST_ROWS] if out.is_terminal else broken.rows
    for row in shown:
        line(out, f"  {row.workspace}/{row.project}: {row.detail}")
    if len(shown) < len(broken.rows):
        line(out, f"  ... and {len(broken.rows) - len(shown)} more; --json has all of them")
    line(out, f"  remedy: {broken.remedy}")
