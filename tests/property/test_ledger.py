"""Whatever happens at the source, and however its answers fail, the ledger says what a simple oracle says."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from etl.database import engine
from etl.guard import GuardRules
from etl.records import Slug
from etl.selection import ReadJobs
from etl.simulator import bodies
from etl.simulator.evolution import happen
from etl.simulator.faults import Fault
from etl.simulator.truth import job_truth, project_truth
from etl.store import PostgresLedger
from tests.logins import as_owner
from tests.property.oracle import BATCHES, JOBS, Change, Held, Kind, Listed, Observed, Oracle, Reply
from tests.property.replays import assert_replays
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from etl.simulator.project import Project
    from tests.conftest import NewDatabase

PATH: Final = "acme/cars"
LIST: Final = f"/{PATH}/batches"
JOB_LIST: Final = f"/{PATH}/jobs"
TABLES: Final = (
    *("look_up", "reject", "project_day", "batch_change", "batch", "job_change", "job", "observation"),
    *("payload", "claim", "run", "tick", "pause", "project"),
)

# What can happen between two runs, and during one.


@dataclass(frozen=True)
class Step:
    """The source evolves: so many random events, or all but some batches are deleted or restored."""

    kind: str
    seed: int
    count: int


@dataclass(frozen=True)
class Read:
    """
    Time passes, and a run reads; either list or the look-ups may be answered wrongly.

    The workspace may not list its projects, and an operator may accept whatever is absent.
    """

    minutes: int
    list_fault: str
    look_up_fault: str
    seed: int
    is_unlisted: bool = False
    is_accepting: bool = False
    jobs_fault: str = "none"


BROKEN: Final[dict[str, Fault]] = {
    "server error": Fault.status(500),
    "html": Fault.html(200),
    "error key": Fault.error_key(),
    "missing key": Fault.missing_key(),
    "truncated": Fault.truncated(),
    "not found": Fault.status(404),
}
LOOK_UP_FAULTS: Final[dict[str, Fault]] = {
    "server error": Fault.status(503),
    "missing scope": Fault.status(404, '{"error": {"message": "no", "type": "GraphMethodException"}}'),
    "empty object": Fault.literal("{}"),
    "denied": Fault.status(404),
}

_IS_READ: Final = {ReadJobs.AUTO: None, ReadJobs.ALWAYS: True, ReadJobs.NEVER: False}

Rows = list[dict[str, Any]]

COLUMNS: Final[dict[Kind, tuple[str, ...]]] = {
    BATCHES: ("name", "images", "num_jobs", "uploaded_at"),
    JOBS: (
        *("name", "status", "batch_id", "images", "annotated", "unannotated", "approved", "rejected"),
        *("labeler", "reviewer", "created_at"),
    ),
}


def _rng(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a reproducible story, not a secret.


def _some(rows: Rows, rng: Random) -> set[str]:
    return {row["id"] for row in rng.sample(rows, rng.randint(0, len(rows)))}


def _mend(rows: Rows, rng: Random, **fields: Any) -> Rows:
    chosen = _some(rows, rng)
    return [{**row, **fields} if row["id"] in chosen else row for row in rows]


def _without(rows: Rows, rng: Random) -> Rows:
    chosen = _some(rows, rng)
    return [row for row in rows if row["id"] not in chosen]


def _less(rows: Rows, rng: Random) -> Rows:
    left = {"id", "images", "numImages", "project"}
    chosen, key = _some(rows, rng), rng.choice([*sorted(rows[0].keys() - left)] if rows else [""])
    return [
        {name: value for name, value in row.items() if name != key} if row["id"] in chosen else row
        for row in rows
    ]


SHAPES: Final[dict[str, Callable[[Rows, Random], Rows]]] = {
    "empty": lambda _rows, _rng: [],
    "partial": _without,
    "shuffled": lambda rows, rng: rng.sample(rows, len(rows)),
    "unusable": lambda rows, rng: _mend(rows, rng, images=-1, numImages=-1),
    "unreadable": lambda rows, rng: _mend(rows, rng, id=None),
    "unusable and partial": lambda rows, rng: _without(
        _mend(rows, rng, images="many", numImages="many"), rng
    ),
    "a new field": lambda rows, rng: _mend(rows, rng, priority=rng.choice(("low", "high"))),
    "a field less": _less,
    "a known one unusable": lambda rows, rng: _mend(rows, rng, uploaded="yesterday", created="yesterday"),
}

steps = st.builds(
    Step,
    st.sampled_from(
        ("evolve", "evolve", "evolve", "upload", "rename", "delete", "delete", "restore", "trash")
    ),
    st.integers(0, 999),
    st.integers(1, 4),
)
reads = st.builds(
    Read,
    st.sampled_from((1, 5, 50, 65, 200, 1500, -90)),
    st.sampled_from(("none", "none", *SHAPES, *BROKEN)),
    st.sampled_from(("none", "none", *LOOK_UP_FAULTS)),
    st.integers(0, 5),
    st.sampled_from((False, False, True)),
    st.sampled_from((False, False, False, True)),
    st.sampled_from(("none", "none", *SHAPES, *BROKEN)),
)
histories = st.lists(st.tuples(st.lists(steps, max_size=2), reads), min_size=1, max_size=9)
rules = st.sampled_from(
    (
        GuardRules(max_loss_share=0.5, min_loss=3, max_lookups=2, hold=timedelta(hours=1)),
        GuardRules(max_loss_share=0.5, min_loss=5, max_lookups=20, hold=timedelta(hours=1)),
        GuardRules(max_loss_share=1.0, min_loss=1, max_lookups=1, hold=timedelta(0)),
    )
)


class Story:
    """A world, a ledger that follows it, and the oracle that is told of every answer."""

    def __init__(
        self,
        connection: psycopg.Connection,
        ledger: PostgresLedger,
        rules: GuardRules,
        *,
        has_etags: bool,
        read_jobs: ReadJobs = ReadJobs.AUTO,
    ) -> None:
        self.connection = connection
        self.ledger = ledger
        self.rules = rules
        self.read_jobs = read_jobs
        self.clock = FakeClock()
        self.world = a_world()
        self.source = WorldSource(self.world, self.clock, has_etags=has_etags)
        self.oracle = Oracle(rules, read_jobs=_IS_READ[read_jobs])
        self.is_trashed = False
        self.is_known = False

    @property
    def project(self) -> Project:
        return self.world.project(PATH)

    def evolve(self, step: Step) -> None:
        if step.kind == "trash":
            (self.world.restore if self.is_trashed else self.world.trash)(PATH)
            self.is_trashed = not self.is_trashed
        elif not self.is_trashed:
            _EVOLUTIONS[step.kind](self.project, _rng(step.seed), step.count, self.clock())

    def read(self, read: Read) -> None:
        self.clock.move(minutes=read.minutes)
        self._break(read)
        self.source.replies.clear()
        # Before its first observation a project that is not listed is not followed, and cannot be named.
        is_followed = self.is_known and not (self.is_trashed and not self.oracle.batches.trusted)
        accepting = self._accepting() if read.is_accepting and is_followed else {}
        report = a_run(
            self.ledger,
            [self.source],
            self.clock,
            rules=self.rules,
            read_jobs=self.read_jobs,
            **accepting,
        )
        self.source.faults.clear()
        if report.projects:
            self._tell_oracle(accepting, is_listed=not read.is_unlisted and not self.is_trashed)
            self.is_known = True

    def _accepting(self) -> dict[str, Any]:
        """Accept the absence of whatever is absent."""
        return {
            "trigger": "confirm",
            "only": (Slug(*PATH.split("/")),),
            "accepted": frozenset(self.oracle.batches.held),
            "accepted_jobs": frozenset(self.oracle.jobs.held),
        }

    def _break(self, read: Read) -> None:
        self._break_list(LIST, read.list_fault, read.seed)
        self._break_list(JOB_LIST, read.jobs_fault, read.seed + 1)
        if fault := LOOK_UP_FAULTS.get(read.look_up_fault):
            self.source.faults.add(fault, path=f"{LIST}/*", times=None)
            self.source.faults.add(fault, path=f"{JOB_LIST}/*", times=None)
        if read.is_unlisted:
            self.source.faults.add(Fault.status(500), path="/acme", times=None)

    def _break_list(self, path: str, name: str, seed: int) -> None:
        if fault := BROKEN.get(name):
            self.source.faults.add(fault, path=path, times=None)
        elif (shape := SHAPES.get(name)) and not self.is_trashed:
            of = path.rpartition("/")[2]
            rows = json.loads(getattr(bodies, of)(self.project))[of]
            body = json.dumps({of: shape(rows, _rng(seed))})
            self.source.faults.add(Fault.literal(body), path=path, times=None)

    def _tell_oracle(self, accepting: dict[str, Any], *, is_listed: bool) -> None:
        batches = self._reply(LIST, accepting.get("accepted", ()), is_listed=is_listed)
        jobs = self._reply(JOB_LIST, accepting.get("accepted_jobs", ()), is_listed=is_listed)
        is_asked = any(path == JOB_LIST for _, path, _ in self.source.replies)
        self.oracle.hears(batches, jobs if is_asked else None)

    def _reply(self, path: str, accepted: Collection[str], *, is_listed: bool) -> Reply:
        """Give what a list was answered with, and each look-up beside it."""
        by_path = {asked: (at, reply) for at, asked, reply in self.source.replies}
        at, reply = by_path.pop(path, (self.clock(), None))
        look_ups = {
            asked.rpartition("/")[2]: _status(found) if found.status != 200 else found.body
            for asked, (_, found) in by_path.items()
            if asked.startswith(f"{path}/") and found is not None
        }
        is_failed = reply is None or reply.status not in (200, 304)
        body = reply.body if reply is not None and reply.status == 200 else None
        return Reply(at, body, look_ups, is_failed, is_listed, accepted)

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode(), values).fetchall()

    def compare(self) -> None:
        """The tables say what the oracle says, and the books balance."""
        assert self.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []
        for listed in (self.oracle.batches, self.oracle.jobs):
            assert self._held(listed) == listed.held
            expected = sorted(listed.changes, key=lambda one: (one.observed_at, one.record_id))
            assert self._changes(listed.kind) == expected
        assert self._observations() == [_comparable(one) for one in self.oracle.observed]
        assert self._project() == self._expected_project()

    def _held(self, listed: Listed) -> dict[str, Held]:
        names, times = COLUMNS[listed.kind], [one.name for one in fields(Held)][1:]
        columns = [*names, *(one for one in times if one != "known_at")]
        rows = self.ask(f"SELECT {listed.kind.name}_id, {', '.join(columns)} FROM ledger.{listed.kind.name}")
        found = {}
        for key, *row in rows:
            told = dict(zip(columns, row, strict=True))
            values = {name: told.pop(name) for name in names}
            # The oracle's own; the ledger tells it by the next change.
            known = listed.held.get(key)
            found[key] = Held(values, known_at=known.known_at if known else datetime.now(UTC), **told)
        return found

    def _changes(self, kind: Kind) -> list[Change]:
        names, deltas = COLUMNS[kind], [f"{name}_delta" for name in kind.summed]
        rows = self.ask(
            f"SELECT {kind.name}_id, kind, observed_at, changed_after, {', '.join((*names, *deltas))} "
            f"FROM ledger.{kind.name}_change ORDER BY observed_at, {kind.name}_id"
        )
        return [
            Change(
                key,
                what,
                dict(zip(names, row, strict=False)),
                dict(zip(kind.summed, row[len(names) :], strict=True)),
                at,
                after,
            )
            for key, what, at, after, *row in rows
        ]

    def _observations(self) -> list[tuple[Any, ...]]:
        return self.ask(
            "SELECT verdict, rule, observed_at, previous_at, ARRAY[batches, images, num_jobs], "
            "ARRAY[batches_entered, batches_changed, batches_renamed, batches_left, batches_returned], "
            "ARRAY[images_delta, num_jobs_delta], jobs_verdict, jobs_rule, jobs_at, jobs_previous_at, "
            "coalesce(jobs_changes, 0), ARRAY[jobs, job_images, annotated, approved, rejected], "
            "ARRAY[coalesce(intake, 0), coalesce(moved, 0), coalesce(assigned, 0), coalesce(unassigned, 0), "
            "coalesce(removed, 0)], previous_at IS NULL AND intake IS NOT NULL, "
            "ARRAY[coalesce(annotated_work, 0), coalesce(approved_work, 0), coalesce(rejected_work, 0)], "
            "jobs_previous_at IS NULL AND annotated_work IS NOT NULL "
            "FROM ledger.observation ORDER BY observation_id"
        )

    def _project(self) -> tuple[Any, ...]:
        rows = self.ask(
            "SELECT batches, images, num_jobs, digest IS NOT NULL, loss_suspected_since, jobs, job_images, "
            "annotated, approved, rejected, jobs_digest IS NOT NULL, jobs_loss_suspected_since, jobs_since "
            "FROM ledger.project"
        )
        return rows[0] if rows else ()

    def _expected_project(self) -> tuple[Any, ...]:
        if not self.is_known:
            return ()
        batches, jobs = self.oracle.batches, self.oracle.jobs
        return (
            *(*batches.totals, batches.settled_body is not None, batches.loss_since),
            *(*jobs.totals, jobs.settled_body is not None, jobs.loss_since),
            next(iter(jobs.trusted), None),
        )

    def compare_views(self) -> None:
        for listed in (self.oracle.batches, self.oracle.jobs):
            self._compare_last_seen(listed)
            self._compare_history(listed)
        self._compare_days()
        self._compare_gaps()
        for at in self.oracle.batches.after:
            for instant in (at, at + timedelta(seconds=30)):
                self._compare_as_of(instant)
                self._compare_project_as_of(instant)
        for before, after in pairwise(self.oracle.batches.after):
            self._compare_diff(before, after)
        if self.oracle.batches.after:
            self._compare_diff(min(self.oracle.batches.after), max(self.oracle.batches.after))

    def _compare_last_seen(self, listed: Listed) -> None:
        name = listed.kind.name
        seen = dict(self.ask(f"SELECT {name}_id, last_seen_at FROM analytics.{name}"))
        for key, held in listed.held.items():
            last = held.present_at or held.unlisted_since or listed.last_trusted
            last = last if held.present_at else max(last or held.changed_at, held.changed_at)
            assert seen[key] == last

    def _compare_history(self, listed: Listed) -> None:
        expected = []
        for key in listed.held:
            own = [change for change in listed.changes if change.record_id == key]
            ends = [change.observed_at for change in own[1:]] + [None]
            expected += [
                (key, *one.values.values(), one.observed_at, end, one.changed_after)
                for one, end in zip(own, ends, strict=True)
                if one.kind != "left"
            ]
        told = self.ask(
            f"SELECT {listed.kind.name}_id, {', '.join(COLUMNS[listed.kind])}, valid_from, valid_to, "
            f"changed_after FROM analytics.{listed.kind.name}_history"
        )
        assert sorted(told, key=str) == sorted(expected, key=str)

    def _compare_days(self) -> None:
        names = list(self.oracle.day(self.clock().date()))
        until = self.clock().date() + timedelta(days=2)
        told = self.ask(
            f"SELECT day, {', '.join(names)} FROM analytics.project_daily WHERE day <= %s ORDER BY day", until
        )
        first = [one.at.date() for one in self.oracle.batches.told if one.totals is not None][:1]
        days = [day + timedelta(days=n) for day in first for n in range((until - day).days + 1)]
        assert [dict(zip(names, row, strict=True)) for _, *row in told] == [
            self.oracle.day(day) for day in days
        ]
        assert [day for day, *_ in told] == days

    def _compare_gaps(self) -> None:
        expected: dict[tuple[datetime | None, datetime | None], list[str]] = {}
        for one in self.oracle.batches.untrusted:
            ends = [
                at
                for at in self.oracle.batches.trusted
                if at > (one.previous_at or datetime.min.replace(tzinfo=UTC))
            ]
            reason = "failed" if one.verdict == "failed" else f"suspect: {one.rule}"
            expected.setdefault((one.previous_at, ends[0] if ends else None), []).append(reason)
        first = dict.fromkeys(self.ask("SELECT first_seen_at FROM ledger.project"))
        # Nobody follows what is not listed before its first observation. That is the only pause here; other
        # tests are about pauses.
        unfollowed = "project paused"
        told = {
            (None if (from_at,) in first else from_at, to_at): [
                reason.partition(": ")[0] if reason.startswith("failed") else reason
                for reason in reasons
                if reason != unfollowed
            ]
            for from_at, to_at, reasons in self.ask("SELECT from_at, to_at, reasons FROM analytics.gap")
            if reasons != [unfollowed]
        }
        # Each reason once, in the order in which they came.
        assert {stretch: list(dict.fromkeys(reasons)) for stretch, reasons in told.items()} == {
            stretch: list(dict.fromkeys(reasons)) for stretch, reasons in expected.items()
        }

    def _compare_project_as_of(self, at: datetime) -> None:
        """Its totals as believed then; and it was observed only if every batch of it was."""
        believed = self.oracle.batches.after[max(one for one in self.oracle.batches.after if one <= at)]
        there = [held for held in believed.values() if held.gone_at is None]
        told = self.ask("SELECT batches, images, num_jobs, knowledge FROM analytics.project_as_of(%s)", at)
        if not any(one <= at for one in self.oracle.batches.after if self.oracle.batches.totals_at[one]):
            # With a clock that was put back, the attempt may lie before the project became known.
            assert told in ([], [(None, None, None, "unknown")])
            return
        ((batches, images, num_jobs, knowledge),) = told
        sums = (len(there), *(sum(one.number(name) for one in there) for name in ("images", "num_jobs")))
        assert (batches, images, num_jobs) == sums
        if knowledge == "observed":
            there_then = {key: held for key, held in believed.items() if held.gone_at is None}
            assert all(self._was_observed(key, held, at) for key, held in there_then.items())
        is_settled = not any(one.missing_since or one.unlisted_since or one.carried_since for one in there)
        assert (knowledge == "observed") >= (at in self.oracle.batches.trusted and is_settled)

    def _compare_diff(self, before: datetime, after: datetime) -> None:
        """Whatever lies between two instants, the changes add up to how far the totals moved."""
        moved = self.ask(
            "SELECT coalesce(sum(images_delta), 0), coalesce(sum(num_jobs_delta), 0), "
            "count(*) FILTER (WHERE change IN ('entered', 'returned')) "
            "- count(*) FILTER (WHERE change = 'left') "
            "FROM analytics.batch_diff(%s, %s, NULL, NULL)",
            before,
            after,
        )
        was, now = (self.oracle.batches.totals_at[one] or (0, 0, 0) for one in (before, after))
        assert moved == [(now[1] - was[1], now[2] - was[2], now[0] - was[0])]

    def _compare_as_of(self, at: datetime) -> None:
        """Values as believed then; and it was observed only if somebody had looked."""
        instants = [one for one in self.oracle.batches.after if one <= at]
        believed = self.oracle.batches.after[instants[-1]]
        rows = self.ask(
            "SELECT batch_id, name, images, num_jobs, uploaded_at, knowledge, observed_before, "
            "observed_after FROM analytics.batch_as_of(%s)",
            at,
        )
        told = {row[0]: row for row in rows}
        for key, held in believed.items():
            _, *values, knowledge, before, after = told.pop(key)
            if held.gone_at:
                assert knowledge in ("gone", "unknown")
                continue
            assert values[:3] == [*held.values.values()][:3]
            assert knowledge in ("observed", "carried")
            if knowledge == "observed":
                assert self._was_observed(key, held, at)
            assert before == max((one for one in self.oracle.batches.trusted if one <= at), default=None)
            assert after == min((one for one in self.oracle.batches.trusted if one > at), default=None)
        assert {row[5] for row in told.values()} <= {"unknown"}

    def _was_observed(self, batch_id: str, held: Held, at: datetime) -> bool:
        """Its values were read at that moment, or before and after with no failed attempt in between."""
        reads = self.oracle.batches.reads[batch_id]
        if any(read_at == at for read_at, _ in reads):
            return True
        before = [values for read_at, values in reads if read_at < at]
        after = [values for read_at, values in reads if read_at > at]
        if not before or not after or before[-1] != held.values or after[0] != held.values:
            return False
        since = max((one for one in self.oracle.batches.trusted if one <= at), default=None)
        until = min((one for one in self.oracle.batches.trusted if one > at), default=None)
        if since == at:
            return True
        return (
            since is not None
            and until is not None
            and not any(since < one.at < until for one in self.oracle.batches.untrusted)
        )

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row with its place and version, so that a row written anew differs."""
        return {
            table: self.ask(f"SELECT ctid, xmin, one FROM ledger.{table} AS one ORDER BY ctid")
            for table in TABLES
            if table not in ("run", "observation", "claim")
        }

    def ends_well(self) -> None:
        """Once the source is healthy for as long as the rules need, the ledger is the truth."""
        if self.is_trashed:
            self.evolve(Step("trash", 0, 0))
        lists = (self.oracle.batches, self.oracle.jobs)
        hidden = sum(1 for listed in lists for one in listed.held.values() if one.unlisted_since)
        for nth in range(5 + hidden):
            self.project.upload(images=nth + 1)
            self.read(Read(61, "none", "none", 0))
            if self._is_the_truth():
                return
        raise AssertionError("a healthy source is not believed")

    def _is_the_truth(self) -> bool:
        truth = {
            key: {
                "name": one.name,
                "images": one.images,
                "num_jobs": one.num_jobs,
                "uploaded_at": one.uploaded_at,
            }
            for key, one in project_truth(self.project).batches.items()
        }
        return _is_told(self.oracle.batches, truth) and (self._has_no_jobs() or self._are_jobs_the_truth())

    def _has_no_jobs(self) -> bool:
        """Say whether there is nothing that would let anybody ask for jobs."""
        batches = project_truth(self.project)
        is_bare = not batches.num_jobs and not self.oracle.jobs.trusted
        return self.read_jobs is ReadJobs.NEVER or (self.read_jobs is ReadJobs.AUTO and is_bare)

    def _are_jobs_the_truth(self) -> bool:
        truth = {}
        for key, one in job_truth(self.project).items():
            truth[key] = structs.asdict(one)
            truth[key]["images"] = truth[key].pop("num_images")
        return _is_told(self.oracle.jobs, truth)

    def stays_as_it_is(self) -> None:
        """A run over what has not changed writes one observation and touches no other row."""
        tables, before = self.tables(), len(self._observations())
        self.read(Read(5, "none", "none", 0))
        assert self.tables() == tables
        assert [one[0] for one in self._observations()[before:]] == ["unchanged"]


