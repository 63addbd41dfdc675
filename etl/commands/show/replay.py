"""What people see of a replay: a line for each project, and of one that differs where it does so first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.commands.show import COLOURS, line, marked, several

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from etl.difference import Cause, Difference, ProjectReplay, Replay

_MOST_COLUMNS: Final = 6
"""Columns of a row that are told; `--json` has the others."""

_MOST_CHARACTERS: Final = 60


def project(out: Console, found: ProjectReplay) -> None:
    """Show what came of one project."""
    slug = f"{found.workspace}/{found.project}"
    if found.obstacle is not None:
        marked(out, "not rebuilt", f" {slug}: {found.obstacle}", COLOURS["warning"])
        return
    since = f" since {_instant(found.since)}, before which bodies were dropped" if found.since else ""
    extent = f"{slug}: {several(found.observations, 'answer')}{since}"
    if found.cause is None:
        marked(out, "same", f" {extent}", COLOURS["ok"])
        return
    marked(out, "differs", f" {extent}", COLOURS["broken"])
    for text in _told(found.cause, found.differing):
        line(out, f"  {text}")


def summary(out: Console, found: Replay) -> None:
    """Say in one line whether the archive gives the same ledger."""
    differing = [one for one in found.projects if one.cause is not None]
    projects = several(len(found.projects), "project")
    if differing:
        fails = "differs" if len(differing) == 1 else "differ"
        told = f"The archive gives another ledger: {len(differing)} of {projects} {fails}"
    else:
        told = f"The archive gives the same ledger: {projects}"
    pace = found.observations / found.took_s if found.took_s else 0.0
    line(
        out, f"{told}, {several(found.observations, 'answer')} in {found.took_s:.1f} s ({pace:.0f} a second)."
    )


def _told(cause: Cause, differing: dict[str, int]) -> list[str]:
    what = f"{cause.what}, {_columns(cause.differences)}" if cause.differences else cause.what
    counts = ", ".join(f"{count} {table}" for table, count in differing.items()) or "none"
    # Without an answer the rest cannot come out the same, whether or not anything else is wrong.
    follows = "" if cause.differences else "; those after it may follow from it, see `batchledger verify`"
    return [f"first difference: {_origin(cause)}", what, f"rows that differ: {counts}{follows}"]


def _origin(cause: Cause) -> str:
    if cause.observed_at is None:
        return "at no observation"
    return (
        f"observation {cause.observation_id} of {_instant(cause.observed_at)}, run {cause.run_id} of "
        f"batchledger {cause.version}, body {cause.digest or 'unknown'}"
    )


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _columns(differences: tuple[Difference, ...]) -> str:
    """Tell the columns that differ; of a row that only one side has, its values."""
    first, *_ = differences
    if first.live is None or first.replayed is None:
        side = "only replayed" if first.live is None else "only live"
        told = [f"{one.column} {_short(one.live or one.replayed)}" for one in differences]
    else:
        side = "live -> replayed"
        told = [f"{one.column} {_short(one.live)} -> {_short(one.replayed)}" for one in differences]
    more = f", and {len(told) - _MOST_COLUMNS} more" if len(told) > _MOST_COLUMNS else ""
    return f"{side}: {', '.join(told[:_MOST_COLUMNS])}{more}"


def _short(value: str | None) -> str:
    text = value or ""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
