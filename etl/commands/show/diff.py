"""What people see of a difference: each batch that differs, in groups, and a sum that adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.commands.queries.diff import CHANGES
from etl.commands.show import fault, line, moment, several, signed, table
from etl.commands.show.past import known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from etl.commands.queries.diff import BatchDifference, Between, Deltas, Diff
    from etl.commands.queries.past import Stand
    from etl.commands.show import Cell

_MOST_ROWS: Final = 40
"""Batches that are listed on a terminal; the sum and `--json` have the others."""


def diff(out: Console, found: Diff) -> None:
    """Show what changed between two instants, and how the totals moved."""
    slug = f"{found.workspace}/{found.project}"
    line(out, f"{slug} from {moment(found.before.at)} to {moment(found.after.at)} UTC")
    out.print()
    if found.batches:
        _batches(out, found)
        out.print()
    table(out, ("", ">batches", ">images", ">jobs", "knowledge"), _sum(found))
    if told := _between(found.between):
        line(out, told)
    for gap in found.gaps:
        ending = f"to {moment(gap.to_at)} UTC" if gap.to_at else "on, still open"
        which = " and ".join(
            moment(one.at) for one in (found.before, found.after) if one.gap is not None and one.gap == gap
        )
        what = f"nothing trusted from {moment(gap.from_at)} {ending} ({', '.join(gap.reasons)})"
        fault(out, "warning", slug, f"{what}; the numbers of {which} are carried")


def _batches(out: Console, found: Diff) -> None:
    shown = found.batches[:_MOST_ROWS] if out.is_terminal else found.batches
    table(out, ("change", "=batch", ">before", ">after", ">images", ">jobs", "~name"), map(_row, shown))
    if len(shown) < len(found.batches):
        line(out, f"... and {len(found.batches) - len(shown)} more; --json has all of them")


def _row(batch: BatchDifference) -> tuple[Cell, ...]:
    return (
        batch.change,
        batch.batch_id,
        _count(batch.images_before),
        _count(batch.images_after),
        signed(batch.images_delta),
        signed(batch.num_jobs_delta),
        batch.name or "",
    )


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _sum(found: Diff) -> Iterator[tuple[Cell, ...]]:
    yield _total(found.before)
    for change in CHANGES:
        group = found.deltas[change]
        if group.count:
            yield _group(change, group)
    yield _total(found.after)


def _total(stand: Stand) -> tuple[Cell, ...]:
    return (
        moment(stand.at),
        _count(stand.batches),
        _count(stand.images),
        _count(stand.num_jobs),
        known(stand, stand.at, stand.gap),
    )


def _group(change: str, group: Deltas) -> tuple[Cell, ...]:
    return (
        f"{group.count} {change}",
        signed(group.batches),
        signed(group.images),
        signed(group.num_jobs),
        "",
    )


def _between(between: Between) -> str:
    told = {
        "came and went": between.came_and_went,
        "changed and ended as they were": between.undone,
    }
    some = [f"{several(count, 'batch', 'batches')} {what}" for what, count in told.items() if count]
    return f"In between, {' and '.join(some)}." if some else ""