def _comparable(one: Observed) -> tuple[Any, ...]:
    """Give an observation as the table tells it."""
    batches, jobs = one.batches, one.jobs
    kinds = ("entered", "changed", "renamed", "left", "returned")
    return (
        *(batches.verdict, batches.rule, batches.at, batches.previous_at),
        [*(batches.totals or [None] * 3)],
        [batches.kinds.get(kind, 0) for kind in kinds],
        [*batches.deltas.values()],
        *((jobs.verdict, jobs.rule, jobs.at, jobs.previous_at) if jobs else [None] * 4),
        sum(jobs.kinds.values()) if jobs else 0,
        [*(one.jobs_totals or [None] * 5)],
        [*one.flows.values()] if one.flows else [0] * 5,
        False,
        [*one.work.values()] if one.work else [0] * 3,
        False,
    )


def _is_told(listed: Listed, truth: dict[str, dict[str, Any]]) -> bool:
    there = listed.there
    is_settled = not any(
        one.missing_since or one.unlisted_since or one.carried_since for one in there.values()
    )
    return is_settled and truth == {
        key: {name: held.values[name] for name in truth.get(key, ())} for key, held in there.items()
    }


def _status(reply: Any) -> int:
    return 403 if b"GraphMethodException" in reply.body else reply.status


