"""What analysts see of one story: states and their stretches, days without holes, gaps, and the past."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.database import engine
from etl.simulator.faults import Fault
from etl.store import PostgresLedger
from tests.logins import as_reader
from tests.worlds import NOON, FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.conftest import NewDatabase

pytestmark = pytest.mark.also_on_16

LIST: Final = "/acme/cars/batches"
LATE: Final = timedelta(minutes=30)


class Story:
    """Runs at fixed hours, and what they saw."""

    def __init__(self, uri: str, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.world, self.clock = a_world(batches=2), FakeClock()
        self.source = WorldSource(self.world, self.clock)
        self.project = self.world.project("acme/cars")
        self.kept, self.lost = self.project.batches
        self.images = self.project.batches[self.kept].images
        self.engine = engine(uri)
        self.ledger = PostgresLedger(self.engine, host="here", version="test")
        self.at: dict[int, datetime] = {}
        """When each hour's list was read, or failed."""

    def run(self, hour: int, fault: Fault | None = None) -> None:
        self.clock.at = NOON + timedelta(hours=hour)
        if fault:
            self.source.faults.add(fault, path=LIST)
        a_run(self.ledger, [self.source], self.clock)
        ((self.at[hour],),) = self.ask("SELECT max(observed_at) FROM analytics.observation")

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def knowledge(self, batch_id: str, at: datetime) -> tuple[str, int | None] | None:
        """Say what is known of a batch at an instant, and how many images it is said to have."""
        rows = self.ask(
            "SELECT knowledge, images FROM analytics.batch_as_of(%s) WHERE batch_id = %s", at, batch_id
        )
        return rows[0] if rows else None

    def between(self, one: int, other: int) -> datetime:
        return self.at[one] + (self.at[other] - self.at[one]) / 2


@pytest.fixture(scope="module")
def story(new_database: NewDatabase) -> Iterator[Story]:
    """
    Tell of two batches: hour 0 both, 1 the same, 2 one grew, 3 failed, 4 the same, 5 one was deleted.

    Then a scheduled time without a run at 6; at 60, two days later, the same; at 61 the lost one returned.
    """
    with new_database() as uri, psycopg.connect(as_reader(uri), autocommit=True) as connection:
        told = Story(uri, connection)
        told.run(0)
        told.run(1)
        told.project.append(told.kept, images=5)
        told.run(2)
        told.run(3, Fault.status(500))
        told.run(4)
        told.project.delete(told.lost)
        told.run(5)
        told.ledger.note_tick(NOON + timedelta(hours=6), "missed", recorded_at=NOON)
        told.run(60)
        told.project.restore(told.lost)
        told.run(61)
        yield told
        told.engine.dispose()


def test_between_two_readings_that_agree_it_was_observed(story: Story) -> None:
    assert story.knowledge(story.kept, story.at[0]) == ("observed", story.images)
    assert story.knowledge(story.kept, story.between(0, 1)) == ("observed", story.images)
    assert story.knowledge(story.kept, story.at[1]) == ("observed", story.images)


def test_between_two_readings_that_differ_it_is_carried(story: Story) -> None:
    assert story.knowledge(story.kept, story.between(1, 2)) == ("carried", story.images)
    assert story.knowledge(story.kept, story.at[2]) == ("observed", story.images + 5)


def test_where_an_attempt_failed_in_between_it_is_carried(story: Story) -> None:
    assert story.knowledge(story.kept, story.between(2, 3)) == ("carried", story.images + 5)
    assert story.knowledge(story.kept, story.at[3]) == ("carried", story.images + 5)
    assert story.knowledge(story.kept, story.between(3, 4)) == ("carried", story.images + 5)
    assert story.knowledge(story.kept, story.at[4]) == ("observed", story.images + 5)


def test_where_a_scheduled_run_did_not_start_in_between_it_is_carried(story: Story) -> None:
    assert story.knowledge(story.kept, story.between(4, 5)) == ("observed", story.images + 5)
    assert story.knowledge(story.kept, story.at[5] + LATE) == ("carried", story.images + 5)
    assert story.knowledge(story.kept, story.at[60] - LATE) == ("carried", story.images + 5)


def test_after_the_last_reading_it_is_carried(story: Story) -> None:
    assert story.knowledge(story.kept, story.at[61]) == ("observed", story.images + 5)
    assert story.knowledge(story.kept, story.at[61] + LATE) == ("carried", story.images + 5)


