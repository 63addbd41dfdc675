"""
What the ledger must say of one project, kept in plain dictionaries and told in plain loops.

Written from the design and the guard's rules, not from the SQL, so that the two can disagree.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from etl.guard import GuardRules

_DOCUMENTED = ("id", "name", "images", "numJobs", "uploaded")


@dataclass
class Held:
    """One batch as believed. `known_at` is the last time at which these values were known to be so."""

    name: str | None
    images: int
    num_jobs: int | None
    uploaded_at: datetime | None
    extra: dict[str, Any] | None
    first_seen_at: datetime
    changed_at: datetime
    known_at: datetime
    missing_since: datetime | None = None
    present_at: datetime | None = None
    unlisted_since: datetime | None = None
    carried_since: datetime | None = None
    gone_at: datetime | None = None

    @property
    def values(self) -> tuple[object, ...]:
        return (self.name, self.images, self.num_jobs, self.uploaded_at)


@dataclass(frozen=True)
class Change:
    batch_id: str
    kind: str
    name: str | None
    images: int
    num_jobs: int | None
    uploaded_at: datetime | None
    images_delta: int
    num_jobs_delta: int
    observed_at: datetime
    changed_after: datetime | None


@dataclass(frozen=True)
class Told:
    """One observation, and what was believed after it."""

    verdict: str
    rule: str | None
    observed_at: datetime
    previous_at: datetime | None
    totals: tuple[int, int, int] | None
    kinds: tuple[int, int, int, int, int]
    deltas: tuple[int, int]


@dataclass(frozen=True)
class Row:
    """A usable record of the source."""

    batch_id: str
    name: str | None
    images: int
    num_jobs: int | None
    uploaded_at: datetime | None
    extra: dict[str, Any] | None


@dataclass(frozen=True)
class Page:
    """A readable list: its usable rows, ids of unusable ones, and whether one has not even an id."""

    rows: tuple[Row, ...]
    unusable: frozenset[str]
    has_unreadable: bool

    @property
    def present(self) -> frozenset[str]:
        return frozenset(row.batch_id for row in self.rows) | self.unusable


@dataclass(frozen=True)
class _Case:
    """What else bears on an answer: is the project listed, and what did an operator accept?"""

    is_listed: bool
    accepted: frozenset[str]


class UnexpectedError(AssertionError):
    """The run did something that no rule asks for."""


@dataclass
class Oracle:
    """Told of every answer that a run got, it says what the ledger holds."""

    rules: GuardRules
    batches: dict[str, Held] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    after: dict[datetime, dict[str, Held]] = field(default_factory=dict)
    reads: dict[str, list[tuple[datetime, tuple[object, ...]]]] = field(default_factory=dict)
    settled_body: bytes | None = None
    loss_since: datetime | None = None

    # What is believed

    @property
    def totals(self) -> tuple[int, int, int]:
        there = [held for held in self.batches.values() if held.gone_at is None]
        return (len(there), sum(one.images for one in there), sum(one.num_jobs or 0 for one in there))

    @property
    def trusted(self) -> list[datetime]:
        return [one.observed_at for one in self.told if one.verdict in ("changed", "unchanged")]

    @property
    def last_trusted(self) -> datetime | None:
        return self.trusted[-1] if self.trusted else None

    @property
    def totals_at(self) -> dict[datetime, tuple[int, int, int] | None]:
        """What was believed after each observation; None before the first readable one."""
        return {one.observed_at: one.totals for one in self.told}

    @property
    def untrusted(self) -> list[Told]:
        return [one for one in self.told if one.verdict in ("failed", "suspect")]

    def days(self) -> dict[date, tuple[int, ...]]:
        """Roll up the changes: totals at the day's end, deltas, entered, left."""
        ends: dict[date, tuple[int, ...]] = {}
        totals = (0, 0, 0)
        for change in self.changes:
            day = change.observed_at.astimezone(UTC).date()
            came = change.kind in ("entered", "returned")
            left = change.kind == "left"
            totals = (
                totals[0] + came - left,
                totals[1] + change.images_delta,
                totals[2] + change.num_jobs_delta,
            )
            before = ends.get(day, (0,) * 7)
            moved = (change.images_delta, change.num_jobs_delta, int(came), int(left))
            ends[day] = (*totals, *(a + b for a, b in zip(before[3:], moved, strict=True)))
        return ends

    # What happens

    def fails(self, at: datetime) -> None:
        """The list could not be read: nothing that is believed changes."""
        self._tell("failed", None, self._ordered(at), [])

    def answers(
        self,
        at: datetime,
        body: bytes | None,
        look_ups: Mapping[str, bytes | int],
        *,
        is_listed: bool = True,
        accepted: Collection[str] = (),
    ) -> None:
        """
        The list was answered, and so was each look-up.

        Args:
            at: When the list was complete.
            body: Its body; None: not changed since the last one that left nothing open.
            look_ups: The body of a batch that was found, or the status without one, by id.
            is_listed: Whether the workspace lists the project.
            accepted: Batches whose absence an operator accepts.
        """
        at = self._ordered(at)
        if not accepted and (body is None or body == self.settled_body):
            _expect(look_ups.keys() == set(), "nobody is asked about what has not changed")
            self._tell("unchanged", None, at, [])
            self._still_so(at)
            return
        page = read_page(body or b"")
        if page is None or body is None:
            _expect(look_ups.keys() == set(), "nobody is asked after an answer that cannot be read")
            self._tell("failed", None, at, [])
            return
        self._examine(at, page, look_ups, body, _Case(is_listed, frozenset(accepted)))

    def _examine(
        self, at: datetime, page: Page, look_ups: Mapping[str, bytes | int], body: bytes, case: _Case
    ) -> None:
        there = {key: held for key, held in self.batches.items() if held.gone_at is None}
        taken = (there.keys() - page.present) & case.accepted
        absent = {key: there[key] for key in there.keys() - page.present - taken}
        stale = {key for key, held in absent.items() if held.missing_since}
        hidden = {key for key, held in absent.items() if held.unlisted_since and not held.missing_since}
        lost = absent.keys() - stale - hidden
        judged = [one for key, one in there.items() if key not in taken]
        listed = sum(1 for one in judged if not one.missing_since and not one.unlisted_since)
        suspicion = self._suspicion(page, len(lost), len(stale | taken), listed)
        final = self._final(suspicion, at, is_listed=case.is_listed)
        groups = [] if final else [lost, stale, hidden]
        control = self._expect_questions(look_ups, groups, page)
        found = _found({key: answer for key, answer in look_ups.items() if key in absent})
        is_vouched = control is not None and bool(_found({control: look_ups[control]}))
        denied = {key for key in absent if look_ups.get(key) == 404 and is_vouched}
        rule = final or _rule(suspicion, (lost | stale) & look_ups.keys(), found.keys(), denied)
        if rule is None and (lost or stale) and control and look_ups[control] == 404:
            rule = "contradiction"
        gone = set() if rule else denied | stale | taken
        missing = set() if rule else lost - gone
        self.loss_since = _loss_since(self.loss_since, rule, at)
        changes = [*self._show(at, page, found, is_trusted=rule is None), *self._leave(at, gone)]
        for key in missing:
            self._miss(at, self.batches[key])
        self.settled_body = None if rule or missing else body
        verdict = "suspect" if rule else "changed" if changes else "unchanged"
        self._tell(verdict, rule, at, changes)

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
            held = self.batches.get(row.batch_id)
            is_listed = row.batch_id not in found
            unlisted_since = None if is_listed else (held and held.unlisted_since) or at
            if change := self._compare(at, row, held):
                changes.append(change)
            changed_at = at if change or not held else held.changed_at
            known_at = at if change or is_trusted else self.last_trusted or at
            if unlisted_since and not change:
                known_at = unlisted_since
            self.batches[row.batch_id] = Held(
                name=row.name,
                images=row.images,
                num_jobs=row.num_jobs,
                uploaded_at=row.uploaded_at,
                extra=row.extra,
                first_seen_at=held.first_seen_at if held else at,
                changed_at=changed_at,
                known_at=max(known_at, changed_at),
                unlisted_since=unlisted_since,
            )
            self.reads.setdefault(row.batch_id, []).append((at, self.batches[row.batch_id].values))
        for key in page.unusable - {row.batch_id for row in page.rows}:
            self._carry(at, self.batches.get(key))
        return changes

    def _compare(self, at: datetime, row: Row, held: Held | None) -> Change | None:
        kind, after = self._kind(row, held)
        if kind is None:
            return None
        return Change(
            row.batch_id,
            kind,
            row.name,
            row.images,
            row.num_jobs,
            row.uploaded_at,
            row.images - (held.images if held else 0),
            (row.num_jobs or 0) - ((held.num_jobs or 0) if held else 0),
            at,
            after,
        )

    def _kind(self, row: Row, held: Held | None) -> tuple[str | None, datetime | None]:
        if held is None:
            return "entered", self.last_trusted
        if held.gone_at:
            return "returned", max(held.gone_at, self.last_trusted or held.gone_at)
        numbers = (row.images, row.num_jobs, row.uploaded_at)
        if numbers != (held.images, held.num_jobs, held.uploaded_at):
            return "changed", held.known_at
        return ("renamed", held.known_at) if row.name != held.name else (None, None)

    def _carry(self, at: datetime, held: Held | None) -> None:
        """It is there, but nothing more can be told; so its values are known only as of their last change."""
        if held is None or held.gone_at:
            return
        held.carried_since = held.carried_since or at
        held.known_at = held.changed_at
        held.missing_since = held.present_at = held.unlisted_since = None

    def _miss(self, at: datetime, held: Held) -> None:
        held.present_at = held.present_at or self._last_presence(held)
        held.missing_since = held.missing_since or at

    def _leave(self, at: datetime, gone: set[str]) -> list[Change]:
        changes = []
        for key in gone:
            held = self.batches[key]
            change = Change(
                key,
                "left",
                held.name,
                0,
                0,
                held.uploaded_at,
                -held.images,
                -(held.num_jobs or 0),
                at,
                held.known_at,
            )
            changes.append(change)
            self._miss(at, held)
            held.images = held.num_jobs = 0
            held.changed_at = held.known_at = held.gone_at = at
            held.unlisted_since = held.carried_since = None
        return changes

    def _last_presence(self, held: Held) -> datetime:
        if held.unlisted_since:
            return max(held.unlisted_since, held.changed_at)
        return max(self.last_trusted or held.changed_at, held.changed_at)

    def _still_so(self, at: datetime) -> None:
        """The list is as it was: what it shows is known to be so, and nothing else is."""
        for key, held in self.batches.items():
            if not (held.gone_at or held.unlisted_since or held.carried_since):
                held.known_at = at
                self.reads.setdefault(key, []).append((at, held.values))

    def _ordered(self, at: datetime) -> datetime:
        """Observations of a project are in order, whatever the clock does."""
        return max(at, self.told[-1].observed_at + timedelta(microseconds=1)) if self.told else at

    def _tell(self, verdict: str, rule: str | None, at: datetime, changes: list[Change]) -> None:
        kinds = [change.kind for change in changes]
        is_known = verdict != "failed" or self.last_trusted is not None
        self.told.append(
            Told(
                verdict,
                rule,
                at,
                self.last_trusted,
                self.totals if is_known else None,
                (
                    kinds.count("entered"),
                    kinds.count("changed"),
                    kinds.count("renamed"),
                    kinds.count("left"),
                    kinds.count("returned"),
                ),
                (
                    sum(change.images_delta for change in changes),
                    sum(change.num_jobs_delta for change in changes),
                ),
            )
        )
        self.changes += changes
        self.after[at] = {key: copy(held) for key, held in self.batches.items()}


