"""
What the ledger must say of one project, kept in plain dictionaries and told in plain loops.

Written from the design and the guard's rules, not from the SQL, so that the two can disagree.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from etl.guard import GuardRules

_DONE: Final = ("annotated", "approved", "rejected")
_FLOWS: Final = ("intake", "moved", "assigned", "unassigned", "removed")


@dataclass(frozen=True)
class Kind:
    """
    Batches, or jobs.

    `counted` are the values that are nothing once one is gone, `summed` those that the project adds up; both
    are 0 where the source does not say. `read` takes one record of the source; None if it cannot be used.
    """

    name: str
    listed_as: str
    counted: tuple[str, ...]
    summed: tuple[str, ...]
    read: Callable[[dict[str, Any]], Row | None]


@dataclass
class Held:
    """One batch or job as believed. `known_at` is the last time at which its values were known to be so."""

    values: dict[str, Any]
    extra: dict[str, Any] | None
    first_seen_at: datetime
    changed_at: datetime
    known_at: datetime
    missing_since: datetime | None = None
    present_at: datetime | None = None
    unlisted_since: datetime | None = None
    carried_since: datetime | None = None
    gone_at: datetime | None = None

    def number(self, name: str) -> int:
        return self.values[name] or 0


@dataclass(frozen=True)
class Change:
    record_id: str
    kind: str
    values: dict[str, Any]
    deltas: dict[str, int]
    observed_at: datetime
    changed_after: datetime | None


@dataclass(frozen=True)
class Told:
    """One answer, and what was believed after it: how many, and the sums. `kinds` count its changes."""

    verdict: str
    rule: str | None
    at: datetime
    previous_at: datetime | None
    totals: tuple[int, ...] | None
    kinds: dict[str, int]
    deltas: dict[str, int]

    @property
    def is_trusted(self) -> bool:
        return self.verdict in ("changed", "unchanged")


@dataclass(frozen=True)
class Observed:
    """
    One observation: the batches and, if they were asked for, the jobs; what flowed and what was done.

    `flows` and `work` are None where there was nothing to compare with.
    """

    batches: Told
    jobs: Told | None
    jobs_totals: tuple[int, ...] | None
    flows: dict[str, int] | None
    work: dict[str, int] | None

    @property
    def last_at(self) -> datetime:
        return self.jobs.at if self.jobs else self.batches.at


@dataclass(frozen=True)
class Row:
    """A usable record of the source."""

    record_id: str
    values: dict[str, Any]
    extra: dict[str, Any] | None


@dataclass(frozen=True)
class Page:
    """A readable list: its usable rows, ids of unusable ones, and whether one has not even an id."""

    rows: tuple[Row, ...]
    unusable: frozenset[str]
    has_unreadable: bool

    @property
    def present(self) -> frozenset[str]:
        return frozenset(row.record_id for row in self.rows) | self.unusable


@dataclass(frozen=True)
class Reply:
    """
    What a list was answered with, and each look-up: the body of one that was found, or a status.

    No body: the list is not changed since the last one that left nothing open, or could not be had at all.
    `is_listed` tells whether the workspace lists the project, `accepted` those whose absence is accepted.
    """

    at: datetime
    body: bytes | None
    look_ups: Mapping[str, bytes | int]
    is_failed: bool = False
    is_listed: bool = True
    accepted: Collection[str] = ()


class UnexpectedError(AssertionError):
    """The run did something that no rule asks for."""


@dataclass
class Listed:
    """What the ledger holds of one of a project's two lists."""

    kind: Kind
    rules: GuardRules
    held: dict[str, Held] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    after: dict[datetime, dict[str, Held]] = field(default_factory=dict)
    reads: dict[str, list[tuple[datetime, dict[str, Any]]]] = field(default_factory=dict)
    settled_body: bytes | None = None
    loss_since: datetime | None = None

    # What is believed

    @property
    def there(self) -> dict[str, Held]:
        return {key: held for key, held in self.held.items() if held.gone_at is None}

    @property
    def totals(self) -> tuple[int, ...]:
        there = self.there.values()
        return (len(there), *(sum(one.number(name) for one in there) for name in self.kind.summed))

    @property
    def trusted(self) -> list[datetime]:
        return [one.at for one in self.told if one.verdict in ("changed", "unchanged")]

    @property
    def last_trusted(self) -> datetime | None:
        return self.trusted[-1] if self.trusted else None

    @property
    def totals_at(self) -> dict[datetime, tuple[int, ...] | None]:
        """What was believed after each answer; None before the first readable one."""
        return {one.at: one.totals for one in self.told}

    @property
    def untrusted(self) -> list[Told]:
        return [one for one in self.told if one.verdict in ("failed", "suspect")]

    # What happens

    def hears(self, reply: Reply) -> list[Change]:
        """The list was answered; give what changed."""
        at, body = reply.at, reply.body
        if reply.is_failed:
            return self._tell("failed", None, at, [])
        if not reply.accepted and (body is None or body == self.settled_body):
            _expect(reply.look_ups.keys() == set(), "nobody is asked about what has not changed")
            self._tell("unchanged", None, at, [])
            self._still_so(at)
            return []
        page = self.page(body)
        if page is None or body is None:
            _expect(reply.look_ups.keys() == set(), "nobody is asked after an answer that cannot be read")
            return self._tell("failed", None, at, [])
        return self._examine(page, reply, body)

    def page(self, body: bytes | None) -> Page | None:
        """Read a list as documented; None if it is none."""
        try:
            document = json.loads(body or b"")
        except ValueError:
            return None
        records = document.get(self.kind.listed_as) if isinstance(document, dict) else None
        if not isinstance(records, list):
            return None
        ids = [record.get("id") for record in records]
        rows = [row for record in records if (row := self.kind.read(record))]
        usable = {row.record_id for row in rows}
        return Page(
            tuple(rows),
            frozenset(key for key in ids if key and key not in usable),
            any(not key for key in ids),
        )

    def _examine(self, page: Page, reply: Reply, body: bytes) -> list[Change]:
        at, look_ups, there = reply.at, reply.look_ups, self.there
        taken = (there.keys() - page.present) & frozenset(reply.accepted)
        absent = {key: there[key] for key in there.keys() - page.present - taken}
        stale = {key for key, held in absent.items() if held.missing_since}
        hidden = {key for key, held in absent.items() if held.unlisted_since and not held.missing_since}
        lost = absent.keys() - stale - hidden
        judged = [one for key, one in there.items() if key not in taken]
        listed = sum(1 for one in judged if not one.missing_since and not one.unlisted_since)
        suspicion = self._suspicion(page, len(lost), len(stale | taken), listed)
        final = self._final(suspicion, at, is_listed=reply.is_listed)
        groups = [] if final else [lost, stale, hidden]
        control = self._expect_questions(look_ups, groups, page)
        found = self.found({key: answer for key, answer in look_ups.items() if key in absent})
        is_vouched = control is not None and bool(self.found({control: look_ups[control]}))
        denied = {key for key in absent if look_ups.get(key) == 404 and is_vouched}
        rule = final or _rule(suspicion, (lost | stale) & look_ups.keys(), found.keys(), denied)
        if rule is None and (lost or stale) and control and look_ups[control] == 404:
            rule = "contradiction"
        gone = set() if rule else denied | stale | taken
        missing = set() if rule else lost - gone
        self.loss_since = _loss_since(self.loss_since, rule, at)
        changes = [*self._show(at, page, found, is_trusted=rule is None), *self._leave(at, gone)]
        for key in missing:
            self._miss(at, self.held[key])
        self.settled_body = None if rule or missing else body
        verdict = "suspect" if rule else "changed" if changes else "unchanged"
        return self._tell(verdict, rule, at, changes)

    def _suspicion(self, page: Page, lost: int, others: int, listed: int) -> str | None:
        if page.has_unreadable and (lost or others):
            return "unreadable_record"
        if not lost:
            return None
        if not page.present and not page.has_unreadable:
            return "empty_list"
        is_large = lost >= self.rules.min_loss and lost > self.rules.max_loss_share * listed
        return "large_loss" if is_large else None

    def _final(self, suspicion: str | None, at: datetime, *, is_listed: bool) -> str | None:
        """Name what no look-up can lift. This project has no other beside it that could bear witness."""
        is_early = self.loss_since is None or at - self.loss_since < self.rules.hold
        if suspicion == "empty_list" and not is_early:
            return "whole_workspace" if is_listed else "empty_list"
        return suspicion if suspicion == "unreadable_record" or is_early else None

    def _expect_questions(
        self, look_ups: Mapping[str, bytes | int], groups: list[set[str]], page: Page
    ) -> str | None:
        """Each group in its turn, as far as the number allows, and one batch of the list; return that."""
        asked, left = set(look_ups), self.rules.max_lookups
        for group in groups:
            _expect(len(asked & group) == min(len(group), left), f"{left} of {group} are asked about")
            left -= len(asked & group)
        beside = asked.difference(*groups)
        has_control = len(asked) > len(beside) and bool(page.present)
        _expect(beside <= page.present and len(beside) == has_control, f"{beside} is the control")
        return next(iter(beside), None)

    def _show(self, at: datetime, page: Page, found: Mapping[str, Row], *, is_trusted: bool) -> list[Change]:
        changes = []
        for row in (*page.rows, *found.values()):
            held = self.held.get(row.record_id)
            is_listed = row.record_id not in found
            unlisted_since = None if is_listed else (held and held.unlisted_since) or at
            if change := self._compare(at, row, held):
                changes.append(change)
            changed_at = at if change or not held else held.changed_at
            known_at = at if change or is_trusted else self.last_trusted or at
            if unlisted_since and not change:
                known_at = unlisted_since
            self.held[row.record_id] = Held(
                values=row.values,
                extra=row.extra,
                first_seen_at=held.first_seen_at if held else at,
                changed_at=changed_at,
                known_at=max(known_at, changed_at),
                unlisted_since=unlisted_since,
            )
            self.reads.setdefault(row.record_id, []).append((at, row.values))
        for key in page.unusable - {row.record_id for row in page.rows}:
            self._carry(at, self.held.get(key))
        return changes

    def _compare(self, at: datetime, row: Row, held: Held | None) -> Change | None:
        kind, after = self._kind(row, held)
        if kind is None:
            return None
        deltas = {
            name: (row.values[name] or 0) - (held.number(name) if held else 0) for name in self.kind.summed
        }
        return Change(row.record_id, kind, row.values, deltas, at, after)

    def _kind(self, row: Row, held: Held | None) -> tuple[str | None, datetime | None]:
        if held is None:
            return "entered", self.last_trusted
        if held.gone_at:
            return "returned", max(held.gone_at, self.last_trusted or held.gone_at)
        if row.values == held.values:
            return None, None
        is_renamed = {**row.values, "name": None} == {**held.values, "name": None}
        return ("renamed" if is_renamed else "changed"), held.known_at

    def _carry(self, at: datetime, held: Held | None) -> None:
        """It is there, but nothing more can be told; so its values are known only as of their last change."""
        if held is None or held.gone_at:
            return
        held.carried_since = held.carried_since or held.missing_since or at
        held.known_at = held.changed_at
        held.missing_since = held.present_at = held.unlisted_since = None

    def _miss(self, at: datetime, held: Held) -> None:
        held.present_at = held.present_at or self._last_presence(held)
        held.missing_since = held.missing_since or at

    def _leave(self, at: datetime, gone: set[str]) -> list[Change]:
        changes = []
        for key in gone:
            held = self.held[key]
            deltas = {name: -held.number(name) for name in self.kind.summed}
            self._miss(at, held)
            held.values = {**held.values, **dict.fromkeys(self.kind.counted, 0)}
            changes.append(Change(key, "left", held.values, deltas, at, held.known_at))
            held.changed_at = held.known_at = held.gone_at = at
            held.unlisted_since = held.carried_since = None
        return changes

    def _last_presence(self, held: Held) -> datetime:
        if held.unlisted_since:
            return max(held.unlisted_since, held.changed_at)
        return max(self.last_trusted or held.changed_at, held.changed_at)

    def _still_so(self, at: datetime) -> None:
        """The list is as it was: what it shows is known to be so, and nothing else is."""
        for key, held in self.held.items():
            if not (held.gone_at or held.unlisted_since or held.carried_since):
                held.known_at = at
                self.reads.setdefault(key, []).append((at, held.values))

    def found(self, look_ups: Mapping[str, bytes | int]) -> dict[str, Row]:
        rows = {
            key: self.kind.read(json.loads(answer))
            for key, answer in look_ups.items()
            if isinstance(answer, bytes)
        }
        return {key: row for key, row in rows.items() if row}

    def _tell(self, verdict: str, rule: str | None, at: datetime, changes: list[Change]) -> list[Change]:
        kinds = [change.kind for change in changes]
        is_known = verdict != "failed" or self.last_trusted is not None
        self.told.append(
            Told(
                verdict,
                rule,
                at,
                self.last_trusted,
                self.totals if is_known else None,
                {kind: kinds.count(kind) for kind in set(kinds)},
                {name: sum(change.deltas[name] for change in changes) for name in self.kind.summed},
            )
        )
        self.changes += changes
        self.after[at] = {key: copy(held) for key, held in self.held.items()}
        return changes


