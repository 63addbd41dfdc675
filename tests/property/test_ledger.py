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
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.database import engine
from etl.guard import GuardRules
from etl.records import Slug
from etl.simulator import bodies
from etl.simulator.evolution import happen
from etl.simulator.faults import Fault
from etl.simulator.truth import project_truth
from etl.store import PostgresLedger
from tests.logins import as_owner
from tests.property.oracle import Change, Held, Oracle, Told
from tests.property.replays import assert_replays
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from etl.simulator.project import Project
    from tests.conftest import NewDatabase

PATH: Final = "acme/cars"
LIST: Final = f"/{PATH}/batches"
LOOK_UPS: Final = f"/{PATH}/batches/*"
TABLES: Final = (
    *("look_up", "reject", "project_day", "batch_change", "batch", "observation", "payload", "claim", "run"),
    *("tick", "pause", "project"),
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
    Time passes, and a run reads; the list or the look-ups may be answered wrongly.

    The workspace may not list its projects, and an operator may accept whatever is absent.
    """

    minutes: int
    list_fault: str
    look_up_fault: str
    seed: int
    is_unlisted: bool = False
    is_accepting: bool = False


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

Rows = list[dict[str, Any]]


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
    chosen, key = _some(rows, rng), rng.choice(("name", "numJobs", "uploaded"))
    return [
        {name: value for name, value in row.items() if name != key} if row["id"] in chosen else row
        for row in rows
    ]


SHAPES: Final[dict[str, Callable[[Rows, Random], Rows]]] = {
    "empty": lambda _rows, _rng: [],
    "partial": _without,
    "shuffled": lambda rows, rng: rng.sample(rows, len(rows)),
    "unusable": lambda rows, rng: _mend(rows, rng, images=-1),
    "unreadable": lambda rows, rng: _mend(rows, rng, id=None),
    "unusable and partial": lambda rows, rng: _without(_mend(rows, rng, images="many"), rng),
    "a new field": lambda rows, rng: _mend(rows, rng, status=rng.choice(("active", "done"))),
    "a field less": _less,
    "a known batch unusable": lambda rows, rng: _mend(rows, rng, uploaded="yesterday"),
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
        self, connection: psycopg.Connection, ledger: PostgresLedger, rules: GuardRules, *, has_etags: bool
    ) -> None:
        self.connection = connection
        self.ledger = ledger
        self.rules = rules
        self.clock = FakeClock()
        self.world = a_world()
        self.source = WorldSource(self.world, self.clock, has_etags=has_etags)
        self.oracle = Oracle(rules)
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
        is_followed = self.is_known and not (self.is_trashed and not self.oracle.trusted)
        accepting = self._accepting() if read.is_accepting and is_followed else {}
        report = a_run(self.ledger, [self.source], self.clock, rules=self.rules, **accepting)
        self.source.faults.clear()
        if report.projects:
            is_listed = not read.is_unlisted and not self.is_trashed
            self._tell_oracle(is_listed=is_listed, accepted=accepting.get("accepted", ()))
            self.is_known = True

    def _accepting(self) -> dict[str, Any]:
        """Accept the absence of whatever is absent."""
        return {
            "trigger": "confirm",
            "only": (Slug(*PATH.split("/")),),
            "accepted": frozenset(self.oracle.batches),
        }

    def _break(self, read: Read) -> None:
        faults = self.source.faults
        if fault := BROKEN.get(read.list_fault):
            faults.add(fault, path=LIST, times=None)
        elif (shape := SHAPES.get(read.list_fault)) and not self.is_trashed:
            rows = json.loads(bodies.batches(self.project))["batches"]
            body = json.dumps({"batches": shape(rows, _rng(read.seed))})
            faults.add(Fault.literal(body), path=LIST, times=None)
        if fault := LOOK_UP_FAULTS.get(read.look_up_fault):
            faults.add(fault, path=LOOK_UPS, times=None)
        if read.is_unlisted:
            faults.add(Fault.status(500), path="/acme", times=None)

    def _tell_oracle(self, *, is_listed: bool, accepted: Collection[str]) -> None:
        by_path = {path: (at, reply) for at, path, reply in self.source.replies}
        at, reply = by_path.pop(LIST, (self.clock(), None))
        if reply is None or reply.status not in (200, 304):
            self.oracle.fails(at)
            return
        look_ups = {
            path.rpartition("/")[2]: reply.body if reply.status == 200 else reply.status
            for path, (_, reply) in by_path.items()
            if path.startswith(f"{LIST}/") and reply is not None
        }
        for batch_id, answer in look_ups.items():
            if isinstance(answer, int) and _is_scope(by_path[f"{LIST}/{batch_id}"][1]):
                look_ups[batch_id] = 403
        body = reply.body if reply.status == 200 else None
        self.oracle.answers(at, body, look_ups, is_listed=is_listed, accepted=accepted)

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode(), values).fetchall()

    def compare(self) -> None:
        """The tables say what the oracle says, and the books balance."""
        assert self.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []
        assert self._batches() == self.oracle.batches
        assert self._changes() == sorted(self.oracle.changes, key=lambda one: (one.observed_at, one.batch_id))
        assert self._observations() == self.oracle.told
        assert self._project() == self._expected_project()

    def _batches(self) -> dict[str, Held]:
        columns = [one.name for one in fields(Held) if one.name != "known_at"]
        rows = self.ask(f"SELECT batch_id, {', '.join(columns)} FROM ledger.batch")
        return {
            key: Held(**dict(zip(columns, row, strict=True)), known_at=self._known_at(key))
            for key, *row in rows
        }

    def _known_at(self, batch_id: str) -> datetime:
        """The oracle's own; the ledger tells it by the next change."""
        held = self.oracle.batches.get(batch_id)
        return held.known_at if held else datetime.now(UTC)

    def _changes(self) -> list[Change]:
        columns = ", ".join(one.name for one in fields(Change))
        rows = self.ask(f"SELECT {columns} FROM ledger.batch_change ORDER BY observed_at, batch_id")
        return [Change(*row) for row in rows]

    def _observations(self) -> list[Told]:
        rows = self.ask(
            "SELECT verdict, rule, observed_at, previous_at, batches, images, num_jobs, batches_entered, "
            "batches_changed, batches_renamed, batches_left, batches_returned, images_delta, num_jobs_delta "
            "FROM ledger.observation ORDER BY observation_id"
        )
        return [
            Told(
                verdict,
                rule,
                observed_at,
                previous_at,
                None if numbers[0] is None else (numbers[0], numbers[1], numbers[2]),
                (numbers[3], numbers[4], numbers[5], numbers[6], numbers[7]),
                (numbers[8], numbers[9]),
            )
            for verdict, rule, observed_at, previous_at, *numbers in rows
        ]

    def _project(self) -> tuple[Any, ...]:
        rows = self.ask(
            "SELECT batches, images, num_jobs, digest IS NOT NULL, loss_suspected_since FROM ledger.project"
        )
        return rows[0] if rows else ()

    def _expected_project(self) -> tuple[Any, ...]:
        oracle = self.oracle
        if not self.is_known:
            return ()
        return (*oracle.totals, oracle.settled_body is not None, oracle.loss_since)

    def compare_views(self) -> None:
        self._compare_batch_view()
        self._compare_history()
        self._compare_days()
        self._compare_gaps()
        for at in self.oracle.after:
            for instant in (at, at + timedelta(seconds=30)):
                self._compare_as_of(instant)
                self._compare_project_as_of(instant)
        for before, after in pairwise(self.oracle.after):
            self._compare_diff(before, after)
        if self.oracle.after:
            self._compare_diff(min(self.oracle.after), max(self.oracle.after))

    def _compare_batch_view(self) -> None:
        seen = dict(self.ask("SELECT batch_id, last_seen_at FROM analytics.batch"))
        for key, held in self.oracle.batches.items():
            last = held.present_at or held.unlisted_since or self.oracle.last_trusted
            last = last if held.present_at else max(last or held.changed_at, held.changed_at)
            assert seen[key] == last

    def _compare_history(self) -> None:
        expected = []
        for key in self.oracle.batches:
            own = [change for change in self.oracle.changes if change.batch_id == key]
            ends = [change.observed_at for change in own[1:]] + [None]
            expected += [
                (key, one.name, one.images, one.num_jobs, one.observed_at, end, one.changed_after)
                for one, end in zip(own, ends, strict=True)
                if one.kind != "left"
            ]
        told = self.ask(
            "SELECT batch_id, name, images, num_jobs, valid_from, valid_to, changed_after "
            "FROM analytics.batch_history"
        )
        assert sorted(told, key=str) == sorted(expected, key=str)

    def _compare_days(self) -> None:
        told = self.ask(
            "SELECT day, batches, images, num_jobs, images_delta, num_jobs_delta, batches_entered, "
            "batches_left, is_observed FROM analytics.project_daily WHERE day <= %s ORDER BY day",
            self.clock().date() + timedelta(days=2),
        )
        first = [one.observed_at for one in self.oracle.told if one.totals is not None][:1]
        days = self.oracle.days()
        observed = {at.date() for at in self.oracle.trusted}
        expected, totals = [], (0, 0, 0)
        day = first[0].date() if first else None
        while day and day <= self.clock().date() + timedelta(days=2):
            told_day = days.get(day, (*totals, 0, 0, 0, 0))
            totals = told_day[:3]  # type: ignore[assignment]
            expected.append((day, *told_day, day in observed))
            day += timedelta(days=1)
        assert told == expected

    def _compare_gaps(self) -> None:
        expected: dict[tuple[datetime | None, datetime | None], list[str]] = {}
        for one in self.oracle.untrusted:
            ends = [
                at for at in self.oracle.trusted if at > (one.previous_at or datetime.min.replace(tzinfo=UTC))
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
        believed = self.oracle.after[max(one for one in self.oracle.after if one <= at)]
        there = [held for held in believed.values() if held.gone_at is None]
        told = self.ask("SELECT batches, images, num_jobs, knowledge FROM analytics.project_as_of(%s)", at)
        if not any(one <= at for one in self.oracle.after if self.oracle.totals_at[one]):
            # With a clock that was put back, the attempt may lie before the project became known.
            assert told in ([], [(None, None, None, "unknown")])
            return
        ((batches, images, num_jobs, knowledge),) = told
        sums = (len(there), sum(one.images for one in there), sum(one.num_jobs or 0 for one in there))
        assert (batches, images, num_jobs) == sums
        if knowledge == "observed":
            there_then = {key: held for key, held in believed.items() if held.gone_at is None}
            assert all(self._was_observed(key, held, at) for key, held in there_then.items())
        is_settled = not any(one.missing_since or one.unlisted_since or one.carried_since for one in there)
        assert (knowledge == "observed") >= (at in self.oracle.trusted and is_settled)

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
        was, now = (self.oracle.totals_at[one] or (0, 0, 0) for one in (before, after))
        assert moved == [(now[1] - was[1], now[2] - was[2], now[0] - was[0])]

    def _compare_as_of(self, at: datetime) -> None:
        """Values as believed then; and it was observed only if somebody had looked."""
        instants = [one for one in self.oracle.after if one <= at]
        believed = self.oracle.after[instants[-1]]
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
            assert values[:3] == [held.name, held.images, held.num_jobs]
            assert knowledge in ("observed", "carried")
            if knowledge == "observed":
                assert self._was_observed(key, held, at)
            assert before == max((one for one in self.oracle.trusted if one <= at), default=None)
            assert after == min((one for one in self.oracle.trusted if one > at), default=None)
        assert {row[5] for row in told.values()} <= {"unknown"}

    def _was_observed(self, batch_id: str, held: Held, at: datetime) -> bool:
        """Its values were read at that moment, or before and after with no failed attempt in between."""
        reads = self.oracle.reads[batch_id]
        if any(read_at == at for read_at, _ in reads):
            return True
        before = [values for read_at, values in reads if read_at < at]
        after = [values for read_at, values in reads if read_at > at]
        if not before or not after or before[-1] != held.values or after[0] != held.values:
            return False
        since = max((one for one in self.oracle.trusted if one <= at), default=None)
        until = min((one for one in self.oracle.trusted if one > at), default=None)
        if since == at:
            return True
        return (
            since is not None
            and until is not None
            and not any(since < one.observed_at < until for one in self.oracle.untrusted)
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
        hidden = sum(1 for one in self.oracle.batches.values() if one.unlisted_since)
        for nth in range(5 + hidden):
            self.project.upload(images=nth + 1)
            self.read(Read(61, "none", "none", 0))
            if self._is_the_truth():
                return
        raise AssertionError("a healthy source is not believed")

    def _is_the_truth(self) -> bool:
        truth = {
            key: (one.name, one.images, one.num_jobs, one.uploaded_at)
            for key, one in project_truth(self.project).batches.items()
        }
        there = {key: held for key, held in self._batches().items() if held.gone_at is None}
        return {key: held.values for key, held in there.items()} == truth and not any(
            one.missing_since or one.unlisted_since or one.carried_since for one in there.values()
        )

    def stays_as_it_is(self) -> None:
        """A run over what has not changed writes one observation and touches no other row."""
        tables, observations = self.tables(), self._observations()
        self.read(Read(5, "none", "none", 0))
        assert self.tables() == tables
        assert [one.verdict for one in self._observations()[len(observations) :]] == ["unchanged"]


def _is_scope(reply: Any) -> bool:
    return b"GraphMethodException" in reply.body


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
@given(history=histories, rules=rules, has_etags=st.booleans())
def test_the_ledger_says_what_the_oracle_says(
    place: tuple[psycopg.Connection, PostgresLedger],
    history: list[tuple[list[Step], Read]],
    rules: GuardRules,
    *,
    has_etags: bool,
) -> None:
    connection, ledger = place
    for table in TABLES:
        connection.execute(f"DELETE FROM ledger.{table}".encode())
    story = Story(connection, ledger, rules, has_etags=has_etags)
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
