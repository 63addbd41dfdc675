"""Whatever has happened, to prune it changes no answer but how close to an instant somebody looked."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.database import connect, engine
from etl.ports import RunEnd
from etl.records import Moves, Observation, Project, ProjectState, Slug, Verdict
from etl.retention import Horizons, Pruned, preview, prune
from etl.settings import DatabaseSettings
from etl.store import PostgresLedger
from tests.answers import answers, assert_no_worse, moments
from tests.logins import as_owner
from tests.property.test_ledger import TABLES, Read, Step, Story, reads, rules, steps
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from etl.guard import GuardRules
    from tests.conftest import NewDatabase

LIMITS: Final = DatabaseSettings()


class Place(NamedTuple):
    """A database, a ledger in it, and a connection that looks into it and empties it."""

    pruner: Connection
    connection: psycopg.Connection
    ledger: PostgresLedger

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def empty(self) -> None:
        """Delete, for to truncate so many small tables takes many times as long."""
        self.connection.execute("; ".join(f"DELETE FROM ledger.{table}" for table in TABLES).encode())


@pytest.fixture(scope="module")
def place(new_database: NewDatabase) -> Iterator[Place]:
    """Give one database for all examples."""
    with (
        new_database() as uri,
        connect(uri) as pruner,
        psycopg.connect(as_owner(uri), autocommit=True) as connection,
    ):
        connection.execute("SET timezone = 'UTC'")
        connections = engine(uri)
        yield Place(pruner, connection, PostgresLedger(connections, host="here", version="test"))
        connections.dispose()


@dataclass(frozen=True)
class Prune:
    """Observations of days that ended so many days ago are folded; bodies so many hours old are dropped."""

    days: int
    hours: int | None

    def old(self, now: datetime) -> Horizons:
        day = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=self.days)
        return Horizons(day, None if self.hours is None else now - timedelta(hours=self.hours))


# As in earnest nothing comes to pass any more in a day that is folded, though clocks are put back by hours.
prunes = st.builds(Prune, st.integers(1, 4), st.sampled_from((None, 0, 1, 20, 100)))


TRUSTED: Final = ("changed", "unchanged")


class Received(NamedTuple):
    """One observation, and which bodies it received: of batches, of jobs, of look-ups of either."""

    project_id: int
    observed_at: datetime
    verdict: str
    is_settled: bool | None
    digest: bytes | None
    jobs: int | None
    jobs_verdict: str | None
    jobs_settled: bool | None
    jobs_digest: bytes | None
    look_ups: list[bytes | None]

    @property
    def digests(self) -> set[bytes]:
        return {one for one in (self.digest, self.jobs_digest, *self.look_ups) if one is not None}

    @property
    def shows_all(self) -> bool:
        """Whether its bodies show all that is believed, so that nothing before is needed."""
        is_shown = self.verdict in TRUSTED and self.is_settled and self.digest is not None
        return bool(is_shown and self._shows_all_jobs)

    @property
    def _shows_all_jobs(self) -> bool:
        """Of jobs there may be nothing to show: none were ever read, or none are there."""
        if self.jobs is None:
            return True
        was_read = self.jobs_verdict in TRUSTED and self.jobs_digest is not None
        return bool(self.jobs_settled and (was_read or not self.jobs))


class Checked:
    """A ledger that is pruned now and then, and asked before and after."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.observed_ats = set[datetime]()

    def prune(self, chosen: Prune, now: datetime) -> Pruned:
        place, old = self.place, chosen.old(now)
        self.observed_ats |= {at for (at,) in place.ask("SELECT observed_at FROM ledger.observation")}
        instants, until = moments(self.observed_ats), now + timedelta(days=2)
        before = answers(place.connection, instants, until)
        promised = preview(place.pruner, old)
        with self._bodies_stay(old):
            pruned = prune(place.pruner, LIMITS, old, now=now)
        assert _rows(pruned) == _rows(promised)
        assert preview(place.pruner, old) == Pruned()
        assert_no_worse(answers(place.connection, instants, until), before)
        self._assert_folded(old)
        self._assert_that_what_went_before_is_there()
        return pruned

    @contextmanager
    def _bodies_stay(self, old: Horizons) -> Iterator[None]:
        """From the last settled answer of that time on, each body that was there still is; and no other."""
        needed = self._needed(old.payloads)
        before = self._bodies()
        yield
        assert self._bodies() == before & needed

    def _bodies(self) -> set[bytes]:
        return {
            digest for (digest,) in self.place.ask("SELECT digest FROM ledger.payload WHERE body IS NOT NULL")
        }

    def _needed(self, until: datetime | None) -> set[bytes]:
        """Walk through each project's observations; what was needed before a settled answer is forgotten."""
        needed = dict[int, set[bytes]]()
        for one in self._received():
            if one.shows_all and until and one.observed_at <= until:
                needed[one.project_id] = set()
            needed.setdefault(one.project_id, set()).update(one.digests)
        return set().union(*needed.values())

    def _received(self) -> list[Received]:
        rows = self.place.ask(
            "SELECT project_id, observed_at, verdict, is_settled, digest, jobs, jobs_verdict, jobs_settled, "
            "jobs_digest, ARRAY(SELECT digest FROM ledger.look_up WHERE look_up.observation_id = "
            "observation.observation_id) FROM ledger.observation ORDER BY project_id, observed_at"
        )
        return [Received(*row) for row in rows]

    def _assert_folded(self, old: Horizons) -> None:
        """No two neighbours of an old day are alike, in what became of batches and of jobs."""
        rows = self.place.ask(
            "SELECT observed_at, (verdict IN ('failed', 'skipped') OR (verdict = 'unchanged' "
            "AND parse_ms IS NULL AND gap_reasons IS NULL)) AND jobs_changes IS NULL "
            "AND ended_at IS NOT NULL, project_id, date_trunc('day', observed_at, 'UTC'), "
            "date_trunc('day', jobs_at, 'UTC'), verdict, error_class, rule, jobs_verdict, jobs_error_class "
            "FROM ledger.observation JOIN ledger.run USING (run_id) "
            "WHERE observed_at < %s AND rule IS DISTINCT FROM 'held' ORDER BY project_id, observed_at",
            old.unchanged,
        )
        for (at, is_foldable, *one), (next_at, is_next_foldable, *other) in pairwise(rows):
            assert not (is_foldable and is_next_foldable and one == other and at < next_at), (at, one)

    def _assert_that_what_went_before_is_there(self) -> None:
        """But for what another host skipped in the middle of a span."""
        assert (
            self.place.ask(
                "SELECT observation_id FROM ledger.observation WHERE rule IS DISTINCT FROM 'held' AND ("
                "previous_at IS NOT NULL AND NOT EXISTS (SELECT FROM ledger.observation AS before "
                "WHERE before.project_id = observation.project_id "
                "AND before.verdict IN ('changed', 'unchanged') "
                "AND before.observed_at = observation.previous_at) "
                "OR jobs_previous_at IS NOT NULL AND NOT EXISTS (SELECT FROM ledger.observation AS before "
                "WHERE before.project_id = observation.project_id "
                "AND before.jobs_verdict IN ('changed', 'unchanged') "
                "AND before.jobs_at = observation.jobs_previous_at))"
            )
            == []
        )


