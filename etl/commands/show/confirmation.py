"""What an operator sees of an absence that waits to be accepted, and of what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.commands.plain import operand
from etl.commands.show import fault, line, moment, number, table
from etl.records import Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from etl.commands.queries.absent import AbsentBatch, Confirmation
    from etl.commands.show import Cell
    from etl.records import Totals


def proposal(out: Console, found: Confirmation) -> None:
    """Show each absent batch, and the totals before and after."""
    if not found.is_open:
        line(out, f"{_slug(found)}: nothing to confirm; each batch is listed, or no look-up denies it.")
        return
    if found.absent:
        table(out, ("=batch", "was", ">images", ">jobs", "last seen (UTC)", "~name"), map(_row, found.absent))
        out.print()
    if found.absent_jobs:
        line(out, f"The list of its annotation jobs lacks {', '.join(found.absent_jobs)}.")
    lacking = _batches(len(found.absent))
    line(out, f"The list of {_slug(found)} shows {_batches(found.listed)} and lacks {lacking}.")
    line(out, f"Believed now:   {_totals(found.before)}.")
    line(out, f"Once accepted:  {_totals(found.after)}; {found.absent_images} images leave.")


def outcome(out: Console, found: Confirmation) -> None:
    """Say whether it was accepted, and what the totals are then."""
    if found.is_applied:
        gone, after = _batches(found.moves.left), _totals(found.after)
        line(out, f"Accepted in run {found.run_id}; gone: {gone}. Believed now: {after}.")
        return
    is_other = found.verdict is Verdict.SUSPECT
    what = "nothing was accepted" + (", for the list is not what it was" if is_other else "")
    remedy = f"look again with `batchledger confirm {operand(_slug(found))}`" if is_other else found.remedy
    fault(out, str(found.verdict), _slug(found), f"{what}: {found.trouble}", remedy)


def _slug(found: Confirmation) -> str:
    return f"{found.workspace}/{found.project}"


def _row(batch: AbsentBatch) -> tuple[Cell, ...]:
    return (
        batch.batch_id,
        batch.was,
        str(batch.images),
        number(batch.num_jobs),
        moment(batch.last_seen_at),
        batch.name or "",
    )


def _totals(totals: Totals) -> str:
    return f"{_batches(totals.batches)}, {totals.images} images, {totals.num_jobs} jobs"


def _batches(count: int) -> str:
    return "1 batch" if count == 1 else f"{count} batches"