def read_page(body: bytes) -> Page | None:
    """Read a list as documented; None if it is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    records = document.get("batches") if isinstance(document, dict) else None
    if not isinstance(records, list):
        return None
    ids = [record.get("id") for record in records]
    rows = [row for record in records if (row := read_row(record))]
    usable = {row.batch_id for row in rows}
    return Page(
        tuple(rows), frozenset(key for key in ids if key and key not in usable), any(not key for key in ids)
    )


def read_row(record: dict[str, Any]) -> Row | None:
    """Read one record; None if it cannot be used."""
    images = record.get("images")
    if not record.get("id") or not isinstance(images, int) or images < 0:
        return None
    uploaded = record.get("uploaded")
    if not isinstance(uploaded, dict | None):
        return None
    extra = {key: value for key, value in record.items() if key not in _DOCUMENTED}
    return Row(
        record["id"],
        record.get("name"),
        images,
        record.get("numJobs"),
        _time(uploaded["_seconds"], uploaded["_nanoseconds"]) if uploaded else None,
        extra or None,
    )


def _time(seconds: int, nanoseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)


def _found(look_ups: Mapping[str, bytes | int]) -> dict[str, Row]:
    rows = {
        key: read_row(json.loads(answer)) for key, answer in look_ups.items() if isinstance(answer, bytes)
    }
    return {key: row for key, row in rows.items() if row}


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