class Oracle:
    """Told of every answer that a run got, it says what the ledger holds of a project."""

    def __init__(self, rules: GuardRules, *, read_jobs: bool | None = None) -> None:
        """Make the oracle of a project; `read_jobs` None: they are read where there are any."""
        self.batches = Listed(BATCHES, rules)
        self.jobs = Listed(JOBS, rules)
        self.read_jobs = read_jobs
        self.observed: list[Observed] = []
        self._unsettled: tuple[list[Change], list[Change]] = ([], [])
        self._told = dict.fromkeys(_FLOWS, 0)

    def hears(self, batches: Reply, jobs: Reply | None) -> None:
        """
        A run read the project.

        Args:
            batches: How the list of batches was answered.
            jobs: How that of the jobs was; None where nobody asked for it.
        """
        # Observations of a project are in order, whatever the clock does.
        at = batches.at
        if self.observed:
            at = max(at, self.observed[-1].last_at + timedelta(microseconds=1))
        known = bool(self.jobs.trusted) or any(one.number("num_jobs") for one in self.batches.there.values())
        changes = self.batches.hears(replace(batches, at=at))
        told, of_jobs = self.batches.told[-1], None
        self._expect_jobs(told, batches, jobs, is_known=known)
        moves = []
        if jobs:
            moves = self.jobs.hears(replace(jobs, at=max(at, jobs.at)))
            of_jobs = self.jobs.told[-1]
        is_compared = of_jobs is not None and of_jobs.previous_at is not None
        self.observed.append(
            Observed(
                told,
                of_jobs,
                self.jobs.totals if self.jobs.trusted and told.totals is not None else None,
                self._flows(told, changes, moves if is_compared else []) if told.previous_at else None,
                _work(moves) if is_compared else None,
            )
        )

    def _expect_jobs(self, told: Told, batches: Reply, jobs: Reply | None, *, is_known: bool) -> None:
        """Jobs are read once there may be any: a batch has some, or went away with all that it held."""
        if told.verdict == "failed" or self.read_jobs is not None:
            _expect((jobs is not None) == (told.verdict != "failed" and bool(self.read_jobs)), "jobs")
            return
        page = self.batches.page(batches.body) or Page((), frozenset(), has_unreadable=False)
        has_jobs = any(row.values["num_jobs"] for row in page.rows)
        held = self.batches.held.values()
        has_less = any(told.at in (one.gone_at, one.missing_since) for one in held)
        has_less |= bool(self.batches.found(batches.look_ups).keys() - page.present)
        _expect((jobs is not None) == (is_known or has_jobs or has_less), "jobs are read where there are any")

    def _flows(self, told: Told, changes: list[Change], moves: list[Change]) -> dict[str, int]:
        """Judge anew what was seen since the last trusted answer; less what was told of it already."""
        self._unsettled[0].extend(changes)
        self._unsettled[1].extend(moves)
        judged = _flows(*self._unsettled)
        flows = {name: judged[name] - self._told[name] for name in _FLOWS}
        self._told = judged
        if told.verdict in ("changed", "unchanged"):
            self._unsettled, self._told = ([], []), dict.fromkeys(_FLOWS, 0)
        return flows

    def day(self, day: date) -> dict[str, Any]:
        """Say what is told of one day: totals at its end, and what was seen to happen on it."""
        batches = _totals_by(self.batches, day) or (0, 0, 0)
        jobs = _totals_by(self.jobs, day) if any(at.date() <= day for at in self.jobs.trusted) else None
        changes = [one for one in self.batches.changes if one.observed_at.date() == day]
        moves = [one for one in self.jobs.changes if one.observed_at.date() == day]
        is_observed = day in {at.date() for at in self.batches.trusted}
        kinds = [one.kind for one in changes]
        return {
            **dict(zip(("batches", "images", "num_jobs"), batches, strict=True)),
            "images_delta": sum(one.deltas["images"] for one in changes),
            "num_jobs_delta": sum(one.deltas["num_jobs"] for one in changes),
            "batches_entered": kinds.count("entered") + kinds.count("returned"),
            "batches_left": kinds.count("left"),
            "is_observed": is_observed,
            **dict(zip(("jobs", "job_images", *_DONE), jobs or [None] * 5, strict=True)),
            **self._flows_on(day, is_told=bool(changes or moves or is_observed)),
            **self._work_on(day),
            **self._sum_on(day, batches, jobs),
        }

    def _sum_on(self, day: date, batches: tuple[int, ...], jobs: tuple[int, ...] | None) -> dict[str, Any]:
        """Add up what waits and what is in jobs; None if there were jobs that nobody had read."""
        read = [
            one for one in self.observed if one.jobs and one.jobs.is_trusted and one.jobs.at.date() <= day
        ]
        if not (jobs and read):
            days = {one.at.date() for one in self.batches.told if one.at.date() <= day}
            had_jobs = any((_totals_by(self.batches, one) or batches)[2] for one in days)
            remaining, is_in_step = (None, None) if had_jobs else (batches[1], True)
            return {"remaining": remaining, "is_in_step": is_in_step, "jobs_observed_at": None}
        last = read[-1]
        return {
            "remaining": batches[1] + jobs[1] - jobs[2],
            "is_in_step": last.batches.is_trusted
            and last.batches.totals == batches
            and last.jobs_totals is not None
            and last.jobs_totals[:3] == jobs[:3],
            "jobs_observed_at": last.last_at,
        }

    def _flows_on(self, day: date, *, is_told: bool) -> dict[str, int | None]:
        """Sum up what flowed; None for each if nobody looked."""
        seen = [one.flows for one in self.observed if one.flows and one.batches.at.date() == day]
        return {name: sum(one[name] for one in seen) if is_told else None for name in _FLOWS}

    def _work_on(self, day: date) -> dict[str, int | None]:
        """Sum up what was done; None for each if nobody looked, and nothing was seen either."""
        seen = [one.work for one in self.observed if one.work and one.jobs and one.jobs.at.date() == day]
        is_observed = day in {at.date() for at in self.jobs.trusted}
        done = {f"{name}_work": sum(one[name] for one in seen) for name in _DONE}
        return {name: number if is_observed else number or None for name, number in done.items()}


