"""What people see on standard output: tables, lines and plots; plain text where it is not a terminal."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from etl.commands.queries import BatchHistory, Past
from etl.errors import SourceError
from etl.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.commands.checks import Finding
    from etl.commands.inventory import Listed
    from etl.commands.queries import (
        Answer,
        BatchThen,
        Day,
        LastRun,
        ProjectHistory,
        ProjectStatus,
        State,
        Status,
    )
    from etl.errors import BatchledgerError
    from etl.records import Moves
    from etl.report import ProjectReport, RunReport

_PIPE_WIDTH: Final = 100_000
"""Where nobody looks, nothing is cut or wrapped: a line is a record."""

_MOST_ROWS: Final = 40
"""Rows of a run's table on a terminal; the totals, the faults and `--json` have the others."""

_FINDING_INDENT: Final = 19

_MOST_SUBJECTS: Final = 5
"""Projects that are named beside a fault that they share."""

_PLOT_WIDTH: Final = 78
_PLOT_HEIGHT: Final = 12
_LABEL: Final = 6
"""Columns of a label, a free one included."""

_NARROWEST_BAR: Final = 2
_WIDEST_BAR: Final = 6
"""Columns of a bar, the free one beside it included."""

_COLOURS: Final = {
    "changed": "cyan",
    "suspect": "yellow",
    "failed": "red",
    "skipped": "magenta",
    "ok": "green",
    "warning": "yellow",
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


# A run


def run_report(out: Console, report: RunReport) -> None:
    """Show each project that is not simply unchanged, every fault with its remedy, and the sum."""
    told = [project for project in report.projects if project.verdict is not Verdict.UNCHANGED]
    moved = [project for project in told if project.moves.count or project.verdict is Verdict.CHANGED]
    if moved:
        shown = moved[:_MOST_ROWS] if out.is_terminal else moved
        _table(out, ("project", "verdict", "batches", ">images", ">jobs"), map(_run_row, shown))
        if len(shown) < len(moved):
            out.print(f"... and {len(moved) - len(shown)} more; --json has all of them")
        out.print()
    for (verdict, what, remedy), subjects in _faults(report).items():
        _fault(out, verdict, _several(subjects), what, remedy)
    out.print(summary(report), soft_wrap=True)


def _faults(report: RunReport) -> dict[tuple[str, str, str], list[str]]:
    """Gather those who suffer from the same: one dead key must not fill the screen."""
    found = defaultdict[tuple[str, str, str], list[str]](list)
    for problem in report.problems:
        subject = "a key" if isinstance(problem, SourceError) else "the settings"
        found["failed", str(problem), problem.remedy] += [subject]
    for project in report.projects:
        if what := trouble(project):
            found[project.verdict.value, what, project.remedy] += [str(project.slug)]
    return found


def _several(subjects: Sequence[str]) -> str:
    more = len(subjects) - _MOST_SUBJECTS
    return ", ".join(subjects[:_MOST_SUBJECTS]) + (f" and {more} more" if more > 0 else "")


def _run_row(project: ProjectReport) -> tuple[Cell, ...]:
    moves = project.moves
    return (
        str(project.slug),
        _coloured(project.verdict.value),
        _batches_moved(moves),
        signed(moves.images_delta),
        signed(moves.num_jobs_delta),
    )


def _batches_moved(moves: Moves) -> str:
    counts = {
        "new": moves.entered,
        "changed": moves.changed,
        "renamed": moves.renamed,
        "gone": moves.left,
        "returned": moves.returned,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def trouble(project: ProjectReport) -> str:
    """Say what is not as it should be with a project; nothing if all is."""
    if project.rule is not None:
        return f"{suspicion(project.rule)}; what is present was applied, the absences are not believed"
    if project.rejects:
        return f"{project.rejects} records could not be used and are kept as rejects"
    return project.error


_SUSPICIONS: Final = {
    "unreadable_record": "a record has no readable id, so no absence can be told",
    "empty_list": "the list is empty, and was not before",
    "large_loss": "the list lacks a large share of the known batches",
    "short_list": "the list lacks batches that exist when asked for one by one",
    "unconfirmed_loss": "a loss lasts, and could not be confirmed batch by batch",
}


def suspicion(rule: str) -> str:
    """Say in words why an observation is suspect."""
    return _SUSPICIONS.get(rule, rule)


def summary(report: RunReport) -> str:
    """Sum a run up in one line."""
    verdicts = ", ".join(f"{count} {name}" for name in Verdict if (count := report.verdicts.get(name)))
    count = len(report.projects)
    moves = report.moves
    took_s = (report.ended_at - report.started_at).total_seconds()
    head = "Dry run, nothing was written" if report.run_id is None else f"Run {report.run_id}"
    ending = {"stopped": " Stopped before the end.", "deadline": " The deadline came first."}
    return (
        f"{head}: {count} project{'' if count == 1 else 's'}{f' ({verdicts})' if verdicts else ''}; "
        f"batches: {_batches_moved(moves) or 'no change'}; {signed(moves.images_delta)} images, "
        f"{signed(moves.num_jobs_delta)} jobs; {took_s:.1f} s.{ending.get(report.outcome, '')}"
    )


# What keys see


def projects(out: Console, listed: Sequence[Listed]) -> None:
    """Show what the keys can see and what the ledger follows, side by side."""
    columns = ("project", "type", "tracked", "last observed (UTC)", ">batches", ">images")
    _table(out, columns, map(_listed_row, listed))


def _listed_row(listed: Listed) -> tuple[Cell, ...]:
    return (
        f"{listed.workspace}/{listed.project}",
        listed.type or "",
        listed.tracking,
        moment(listed.last_observed_at),
        _number(listed.batches),
        _number(listed.images),
    )


# The ledger at a glance


def status(out: Console, found: Status) -> None:
    """Show every project's freshness, what is open, and the last run."""
    if not found.projects:
        out.print("The ledger is empty: run `batchledger sync`.")
    else:
        columns = ("project", "fresh", "verdict", ">batches", ">images", ">jobs", ">missing", "tracked")
        _table(out, columns, map(_status_row, found.projects))
        out.print()
    for project in found.projects:
        if project.is_tracked and project.gap_since is not None:
            _fault(out, "warning", str(project.slug), _gap(project), "")
    if found.last_run is not None:
        out.print(_last_run(found.last_run, found.at), soft_wrap=True)


def _status_row(project: ProjectStatus) -> tuple[Cell, ...]:
    return (
        str(project.slug),
        "never" if project.age_s is None else f"{duration(project.age_s)} ago",
        _coloured(project.last_verdict or "-"),
        str(project.batches),
        str(project.images),
        str(project.num_jobs),
        str(project.missing or ""),
        "yes" if project.is_tracked else "no",
    )


def _gap(project: ProjectStatus) -> str:
    reason = project.error or project.gap_reason or ""
    reason = suspicion(reason)
    return f"nothing trusted since {moment(project.gap_since)} UTC ({project.last_verdict}: {reason})"


def _last_run(run: LastRun, at: datetime) -> str:
    ago = f"{duration((at - run.started_at).total_seconds())} ago on {run.host} ({run.trigger})"
    if run.ended_at is None:
        return f"Last run: {run.run_id}, started {ago}; it is still going, or it died."
    verdicts = {
        "changed": run.changed,
        "unchanged": run.unchanged,
        "suspect": run.suspect,
        "failed": run.failed,
        "skipped": run.skipped,
    }
    counts = ", ".join(f"{count} {name}" for name, count in verdicts.items() if count)
    return f"Last run: {run.run_id}, {ago}: {run.outcome}{f' ({counts})' if counts else ''}."


# Histories


def life(out: Console, found: ProjectHistory | BatchHistory | Past, *, has_plot: bool) -> None:
    """Show the life of a project or a batch, or how it stood at an instant."""
    if isinstance(found, Past):
        past(out, found)
    elif isinstance(found, BatchHistory):
        batch_history(out, found, has_plot=has_plot)
    else:
        project_history(out, found, has_plot=has_plot)


def project_history(out: Console, history: ProjectHistory, *, has_plot: bool) -> None:
    """Show a project day by day."""
    if has_plot and history.days:
        days_plot(out, history.days, f"{history.workspace}/{history.project}: images waiting, by day")
    columns = ("day (UTC)", ">batches", ">images", ">change", ">jobs", ">change", "observed")
    _table(out, columns, map(_day_row, history.days))


def _day_row(day: Day) -> tuple[Cell, ...]:
    return (
        day.day.isoformat(),
        str(day.batches),
        str(day.images),
        signed(day.images_delta),
        str(day.num_jobs),
        signed(day.num_jobs_delta),
        "yes" if day.is_observed else "no",
    )


def batch_history(out: Console, history: BatchHistory, *, has_plot: bool) -> None:
    """Show a batch state by state."""
    batch = history.batch
    out.print(f"Batch {batch.batch_id} of {batch.workspace}/{batch.project}", soft_wrap=True)
    out.print(
        f"uploaded {moment(batch.uploaded_at) or 'unknown'}, {_presence(history)} (UTC)", soft_wrap=True
    )
    out.print()
    if has_plot and len(history.states) > 1:
        states_plot(out, history.states, "images in the batch, state by state")
    columns = ("what", "after (UTC)", "by (UTC)", ">images", ">change", ">jobs", "name")
    _table(out, columns, map(_state_row, history.states))


def _presence(history: BatchHistory) -> str:
    batch = history.batch
    if batch.gone_at is not None:
        return f"last seen {moment(batch.last_seen_at)}, confirmed gone {moment(batch.gone_at)}"
    if batch.missing_since is not None:
        return f"last seen {moment(batch.last_seen_at)}, missing since {moment(batch.missing_since)}"
    return f"last seen {moment(batch.last_seen_at)}"


def _state_row(state: State) -> tuple[Cell, ...]:
    return (
        state.kind,
        moment(state.changed_after) or "-",
        moment(state.observed_at),
        str(state.images),
        signed(state.images_delta),
        _number(state.num_jobs),
        state.name or "",
    )


def past(out: Console, found: Past) -> None:
    """Show how batches stood at an instant, and how well that is known."""
    out.print(f"{found.workspace}/{found.project} as it stood at {moment(found.at)} UTC", soft_wrap=True)
    if not found.batches:
        out.print("No batch that is known of was there then.")
        return
    columns = ("=batch", "knowledge", ">images", ">jobs", "since (UTC)", "name")
    _table(out, columns, map(_then_row, found.batches))


def _then_row(batch: BatchThen) -> tuple[Cell, ...]:
    return (
        batch.batch_id,
        batch.knowledge,
        _number(batch.images),
        _number(batch.num_jobs),
        moment(batch.changed_at),
        batch.name or "",
    )


def answer(out: Console, found: Answer) -> None:
    """Show what a query answered."""
    _table(out, found.columns, ([_plain(value) for value in row] for row in found.rows))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return moment(value)
    return "" if value is None else str(value)


# Checks and errors


def finding(out: Console, found: Finding) -> None:
    """Show one verdict, and the remedy below it where there is one."""
    indent = "\n" + " " * _FINDING_INDENT
    said = found.said if not found.remedy else f"{found.said}\nremedy: {found.remedy}"
    line = Text.assemble((f"{found.verdict:9}", _COLOURS[found.verdict]), f"{found.subject:10}")
    out.print(line.append(said.replace("\n", indent)), soft_wrap=True)


def _fault(out: Console, verdict: str, subject: str, what: str, remedy: str) -> None:
    out.print(Text.assemble((verdict, _COLOURS.get(verdict, "")), f" {subject}: {what}"), soft_wrap=True)
    if remedy:
        out.print(Text(f"  remedy: {remedy}"), soft_wrap=True)


def problems(err: Console, faults: Iterable[BatchledgerError]) -> None:
    """Show faults that did not end the command."""
    for fault in faults:
        err.print(Text.assemble(("warning", _COLOURS["warning"]), f": {fault}"), soft_wrap=True)
        if fault.remedy:
            err.print(Text(f"remedy: {fault.remedy}"), soft_wrap=True)


# Tables and plots


def _table(out: Console, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """
    Show a table.

    A column whose title begins with `>` is one of numbers. One that begins with `=` holds what people copy,
    and is not folded either.
    """
    shape = box.SIMPLE_HEAD if out.is_terminal else None
    table = Table(box=shape, pad_edge=False, show_edge=False, collapse_padding=out.is_terminal)
    for title in columns:
        table.add_column(
            title.lstrip(">="),
            justify="right" if title.startswith(">") else "left",
            overflow="fold",
            no_wrap=title.startswith((">", "=")),
        )
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    with out.capture() as captured:
        out.print(table)
    _raw(out, (line.rstrip() for line in captured.get().splitlines()))


def days_plot(out: Console, days: Sequence[Day], title: str) -> None:
    """Draw the images of each day as a bar; a day that nobody observed is drawn lightly."""
    bars = [_Bar(_short(day.day), day.images, not day.is_observed) for day in days]
    light = " (light: carried over a day that nobody observed)" if any(bar.is_light for bar in bars) else ""
    _plot(out, bars, f"{title}{light}")


def states_plot(out: Console, states: Sequence[State], title: str) -> None:
    """Draw the images of each state as a bar."""
    _plot(out, [_Bar(_short(state.observed_at.date()), state.images) for state in states], title)


class _Bar(NamedTuple):
    label: str
    height: int
    is_light: bool = False


def _plot(out: Console, bars: Sequence[_Bar], title: str) -> None:
    """Draw bars, the latest ones if there is no room for all."""
    # A tenth of a second and 5 MB, which only a plot pays.
    import plotext  # noqa: PLC0415

    top = max(1, *(bar.height for bar in bars))
    margin = len(str(top)) + 1
    room = min(out.width, _PLOT_WIDTH) - margin
    shown = bars[-(room // _NARROWEST_BAR) :]
    width = min(_WIDEST_BAR, room // len(shown))
    figure = plotext.figure
    figure.clear()
    figure.plot_size(margin + width * len(shown), _PLOT_HEIGHT)
    figure.axes(active=False)
    for is_light, marker in ((False, "█"), (True, "░")):
        columns = [_columns(place, width) for place, bar in enumerate(shown) if bar.is_light is is_light]
        heights = [bar.height for bar in shown if bar.is_light is is_light for _ in range(width - 1)]
        if heights:
            figure.draw(figure.signal([*chain(*columns)], heights, marker=marker).fillx())
    figure.ruler("x").lim(0, width * len(shown) - 1)
    # Labels at even distances that leave room between two, the last bar's among them.
    labelled = range((len(shown) - 1) % -(-_LABEL // width), len(shown), -(-_LABEL // width))
    figure.ruler("x").ticks(
        [width * place + (width - 1) // 2 for place in labelled], [shown[place].label for place in labelled]
    )
    figure.ruler("y").lim(0, top)
    figure.ruler("y").ticks([0, top // 2, top], [f"{tick} " for tick in (0, top // 2, top)])
    out.print(Text(title, style="bold"), soft_wrap=True)
    _raw(out, (line.rstrip() for line in figure.build().string(colorless=True).splitlines()))
    out.print()


def _columns(place: int, width: int) -> range:
    """Return the columns of a bar; one is left free beside it."""
    return range(place * width, (place + 1) * width - 1)


def _raw(out: Console, lines: Iterable[str]) -> None:
    """Write lines that are laid out already."""
    for line in lines:
        out.file.write(f"{line}\n")


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


def signed(count: int) -> str:
    """Write a difference with its sign; nothing is nothing."""
    return f"{count:+d}" if count else "0"


def _number(count: int | None) -> str:
    return "" if count is None else str(count)


def _coloured(word: str) -> Text:
    return Text(word, style=_COLOURS.get(word, ""))


def _short(day: date) -> str:
    return day.strftime("%m-%d")
