"""A view, written to a file or to a pipe: streamed, with a bar on a terminal, whole or not at all."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from sqlalchemy import text

from etl.commands.analyst import views
from etl.commands.arguments import Format, slug_of
from etl.commands.assembly import utc_now
from etl.commands.files import whole_file
from etl.commands.formats import write
from etl.commands.instants import past_instant_of, span_of
from etl.commands.queries import require_project
from etl.commands.queries.extract import Wish, estimate, extract
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from etl.commands.queries.extract import Extract
    from etl.commands.session import Session

STDOUT: Final = "-"


def wish_of(
    view: str,
    columns: str,
    projects: Sequence[str],
    times: tuple[str | None, str | None, str | None],
    arguments: Sequence[str] = (),
) -> Wish:
    """
    Read what is asked for.

    Args:
        view: A view or function of schema `analytics`; the name of the schema may stand before it.
        columns: Names with commas between them; empty: all.
        projects: Each as `workspace/project`.
        times: What was given for --at, --from and --to.
        arguments: What else a function is told, each as `name=value`.

    Raises:
        SettingsError: It cannot be read.
    """
    at, from_text, to_text = times
    now = utc_now()
    return Wish(
        view=view.removeprefix("analytics."),
        columns=tuple(name.strip() for name in columns.split(",") if name.strip()),
        projects=tuple(map(slug_of, projects)),
        span=span_of(from_text, to_text, now),
        at=None if at is None else past_instant_of(at, now),
        arguments=dict(map(_argument, arguments)),
    )


def _argument(text: str) -> tuple[str, str]:
    name, is_told, value = text.partition("=")
    if not is_told or "\0" in text:
        raise SettingsError(f"{text!r} is no argument", remedy="write it as name=value, such as grain=week")
    return name.strip(), value.strip()


def export(session: Session, wish: Wish, form: Format, output: str) -> int:
    """
    Write what is asked for.

    Args:
        session: The invocation.
        wish: What is asked for.
        form: How to write it.
        output: The file; `-` for standard output.

    Raises:
        SettingsError: It cannot be asked that way, or not be written there.
        UnknownProjectError: The ledger does not know the project.
        UnknownViewError: There is no such view, function or column.
        DatabaseUnavailableError: The database cannot be reached, or went away.
    """
    if output == STDOUT and form is Format.PARQUET and session.out.is_terminal:
        raise SettingsError("Parquet is nothing for a terminal", remedy="name a file with --output")
    with views(session) as connection:
        _settle(connection)
        for slug in wish.projects:
            require_project(connection, slug)
        count = _write(session, connection, extract(connection, wish), form, output)
    if output != STDOUT:
        session.say(f"{output}: {count} rows of analytics.{wish.view}")
    return 0


def _settle(connection: Connection) -> None:
    """Have values written the same way whatever the environment or the role says."""
    connection.execute(text("SET LOCAL client_encoding = 'UTF8'"))
    connection.execute(text("SET LOCAL DateStyle = 'ISO, YMD'"))
    connection.execute(text("SET LOCAL IntervalStyle = 'iso_8601'"))
    connection.execute(text("SET LOCAL extra_float_digits = 1"))


def _write(session: Session, connection: Connection, found: Extract, form: Format, output: str) -> int:
    with _opened(output) as to, _progress(session, connection, found, output) as told:
        return write(connection, found, form, to, told)


def _opened(output: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdout.buffer) if output == STDOUT else whole_file(Path(output))


@contextmanager
def _progress(
    session: Session, connection: Connection, found: Extract, output: str
) -> Iterator[Callable[[int], None]]:
    """Draw a bar, unless nobody looks or the rows themselves are shown."""
    if not session.err.is_terminal or (output == STDOUT and session.out.is_terminal):
        yield lambda _count: None
        return
    from rich import progress  # noqa: PLC0415 - only a terminal pays for it.

    columns = (
        progress.TextColumn("{task.completed:,} rows"),
        progress.BarColumn(),
        progress.TextColumn("of about {task.total:,}"),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=session.err, transient=True) as bar:
        about = estimate(connection, found)
        task = bar.add_task("", total=about)
        yield lambda count: bar.update(task, completed=count, total=max(about, count))
