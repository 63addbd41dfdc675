"""Another setting of what is kept of people holds from the next run on, also where the source has ETags."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.database import engine
from etl.parse.people import People, PeoplePolicy, pseudonym, scrubbed
from etl.selection import ReadJobs
from etl.store import PostgresLedger
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS: Final = "/acme/cars/jobs"
KEEP: Final = People(PeoplePolicy.KEEP)
OMIT: Final = People()
NAMED: Final = People(PeoplePolicy.PSEUDONYM, b"secret")
RENAMED: Final = People(PeoplePolicy.PSEUDONYM, b"another secret")


class Stage:
    """A project whose jobs are read under one setting after the other."""

    def __init__(self, uri: str, connection: psycopg.Connection, *, batches: int, has_etags: bool) -> None:
        self.world, self.clock = a_world(batches=batches), FakeClock()
        self.engine, self.connection = engine(uri), connection
        self.ledger = PostgresLedger(self.engine, host="here", version="test")
        self.source = WorldSource(self.world, self.clock, has_etags=has_etags)
        self.project = self.world.project("acme/cars")
        self.status_of_the_same = 304 if has_etags else 200

    def run(self, people: People) -> int:
        """Run once and return how the list of jobs was answered."""
        self.clock.move(minutes=10)
        self.source.replies.clear()
        scrub = partial(scrubbed, people=people)
        report = a_run(self.ledger, [self.source], self.clock, read_jobs=ReadJobs.ALWAYS, scrub=scrub)
        assert report.exit_code == 0
        assert self.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []
        (status,) = (reply.status for _, path, reply in self.source.replies if path == JOBS and reply)
        return status

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode()).fetchall()

    def labelers(self) -> set[str | None]:
        return {labeler for (labeler,) in self.ask("SELECT labeler FROM ledger.job")}

    def labelers_under(self, people: People) -> set[str | None]:
        """Who is to be found, once this setting holds."""
        told = {job.labeler for job in self.project.jobs.values()}
        assert told
        if people.policy is PeoplePolicy.OMIT:
            return {None}
        return {who if people is KEEP else pseudonym(who, people) for who in told}


@pytest.fixture
def batches() -> int:
    """How many the project has; some of them have jobs."""
    return 6


@pytest.fixture(params=[False, True], ids=["no ETag", "ETag"])
def stage(database: str, batches: int, request: pytest.FixtureRequest) -> Iterator[Stage]:
    with psycopg.connect(database, autocommit=True) as connection:
        made = Stage(database, connection, batches=batches, has_etags=request.param)
        yield made
        made.engine.dispose()


@pytest.mark.parametrize(
    ("before", "after"),
    [(KEEP, OMIT), (KEEP, NAMED), (NAMED, OMIT), (NAMED, RENAMED), (OMIT, KEEP), (OMIT, NAMED)],
)
def test_another_setting_holds_for_every_job_from_the_next_run_on(
    stage: Stage, before: People, after: People
) -> None:
    stage.run(before)
    assert stage.labelers() == stage.labelers_under(before)
    assert stage.run(after) == 200
    assert stage.labelers() == stage.labelers_under(after)


def test_after_another_setting_the_source_is_asked_for_changes_alone_again(stage: Stage) -> None:
    stage.run(NAMED)
    assert [stage.run(RENAMED), stage.run(RENAMED)] == [200, stage.status_of_the_same]


@pytest.mark.parametrize("batches", [0])
def test_so_it_is_where_nobody_is_named_and_both_settings_leave_the_same_body(stage: Stage) -> None:
    assert not stage.project.jobs
    stage.run(NAMED)
    assert [stage.run(RENAMED), stage.run(RENAMED)] == [200, stage.status_of_the_same]


def test_what_is_kept_of_an_etag_tells_no_key(stage: Stage) -> None:
    stage.run(NAMED)
    assert "secret" not in str(stage.ask("SELECT jobs_etag FROM ledger.project"))
