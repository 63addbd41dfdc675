"""What people see of the ledger at a glance: ages beside promises, what is open and what to do."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rich.text import Text

from etl.commands.show import coloured, duration, fault, line, moment, suspicion, table
from etl.commands.show.plots import sparkline

if TYPE_CHECKING:
    from collections.abc import Mapping
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
        if project.is_tracked and project.gap_since is not None:
            fault(out, _worst(project), str(project.slug), what_is_open(project), remedy(project))
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
        table(out, ("project", "=backlog of 30 days (· nobody looked)", ">from, to"), drawn)


def _drawn(backlog: Backlog) -> str:
    return sparkline(backlog.images, backlog.is_observed)


def _ends(backlog: Backlog) -> str:
    return f"{backlog.images[0]}, {backlog.images[-1]}"


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
    """Write a share that is not whole as less than that, however near it comes."""
    return "" if share is None else f"{math.floor(share * 1000) / 10:g}%"


def _worst(project: ProjectStatus) -> str:
    if project.is_kept is False:
        return "broken"
    return "suspect" if project.rule else "warning"


def what_is_open(project: ProjectStatus) -> str:
    """Say since when and why nothing was trusted, and what is promised."""
    reasons = ", ".join(project.gap_reasons or ())
    told = f"nothing trusted since {moment(project.gap_since)} UTC ({reasons})"
    if project.error:
        told += f": {suspicion(project.error)}"
    if project.is_kept is False and project.max_age_s is not None:
        told += f"; {duration(project.max_age_s)} is promised"
    return told


def remedy(project: ProjectStatus) -> str:
    """Say what to do about it."""
    if project.rule:
        return suspect_remedy(project.rule, str(project.slug))
    if project.last_verdict == "failed":
        return "the next run tries again; `batchledger check` tells a wrong key from a source that is down"
    return f"see that the daemon or cron runs; `batchledger sync --project {project.slug}` reads it now"


def suspect_remedy(rule: str, slug: str) -> str:
    """Say what to do about a suspect observation, by the rule that it met."""
    if rule == "unreadable_record":
        return f"nobody can accept it; wait until the list can be read, or ask Roboflow about {slug}"
    if rule in {"short_list", "contradiction"}:
        return f"the next runs look again; `batchledger confirm {slug}` shows what look-ups deny, if any"
    if rule in {"empty_list", "large_loss"}:
        return f"the next runs look again, and ask for the lost batches once it lasts; {_confirms(slug)}"
    return _confirms(slug)


def _confirms(slug: str) -> str:
    return f"`batchledger confirm {slug}` shows what accepting the loss would mean, and asks"


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
