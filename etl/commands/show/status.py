"""What people see of the ledger at a glance: ages beside promises, what is open and what to do."""

from __future__ import annotations

import shlex
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.text import Text

from etl.commands.plain import operand
from etl.commands.queries.status import DRAWN_DAYS
from etl.commands.show import coloured, duration, fault, line, moment, percent, suspicion, table
from etl.commands.show.plots import sparkline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from rich.console import Console

    from etl.commands.queries.status import Backlog, LastRun, ProjectStatus, Status
    from etl.commands.show import Cell
    from etl.records import Slug


MOST_DRAWN: Final = 200
"""Projects whose backlog is drawn: nobody looks at more of them, and each costs thirty days of reading."""

_NONE_DRAWN: Final[Mapping[Slug, Backlog]] = MappingProxyType({})


def status(out: Console, found: Status, backlogs: Mapping[Slug, Backlog] = _NONE_DRAWN) -> None:
    """
    Show every project's age beside its promise, what is open, and the last run.

    Args:
        out: Where to.
        found: What to show.
        backlogs: How each project's backlog went; drawn for those that are there.
    """
    if not found.projects:
        line(out, "The ledger is empty: run `batchledger sync`.")
    else:
        _projects(out, found, backlogs)
        out.print()
    for project in found.projects:
        for trouble in troubles(project):
            fault(out, trouble.worst, str(project.slug), trouble.what, trouble.remedy)
    if found.last_run is not None:
        line(out, _last_run(found.last_run, found.at))


def _projects(out: Console, found: Status, backlogs: Mapping[Slug, Backlog]) -> None:
    ages = ("age", ">kept 1 d", ">7 d", ">30 d")
    columns: tuple[str, ...] = ("project", *ages, "verdict", ">batches", ">images")
    rows = list(map(_row, found.projects))
    if any(project.missing for project in found.projects):
        columns += (">missing",)
        rows = [(*row, str(project.missing or "")) for row, project in zip(rows, found.projects, strict=True)]
    table(out, columns, rows)
    if backlogs:
        out.print()
        drawn = [(str(slug), _drawn(backlog), _ends(backlog)) for slug, backlog in sorted(backlogs.items())]
        table(out, ("project", f"=backlog of {DRAWN_DAYS} days (· nothing trusted)", ">from, to"), drawn)


def _drawn(backlog: Backlog) -> str:
    """Draw it so that the days of all projects stand below each other: each of them ends today."""
    return sparkline(backlog.images, backlog.is_observed).rjust(DRAWN_DAYS)


def _ends(backlog: Backlog) -> str:
    """Say what it was on the first day that was observed, and what it is."""
    days = zip(backlog.images, backlog.is_observed, strict=True)
    seen = [images for images, is_observed in days if is_observed]
    return f"{seen[0]}, {backlog.images[-1]}" if seen else "not observed"


def _row(project: ProjectStatus) -> tuple[Cell, ...]:
    return (
        str(project.slug),
        _age(project),
        _share(project.kept_1d),
        _share(project.kept_7d),
        _share(project.kept_30d),
        coloured(project.last_verdict or "-"),
        str(project.batches),
        str(project.images),
    )


def _age(project: ProjectStatus) -> Text:
    told = "never" if project.age_s is None else duration(project.age_s)
    if not project.is_tracked:
        return Text(f"{told}, paused")
    if project.max_age_s is not None:
        told = f"{told} of {duration(project.max_age_s)}"
    return Text(told, style="red" if project.is_kept is False else "")


def _share(share: float | None) -> str:
    return "" if share is None else f"{percent(share)}%"


class Trouble(NamedTuple):
    """What is not as it should be with a project: how bad, what it is, and what to do about it."""

    worst: str
    what: str
    remedy: str


def troubles(project: ProjectStatus) -> Iterator[Trouble]:
    """Say what is open of a project that is followed: with all of it, and with its jobs alone."""
    if not project.is_tracked:
        return
    if project.gap_since is not None:
        yield Trouble(_worst(project.is_kept, project.rule), _what_is_open(project), _remedy(project))
    has_failed = project.jobs_verdict in {"suspect", "failed"}
    # Jobs that are old because nothing at all was read need no line of their own.
    if has_failed or (project.is_jobs_kept is False and project.is_kept is not False):
        rule = project.jobs_error if project.jobs_verdict == "suspect" else None
        worst = _worst(project.is_jobs_kept, rule)
        yield Trouble(worst, _what_is_open_of_jobs(project), _remedy_of_jobs(project, rule))


def _worst(is_kept: bool | None, rule: str | None) -> str:  # noqa: FBT001 - three values, as the ledger has it.
    if is_kept is False:
        return "broken"
    return "suspect" if rule else "warning"


def _what_is_open(project: ProjectStatus) -> str:
    """Say since when and why nothing was trusted, and what is promised."""
    reasons = ", ".join(project.gap_reasons or ())
    told = f"nothing trusted since {moment(project.gap_since)} UTC ({reasons})"
    if project.error:
        told += f": {suspicion(project.error)}"
    return told + _promised(project, project.is_kept)


def _what_is_open_of_jobs(project: ProjectStatus) -> str:
    since = project.jobs_observed_at
    told = "jobs: " + (f"nothing trusted since {moment(since)} UTC" if since else "never trusted yet")
    if project.jobs_error:
        told += f": {suspicion(project.jobs_error, 'job', 'jobs')}"
    return told + _promised(project, project.is_jobs_kept)


def _promised(project: ProjectStatus, is_kept: bool | None) -> str:  # noqa: FBT001 - as above.
    if is_kept is not False or project.max_age_s is None:
        return ""
    return f"; {duration(project.max_age_s)} is promised"


def _remedy(project: ProjectStatus) -> str:
    """Say what to do about it."""
    if project.rule:
        return suspect_remedy(project.rule, str(project.slug))
    if project.last_verdict == "failed":
        return "the next run tries again; `batchledger check` tells a wrong key from a source that is down"
    return _nobody_reads(str(project.slug))


def _remedy_of_jobs(project: ProjectStatus, rule: str | None) -> str:
    if rule:
        return suspect_remedy(rule, str(project.slug), "jobs")
    if project.jobs_verdict == "failed":
        return (
            "the next run tries again; a key without the scope annotation-job:read needs it, "
            'or do without them: `[jobs] read = "never"`'
        )
    return _nobody_reads(str(project.slug))


def _nobody_reads(slug: str) -> str:
    return f"see that the daemon or cron runs; `batchledger sync --project {shlex.quote(slug)}` reads it now"


def suspect_remedy(rule: str, slug: str, lost: str = "batches") -> str:
    """Say what to do about a suspect observation, by the rule that it met and what may be lost."""
    if rule == "unreadable_record":
        return f"nobody can accept it; wait until the list can be read, or ask Roboflow about {slug}"
    if rule in {"short_list", "contradiction"}:
        return f"the next runs look again; {_confirm(slug)} shows what look-ups deny, if any"
    if rule in {"empty_list", "large_loss"}:
        return f"the next runs look again, and ask for the lost {lost} once it lasts; {_confirms(slug)}"
    return _confirms(slug)


def _confirms(slug: str) -> str:
    return f"{_confirm(slug)} shows what accepting the loss would mean, and asks"


def _confirm(slug: str) -> str:
    """Write the command as a shell takes it, whatever the source calls its projects."""
    return f"`batchledger confirm {operand(slug)}`"


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