def read_batch(record: dict[str, Any]) -> Row | None:
    """Read one batch as documented; None if it cannot be used."""
    if not record.get("id") or not _is_count(record.get("images")):
        return None
    if not isinstance(uploaded := record.get("uploaded"), dict | None):
        return None
    values = {
        "name": record.get("name"),
        "images": record["images"],
        "num_jobs": record.get("numJobs"),
        "uploaded_at": _time(uploaded),
    }
    return Row(record["id"], values, _beside(record, ("id", "name", "images", "numJobs", "uploaded")))


def read_job(record: dict[str, Any]) -> Row | None:
    """Read one job as documented; None if it cannot be used."""
    if not record.get("id") or not _is_count(record.get("numImages")):
        return None
    if not isinstance(created := record.get("created"), dict | None):
        return None
    source = record.get("sourceBatch")
    values = {
        "name": record.get("name"),
        "status": record.get("status"),
        "batch_id": source and source.rpartition("/")[2],
        "images": record["numImages"],
        **{name: record.get(name) for name in ("annotated", "unannotated", "approved", "rejected")},
        "labeler": record.get("labeler"),
        "reviewer": record.get("reviewer"),
        "created_at": _time(created),
    }
    told = ("id", "numImages", "sourceBatch", "created", "instructionsText", *values)
    return Row(record["id"], values, _beside(record, (*told, *(("project",) if source else ()))))


