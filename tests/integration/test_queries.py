"""What the commands read: what is fresh, lives between two moments, the past, and what differs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from sqlalchemy import event, text

from etl.commands.instants import Span
from etl.commands.queries import reading, require_batch, require_project
from etl.commands.queries.diff import CHANGES, Diff, diff
from etl.commands.queries.history import batch_history, project_history
from etl.commands.queries.past import past, stand
from etl.commands.queries.status import Status, status
from etl.errors import UnknownProjectError
from etl.records import Slug
from etl.selection import Promise
from etl.simulator.faults import Fault
from tests.integration.test_run import LOOK_UPS, Scene
from tests.logins import as_owner
from tests.worlds import NOON, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

CARS: Final = Slug("acme", "cars")


class Life(Scene):
    """A project that is read at full hours, and the moments between."""

    def at(self, hour: float) -> datetime:
        return NOON + timedelta(hours=hour)

    def hour(self, hour: float, fault: Fault | None = None) -> None:
        self.clock.at = self.at(hour)
        self.run(fault, minutes=0)

    def diff(self, one: float, other: float) -> Diff:
        with reading(self.uri) as connection:
            return diff(connection, CARS, self.at(one), self.at(other))


@pytest.fixture
def life(database: str) -> Iterator[Life]:
    with psycopg.connect(database, autocommit=True) as connection:
        made = Life(a_world(batches=6), database, connection)
        made.hour(0)
        yield made
        made.engine.dispose()


# What differs


def test_each_batch_that_differs_is_told_by_how_it_does(life: Life) -> None:
    grown, shrunk, busy, renamed, left, returned = life.project.batches
    life.project.delete(returned)
    life.hour(1)
    life.project.append(grown, images=5)
    life.project.assign(shrunk, images=1)
    life.project.assign(busy, images=1)
    life.project.append(busy, images=1)
    life.project.rename(renamed, "another name")
    life.project.delete(left)
    life.project.restore(returned)
    entered = life.project.upload(images=7).id
    life.hour(2)

    found = life.diff(1.5, 2.5)
    told = {one.batch_id: (one.change, one.images_delta, one.num_jobs_delta) for one in found.batches}

    assert told == {
        entered: ("entered", 7, 0),
        returned: ("returned", life.there()[returned], jobs(life, returned)),
        grown: ("grown", 5, 0),
        shrunk: ("shrunk", -1, 1),
        busy: ("changed", 0, 1),
        renamed: ("renamed", 0, 0),
        left: ("left", -images_at(life, left), -jobs(life, left)),
    }
    assert [one.change for one in found.batches] == list(CHANGES)
    assert all(group.count == 1 for group in found.deltas.values())
    assert (found.amiss, found.gaps) == (None, ())


def images_at(life: Life, batch_id: str) -> int:
    ((images,),) = life.ask(
        "SELECT images FROM analytics.batch_change WHERE batch_id = %s AND kind = 'entered'", batch_id
    )
    return int(images)


def jobs(life: Life, batch_id: str) -> int:
    ((found,),) = life.ask("SELECT max(num_jobs) FROM analytics.batch_change WHERE batch_id = %s", batch_id)
    return int(found)


def test_between_any_two_moments_it_adds_up(life: Life) -> None:
    first, second, third, *_ = life.project.batches
    life.project.delete(first)
    life.project.append(second, images=3)
    life.hour(1)
    life.hour(2, Fault.empty_list())
    life.project.restore(first)
    life.project.delete(third)
    life.hour(3, Fault.status(500))
    life.hour(4)
    hours = [nth / 2 for nth in range(-1, 10)]

    for one, other in combinations(hours, 2):
        found = life.diff(one, other)
        moved = sum(group.images for group in found.deltas.values())
        assert found.amiss is None
        assert (found.before.images or 0) + moved == (found.after.images or 0)
    assert life.diff(0.5, 9).after.images == sum(life.there().values())


def test_what_came_and_went_in_between_is_counted_and_what_was_undone(life: Life) -> None:
    steady, renamed, *_ = life.project.batches
    name = life.project.batches[renamed].name
    passing = life.project.upload(images=7).id
    life.project.rename(renamed, "for an hour")
    life.project.append(steady, images=1)
    life.hour(1)
    life.project.delete(passing)
    life.project.rename(renamed, name)
    life.hour(2)

    found = life.diff(0.5, 2.5)

    assert [one.batch_id for one in found.batches] == [steady]
    assert (found.between.came_and_went, found.between.undone) == (1, 1)
    ((at,),) = life.ask("SELECT max(observed_at) FROM analytics.batch_change WHERE kind = 'left'")
    with reading(life.uri) as connection:
        until = diff(connection, CARS, life.at(0.5), at)
    assert until.between == found.between


def test_what_happened_at_the_first_moment_is_not_in_between_and_at_the_second_it_is(life: Life) -> None:
    life.project.rename(next(iter(life.project.batches)), "another name")
    life.hour(1)
    ((at,),) = life.ask("SELECT max(observed_at) FROM analytics.batch_change")

    with reading(life.uri) as connection:
        before = diff(connection, CARS, at - timedelta(minutes=1), at)
        after = diff(connection, CARS, at, at + timedelta(minutes=1))

    assert [one.change for one in before.batches] == ["renamed"]
    assert (after.batches, after.between.undone) == ((), 0)


def test_a_gap_that_a_moment_falls_into_is_told_and_no_other(life: Life) -> None:
    life.hour(1)
    life.hour(2, Fault.status(500))
    life.hour(3)
    life.hour(4, Fault.status(500))
    life.hour(5)
    life.hour(6)

    inside, around, outside = life.diff(1.5, 2.5), life.diff(0.5, 5.5), life.diff(0.5, 3.5)

    assert [gap.reasons for gap in inside.gaps] == [("failed: TransientError",)]
    assert inside.before.knowledge == inside.after.knowledge == "carried"
    assert around.gaps == ()
    assert (outside.before.gap, outside.after.gap) == (None, outside.gaps[0])
    assert outside.before.knowledge == "observed"


def test_a_difference_that_does_not_add_up_is_told(life: Life) -> None:
    life.project.append(next(iter(life.project.batches)), images=5)
    life.hour(1)
    with psycopg.connect(as_owner(life.uri)) as connection:
        connection.execute(
            "UPDATE ledger.observation SET images = images + 1"
            " WHERE observation_id = (SELECT max(observation_id) FROM ledger.observation)"
        )

    told = life.diff(0.5, 1.5).amiss

    images = sum(life.there().values())
    assert told == f"{images - 5} images +5 are not {images + 1}"


# Lives


def test_a_life_between_two_moments_has_what_may_have_happened_there(life: Life) -> None:
    batch_id = next(iter(life.project.batches))
    for hour in (1, 2, 3, 4):
        life.project.append(batch_id, images=hour)
        life.hour(hour)

    with reading(life.uri) as connection:
        found = batch_history(connection, CARS, batch_id, Span(life.at(1.5), life.at(2.5)))
        whole = batch_history(connection, CARS, batch_id)

    assert [state.images_delta for state in found.states] == [2, 3]
    assert found.begins
    assert found.begins.images == whole.states[1].images
    assert (found.from_at, found.to_at) == (life.at(1.5), life.at(2.5))
    assert [state.kind for state in whole.states] == ["entered", *["changed"] * 4]
    assert whole.begins is None


def test_what_was_seen_at_the_first_moment_is_how_it_stood_then_and_not_told_twice(life: Life) -> None:
    batch_id = next(iter(life.project.batches))
    life.project.append(batch_id, images=1)
    life.hour(1)
    ((at,),) = life.ask("SELECT max(observed_at) FROM analytics.batch_change")

    with reading(life.uri) as connection:
        found = batch_history(connection, CARS, batch_id, Span(at))

    assert found.states == ()
    assert found.begins
    assert (found.begins.images, found.begins.knowledge) == (life.there()[batch_id], "observed")


def test_a_life_has_the_gaps_of_its_time_and_those_of_no_other(life: Life) -> None:
    batch_id = next(iter(life.project.batches))
    life.hour(1, Fault.status(500))
    life.hour(2)
    life.hour(3, Fault.html())
    life.hour(4)

    with reading(life.uri) as connection:
        whole = project_history(connection, CARS)
        late = batch_history(connection, CARS, batch_id, Span(life.at(2.5)))
        early = project_history(connection, CARS, Span(None, life.at(1.5)))
        between = project_history(connection, CARS, Span(life.at(4.5), life.at(5)))

    assert [gap.reasons for gap in whole.gaps] == [("failed: TransientError",), ("failed: PayloadError",)]
    assert late.gaps == whole.gaps[1:]
    assert early.gaps == whole.gaps[:1]
    assert between.gaps == ()


def test_the_gaps_from_before_a_batch_was_there_are_not_its_own(life: Life) -> None:
    life.hour(1, Fault.status(500))
    life.hour(2)
    entered = life.project.upload(images=7).id
    life.hour(3)
    life.hour(4, Fault.status(500))
    life.hour(5)

    with reading(life.uri) as connection:
        found = batch_history(connection, CARS, entered)

    assert [gap.from_at > life.at(3) for gap in found.gaps] == [True]


def test_the_days_of_a_life_are_those_of_which_some_part_is_asked_for(life: Life) -> None:
    life.hour(72)

    with reading(life.uri) as connection:
        whole = project_history(connection, CARS, Span(None, life.at(72)))
        some = project_history(connection, CARS, Span(life.at(13), life.at(35)))

    assert len(whole.days) == 4
    assert some.days == whole.days[1:2]


# The past


def test_the_past_of_a_project_has_its_totals_and_who_looked_before_and_after(life: Life) -> None:
    life.hour(1)
    life.hour(2, Fault.status(500))

    with reading(life.uri) as connection:
        observed = past(connection, CARS, None, life.at(0.5))
        carried = past(connection, CARS, None, life.at(1.5))
        before = stand(connection, CARS, life.at(-1))
        looked = stand(connection, CARS, observed.totals.observed_after or NOON)

    assert (looked.knowledge, looked.gap) == ("observed", None)
    assert (observed.totals.knowledge, observed.totals.gap) == ("observed", None)
    assert observed.totals.images == sum(batch.images or 0 for batch in observed.batches)
    assert observed.totals.observed_before
    assert observed.totals.observed_before < life.at(0.5) < (observed.totals.observed_after or NOON)
    assert carried.totals.knowledge == "carried"
    assert carried.totals.gap
    assert carried.totals.gap.to_at is None
    assert (before.knowledge, before.images, before.observed_before) == ("unknown", None, None)
    assert before.observed_after == observed.totals.observed_before


def test_whether_a_project_is_known_is_asked_without_reading_the_others(life: Life) -> None:
    asked = list[str]()

    with reading(life.uri) as connection:
        event.listen(connection, "before_cursor_execute", lambda *told: asked.append(told[2]))
        require_project(connection, CARS)
        known = asked.copy()
        with pytest.raises(UnknownProjectError, match=r"did you mean acme/cars\?$"):
            require_project(connection, Slug("acme", "cers"))

    assert len(known) == 1
    assert "EXISTS" in known[0]


def test_a_batch_that_nobody_knows_is_told_with_those_that_look_like_it(life: Life) -> None:
    batch_id = next(iter(life.project.batches))

    with reading(life.uri) as connection:
        require_batch(connection, CARS, batch_id)
        with pytest.raises(UnknownProjectError, match=f"did you mean {batch_id}"):
            require_batch(connection, CARS, batch_id[:-1])
        with pytest.raises(UnknownProjectError, match=r"no batch Q in acme/cars$"):
            require_batch(connection, CARS, "Q")
        with pytest.raises(UnknownProjectError, match=r"no project acme/boats$"):
            require_batch(connection, Slug("acme", "boats"), batch_id)


def test_to_look_for_a_batch_that_nobody_knows_fetches_no_more_than_a_thousand_ids(life: Life) -> None:
    with psycopg.connect(as_owner(life.uri)) as owner:
        owner.execute(
            "INSERT INTO ledger.batch (project_id, batch_id, images, first_seen_at, changed_at)"
            " SELECT project_id, 'batch' || nth, 0, now(), now()"
            " FROM ledger.project CROSS JOIN generate_series(1, 3000) AS nth"
        )

    fetched = list[int]()
    with reading(life.uri) as connection:
        event.listen(
            connection.engine,
            "after_cursor_execute",
            lambda _connection, cursor, *_: fetched.append(cursor.rowcount),
        )
        with pytest.raises(UnknownProjectError, match="did you mean batch299 "):
            require_batch(connection, CARS, "Batch299")

    assert max(fetched) == 1000


# What is fresh


def test_a_promise_is_kept_until_it_is_broken_and_a_paused_project_promises_nothing(life: Life) -> None:
    assert [glance(life).is_kept, glance(life).projects[0].max_age_s] == [True, None]
    life.clock.at = datetime.now(UTC) - timedelta(minutes=30)
    life.run(minutes=0, promise=Promise(3600))
    kept = glance(life)
    life.ask("UPDATE ledger.project SET max_age_s = 60 RETURNING 1")
    broken = glance(life)
    life.ask("UPDATE ledger.project SET is_tracked = FALSE RETURNING 1")
    paused = glance(life)

    assert (kept.is_kept, kept.projects[0].is_kept) == (True, True)
    assert kept.projects[0].max_age_s == 3600
    assert 1700 < (kept.projects[0].age_s or 0) < 1900
    assert (broken.is_kept, broken.projects[0].is_kept) == (False, False)
    assert broken.projects[0].gap_reasons == ("no run",)
    assert (paused.is_kept, paused.projects[0].is_kept) == (True, None)


def test_a_suspect_project_tells_its_rule_and_a_failed_one_its_error(life: Life) -> None:
    life.hour(1, Fault.empty_list())
    (suspect,) = glance(life).projects
    life.hour(2, Fault.status(500))
    (failed,) = glance(life).projects
    life.hour(3)
    (trusted,) = glance(life).projects

    assert (suspect.rule, suspect.gap_reasons) == ("empty_list", ("suspect: empty_list",))
    assert suspect.gap_since == suspect.last_observed_at
    assert failed.rule is None
    assert "500" in (failed.error or "")
    assert failed.gap_reasons == ("suspect: empty_list", "failed: TransientError")
    assert (trusted.rule, trusted.error, trusted.gap_since) == (None, None, None)


def test_a_missing_batch_is_counted_until_it_is_gone(life: Life) -> None:
    life.project.delete(next(iter(life.project.batches)))
    life.source.faults.add(Fault.status(500), path=LOOK_UPS, times=None)
    life.hour(1)

    assert [project.missing for project in glance(life).projects] == [1]


def glance(life: Life) -> Status:
    with reading(life.uri) as connection:
        return status(connection, datetime.now(UTC))


_GROWN = """
WITH
projects AS (
    INSERT INTO ledger.project (workspace, project, is_tracked, first_seen_at, batches, images, num_jobs)
    SELECT 'acme', 'p' || nth, TRUE, now() - INTERVAL '1 year', 0, 0, 0
    FROM generate_series(1, 20) AS nth
    RETURNING project_id
),
runs AS (
    INSERT INTO ledger.run (trigger, started_at, leased_until, ended_at, outcome, host, version)
    SELECT 'sync', at, at, at, 'completed', 'box', '1'
    FROM generate_series(now() - INTERVAL '1000 hours', now() - INTERVAL '1 hour', '1 hour') AS at
    RETURNING run_id, started_at
)
INSERT INTO ledger.observation (
    run_id, project_id, verdict, error_class, error, started_at, observed_at, requests, batches_entered,
    batches_changed, batches_renamed, batches_left, batches_returned, images_delta, num_jobs_delta
)
SELECT
    run_id, project_id,
    CASE WHEN is_last THEN 'failed' ELSE 'unchanged' END,
    CASE WHEN is_last THEN 'PayloadError' END,
    CASE WHEN is_last THEN 'the answer is not JSON' END,
    started_at, started_at, 1, 0, 0, 0, 0, 0, 0, 0
FROM (SELECT run_id, started_at, run_id = max(run_id) OVER () AS is_last FROM runs) AS run
CROSS JOIN projects
"""


def test_status_fetches_the_last_observations_and_not_those_of_a_year(database: str) -> None:
    with psycopg.connect(as_owner(database), autocommit=True) as connection:
        connection.execute(_GROWN)
        connection.execute("ANALYZE")

    with reading(database) as reader:
        found = status(reader, datetime.now(UTC))
        fetched = reader.scalar(
            text("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'observation'")
        )

    assert [project.error for project in found.projects] == ["the answer is not JSON"] * 20
    assert fetched < 1000
