"""How fresh what is told of jobs is: beside the promise, apart from the batches, and what is to be done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.commands.queries import reading
from etl.commands.queries.status import ProjectStatus, Status, status
from etl.commands.show.status import troubles
from etl.records import Verdict
from etl.selection import Promise, ReadJobs
from etl.simulator.faults import Fault
from tests.integration.test_jobs import PATH, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.report import ProjectReport

pytestmark = pytest.mark.also_on_16

PROMISE: Final = Promise(5400)
COLUMNS: Final = "jobs_verdict, is_jobs_kept, jobs_error, jobs_age_s, is_kept"


class Watched(Scene):
    """A scene that ends now, under a promise of ninety minutes."""

    def __init__(self, uri: str, connection: psycopg.Connection) -> None:
        super().__init__(uri, connection)
        self.uri = uri

    def ago(self, hours: float, fault: Fault | None = None, **options: Any) -> ProjectReport:
        """Run so many hours before now, since a run moves the clock on by ten minutes first."""
        self.clock.at = datetime.now(UTC) - timedelta(hours=hours, minutes=10)
        return self.read(fault, **{"promise": PROMISE, **options})

    @property
    def freshness(self) -> tuple[Any, ...]:
        (told,) = self.ask(f"SELECT {COLUMNS} FROM analytics.freshness")
        (of_project,) = self.ask("SELECT jobs_verdict, is_jobs_kept, is_kept FROM analytics.project")
        assert of_project == (told[0], told[1], told[4])
        return told

    @property
    def status(self) -> Status:
        with reading(self.uri) as connection:
            return status(connection, datetime.now(UTC))

    @property
    def told(self) -> list[tuple[str, str, str]]:
        (project,) = self.status.projects
        return list(troubles(project))


@pytest.fixture
def scene(database: str) -> Iterator[Watched]:
    with psycopg.connect(database, autocommit=True) as connection:
        made = Watched(database, connection)
        yield made
        made.engine.dispose()


def test_jobs_that_were_read_in_time_are_fresh(scene: Watched) -> None:
    scene.ago(5)
    scene.ago(1)
    verdict, is_kept, error, age_s, _ = scene.freshness
    assert (verdict, is_kept, error) == ("unchanged", True, None)
    assert age_s == pytest.approx(3600, abs=60)
    assert (scene.status.is_kept, scene.told) == (True, [])


def test_jobs_that_fail_for_longer_than_promised_are_too_old_though_the_batches_are_fresh(
    scene: Watched,
) -> None:
    scene.ago(3)
    for hours in (2, 1, 0):
        scene.ago(hours, Fault.status(500))
    verdict, is_kept, error, age_s, is_project_kept = scene.freshness
    assert (verdict, is_kept, is_project_kept) == ("failed", False, True)
    assert error == f"/{PATH}/jobs: status 500"
    assert age_s == pytest.approx(3 * 3600, abs=60)
    ((jobs_at,),) = scene.ask("SELECT max(jobs_at) FROM ledger.observation WHERE jobs_verdict = 'changed'")
    assert scene.status.is_kept is False
    ((worst, what, remedy),) = scene.told
    assert worst == "broken"
    assert what == (
        f"jobs: nothing trusted since {jobs_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: "
        f"/{PATH}/jobs: status 500; 90 min is promised"
    )
    assert '`[jobs] read = "never"`' in remedy


def test_jobs_that_are_not_believed_need_attention_before_they_are_too_old(scene: Watched) -> None:
    scene.ago(1)
    scene.ago(0, Fault.empty_list())
    assert scene.freshness[:3] == ("suspect", True, "empty_list")
    assert scene.status.is_kept is True
    ((worst, what, remedy),) = scene.told
    assert (worst, "the list is empty" in what) == ("suspect", True)
    assert f"`batchledger confirm {PATH}`" in remedy


def test_jobs_that_were_never_readable_are_late_since_they_were_first_asked_for(scene: Watched) -> None:
    scene.ago(9, read_jobs=ReadJobs.NEVER)
    scene.ago(1, Fault.missing_scope(), read_jobs=ReadJobs.ALWAYS)
    verdict, is_kept, _, age_s, _ = scene.freshness
    assert (verdict, is_kept, age_s) == ("failed", True, None)
    assert scene.told[0][:2] == ("warning", f"jobs: never trusted yet: /{PATH}/jobs: status 404")
    scene.ask("UPDATE ledger.project SET max_age_s = 1800 RETURNING 1")
    assert scene.freshness[:2] == ("failed", False)


def test_of_jobs_that_are_not_to_be_read_nothing_is_promised(scene: Watched) -> None:
    scene.ago(9)
    scene.ago(0, read_jobs=ReadJobs.NEVER)
    assert scene.freshness[:3] == (None, None, None)
    assert (scene.status.is_kept, scene.told) == (True, [])


def test_where_nothing_is_promised_nothing_of_jobs_is_broken(scene: Watched) -> None:
    scene.ago(9, promise=Promise())
    scene.ago(0, Fault.status(500), promise=Promise())
    assert scene.freshness[:2] == ("failed", None)
    ((worst, what, _),) = scene.told
    assert (worst, "promised" in what) == ("warning", False)


def test_a_paused_project_promises_nothing_of_its_jobs(scene: Watched) -> None:
    scene.ago(9)
    scene.ago(8, Fault.status(500))
    scene.ask("UPDATE ledger.project SET is_tracked = FALSE RETURNING 1")
    assert scene.freshness[:2] == ("failed", None)
    assert scene.told == []


def test_jobs_that_are_old_with_the_whole_project_are_told_once(scene: Watched) -> None:
    scene.ago(4)
    scene.ago(0, Fault.status(500), path=f"/{PATH}/batches")
    assert scene.freshness[:2] == ("changed", False)
    ((worst, what, _),) = scene.told
    assert (worst, "jobs" in what) == ("broken", False)


def test_an_attempt_that_failed_altogether_leaves_what_was_told_of_jobs(scene: Watched) -> None:
    scene.ago(1, Fault.empty_list(), read_jobs=ReadJobs.ALWAYS)
    scene.ago(0.5)
    scene.ago(0.25, Fault.empty_list())
    assert scene.ago(0, Fault.status(500), path=f"/{PATH}/batches").verdict is Verdict.FAILED
    assert scene.freshness[:3] == ("suspect", True, "empty_list")
    assert isinstance(scene.status.projects[0], ProjectStatus)