def test_before_the_first_reading_it_may_have_been_there(story: Story) -> None:
    assert story.knowledge(story.kept, story.at[0] - LATE) == ("unknown", None)
    uploaded_at = story.ask("SELECT uploaded_at FROM analytics.batch WHERE batch_id = %s", story.kept)[0][0]
    assert story.knowledge(story.kept, uploaded_at - LATE) is None


def test_what_was_confirmed_absent_is_gone_until_it_may_have_returned(story: Story) -> None:
    (was,) = story.ask(
        "SELECT images FROM analytics.batch_history WHERE batch_id = %s ORDER BY valid_from LIMIT 1",
        story.lost,
    )
    assert story.knowledge(story.lost, story.between(4, 5)) == ("carried", was[0])
    assert story.knowledge(story.lost, story.at[5]) == ("gone", 0)
    assert story.knowledge(story.lost, story.at[60]) == ("gone", 0)
    assert story.knowledge(story.lost, story.between(60, 61)) == ("unknown", 0)
    assert story.knowledge(story.lost, story.at[61]) == ("observed", was[0])


def test_the_two_observations_around_an_instant_are_the_trusted_ones(story: Story) -> None:
    query = "SELECT DISTINCT observed_before, observed_after FROM analytics.batch_as_of(%s)"
    assert story.ask(query, story.at[3]) == [(story.at[2], story.at[4])]
    assert story.ask(query, story.at[4]) == [(story.at[4], story.at[5])]
    assert story.ask(query, story.at[61]) == [(story.at[61], None)]


def test_a_gap_is_a_stretch_between_trusted_observations_with_the_reason(story: Story) -> None:
    assert story.ask(
        "SELECT workspace, project, from_at, to_at, reason FROM analytics.gap ORDER BY from_at"
    ) == [
        ("acme", "cars", story.at[2], story.at[4], "failed: TransientError"),
        ("acme", "cars", story.at[5], story.at[60], "missed"),
    ]


def test_history_is_one_state_after_another(story: Story) -> None:
    query = (
        "SELECT images, valid_from, valid_to, changed_after FROM analytics.batch_history "
        "WHERE batch_id = %s ORDER BY valid_from"
    )
    assert story.ask(query, story.kept) == [
        (story.images, story.at[0], story.at[2], None),
        (story.images + 5, story.at[2], None, story.at[1]),
    ]
    first, second = story.ask(query, story.lost)
    assert first[1:] == (story.at[0], story.at[5], None)
    assert second[1:] == (story.at[61], None, story.at[60])


def test_days_have_no_holes_and_say_whether_anybody_looked(story: Story) -> None:
    days = story.ask(
        "SELECT day, batches, images_delta, batches_entered, batches_left, is_observed, images "
        "FROM analytics.project_daily ORDER BY day LIMIT 4"
    )
    lost = story.project.batches[story.lost].images
    kept = story.images + 5
    assert days == [
        (date(2024, 2, 3), 1, kept, 2, 1, True, kept),
        (date(2024, 2, 4), 1, 0, 0, 0, False, kept),
        (date(2024, 2, 5), 1, 0, 0, 0, False, kept),
        (date(2024, 2, 6), 2, lost, 1, 0, True, kept + lost),
    ]
    ((first, last, count),) = story.ask("SELECT min(day), max(day), count(*) FROM analytics.project_daily")
    assert (last - first).days == count - 1
    assert story.ask("SELECT (now() AT TIME ZONE 'UTC')::date") == [(last,)]


def test_a_project_says_when_it_was_last_read_and_last_tried(story: Story) -> None:
    assert story.ask(
        "SELECT batches, images, last_observed_at, last_verdict, last_attempt_at FROM analytics.project"
    ) == [
        (
            2,
            sum(batch.images for batch in story.project.batches.values()),
            story.at[61],
            "changed",
            story.at[61],
        )
    ]


def test_a_change_says_which_run_saw_it(story: Story) -> None:
    changes = story.ask("SELECT kind, run_id FROM analytics.batch_change ORDER BY observed_at, kind")
    assert [change[0] for change in changes] == ["entered", "entered", "changed", "left", "returned"]
    runs = story.ask("SELECT DISTINCT run_id FROM analytics.observation ORDER BY run_id")
    assert [change[1] for change in changes[2:]] == [runs[2][0], runs[5][0], runs[7][0]]
