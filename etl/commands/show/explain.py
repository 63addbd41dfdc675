"""What people see of where a number comes from: its change, its observation, its run, its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.commands.queries.explain import JobChange, JobExplanation
from etl.commands.show import duration, line, moment, several, signed, suspicion
from etl.commands.show.past import ABSENT, around, known, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from etl.commands.queries.bodies import Body, Record
    from etl.commands.queries.explain import (
        Change,
        Confirmed,
        Departure,
        Explanation,
        Origin,
        Pending,
        RunThen,
    )

_LABEL: Final = 10
_MOST_RAW: Final = 2000
"""Characters of a record that are shown on a terminal; `--json` has all of them."""


def explain(out: Console, found: Explanation | JobExplanation) -> None:
    """Show where a number comes from, step by step."""
    slug = f"{found.workspace}/{found.project}"
    line(out, f"{_one(found).capitalize()} {_id(found)} of {slug} as believed at {moment(found.at)} UTC")
    for label, told in _steps(out, found):
        line(out, f"{label:{_LABEL}}{told}")
    if found.record is not None:
        _raw(out, found.record.raw)


def _raw(out: Console, record: str) -> None:
    """Show a record as it came; its own lines are lines."""
    is_long = out.is_terminal and len(record) > _MOST_RAW
    shown = f"{record[:_MOST_RAW]} ..." if is_long else record
    for one in shown.replace("\r\n", "\n").expandtabs().split("\n"):
        line(out, one)


def _one(found: Explanation | JobExplanation) -> str:
    return "job" if isinstance(found, JobExplanation) else "batch"


def _id(found: Explanation | JobExplanation) -> str:
    return found.job_id if isinstance(found, JobExplanation) else found.batch_id


def _steps(out: Console, found: Explanation | JobExplanation) -> Iterator[tuple[str, str]]:
    yield from _value(out, found)
    if found.pending is not None:
        yield from (("pending", told) for told in _pending(found.pending))
    if found.change is not None:
        yield "made by", _change(found.change)
    if found.confirmed is not None:
        yield (
            "since",
            _confirmed(found.confirmed, "still absent" if found.departure else "seen again, the same,"),
        )
    if found.departure is not None:
        yield "evidence", _departure(found.departure)
    if found.observation is not None:
        yield "seen in", _observation(found.observation, _WORDS[_one(found)])
        if found.observation.look_up is not None:
            yield "look-up", _LOOK_UPS[found.observation.look_up].format(one=_one(found))
    if found.run is not None:
        yield "by", _run(found.run)
    if found.change is not None:
        yield "body", _body(found.body)
        yield "record", _record(found)


def _value(out: Console, found: Explanation | JobExplanation) -> Iterator[tuple[str, str]]:
    then = found.believed
    if then is None:
        yield "value", ABSENT
        return
    if then.images is not None:
        yield "value", value(out, then)
    yield "known", f"{known(then, found.at, found.gap)} ({around(then)})"


def _pending(pending: Pending) -> Iterator[str]:
    if pending.missing_since is not None:
        yield f"absent since {moment(pending.missing_since)} UTC, and not confirmed gone"
    if pending.unlisted_since is not None:
        yield f"left out of the list since {moment(pending.unlisted_since)} UTC, and found when asked for"
    if pending.carried_since is not None:
        yield (
            f"not shown with usable values since {moment(pending.carried_since)} UTC: "
            f"{pending.reason or 'the reason was not kept'}"
        )


def _change(change: Change | JobChange) -> str:
    since = f"after {moment(change.changed_after)}" if change.changed_after else "at an unknown time"
    moved = ", ".join(f"{signed(delta)} {what}" for what, delta in _deltas(change))
    return f"{change.kind}: {moved}, {since} and by {moment(change.observed_at)} UTC"


def _deltas(change: Change | JobChange) -> Iterator[tuple[str, int]]:
    yield "images", change.images_delta
    if isinstance(change, JobChange):
        yield "annotated", change.annotated_delta
        yield "approved", change.approved_delta
        yield "rejected", change.rejected_delta
    else:
        yield "jobs", change.num_jobs_delta


def _departure(departure: Departure) -> str:
    first = f"first absent at {moment(departure.first_absent_at)} UTC"
    told = {
        "look_up": "asked for on its own, it was not found (404)",
        "second_absence": "a second trusted answer lacked it as well",
        "accepted": "an operator accepted its absence",
        "not_kept": "it was confirmed by a version that kept no evidence",
    }
    return f"{told[departure.evidence]}; {first}"


_LOOK_UPS: Final = {
    "found": "asked for on its own, the {one} was found",
    "not_found": "asked for on its own, the {one} was not found (404)",
    "inconclusive": "asked for on its own, nothing could be told of it",
    "accepted": "the word of an operator",
}


_WORDS: Final = {"batch": ("batch", "batches"), "job": ("job", "jobs")}


def _observation(seen: Origin, words: tuple[str, str]) -> str:
    rule = f": {suspicion(seen.rule, *words)}" if seen.rule else ""
    previous = f"; the trusted one before: {moment(seen.previous_at)} UTC" if seen.previous_at else ""
    return (
        f"observation {seen.observation_id} ({seen.verdict}{rule}), asked {moment(seen.started_at)}, "
        f"complete {moment(seen.observed_at)} UTC, status {seen.http_status}, "
        f"{several(seen.requests, 'request')}{previous}"
    )


def _run(run: RunThen) -> str:
    rules = run.guard
    guard = (
        f"; guard: a loss of {rules.min_loss} or more and over {rules.max_loss_share:.0%} is suspect, "
        f"{rules.max_lookups} look-ups, hold {duration(rules.hold.total_seconds())}"
        if rules
        else "; the guard's thresholds were not noted"
    )
    return (
        f"run {run.run_id} ({run.trigger}) of {moment(run.started_at)} UTC on {run.host}, "
        f"batchledger {run.version}{guard}"
    )


def _body(body: Body | None) -> str:
    if body is None:
        return "the archive has no such body; `batchledger verify` tells what is missing"
    what = "the list" if body.of == "list" else "the look-up"
    told = f"sha256 {body.digest} of {what}, {body.body_bytes} bytes"
    if body.pruned_at is not None:
        return f"{told}; dropped for its age at {moment(body.pruned_at)} UTC"
    kept = f"{told}, {body.stored_bytes} in the archive"
    return kept if body.is_intact else f"{kept}; DAMAGED: the bytes there have another digest"


def _record(found: Explanation | JobExplanation) -> str:
    record = found.record
    if record is not None:
        return _place(record)
    if found.body is None or found.body.stored_bytes is None:
        return "not here any more, as its body"
    return f"none: the list does not show the {_one(found)}" if found.departure else "none that can be read"


def _place(record: Record) -> str:
    where = f"bytes {record.offset} to {record.offset + record.length}"
    if record.position is None or record.count is None:
        return f"{where} of the look-up's answer:"
    return f"number {record.position + 1} of {record.count} in the list, {where}:"


def _confirmed(confirmed: Confirmed, again: str) -> str:
    if not confirmed.observations:
        return "no trusted observation with nothing pending came after it"
    count = several(confirmed.observations, "trusted observation")
    return f"{again} in {count}, the last one at {moment(confirmed.last_at)} UTC"
