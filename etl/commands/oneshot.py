"""One run now: for people, with a bar; for cron, with plain lines; for scripts, with JSON."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Final

from etl.commands.assembly import run_options, workbench
from etl.commands.documents import run_document
from etl.commands.show.runs import run_report
from etl.commands.signals import stops_on_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.commands.session import Session
    from etl.records import Slug
    from etl.report import ProjectReport, RunReport
    from etl.sync import Progress


def sync(session: Session, only: tuple[Slug, ...], *, is_dry: bool, is_json: bool) -> int:
    """
    Run once, show what came of it, and return the exit code.

    Args:
        session: The invocation.
        only: Read these projects and no others; empty: those of the settings.
        is_dry: Write nothing.
        is_json: Print the outcome as JSON.
    """
    stop = Event()
    with stops_on_signal(stop, session.say) as stopped:
        report = _run(session, only, stop, is_dry=is_dry)
        if is_json:
            session.emit(run_document(report))
        else:
            run_report(session.out, report)
        return stopped.exit_code(report.exit_code)


_LINE_EVERY_S: Final = 10.0


def _run(session: Session, only: tuple[Slug, ...], stop: Event, *, is_dry: bool) -> RunReport:
    has_bar = session.err.is_terminal
    # A bar and a table tell it all; without them the log does.
    settings = session.settings(talk="error" if has_bar else "info")
    with workbench(settings, session.environ, stop=stop) as bench:
        options = run_options(settings, trigger="sync", only=only, is_dry=is_dry)
        with _progress(session, has_bar=has_bar) as progress:
            return bench.run(options, progress)()


@contextmanager
def _progress(session: Session, *, has_bar: bool) -> Iterator[Progress]:
    if not has_bar:
        yield Lines(session.say)
        return
    from rich import progress  # noqa: PLC0415 - only a terminal pays for it.

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=session.err, transient=True) as bar:
        task = bar.add_task("asking for projects", total=None)

        def advance(project: ProjectReport, total: int) -> None:
            bar.update(task, total=total, advance=1, description=str(project.slug))

        yield advance


class Lines:
    """
    Progress as plain lines, seldom: a short run says nothing.

    Args:
        say: Where a line goes.
        monotonic: The clock.
    """

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._say, self._monotonic = say, monotonic
        self._said_s = monotonic()
        self._done = 0

    def __call__(self, _project: ProjectReport, total: int) -> None:
        """Count a project that is done."""
        self._done += 1
        now_s = self._monotonic()
        if now_s - self._said_s >= _LINE_EVERY_S:
            self._say(f"{self._done} of {total} projects")
            self._said_s = now_s
