"""Gaps with every reason that they can have, promises of freshness, and the past of whole projects."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.database import engine
from etl.ports import RunEnd
from etl.records import Moves, Observation, Project, Slug, Verdict
from etl.selection import Promise
from etl.simulator.faults import Fault
from etl.store import PostgresLedger
from tests.logins import as_owner, as_reader, as_writer
from tests.worlds import NOON, FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.records import Answer
    from tests.conftest import NewDatabase

pytestmark = pytest.mark.also_on_16

LIST: Final = "/acme/cars/batches"
HOUR: Final = timedelta(hours=1)


class Scene:
    """Runs over two projects, on the hour, with a promise of ninety minutes."""

    def __init__(self, uri: str, *, start: datetime = NOON) -> None:
        self.uri = uri
        self.start = start
        self.clock = FakeClock(start)
        self.world = a_world(projects=2, batches=3)
        self.source = WorldSource(self.world, self.clock)
        self.project = self.world.project("acme/cars")
        self.engine = engine(as_writer(uri))
        self.ledger = self.a_ledger()
        self.promise = Promise(5400)

    def a_ledger(self, lease_s: float = 60.0) -> PostgresLedger:
        return PostgresLedger(self.engine, host="here", version="test", lease_s=lease_s)

    def run(self, hour: float, fault: Fault | None = None, **options: Any) -> datetime:
        """Run, and return when the list of cars was read or failed."""
        self.clock.at = self.start + hour * HOUR
        if fault:
            self.source.faults.add(fault, path=LIST)
        a_run(self.ledger, [self.source], self.clock, promise=self.promise, **options)
        ((at,),) = self.ask(
            "SELECT max(observed_at) FROM analytics.observation "
            "WHERE project = 'cars' AND verdict <> 'skipped'"
        )
        assert isinstance(at, datetime)
        return at

    def tick(self, hour: float, reason: str) -> None:
        self.ledger.note_tick(self.start + hour * HOUR, reason, recorded_at=self.clock())

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(as_reader(self.uri)) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def gaps(self, project: str = "cars") -> list[tuple[Any, ...]]:
        """Every gap that has ended, and what is open for another reason than that all this is long past."""
        return [
            (from_at, to_at, reasons)
            for from_at, to_at, reasons in self.ask(
                "SELECT from_at, to_at, reasons FROM analytics.gap WHERE project = %s ORDER BY from_at",
                project,
            )
            if to_at or reasons != ["no run"]
        ]

    def as_of(self, at: datetime) -> tuple[Any, ...]:
        rows = self.ask(
            "SELECT batches, images, knowledge, observed_before, observed_after "
            "FROM analytics.project_as_of(%s) WHERE project = 'cars'",
            at,
        )
        return rows[0] if rows else ()


@pytest.fixture
def scene(new_database: NewDatabase) -> Iterator[Scene]:
    with new_database() as uri:
        opened = Scene(uri)
        yield opened
        assert opened.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []
        opened.engine.dispose()


def test_while_all_goes_well_there_is_no_gap(scene: Scene) -> None:
    for hour in range(3):
        scene.run(hour)
    assert scene.gaps() == []


def test_a_failed_and_a_suspect_attempt_are_told_in_the_order_in_which_they_came(scene: Scene) -> None:
    before = scene.run(0)
    scene.run(0.5, Fault.literal('{"batches": []}'))
    scene.run(1, Fault.status(500))
    scene.run(1.2, Fault.status(500))
    scene.run(1.3, Fault.literal('{"batches": []}'))
    after = scene.run(1.4)
    assert scene.gaps() == [(before, after, ["suspect: empty_list", "failed: TransientError"])]
    assert scene.gaps("drones") == []


def test_a_gap_is_told_once_whatever_the_answers_after_it_say(scene: Scene) -> None:
    before = scene.run(0)
    scene.run(0.5, Fault.status(500))
    after = scene.run(1)
    scene.project.append(next(iter(scene.project.batches)), images=7)
    scene.run(2)
    scene.run(3)
    assert scene.gaps() == [(before, after, ["failed: TransientError"])]


def test_a_failure_before_the_first_observation_is_a_gap_since_the_project_became_known(scene: Scene) -> None:
    scene.run(0, Fault.status(500))
    ((known_at,),) = scene.ask("SELECT first_seen_at FROM analytics.project WHERE project = 'cars'")
    assert scene.gaps() == [(known_at, None, ["failed: TransientError"])]
    after = scene.run(1)
    assert scene.gaps() == [(known_at, after, ["failed: TransientError"])]


def test_a_failure_at_the_very_moment_at_which_a_project_became_known_is_told(scene: Scene) -> None:
    (state,) = scene.ledger.register([Project(Slug("acme", "cars"))], at=NOON).values()
    run_id = scene.ledger.begin_run(trigger="sync", started_at=NOON)
    scene.ledger.claim(run_id, [state.project_id])
    failed = Observation(
        project_id=state.project_id,
        verdict=Verdict.FAILED,
        started_at=NOON,
        observed_at=NOON,
        error_class="TransientError",
        error="refused",
    )
    assert scene.ledger.record(run_id, [failed]) == 1
    assert scene.gaps() == [(NOON, None, ["failed: TransientError"])]


@pytest.mark.parametrize(
    ("noted", "reason"),
    [
        ("down", "daemon not running"),
        ("missed", "missed"),
        ("coalesced", "coalesced"),
        ("overlap", "overlap"),
    ],
)
def test_a_scheduled_time_without_a_run_is_a_gap_with_its_reason(
    scene: Scene, noted: str, reason: str
) -> None:
    before = scene.run(0)
    scene.tick(0.5, noted)
    assert scene.gaps() == [(before, None, [reason])]
    after = scene.run(1)
    scene.run(2)
    assert scene.gaps() == [(before, after, [reason])]


def test_a_tick_that_a_run_outlasted_is_no_gap_of_what_it_read_afterwards(scene: Scene) -> None:
    scene.run(0)
    after = scene.run(1)
    scene.ledger.note_tick(after - timedelta(milliseconds=50), "overlap", recorded_at=after)
    assert scene.gaps() == []


def test_a_run_that_died_is_a_gap_of_what_it_did_not_get_to(scene: Scene) -> None:
    before = scene.run(0)
    scene.a_ledger(lease_s=0.0).begin_run(trigger="schedule", started_at=NOON + 0.5 * HOUR)
    assert scene.gaps() == [(before, None, ["run died"])]
    after = scene.run(1)
    assert scene.gaps() == [(before, after, ["run died"])]


def test_a_tick_after_an_observation_is_of_the_next_stretch_even_if_it_was_noted_before(scene: Scene) -> None:
    scene.run(0)
    scene.tick(1.5, "missed")
    before = scene.run(1)
    after = scene.run(2)
    assert scene.gaps() == [(before, after, ["missed"])]


def test_a_run_that_died_tells_of_what_it_got_to_what_became_of_it_there(scene: Scene) -> None:
    scene.run(0)
    cars = scene.ledger.projects()[Slug("acme", "cars")].project_id
    dying = scene.a_ledger(lease_s=0.0)
    run_id = dying.begin_run(trigger="schedule", started_at=NOON + 0.5 * HOUR)
    dying.claim(run_id, [cars])
    at = NOON + 0.6 * HOUR
    failed = Observation(
        project_id=cars, verdict=Verdict.FAILED, started_at=at, observed_at=at, error_class="X", error="x"
    )
    assert dying.record(run_id, [failed]) == 1
    assert [reasons for _, _, reasons in scene.gaps("cars")] == [["failed: X"]]
    assert [reasons for _, _, reasons in scene.gaps("drones")] == [["run died"]]


def test_a_run_that_ended_did_not_die_whatever_it_had_to_read(scene: Scene) -> None:
    scene.run(0)
    other = scene.a_ledger(lease_s=0.0)
    run_id = other.begin_run(trigger="schedule", started_at=NOON + 0.5 * HOUR)
    end = RunEnd(ended_at=NOON + 0.6 * HOUR, outcome="completed", verdicts={}, moves=Moves(), requests=0)
    other.end_run(run_id, end)
    assert scene.gaps() == []


def test_a_run_that_is_still_going_is_no_gap(scene: Scene) -> None:
    scene.run(0)
    scene.ledger.begin_run(trigger="schedule", started_at=NOON + 0.5 * HOUR)
    assert scene.gaps() == []


def test_a_run_for_named_projects_that_died_is_no_gap_of_the_others(scene: Scene) -> None:
    scene.run(0)
    scene.a_ledger(lease_s=0.0).begin_run(trigger="sync", started_at=NOON + 0.5 * HOUR, is_whole=False)
    assert scene.gaps() == []


class StoppingSource(WorldSource):
    """Asks its run to stop while the first list is being read."""

    stop: Event

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        self.stop.set()
        return super().batches(slug, etag=etag, until=until)


def test_a_project_that_a_stopped_run_did_not_get_to_has_a_gap(scene: Scene) -> None:
    scene.run(0)
    scene.clock.at = NOON + 0.5 * HOUR
    source = StoppingSource(scene.world, scene.clock)
    source.stop = Event()
    report = a_run(scene.ledger, [source], scene.clock, promise=scene.promise, stop=source.stop)
    (read,) = (one.slug.project for one in report.projects if one.verdict.is_trusted)
    (left_out,) = (one.slug.project for one in report.projects if not one.verdict.is_trusted)
    scene.run(1)
    assert scene.gaps(read) == []
    assert [reasons for _, _, reasons in scene.gaps(left_out)] == [["skipped: stopped"]]


def test_a_project_that_another_run_holds_has_no_gap_for_that(scene: Scene) -> None:
    scene.run(0)
    states = scene.ledger.projects()
    other = scene.ledger.begin_run(trigger="sync", started_at=NOON)
    scene.ledger.claim(other, [state.project_id for state in states.values()])
    scene.run(0.5)
    assert scene.ask("SELECT count(*) FROM analytics.observation WHERE verdict = 'skipped'") == [(2,)]
    with psycopg.connect(as_owner(scene.uri)) as connection:
        connection.execute(
            "UPDATE ledger.run SET ended_at = now(), outcome = 'completed' WHERE run_id = %s", [other]
        )
    scene.run(1)
    assert scene.gaps() == []


def test_a_paused_project_has_a_gap_that_says_so(scene: Scene) -> None:
    before = scene.run(0)
    scene.run(1, projects=["acme/*", "!acme/cars"])
    scene.run(10, projects=["acme/*", "!acme/cars"])
    assert scene.gaps() == [(before, None, ["project paused"])]
    query = "SELECT is_promise_broken FROM analytics.gap WHERE project = 'cars'"
    assert scene.ask(query) == [(False,)]
    assert scene.ask("SELECT is_kept, kept_1d FROM analytics.freshness WHERE project = 'cars'") == [
        (None, None)
    ]
    after = scene.run(11)
    assert scene.gaps() == [(before, after, ["project paused"])]
    query = "SELECT late_s FROM analytics.observation WHERE project = 'cars' AND gap_reasons IS NOT NULL"
    assert scene.ask(query) == [(None,)]


def test_a_promise_that_was_broken_before_a_pause_stays_broken(scene: Scene) -> None:
    before = scene.run(0)
    scene.run(3, Fault.status(500))
    scene.run(4, projects=["acme/*", "!acme/cars"])
    after = scene.run(12)
    assert scene.gaps() == [(before, after, ["failed: TransientError", "project paused"])]
    query = "SELECT late_s FROM analytics.observation WHERE project = 'cars' AND gap_reasons IS NOT NULL"
    ((late_s,),) = scene.ask(query)
    # From the first reading until the pause, less what was promised.
    assert late_s == pytest.approx(4 * 3600 - 5400, abs=1)


def test_a_run_over_a_paused_project_by_name_does_not_end_the_pause(scene: Scene) -> None:
    scene.run(0)
    scene.run(1, projects=["acme/*", "!acme/cars"])
    scene.run(2, projects=["acme/*", "!acme/cars"], only=(Slug("acme", "cars"),))
    assert scene.ask("SELECT is_tracked FROM analytics.project WHERE project = 'cars'") == [(False,)]
    assert scene.gaps()[-1][1:] == (None, ["project paused"])


def test_a_pause_is_told_when_it_began_and_what_came_in_it_after_that(scene: Scene) -> None:
    scene.run(0)
    scene.run(1, projects=["acme/*", "!acme/cars"])
    cars = (Slug("acme", "cars"),)
    scene.run(2, Fault.status(500), projects=["acme/*", "!acme/cars"], only=cars)
    assert scene.gaps()[-1][2] == ["project paused", "failed: TransientError"]


def test_a_pause_that_is_over_is_nothing_to_what_comes_later(scene: Scene) -> None:
    scene.run(0)
    scene.run(1, projects=["acme/*", "!acme/cars"])
    followed_at = scene.run(2)
    for hour in (3, 4, 5):
        scene.run(hour)
    assert [(to_at, reasons) for _, to_at, reasons in scene.gaps()] == [(followed_at, ["project paused"])]


def test_a_promise_that_was_broken_before_a_pause_or_after_it_was_broken(scene: Scene) -> None:
    broken = "SELECT is_promise_broken FROM analytics.gap WHERE to_at = %s"
    scene.run(0)
    scene.run(3, projects=["acme/*", "!acme/cars"])
    assert scene.ask(broken, scene.run(4)) == [(True,)]
    scene.run(5, projects=["acme/*", "!acme/cars"])
    scene.run(6, Fault.status(500))
    assert scene.ask(broken, scene.run(9)) == [(True,)]
    scene.run(10, projects=["acme/*", "!acme/cars"])
    scene.run(11, Fault.status(500))
    assert scene.ask(broken, scene.run(12)) == [(False,)]


def test_failures_that_were_folded_are_told_by_the_first_of_them(scene: Scene) -> None:
    scene.run(0)
    first = scene.run(0.2, Fault.status(500))
    scene.tick(0.3, "missed")
    last = scene.run(0.4, Fault.status(500))
    with psycopg.connect(as_owner(scene.uri)) as connection:
        connection.execute("DELETE FROM ledger.observation WHERE observed_at = %s", [first])
        connection.execute(
            "UPDATE ledger.observation SET span_from = %s, span_count = 2 WHERE observed_at = %s",
            [first, last],
        )
    assert [reasons for _, _, reasons in scene.gaps()] == [["failed: TransientError", "missed"]]


def test_after_each_pause_the_promise_begins_anew(scene: Scene) -> None:
    before = scene.run(0)
    scene.run(1, projects=["acme/*", "!acme/cars"])
    scene.run(2, Fault.status(500))
    scene.run(3, projects=["acme/*", "!acme/cars"])
    after = scene.run(4)
    assert scene.gaps() == [(before, after, ["project paused", "failed: TransientError"])]
    query = "SELECT is_promise_broken FROM analytics.gap WHERE project = 'cars' AND to_at IS NOT NULL"
    assert scene.ask(query) == [(False,)]


def test_a_promise_that_is_just_kept_is_kept(scene: Scene) -> None:
    before = scene.run(0)
    cars = scene.ledger.projects()[Slug("acme", "cars")].project_id
    for seconds, gaps in ((5400, 0), (5400.001, 1)):
        at = before + timedelta(seconds=seconds)
        run_id = scene.ledger.begin_run(trigger="sync", started_at=at)
        scene.ledger.claim(run_id, [cars])
        read = Observation(
            project_id=cars, verdict=Verdict.UNCHANGED, started_at=at, observed_at=at, previous_at=before
        )
        assert scene.ledger.record(run_id, [read]) == 1
        end = RunEnd(ended_at=at, outcome="completed", verdicts={}, moves=Moves(), requests=0)
        scene.ledger.end_run(run_id, end)
        ended = "SELECT FROM analytics.gap WHERE project = 'cars' AND to_at IS NOT NULL"
        assert len(scene.ask(ended)) == gaps


def test_a_stretch_longer_than_promised_is_a_gap_though_nothing_is_known_of_it(scene: Scene) -> None:
    before = scene.run(0)
    after = scene.run(2)
    assert scene.gaps() == [(before, after, ["no run"])]
    late = (after - before).total_seconds() - 5400
    told = scene.ask(
        "SELECT late_s FROM analytics.observation WHERE project = 'cars' AND gap_reasons IS NOT NULL"
    )
    assert told == [(pytest.approx(late),)]
    assert scene.ask("SELECT DISTINCT is_promise_broken FROM analytics.gap") == [(True,)]


def test_a_promise_is_as_it_was_when_the_project_was_read(scene: Scene) -> None:
    scene.run(0)
    scene.run(1)
    scene.promise = Promise(60)
    later = scene.run(2)
    assert [to_at for _, to_at, _ in scene.gaps()] == [later]


def test_without_a_promise_no_stretch_is_too_long(scene: Scene) -> None:
    scene.promise = Promise(5400, [("acme/cars", 0)])
    scene.run(0)
    scene.run(48)
    assert scene.gaps() == []
    assert scene.ask("SELECT is_kept, kept_1d, kept_30d FROM analytics.freshness WHERE project = 'cars'") == [
        (None, None, None)
    ]
    assert [
        project for (project,) in scene.ask("SELECT project FROM analytics.gap WHERE to_at IS NOT NULL")
    ] == ["drones"]


def test_within_a_gap_nothing_is_claimed(scene: Scene) -> None:
    before = scene.run(0)
    after = scene.run(2)
    middle = before + (after - before) / 2
    query = "SELECT DISTINCT knowledge FROM analytics.batch_as_of(%s, 'acme', 'cars')"
    assert scene.ask(query, middle) == [("carried",)]
    assert scene.as_of(middle)[2:] == ("carried", before, after)
    assert scene.as_of(before)[2:] == ("observed", before, after)


@pytest.fixture
def today(new_database: NewDatabase) -> Iterator[Scene]:
    """Let runs be of the last days, so that what depends on now can be told."""
    with new_database() as uri:
        opened = Scene(uri, start=datetime.now(UTC) - timedelta(days=3))
        yield opened
        opened.engine.dispose()


def test_freshness_is_the_age_beside_the_promise_and_the_share_of_time_in_which_it_was_kept(
    today: Scene,
) -> None:
    for hour in (*range(10), *range(30, 72)):
        today.run(hour)
    today.run(71.9)
    ((age, most, is_kept, day, week, month),) = today.ask(
        "SELECT age_s, max_age_s, is_kept, kept_1d, kept_7d, kept_30d "
        "FROM analytics.freshness WHERE project = 'cars'"
    )
    assert 0 < age < 3600
    assert most == 5400
    assert is_kept is True
    assert day == pytest.approx(1)
    # Of 72 hours known, between the ninth and the thirtieth all but the promised hour and a half.
    assert week == pytest.approx(1 - 19.5 / 72, abs=0.001)
    assert month == pytest.approx(week, abs=0.000001)


def test_a_share_is_that_of_its_days_and_neither_pauses_nor_delays_of_others_count(today: Scene) -> None:
    today.run(0)
    today.run(1, projects=["acme/*", "!acme/cars"])
    for hour in (*range(5, 41), *range(60, 72)):
        today.run(hour)
    today.run(71.9)
    ((day, week),) = today.ask("SELECT kept_1d, kept_7d FROM analytics.freshness WHERE project = 'cars'")
    # Late from an hour and a half after the fortieth hour until the sixtieth; the last day began at the 48th.
    assert day == pytest.approx(1 - 12 / 24, abs=0.001)
    assert week == pytest.approx(1 - 18.5 / (72 - 4), abs=0.001)


def test_what_was_late_when_a_pause_began_was_late_until_then(today: Scene) -> None:
    today.run(0)
    today.run(60, projects=["acme/*", "!acme/cars"])
    today.run(71.9, projects=["acme/*", "!acme/cars"])
    ((day, week),) = today.ask("SELECT kept_1d, kept_7d FROM analytics.freshness WHERE project = 'cars'")
    # Nothing is promised since the sixtieth hour; until then the first hour and a half were kept.
    assert day == pytest.approx(0, abs=0.001)
    assert week == pytest.approx(1.5 / 60, abs=0.001)


def test_a_share_is_never_less_than_none(today: Scene) -> None:
    today.run(0)
    today.run(6, projects=["acme/*", "!acme/cars"])
    today.run(71.9)
    ((day,),) = today.ask("SELECT kept_1d FROM analytics.freshness WHERE project = 'cars'")
    assert 0 <= day <= 1


def test_a_failure_makes_no_number_fresh(today: Scene) -> None:
    read_at = today.run(0)
    today.run(1, Fault.status(500))
    assert today.ask("SELECT last_observed_at FROM analytics.freshness WHERE project = 'cars'") == [
        (read_at,)
    ]


def test_a_promise_that_is_broken_now_says_so_and_counts_until_now(today: Scene) -> None:
    for hour in range(61):
        today.run(hour)
    ((is_kept, day),) = today.ask("SELECT is_kept, kept_1d FROM analytics.freshness WHERE project = 'cars'")
    assert is_kept is False
    assert day == pytest.approx(1 - 10.5 / 24, abs=0.001)
    assert today.ask("SELECT reason, is_promise_broken, to_at FROM analytics.gap WHERE project = 'cars'") == [
        ("no run", True, None)
    ]


def test_a_project_stood_as_its_batches_did(scene: Scene) -> None:
    first = scene.run(0)
    images = sum(batch.images for batch in scene.project.batches.values())
    second = scene.run(1)
    scene.project.append(next(iter(scene.project.batches)), images=7)
    third = scene.run(2, Fault.status(500))
    fourth = scene.run(2.2)
    assert scene.as_of(first - HOUR) == ()
    assert scene.as_of(first) == (3, images, "observed", first, second)
    assert scene.as_of(first + HOUR / 2) == (3, images, "observed", first, second)
    assert scene.as_of(second + HOUR / 2) == (3, images, "carried", second, fourth)
    assert scene.as_of(third) == (3, images, "carried", second, fourth)
    assert scene.as_of(fourth) == (3, images + 7, "observed", fourth, None)
    assert scene.as_of(fourth + HOUR) == (3, images + 7, "carried", fourth, None)


def test_a_project_that_is_known_and_was_never_read_is_unknown(scene: Scene) -> None:
    failed_at = scene.run(0, Fault.status(500))
    assert scene.as_of(failed_at) == (None, None, "unknown", None, None)


def test_while_anything_of_it_is_pending_a_project_is_not_observed(scene: Scene) -> None:
    scene.run(0)
    second = scene.run(1, Fault.literal(_listed(scene, images=-1)))
    scene.run(2, Fault.literal(_listed(scene, images=-1)))
    assert scene.as_of(second)[2] == "carried"
    assert scene.as_of(second + HOUR / 2)[2] == "carried"
    last = scene.run(2.5)
    assert scene.as_of(last)[2] == "observed"


def test_between_folded_answers_all_is_as_the_first_and_the_last_of_them_saw_it(scene: Scene) -> None:
    """Also where a gap came before them: it ended with the first."""
    before = scene.run(0)
    scene.run(0.5, Fault.status(500))
    first, middle, last = (scene.run(hour) for hour in (1, 2, 3))
    with psycopg.connect(as_owner(scene.uri)) as connection:
        ours = (
            "observed_at = %s AND project_id = (SELECT project_id FROM ledger.project WHERE project = 'cars')"
        )
        connection.execute(
            "UPDATE ledger.observation AS folded SET span_from = first.observed_at, span_count = 3, "
            "previous_at = first.previous_at, gap_reasons = first.gap_reasons, late_s = first.late_s "
            "FROM ledger.observation AS first WHERE first.observed_at = %s "
            "AND first.project_id = folded.project_id AND folded.observed_at = %s",
            [first, last],
        )
        for at in (first, middle):
            connection.execute(f"DELETE FROM ledger.observation WHERE {ours}", [at])
    query = (
        "SELECT DISTINCT knowledge, observed_before, observed_after "
        "FROM analytics.batch_as_of(%s, 'acme', 'cars')"
    )
    for at, told in {
        before + 0.7 * HOUR: ("carried", before, first),
        first: ("observed", first, last),
        middle: ("observed", first, last),
        last: ("observed", last, None),
    }.items():
        assert scene.ask(query, at) == [told]
        assert scene.as_of(at)[2:] == told


def test_between_two_answers_that_differ_a_project_is_carried(scene: Scene) -> None:
    first = scene.run(0)
    scene.project.append(next(iter(scene.project.batches)), images=7)
    scene.run(1)
    assert scene.as_of(first + HOUR / 2)[2] == "carried"


def test_before_an_answer_that_leaves_something_pending_a_project_is_carried(scene: Scene) -> None:
    first = scene.run(0)
    scene.run(1, Fault.literal(_listed(scene, images=-1)))
    assert scene.as_of(first)[2] == "observed"
    assert scene.as_of(first + HOUR / 2)[2] == "carried"


def test_an_attempt_that_tells_no_numbers_leaves_a_project_as_it_was(scene: Scene) -> None:
    scene.run(0)
    images = sum(batch.images for batch in scene.project.batches.values())
    cars = scene.ledger.projects()[Slug("acme", "cars")].project_id
    at = NOON + HOUR / 2
    skipped = Observation(
        project_id=cars, verdict=Verdict.SKIPPED, rule="held", started_at=at, observed_at=at
    )
    run_id = scene.ledger.begin_run(trigger="sync", started_at=at)
    assert scene.ledger.record(run_id, [skipped]) == 1
    assert scene.as_of(at)[:3] == (3, images, "carried")


def _knowledge(scene: Scene, batch_id: str, at: datetime) -> str:
    query = "SELECT knowledge FROM analytics.batch_as_of(%s, 'acme', 'cars') WHERE batch_id = %s"
    ((knowledge,),) = scene.ask(query, at, batch_id)
    return str(knowledge)


def test_a_batch_whose_values_cannot_be_read_was_observed_until_they_last_were(scene: Scene) -> None:
    scene.run(0)
    second = scene.run(1)
    third = scene.run(2, Fault.literal(_listed(scene, images=-1)))
    scene.run(3, Fault.literal(_listed(scene, images=-1)))
    unusable, *_ = scene.project.batches
    moments = (second - HOUR / 2, second, second + HOUR / 2, third, third + HOUR / 2)
    told = [_knowledge(scene, unusable, at) for at in moments]
    assert told == ["observed", "observed", "carried", "carried", "carried"]


def test_a_batch_that_the_list_leaves_out_is_carried_from_its_last_look_up_on(scene: Scene) -> None:
    hidden, shown, _ = scene.project.batches
    scene.run(0)
    scene.project.append(hidden, images=7)
    found_at = scene.run(1, Fault.without(hidden))
    third = scene.run(1.2, Fault.without(hidden))
    scene.run(1.4, Fault.without(hidden))
    assert _knowledge(scene, hidden, found_at) == "observed"
    assert _knowledge(scene, hidden, third + 0.1 * HOUR) == "carried"
    assert _knowledge(scene, shown, third + 0.1 * HOUR) == "observed"


def test_a_batch_that_is_missing_is_carried_from_where_it_was_last_there(scene: Scene) -> None:
    missing, shown, _ = scene.project.batches
    scene.run(0)
    second = scene.run(1)
    scene.source.faults.add(Fault.status(503), path=f"{LIST}/*", times=None)
    scene.run(2, Fault.without(missing))
    assert _knowledge(scene, missing, second) == "observed"
    assert _knowledge(scene, missing, second + HOUR / 2) == "carried"
    assert _knowledge(scene, shown, second + HOUR / 2) == "observed"


def test_a_suspect_answer_is_no_observation_before_or_after(scene: Scene) -> None:
    first = scene.run(0)
    suspect = scene.run(1, Fault.literal('{"batches": []}'))
    last = scene.run(1.2)
    query = "SELECT DISTINCT observed_before, observed_after FROM analytics.batch_as_of(%s, 'acme', 'cars')"
    for at in (suspect - 0.1 * HOUR, suspect, suspect + 0.1 * HOUR):
        assert scene.ask(query, at) == [(first, last)]
        assert scene.as_of(at)[3:] == (first, last)


def test_the_past_of_one_project_is_that_of_its_workspace_only(scene: Scene) -> None:
    at = scene.run(0)
    query = "SELECT count(*) FROM analytics.batch_as_of(%s, %s, 'cars')"
    assert scene.ask(query, at, "acme") == [(3,)]
    assert scene.ask(query, at, "elsewhere") == [(0,)]


def _listed(scene: Scene, **otherwise: object) -> str:
    """Return the list as it is, but for some fields of its first record."""
    rows = [
        {
            "id": batch_id,
            "images": batch.images,
            "name": batch.name,
            "numJobs": batch.num_jobs,
            "uploaded": {
                "_seconds": batch.uploaded_ms // 1000,
                "_nanoseconds": batch.uploaded_ms % 1000 * 1_000_000,
            },
        }
        for batch_id, batch in scene.project.batches.items()
    ]
    rows[0] |= otherwise
    return json.dumps({"batches": rows})


def test_a_diff_says_what_became_of_each_batch_and_adds_up(scene: Scene) -> None:
    before = scene.run(0)
    grown, shrunk, left = scene.project.batches
    ((was,),) = scene.ask("SELECT images FROM analytics.project WHERE project = 'cars'")
    lost = scene.project.batches[left].images
    scene.project.append(grown, images=4)
    scene.project.assign(shrunk, images=1)
    scene.project.delete(left)
    entered = scene.project.upload(images=9).id
    after = scene.run(1)
    query = (
        "SELECT batch_id, change, images_before, images_after, images_delta "
        "FROM analytics.batch_diff(%s, %s, 'acme', 'cars')"
    )
    diff = {row[0]: row[1:] for row in scene.ask(query, before, after)}
    assert {batch_id: row[0] for batch_id, row in diff.items()} == {
        grown: "grown",
        shrunk: "shrunk",
        left: "left",
        entered: "entered",
    }
    assert diff[entered][1:] == (None, 9, 9)
    assert diff[left][1:] == (lost, None, -lost)
    assert diff[grown][3] == 4
    ((now,),) = scene.ask("SELECT images FROM analytics.project WHERE project = 'cars'")
    assert sum(row[3] for row in diff.values()) == now - was
    assert scene.ask(query, after, after) == []
    scene.project.restore(left)
    back = scene.run(2)
    assert scene.ask(query, after, back) == [(left, "returned", None, lost, lost)]
    assert left not in {row[0] for row in scene.ask(query, before, back)}


def test_a_diff_tells_that_a_count_of_jobs_is_known_no_more(scene: Scene) -> None:
    before = scene.run(0)
    first = next(iter(scene.project.batches))
    scene.project.assign(first, images=1)
    with_jobs = scene.run(1)
    after = scene.run(2, Fault.literal(_listed(scene, numJobs=None)))
    query = "SELECT batch_id, change, num_jobs_after FROM analytics.batch_diff(%s, %s, 'acme', 'cars')"
    assert scene.ask(query, with_jobs, after) == [(first, "changed", None)]
    assert scene.ask(query, before, after) == [(first, "shrunk", None)]


def test_a_diff_names_a_batch_as_it_is_called_now_or_was_called_at_last(scene: Scene) -> None:
    before = scene.run(0)
    renamed, left, _ = scene.project.batches
    called = scene.project.batches[left].name
    scene.project.rename(renamed, "another name")
    scene.project.delete(left)
    entered = scene.project.upload(images=9)
    after = scene.run(1)
    query = "SELECT batch_id, name FROM analytics.batch_diff(%s, %s, 'acme', 'cars')"
    assert dict(scene.ask(query, before, after)) == {
        renamed: "another name",
        left: called,
        entered.id: entered.name,
    }