def _evolve(project: Project, rng: Random, count: int, at: datetime) -> None:
    for _ in range(count):
        happen(project, rng, at)


def _upload(project: Project, _rng: Random, count: int, at: datetime) -> None:
    project.upload(images=count, at=at)


def _delete(project: Project, rng: Random, count: int, _at: datetime) -> None:
    keep = 0 if count == 4 else len(project.batches) - count
    for batch_id in rng.sample(list(project.batches), max(0, len(project.batches) - max(0, keep))):
        project.delete(batch_id)


def _restore(project: Project, rng: Random, count: int, _at: datetime) -> None:
    for batch_id in rng.sample(list(project.deleted), min(count, len(project.deleted))):
        project.restore(batch_id)


def _rename(project: Project, rng: Random, count: int, _at: datetime) -> None:
    for batch_id in rng.sample(list(project.batches), min(count, len(project.batches))):
        project.rename(batch_id, f"checked {count}")


_EVOLUTIONS: Final[dict[str, Callable[[Project, Random, int, datetime], None]]] = {
    "evolve": _evolve,
    "upload": _upload,
    "delete": _delete,
    "restore": _restore,
    "rename": _rename,
}


@pytest.fixture(scope="module")
def place(new_database: NewDatabase) -> Iterator[tuple[psycopg.Connection, PostgresLedger]]:
    """Give one database for all examples, and a connection that looks into it and empties it."""
    with new_database() as uri, psycopg.connect(as_owner(uri), autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connections = engine(uri)
        yield connection, PostgresLedger(connections, host="here", version="test")
        connections.dispose()


@pytest.mark.timeout(7200)  # For the profile that tries many.
@settings(max_examples=2 * settings().max_examples)
@given(history=histories, rules=rules, has_etags=st.booleans(), read_jobs=st.sampled_from(ReadJobs))
# A batch that is missing, and then shown without usable values.
@example(
    history=[
        ([Step("evolve", 0, 3)], Read(1, "none", "none", 0)),
        ([Step("delete", 0, 3)], Read(1, "none", "none", 0)),
        ([Step("evolve", 1, 2), Step("restore", 0, 1)], Read(1, "unusable", "none", 0)),
    ],
    rules=GuardRules(max_loss_share=0.5, min_loss=3, max_lookups=2, hold=timedelta(hours=1)),
    has_etags=False,
    read_jobs=ReadJobs.AUTO,
)
# Jobs that cannot be read beside batches that are read anew.
@example(
    history=[
        ([], Read(1, "none", "none", 0)),
        ([], Read(5, "a new field", "none", 0, jobs_fault="error key")),
    ],
    rules=GuardRules(),
    has_etags=False,
    read_jobs=ReadJobs.ALWAYS,
)
def test_the_ledger_says_what_the_oracle_says(
    place: tuple[psycopg.Connection, PostgresLedger],
    history: list[tuple[list[Step], Read]],
    rules: GuardRules,
    *,
    has_etags: bool,
    read_jobs: ReadJobs,
) -> None:
    connection, ledger = place
    for table in TABLES:
        connection.execute(f"DELETE FROM ledger.{table}".encode())
    story = Story(connection, ledger, rules, has_etags=has_etags, read_jobs=read_jobs)
    for happenings, read in history:
        for step in happenings:
            story.evolve(step)
        story.read(read)
        story.compare()
    story.compare_views()
    story.ends_well()
    story.stays_as_it_is()
    story.compare()
    story.compare_views()
    (replayed,) = assert_replays(connection)
    assert replayed.obstacle is None
