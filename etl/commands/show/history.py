"""What people see of a life: a project day by day, a batch state by state, and the gaps as gaps."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

from etl.commands.queries.history import BatchHistory
from etl.commands.queries.past import Past
from etl.commands.show import duration, line, moment, number, signed, table
from etl.commands.show.past import past
from etl.commands.show.plots import days_plot, intake_plot, share_bar, states_plot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import Console

    from etl.commands.queries.gaps import Gap
    from etl.commands.queries.history import Day, JobNow, ProjectHistory, State
    from etl.commands.queries.past import BatchThen
    from etl.commands.show import Cell

_MOST_GAPS: Final = 20
"""Gaps of a project that are listed on a terminal, the latest ones; `--json` has the others."""


def life(out: Console, found: ProjectHistory | BatchHistory | Past, *, has_plot: bool) -> None:
    """Show the life of a project or a batch, or how it stood at an instant."""
    if isinstance(found, Past):
        past(out, found)
    elif isinstance(found, BatchHistory):
        batch_history(out, found, has_plot=has_plot)
    else:
        project_history(out, found, has_plot=has_plot)


def project_history(out: Console, history: ProjectHistory, *, has_plot: bool) -> None:
    """Show a project day by day, and below that the gaps."""
    if has_plot and history.days:
        _plots(out, history)
    if not history.days:
        line(out, "Nothing is known of any day of that time.")
    else:
        columns = ("=day (UTC)", ">batches", ">images", ">change", ">new", ">assigned", ">annotated", ">jobs")
        table(out, (*columns, "observed"), map(_day_row, history.days))
    if history.gaps:
        out.print()
        _gaps(out, history.gaps)


def _plots(out: Console, history: ProjectHistory) -> None:
    slug = f"{history.workspace}/{history.project}"
    days_plot(out, history.days, f"{slug}: images waiting, by day")
    if any(day.intake for day in history.days):
        intake_plot(out, history.days, f"{slug}: images that came new, by day")


def _day_row(day: Day) -> tuple[Cell, ...]:
    return (
        day.day.isoformat(),
        str(day.batches),
        str(day.images),
        signed(day.images_delta),
        number(day.intake),
        number(day.assigned),
        number(day.annotated_work),
        str(day.num_jobs),
        "yes" if day.is_observed else "no",
    )


def _gaps(out: Console, gaps: Sequence[Gap]) -> None:
    shown = gaps[-_MOST_GAPS:] if out.is_terminal else gaps
    table(out, ("nothing trusted from (UTC)", "to (UTC)", "for", "because"), map(_gap_row, shown))
    if len(shown) < len(gaps):
        line(out, f"... and {len(gaps) - len(shown)} earlier ones; --json has all of them")


def _gap_row(gap: Gap) -> tuple[Cell, ...]:
    lasted = duration(round((gap.to_at - gap.from_at).total_seconds())) if gap.to_at else ""
    return (moment(gap.from_at), moment(gap.to_at) or "still open", lasted, ", ".join(gap.reasons))


def batch_history(out: Console, history: BatchHistory, *, has_plot: bool) -> None:
    """Show a batch state by state, with the gaps between."""
    batch = history.batch
    line(out, f"Batch {batch.batch_id} of {batch.workspace}/{batch.project}")
    line(out, f"uploaded {moment(batch.uploaded_at) or 'unknown'}, {_presence(history)} (UTC)")
    out.print()
    if has_plot and len(history.states) > 1:
        states_plot(out, history.states, "images in the batch, state by state")
    rows = _timeline(history)
    if rows:
        table(out, ("what", "after (UTC)", "by (UTC)", ">images", ">change", ">jobs", "~name"), rows)
    else:
        line(out, "Nothing happened to it in that time, and it was not known of before.")
    if history.jobs:
        out.print()
        _jobs(out, history.jobs)


def _jobs(out: Console, jobs: Sequence[JobNow]) -> None:
    """Show the jobs that were made from it, the first one first, and how far each is."""
    columns = ("=job", "status", "=made (UTC)", ">images", "=annotated", ">approved")
    table(out, columns, map(_job_row, jobs))


def _job_row(job: JobNow) -> tuple[Cell, ...]:
    return (
        job.job_id,
        "gone" if job.gone_at else job.status or "",
        moment(job.created_at)[: len("2026-11-20")],
        str(job.images),
        share_bar(job.annotated, job.images) if job.annotated is not None and job.images else "",
        number(job.approved),
    )


def _timeline(history: BatchHistory) -> list[tuple[Cell, ...]]:
    """Bring states and gaps in the order of time."""
    dated = [(state.observed_at, _state_row(state)) for state in history.states]
    dated += [(gap.from_at, _gap_between(gap)) for gap in history.gaps]
    rows = [row for _, row in sorted(dated, key=itemgetter(0))]
    return [_begins(history.begins, history.from_at), *rows] if history.begins and history.from_at else rows


def _presence(history: BatchHistory) -> str:
    batch = history.batch
    if batch.gone_at is not None:
        return f"last seen {moment(batch.last_seen_at)}, confirmed gone {moment(batch.gone_at)}"
    if batch.missing_since is not None:
        return f"last seen {moment(batch.last_seen_at)}, missing since {moment(batch.missing_since)}"
    return f"last seen {moment(batch.last_seen_at)}"


def _begins(then: BatchThen, at: datetime) -> tuple[Cell, ...]:
    return (
        then.knowledge,
        "",
        moment(at),
        number(then.images),
        "",
        number(then.num_jobs),
        then.name or "",
    )


def _state_row(state: State) -> tuple[Cell, ...]:
    return (
        state.kind,
        moment(state.changed_after) or "-",
        moment(state.observed_at),
        str(state.images),
        signed(state.images_delta),
        number(state.num_jobs),
        state.name or "",
    )


def _gap_between(gap: Gap) -> tuple[Cell, ...]:
    to_at = moment(gap.to_at) or "still open"
    return ("gap", moment(gap.from_at), to_at, "", "", "", f"nothing trusted: {', '.join(gap.reasons)}")