def _rows(pruned: Pruned) -> list[int]:
    """Leave the bytes out: Postgres lays a row out in more than one way."""
    tallies = (pruned.observations, pruned.runs, pruned.ticks, pruned.payloads, pruned.rejects)
    return [tally.rows for tally in tallies]


# Answers of the source, of every kind


@dataclass(frozen=True)
class Quiet:
    """So many readings of what has not changed."""

    count: int
    minutes: int


quiets = st.builds(Quiet, st.integers(2, 6), st.sampled_from((15, 100, 500)))
acts = st.lists(st.one_of(steps, reads, quiets, quiets, prunes), min_size=3, max_size=14)


@pytest.mark.timeout(7200)
@settings(max_examples=settings().max_examples // 2)
@given(acts=acts, rules=rules, has_etags=st.booleans())
def test_pruning_a_history_of_answers_keeps_what_it_answers(
    place: Place,
    acts: list[Step | Read | Quiet | Prune],
    rules: GuardRules,
    *,
    has_etags: bool,
) -> None:
    place.empty()
    story = Story(place.connection, place.ledger, rules, has_etags=has_etags)
    checked = Checked(place)
    for act in [*acts, Quiet(3, 15), Prune(-1, 0)]:
        if isinstance(act, Step):
            story.evolve(act)
        elif isinstance(act, Prune):
            checked.prune(act, story.clock())
        else:
            one = act if isinstance(act, Read) else Read(act.minutes, "none", "none", 0)
            for _ in range(act.count if isinstance(act, Quiet) else 1):
                story.read(one)
                for listed in (story.oracle.batches, story.oracle.jobs):
                    assert story._held(listed) == listed.held  # noqa: SLF001
    assert story._project() == story._expected_project()  # noqa: SLF001


# What happens around the readings


@dataclass(frozen=True)
class Happening:
    """Something befalls the projects, so many minutes after the last thing did."""

    what: str
    minutes: int
    project: int


WHAT: Final = (
    *("unchanged", "unchanged", "unchanged", "unchanged", "changed"),
    *("TransientError", "TransientError", "RefusedError", "stopped", "held", "held"),
    *("died", "died after one", "missed", "down", "paused", "resumed"),
)
happenings = st.builds(
    Happening, st.sampled_from(WHAT), st.sampled_from((0, 1, 15, 300, 1500)), st.integers(0, 1)
)


class Chronicle:
    """Two projects, and a ledger that is told of whatever befalls them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.clock = FakeClock()
        self.world = a_world(projects=2, batches=2)
        self.source = WorldSource(self.world, self.clock)
        self.slugs = sorted(Slug(*path.split("/")) for path in self.world.projects)
        a_run(place.ledger, [self.source], self.clock)

    def tell(self, one: Happening) -> None:
        self.clock.move(minutes=one.minutes)
        ledger, slug = self.place.ledger, self.slugs[one.project]
        if one.what in ("missed", "down"):
            ledger.note_tick(self.clock(), one.what, recorded_at=self.clock())
        elif one.what == "paused":
            ledger.untrack([ledger.projects()[slug].project_id], at=self.clock())
        elif one.what == "resumed":
            self._register()
        elif one.what == "changed":
            self.world.project(str(slug)).upload(images=1)
            a_run(ledger, [self.source], self.clock, trigger="schedule")
        else:
            self._record(slug, one.what)

    def _register(self) -> None:
        projects = [Project(slug) for slug in self.slugs]
        self.place.ledger.register(projects, at=self.clock(), max_ages_s={self.slugs[0]: 3600})

    def _record(self, slug: Slug, what: str) -> None:
        """Make a run that has one thing to say, and mostly comes to its end."""
        ledger = self.place.ledger
        run_id = ledger.begin_run(trigger="sync", started_at=self.clock())
        self.clock.move(seconds=1)
        if what != "died":
            state = ledger.claim(run_id, [ledger.projects()[slug].project_id])[0]
            ledger.record(run_id, [_observation(state, what, self.clock())])
        if what.startswith("died"):
            self._let_lapse(run_id)
        else:
            end = RunEnd(ended_at=self.clock(), outcome="completed", verdicts={}, moves=Moves(), requests=1)
            ledger.end_run(run_id, end)

    def _let_lapse(self, run_id: int) -> None:
        self.place.connection.execute(
            "UPDATE ledger.run SET leased_until = started_at + INTERVAL '1 minute' WHERE run_id = %s",
            (run_id,),
        )


def _observation(state: ProjectState, what: str, now: datetime) -> Observation:
    observed_at = max(now, state.last_at + timedelta(microseconds=1)) if state.last_at else now
    kind = what.removesuffix(" after one")
    is_error, is_rule = kind.endswith("Error"), kind in ("held", "stopped")
    verdict = (
        Verdict.FAILED if is_error or kind == "died" else Verdict.SKIPPED if is_rule else Verdict.UNCHANGED
    )
    return Observation(
        project_id=state.project_id,
        verdict=verdict,
        started_at=observed_at,
        observed_at=observed_at,
        previous_at=state.last_trusted_at,
        requests=0 if is_rule else 1,
        totals=None if is_rule else state.totals,
        digest=state.digest if verdict is Verdict.UNCHANGED else None,
        rule=kind if is_rule else None,
        error_class={Verdict.FAILED: kind if is_error else "TransientError"}.get(verdict),
        error="no" if verdict is Verdict.FAILED else None,
    )


rounds = st.lists(st.tuples(st.lists(happenings, min_size=3, max_size=16), prunes), min_size=1, max_size=3)


@pytest.mark.timeout(7200)  # For the profile that tries many.
@example(rounds=[([Happening(what, 1, 0) for what in ("unchanged", "held", "unchanged")], Prune(-1, 0))])
@settings(max_examples=settings().max_examples // 2)
@given(rounds=rounds)
def test_pruning_what_happens_around_readings_keeps_every_gap(
    place: Place, rounds: list[tuple[list[Happening], Prune]]
) -> None:
    place.empty()
    chronicle, checked = Chronicle(place), Checked(place)
    for happened, chosen in [*rounds, ([], Prune(-1, 0))]:
        for one in happened:
            chronicle.tell(one)
        checked.prune(chosen, chronicle.clock())
