"""What people see of an instant: how a project or a batch stood, and how well that is known, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.commands.queries.past import JobThen, Stand
from etl.commands.show import line, moment, named, number, several, table

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from etl.commands.queries.gaps import Gap
    from etl.commands.queries.past import BatchThen, Past
    from etl.commands.show import Cell

ABSENT: Final = "It was not there then, as far as is known."


def past(out: Console, found: Past) -> None:
    """Show how a project or a batch stood at an instant, and how well that is known."""
    whole = f"{found.workspace}/{found.project}"
    if found.batch_id is not None:
        line(out, f"Batch {found.batch_id} of {whole} as it stood at {moment(found.at)} UTC")
        _batch(out, found)
        return
    line(out, f"{whole} as it stood at {moment(found.at)} UTC")
    if found.totals.batches is not None:
        line(out, counts(found.totals))
    line(out, known(found.totals, found.at, found.totals.gap))
    line(out, around(found.totals))
    if not found.batches:
        line(out, "No batch that is known of was there then.")
        return
    out.print()
    columns = ("=batch", "knowledge", ">images", ">jobs", "since (UTC)", "~name")
    table(out, columns, map(_row, found.batches))


def _batch(out: Console, found: Past) -> None:
    if not found.batches:
        line(out, ABSENT)
        line(out, around(found.totals))
    for batch in found.batches:
        if batch.images is not None:
            line(out, f"{value(out, batch)}, so since {moment(batch.changed_at)} UTC")
        line(out, known(batch, found.at, found.totals.gap))
        line(out, around(batch))


def _row(batch: BatchThen) -> tuple[Cell, ...]:
    return (
        batch.batch_id,
        batch.knowledge,
        number(batch.images),
        number(batch.num_jobs),
        moment(batch.changed_at),
        batch.name or "",
    )


def value(out: Console, batch: BatchThen | JobThen) -> str:
    """Say what a batch, or a job, held, and its name."""
    name = named(out, batch.name or "without a name")
    if isinstance(batch, JobThen):
        return f"{name}: {_value_of_job(batch)}"
    jobs = "jobs unknown" if batch.num_jobs is None else several(batch.num_jobs, "job")
    return f"{name}: {several(batch.images or 0, 'image')}, {jobs}"


def _value_of_job(job: JobThen) -> str:
    done = (
        f"{count} {what}"
        for what in ("annotated", "approved", "rejected")
        if (count := getattr(job, what)) is not None
    )
    told = ", ".join((several(job.images or 0, "image"), *done, job.status or "without a status"))
    made = f"; made from batch {job.batch_id}" if job.batch_id else ""
    return f"{told}{made}"


def counts(totals: Stand) -> str:
    """Say what a project held."""
    return (
        f"{several(totals.batches or 0, 'batch', 'batches')}, {several(totals.images or 0, 'image')}, "
        f"{several(totals.num_jobs or 0, 'job')}"
    )


def known(told: Stand | BatchThen | JobThen, at: datetime, gap: Gap | None) -> str:
    """Say in plain words how well something is known."""
    match told.knowledge:
        case "observed":
            is_moment = told.observed_before == at
            return f"observed: {'read at that moment' if is_moment else 'the same before and after'}"
        case "gone":
            return "gone: confirmed absent"
        case "unknown":
            is_whole = isinstance(told, Stand)
            never = "it had never been observed" if is_whole else "it may have been there, unseen"
            return f"unknown: {never}"
    return f"carried: {_carried(told, gap)}"


def _carried(told: Stand | BatchThen | JobThen, gap: Gap | None) -> str:
    if gap is not None:
        return f"as last seen; then came a gap ({', '.join(gap.reasons)})"
    if told.observed_after is None:
        return "as last seen; nobody has looked since"
    return "as last seen; it changed before the next look, or something was pending"


def around(told: Stand | BatchThen | JobThen) -> str:
    """Name the trusted observations on both sides."""
    before = f"{moment(told.observed_before)} UTC" if told.observed_before else "none"
    after = f"{moment(told.observed_after)} UTC" if told.observed_after else "none yet"
    return f"observation before: {before}; after: {after}"