BATCHES: Final = Kind("batch", "batches", ("images", "num_jobs"), ("images", "num_jobs"), read_batch)
JOBS: Final = Kind(
    "job",
    "jobs",
    ("images", "annotated", "unannotated", "approved", "rejected"),
    ("images", *_DONE),
    read_job,
)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _beside(record: dict[str, Any], told: tuple[str, ...]) -> dict[str, Any] | None:
    return {key: value for key, value in record.items() if key not in told} or None


def _time(stamp: dict[str, int] | None) -> datetime | None:
    if stamp is None:
        return None
    passed = timedelta(seconds=stamp["_seconds"], microseconds=stamp["_nanoseconds"] // 1000)
    return datetime(1970, 1, 1, tzinfo=UTC) + passed


def _totals_by(listed: Listed, day: date) -> tuple[int, ...] | None:
    known = [one.totals for one in listed.told if one.totals is not None and one.at.date() <= day]
    return known[-1] if known else None


def _flows(changes: list[Change], moves: list[Change]) -> dict[str, int]:
    """Say where images came from and went to, as far as batches and what their jobs took and gave tell."""
    flows, gained, lost = dict.fromkeys(_FLOWS, 0), 0, 0
    for batch_id in {one.record_id for one in changes}:
        of_batch = [one for one in changes if one.record_id == batch_id]
        of_jobs = [one for one in moves if one.values["batch_id"] == batch_id]
        moved = sum(one.deltas["images"] for one in of_batch)
        new_jobs = sum(one.deltas["num_jobs"] for one in of_batch)
        kinds = [one.kind for one in of_jobs]
        # Its list of jobs may show other ones than the batch counts, or not have been read.
        is_alike = new_jobs == kinds.count("entered") + kinds.count("returned") - kinds.count("left")
        gain, loss = max(moved, 0), max(-moved, 0)
        rise, fall = (sum(max(sign * one.deltas["images"], 0) for one in of_jobs) for sign in (1, -1))
        taken = loss if new_jobs > 0 and not is_alike else min(loss, rise)
        given = gain if new_jobs < 0 and not is_alike else min(gain, fall)
        flows["assigned"] += taken
        flows["unassigned"] += given
        lost += loss - taken
        if any(one.kind == "returned" for one in of_batch):
            flows["removed"] -= gain - given
        else:
            gained += gain - given
    moved = min(gained, lost)
    flows["removed"] += lost - moved
    return {**flows, "moved": moved, "intake": gained - moved}


def _work(moves: list[Change]) -> dict[str, int]:
    """Say how much further jobs have come; one made anew of its batch begins where the other ended."""
    done = dict.fromkeys(_DONE, 0)
    for batch_id in {one.values["batch_id"] for one in moves}:
        own = [one for one in moves if one.values["batch_id"] == batch_id]
        for name in _DONE:
            done[name] += sum(one.deltas[name] for one in own if one.kind == "changed")
            made = sum(one.deltas[name] for one in own if one.kind in ("entered", "left"))
            done[name] += max(made, 0)
    return done


def _rule(suspicion: str | None, examined: set[str], found: Any, denied: set[str]) -> str | None:
    """Say what stays suspect after the look-ups."""
    if examined & found:
        return "short_list"
    if suspicion and not (examined and examined <= denied):
        return "unconfirmed_loss"
    return None


def _loss_since(since: datetime | None, rule: str | None, at: datetime) -> datetime | None:
    if rule in ("empty_list", "large_loss", "unconfirmed_loss", "whole_workspace"):
        return since or at
    return None


def _expect(is_so: bool, what: str) -> None:  # noqa: FBT001 - an assertion with a message.
    if not is_so:
        raise UnexpectedError(what)
