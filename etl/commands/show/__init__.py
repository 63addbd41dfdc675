"""What all output is made of: consoles, tables, lines and words; plain text where it is not a terminal."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from etl.commands.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.commands.queries import Answer
    from etl.errors import BatchledgerError

_PIPE_WIDTH: Final = 100_000
"""Where nobody looks, nothing is cut or wrapped: a line is a record."""

_LONGEST_NAME: Final = 160
"""Characters of a name on a terminal. The source sets no limit to it; `--json` has it whole."""

COLOURS: Final = {
    "changed": "cyan",
    "suspect": "yellow",
    "failed": "red",
    "skipped": "magenta",
    "ok": "green",
    "warning": "yellow",
    "broken": "red",
    "fault": "red",
}

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400

Cell = str | Text


def console(stream: TextIO, environ: Mapping[str, str]) -> Console:
    """
    Make a console for one stream.

    Args:
        stream: Where to; colours only if it is a terminal.
        environ: NO_COLOR, TERM and COLUMNS are honoured.
    """
    made = Console(file=stream, highlight=False, emoji=False, _environ=environ)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
    return made


# Tables


def table(out: Console, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """
    Show a table.

    A column whose title begins with `>` is one of numbers. One that begins with `=` holds what people copy,
    and is not folded either. One that begins with `~` holds names of any length.
    """
    shape = box.SIMPLE_HEAD if out.is_terminal else None
    drawn = Table(box=shape, pad_edge=False, show_edge=False, collapse_padding=out.is_terminal)
    for title in columns:
        drawn.add_column(
            title.lstrip(">=~"),
            justify="right" if title.startswith(">") else "left",
            overflow="fold",
            no_wrap=title.startswith((">", "=")),
        )
    for row in rows:
        drawn.add_row(*(_drawn(out, title, cell) for title, cell in zip(columns, row, strict=True)))
    with out.capture() as captured:
        out.print(drawn)
    raw(out, (line.rstrip() for line in captured.get().splitlines()))


def _drawn(out: Console, title: str, cell: Cell) -> Text:
    if isinstance(cell, Text):
        return cell
    return Text(plain(named(out, cell) if title.startswith("~") else cell))


def raw(out: Console, lines: Iterable[str]) -> None:
    """Write lines that are laid out already, before anything else is said on another stream."""
    for line in lines:
        out.file.write(f"{line}\n")
    out.file.flush()


def answer(out: Console, found: Answer) -> None:
    """Show what a query answered."""
    table(out, found.columns, ([_plain(value) for value in row] for row in found.rows))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return moment(value)
    return "" if value is None else str(value)


# Lines


def line(out: Console, text: str) -> None:
    """Write a line that is neither wrapped nor taken for markup."""
    out.print(Text(plain(text)), soft_wrap=True)


def marked(out: Console, word: str, rest: str, style: str | None = None) -> None:
    """Write a line that begins with a word in the colour of its meaning, unless another style is given."""
    style = COLOURS.get(word, "") if style is None else style
    out.print(Text.assemble((plain(word), style), plain(rest)), soft_wrap=True)


def fault(out: Console, verdict: str, subject: str, what: str, remedy: str = "") -> None:
    """Say what is not as it should be with whom, and what to do."""
    marked(out, verdict, f" {subject}: {what}")
    if remedy:
        line(out, f"  remedy: {remedy}")


def problems(err: Console, faults: Iterable[BatchledgerError]) -> None:
    """Show faults that did not end the command."""
    for problem in faults:
        marked(err, "warning", f": {problem}")
        if problem.remedy:
            line(err, f"remedy: {problem.remedy}")


# Words


def moment(at: datetime | None) -> str:
    """Write a time to the second, in UTC; nothing for None."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def duration(seconds: float) -> str:
    """Write a length of time in its largest unit that is at least two of it, or seconds."""
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{int(seconds // unit_s)} {unit}"
    return f"{max(0, int(seconds))} s"


def percent(share: float) -> str:
    """Write how many in a hundred; a share that is not whole as less than that, however near it comes."""
    return f"{math.floor(share * 1000) / 10:g}"


def signed(count: int) -> str:
    """Write a difference with its sign; nothing is nothing."""
    return f"{count:+d}" if count else "0"


def number(count: int | None) -> str:
    """Write a count; nothing for None."""
    return "" if count is None else str(count)


def several(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun; the plural has an s unless it is given."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def named(out: Console, name: str) -> str:
    """Cut a name that is long, where it is to fit a terminal."""
    is_long = out.is_terminal and len(name) > _LONGEST_NAME
    return f"{name[:_LONGEST_NAME]}…" if is_long else name


def coloured(word: str) -> Text:
    """Give a word the colour of its meaning."""
    return Text(plain(word), style=COLOURS.get(word, ""))


_SUSPICIONS: Final = {
    "unreadable_record": "a record has no readable id, so no absence can be told",
    "empty_list": "the list is empty, and was not before",
    "large_loss": "the list lacks a large share of the known {many}",
    "short_list": "the list lacks {many} that exist when asked for one by one",
    "contradiction": "a look-up denies a {one} that the list shows",
    "unconfirmed_loss": "a loss lasts, and could not be confirmed {one} by {one}",
    "whole_workspace": "every project of the workspace lost its {many}, or none is left to compare with",
}


def suspicion(rule: str, one: str = "batch", many: str = "batches") -> str:
    """Say in words why a list of batches, or of what else, is suspect; what is no rule says it itself."""
    told = _SUSPICIONS.get(rule)
    return rule if told is None else told.format(one=one, many=many)
