"""Annotation jobs over a simulated world: believed and kept as batches are, and where images went."""

from __future__ import annotations

import zlib
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.database import engine
from etl.errors import ClaimLostError
from etl.guard import Belief
from etl.parse.people import People, scrubbed
from etl.ports import Examined
from etl.records import Batch, Job, JobsObservation, Moves, Observation, Snapshot, Verdict
from etl.selection import ReadJobs
from etl.simulator.faults import Fault
from etl.store import PostgresLedger
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.report import JobsReport, ProjectReport, RunReport
    from etl.simulator.project import Project

PATH: Final = "acme/cars"
JOBS: Final = f"/{PATH}/jobs"
FLOWS: Final = "intake, moved, assigned, unassigned, removed"
WORK: Final = "annotated_work, approved_work, rejected_work"
MINUTES_OF_A_DAY: Final = 24 * 60
KEPT: Final = ("project", "batch", "batch_change", "job", "job_change", "project_day", "payload", "reject")


class Scene:
    """A project with jobs, its source, a ledger, and a connection that looks at what a run wrote."""

    def __init__(self, uri: str, connection: psycopg.Connection, **options: Any) -> None:
        self.world = a_world(batches=8)
        self.connection = connection
        self.clock = FakeClock()
        self.engine = engine(uri)
        self.ledger = PostgresLedger(self.engine, host="here", version="test")
        self.source = WorldSource(self.world, self.clock, **options)

    @property
    def project(self) -> Project:
        return self.world.project(PATH)

    def run(self, fault: Fault | None = None, *, path: str = JOBS, **options: Any) -> RunReport:
        """Run once, ten minutes later than before, with a fault that holds for the whole run."""
        self.clock.move(minutes=options.pop("minutes", 10))
        self.source.replies.clear()
        if fault:
            self.source.faults.add(fault, path=path, times=None)
        report = a_run(self.ledger, [self.source], self.clock, **options)
        self.source.faults.clear()
        assert self.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []
        return report

    def read(self, *args: Any, **options: Any) -> ProjectReport:
        (report,) = self.run(*args, **options).projects
        return report

    def jobs(self, *args: Any, **options: Any) -> JobsReport:
        """Run over the project and return how its jobs came out."""
        report = self.read(*args, **options).jobs
        assert report is not None
        return report

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def last(self, columns: str) -> tuple[Any, ...]:
        """Those columns of the latest observation."""
        query = f"SELECT {columns} FROM ledger.observation ORDER BY observation_id DESC LIMIT 1"
        return self.ask(query)[0]

    def kinds(self) -> list[tuple[str, str]]:
        """What the latest observation appended to the history of jobs."""
        return self.ask(
            "SELECT job_id, kind FROM ledger.job_change WHERE observation_id = %s ORDER BY job_id, kind",
            *self.last("observation_id"),
        )

    def there(self) -> dict[str, tuple[int, int]]:
        found = self.ask("SELECT job_id, images, annotated FROM ledger.job WHERE gone_at IS NULL")
        return {job_id: (images, annotated) for job_id, images, annotated in found}

    def job_images(self) -> int:
        return sum(job.num_images for job in self.project.jobs.values())

    def is_the_truth(self) -> bool:
        jobs = self.project.jobs.values()
        return self.there() == {job.id: (job.num_images, job.annotated) for job in jobs}

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row with its place and version, so that a row written anew differs."""
        return {
            name: self.ask(f"SELECT ctid, xmin, one FROM ledger.{name} AS one ORDER BY ctid") for name in KEPT
        }

    def a_batch(self, images: int = 40) -> str:
        return self.project.upload(images=images).id


@pytest.fixture
def place(database: str) -> Iterator[tuple[str, psycopg.Connection]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield database, connection


@pytest.fixture
def scene(place: tuple[str, psycopg.Connection]) -> Iterator[Scene]:
    """Give a project of eight batches and some jobs that was read once."""
    made = Scene(*place)
    assert made.jobs().verdict is Verdict.CHANGED
    yield made
    made.engine.dispose()


# What is kept


def test_the_first_reading_believes_every_job_and_calls_nothing_of_it_work(scene: Scene) -> None:
    assert scene.is_the_truth()
    assert scene.there()
    assert {kind for _, kind in scene.kinds()} == {"entered"}
    assert scene.last(f"jobs_verdict, {FLOWS}, {WORK}") == ("changed", *[None] * 8)
    images, annotated = (sum(column) for column in zip(*scene.there().values(), strict=True))
    totals = "jobs, job_images, annotated"
    assert scene.last(totals) == (len(scene.there()), images, annotated)
    assert scene.ask(f"SELECT {totals} FROM ledger.project") == [scene.last(totals)]
    assert scene.ask(f"SELECT {totals} FROM ledger.project_day") == [scene.last(totals)]


def test_a_job_enters_changes_and_leaves(scene: Scene) -> None:
    job = scene.project.assign(scene.a_batch(), images=30)
    scene.read()
    assert scene.kinds() == [(job.id, "entered")]
    scene.project.annotate(job.id, images=10)
    report = scene.jobs()
    assert (report.verdict, report.moves) == (Verdict.CHANGED, Moves(changed=1))
    assert scene.kinds() == [(job.id, "changed")]
    scene.project.unassign(job.id)
    assert scene.jobs().moves == Moves(left=1, images_delta=-30)
    gone = "SELECT images, annotated, unannotated, gone_at = changed_at FROM ledger.job WHERE job_id = %s"
    assert scene.ask(gone, job.id) == [(0, 0, 0, True)]
    assert scene.is_the_truth()


_TOLD_ANEW: Final = (
    ("name", "again", "name", "again"),
    ("status", "put off", "status", "put off"),
    ("sourceBatch", "cars/elsewhere", "batch_id", "elsewhere"),
    ("numImages", 1000, "images", 1000),
    ("annotated", 600, "annotated", 600),
    ("unannotated", 400, "unannotated", 400),
    ("approved", 200, "approved", 200),
    ("rejected", None, "rejected", None),
    ("labeler", "ann@example.com", "labeler", "ann@example.com"),
    ("reviewer", None, "reviewer", None),
    ("created", {"_seconds": 86_400, "_nanoseconds": 0}, "created_at", datetime(1970, 1, 2, tzinfo=UTC)),
)


def test_whatever_is_told_of_a_job_may_change_alone_and_is_a_change_unless_it_is_the_name(
    scene: Scene,
) -> None:
    told: dict[str, object] = {}
    for field, value, column, kept in _TOLD_ANEW:
        told[field] = value
        scene.jobs(Fault.with_fields(**told))
        appended = scene.ask(
            f"SELECT DISTINCT kind, {column} FROM ledger.job_change WHERE observation_id = %s",
            *scene.last("observation_id"),
        )
        assert appended == [("renamed" if field == "name" else "changed", kept)]
        assert scene.ask(f"SELECT DISTINCT {column} FROM ledger.job") == [(kept,)]


def test_a_job_that_was_gone_returns(scene: Scene) -> None:
    hidden = min(scene.project.jobs)
    scene.source.faults.add(Fault.status(404), path=f"{JOBS}/{hidden}", times=None)
    assert scene.jobs(Fault.without(hidden)).moves.left == 1
    assert scene.jobs().moves.returned == 1
    assert scene.kinds() == [(hidden, "returned")]
    assert scene.last(WORK) == (0, 0, 0)
    assert scene.is_the_truth()


def test_changes_of_jobs_are_dated_by_their_own_answer(scene: Scene) -> None:
    scene.project.annotate(scene.project.assign(scene.a_batch()).id, images=3)
    scene.read()
    asked = (
        "SELECT DISTINCT observation.jobs_at = job_change.observed_at, "
        "job_change.changed_after = observation.jobs_previous_at, "
        "observation.jobs_at > observation.observed_at "
        "FROM ledger.job_change JOIN ledger.observation USING (observation_id) "
        "WHERE job_change.changed_after IS NOT NULL"
    )
    assert scene.ask(asked) == [(True, True, True)]


def test_jobs_are_known_since_their_first_answer_and_not_since_a_later_one(scene: Scene) -> None:
    scene.project.assign(scene.a_batch())
    assert scene.jobs().verdict is Verdict.CHANGED
    assert scene.ask("SELECT jobs_since FROM ledger.project") == scene.ask(
        "SELECT min(jobs_at) FROM ledger.observation"
    )


def test_people_are_taken_out_before_anything_is_kept(place: tuple[str, psycopg.Connection]) -> None:
    scene, omitted = Scene(*place), People()
    scene.run(scrub=lambda body: scrubbed(body, omitted))
    scene.run(Fault.without(min(scene.project.jobs)), scrub=lambda body: scrubbed(body, omitted))
    assert scene.ask("SELECT DISTINCT labeler, reviewer FROM ledger.job") == [(None, None)]
    bodies = [zlib.decompress(body) for (body,) in scene.ask("SELECT body FROM ledger.payload")]
    assert not [body for body in bodies if b"@" in body]
    assert scene.ask("SELECT count(*) FROM ledger.look_up WHERE outcome = 'found'") != [(0,)]
    scene.engine.dispose()


# Nothing changed


@pytest.mark.parametrize("has_etags", [False, True], ids=["same body", "304"])
def test_jobs_that_have_not_changed_cost_one_observation_and_nothing_else(
    place: tuple[str, psycopg.Connection], *, has_etags: bool
) -> None:
    scene = Scene(*place, has_etags=has_etags)
    scene.run()
    before = scene.contents()
    report = scene.read()
    assert (report.verdict, report.jobs and report.jobs.verdict) == (Verdict.UNCHANGED, Verdict.UNCHANGED)
    assert report.requests == 2
    assert scene.contents() == before
    status = 304 if has_etags else 200
    assert scene.last("jobs_verdict, jobs_http_status, jobs_changes") == ("unchanged", status, None)
    totals = scene.ask("SELECT jobs, job_images, annotated, approved, rejected FROM ledger.project")
    assert [scene.last("jobs, job_images, annotated, approved, rejected")] == totals
    scene.engine.dispose()


def test_an_answer_that_changes_no_job_writes_no_day(scene: Scene) -> None:
    days = scene.ask("SELECT one FROM ledger.project_day AS one")
    report = scene.jobs(Fault.with_fields(novelty=1), minutes=MINUTES_OF_A_DAY)
    assert (report.verdict, scene.kinds()) == (Verdict.UNCHANGED, [])
    assert scene.ask("SELECT DISTINCT extra -> 'novelty' FROM ledger.job WHERE gone_at IS NULL") == [(1,)]
    assert scene.ask("SELECT one FROM ledger.project_day AS one") == days


def test_jobs_may_change_while_the_batches_do_not(scene: Scene) -> None:
    job = scene.project.assign(scene.a_batch(), images=20)
    scene.read()
    batches = scene.ask("SELECT ctid, xmin FROM ledger.batch")
    scene.project.annotate(job.id, images=5)
    report = scene.read()
    assert (report.verdict, report.jobs and report.jobs.verdict) == (Verdict.UNCHANGED, Verdict.CHANGED)
    assert scene.last(f"verdict, batches_changed, {FLOWS}") == ("unchanged", 0, *[None] * 5)
    assert scene.last(WORK) == (5, 0, 0)
    assert scene.ask("SELECT ctid, xmin FROM ledger.batch") == batches
    assert scene.read().requests == 2


# Whether to ask


def test_jobs_are_not_asked_for_where_the_settings_say_so_and_what_is_believed_stays(scene: Scene) -> None:
    assert scene.read(read_jobs=ReadJobs.NEVER).jobs is None
    assert not any(path == JOBS for _, path, _ in scene.source.replies)
    assert scene.last("jobs_verdict, jobs_at, jobs") == (None, None, len(scene.project.jobs))


def test_jobs_are_asked_for_on_its_own_accord_once_a_batch_has_any(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = Scene(*place)
    bare = Fault.with_fields(numJobs=0)
    assert scene.read(bare, path=f"/{PATH}/batches").jobs is None
    assert scene.last("jobs_verdict, jobs, jobs_settled") == (None, None, None)
    assert scene.read(bare, path=f"/{PATH}/batches", read_jobs=ReadJobs.ALWAYS).jobs is not None
    assert scene.read().jobs is not None
    scene.engine.dispose()


def test_of_jobs_that_were_never_read_nothing_is_told(place: tuple[str, psycopg.Connection]) -> None:
    scene, known = Scene(*place), "verdict, jobs, job_images, annotated, approved, rejected"
    scene.read(read_jobs=ReadJobs.NEVER)
    assert scene.last(known) == ("changed", *[None] * 5)
    scene.read(read_jobs=ReadJobs.NEVER)
    assert scene.last(known) == ("unchanged", *[None] * 5)
    scene.engine.dispose()


def test_of_a_project_that_was_skipped_nothing_is_told_of_its_jobs_either(scene: Scene) -> None:
    ((project_id,),), at = scene.ask("SELECT project_id FROM ledger.project"), scene.clock.move(minutes=10)
    skipped = Observation(
        project_id=project_id, verdict=Verdict.SKIPPED, rule="held", started_at=at, observed_at=at
    )
    assert scene.ledger.record(scene.ledger.begin_run(trigger="sync", started_at=at), [skipped]) == 1
    assert scene.last("jobs_verdict, jobs, job_images, annotated, approved, rejected") == (None,) * 6


# What goes wrong


def test_jobs_that_cannot_be_read_leave_the_batches_trusted(scene: Scene) -> None:
    scene.a_batch(images=7)
    believed = scene.there()
    report = scene.run(Fault.missing_scope())
    (project,) = report.projects
    assert (project.verdict, project.moves) == (Verdict.CHANGED, Moves(entered=1, images_delta=7))
    assert project.jobs is not None
    assert (project.jobs.verdict, report.exit_code, report.outcome) == (Verdict.FAILED, 4, "partial")
    assert project.jobs.error
    verdict, jobs_verdict, error_class, error, jobs = scene.last(
        "verdict, jobs_verdict, jobs_error_class, jobs_error, jobs"
    )
    assert (verdict, jobs_verdict, error_class) == ("changed", "failed", "MissingScopeError")
    assert (error, jobs) == (project.jobs.error, len(believed))
    assert scene.there() == believed


def test_jobs_that_fail_again_are_noted_with_batches_that_have_not_changed(scene: Scene) -> None:
    before = scene.contents()
    report = scene.read(Fault.status(500))
    assert (report.verdict, report.jobs and report.jobs.verdict) == (Verdict.UNCHANGED, Verdict.FAILED)
    assert scene.last("verdict, jobs_verdict, jobs_http_status") == ("unchanged", "failed", 500)
    assert scene.contents() == before
    assert scene.jobs().verdict is Verdict.UNCHANGED


def test_a_list_of_jobs_that_is_suddenly_empty_is_suspect_and_nothing_is_gone(scene: Scene) -> None:
    believed = scene.there()
    report = scene.run(Fault.empty_list())
    (project,) = report.projects
    assert project.verdict is Verdict.UNCHANGED
    assert project.jobs is not None
    assert (project.jobs.verdict, project.jobs.rule) == (Verdict.SUSPECT, "empty_list")
    assert (report.exit_code, scene.there(), scene.last("jobs")) == (4, believed, (len(believed),))
    ((since,),) = scene.ask("SELECT jobs_loss_suspected_since FROM ledger.project")
    assert since is not None
    assert scene.jobs().verdict is Verdict.UNCHANGED
    assert scene.ask("SELECT jobs_loss_suspected_since FROM ledger.project") == [(None,)]


def test_a_job_left_out_of_the_list_is_found_by_its_look_up(scene: Scene) -> None:
    hidden = min(scene.project.jobs)
    report = scene.jobs(Fault.without(hidden))
    assert (report.verdict, report.rule) == (Verdict.SUSPECT, "short_list")
    assert hidden in scene.there()
    told = scene.ask("SELECT subject, outcome FROM ledger.look_up WHERE record_id = %s", hidden)
    assert told == [("job", "found")]


def test_a_job_that_cannot_be_used_is_kept_as_a_reject_and_carried(scene: Scene) -> None:
    believed = scene.there()
    report = scene.jobs(Fault.with_fields(numImages="many"))
    assert report.rejects == len(believed)
    assert scene.there() == believed
    assert scene.ask("SELECT DISTINCT subject FROM ledger.reject") == [("job",)]


def test_what_is_noted_while_a_job_is_missing_says_that_something_is_pending(scene: Scene) -> None:
    hidden = min(scene.project.jobs)
    scene.source.faults.add(Fault.status(500), path=f"{JOBS}/{hidden}", times=None)
    assert scene.jobs(Fault.without(hidden)).verdict is Verdict.UNCHANGED
    assert scene.last("jobs_settled") == (False,)
    assert scene.read(Fault.status(500), path=f"/{PATH}/batches").verdict is Verdict.FAILED
    assert scene.last("is_settled, jobs_settled") == (True, False)


def test_who_has_lost_the_project_writes_nothing_of_jobs_either(scene: Scene) -> None:
    ((project_id,),) = scene.ask("SELECT project_id FROM ledger.project")
    before, at = scene.contents(), scene.clock.move(minutes=10)
    observation = Observation(
        project_id=project_id,
        verdict=Verdict.CHANGED,
        started_at=at,
        observed_at=at,
        jobs=JobsObservation(verdict=Verdict.CHANGED, at=at, digest=b"digest"),
    )
    jobs = Examined(Snapshot((Job("j", 1),)), Belief(), b"body")
    with pytest.raises(ClaimLostError):
        scene.ledger.apply(1, observation, Examined(Snapshot((Batch("b", 1),)), Belief(), b"body"), jobs)
    with pytest.raises(ClaimLostError):
        scene.ledger.apply(1, observation, None, jobs)
    assert scene.contents() == before


def test_a_dry_run_says_what_would_change_of_jobs_and_writes_nothing(scene: Scene) -> None:
    scene.project.assign(scene.a_batch(), images=30)
    before = scene.contents()
    assert scene.jobs(is_dry=True).moves == Moves(entered=1, images_delta=30)
    assert scene.contents() == before


# Where images came from and went


def test_new_images_are_intake(scene: Scene) -> None:
    scene.a_batch(images=12)
    scene.read()
    assert scene.last(f"images_delta, {FLOWS}") == (12, 12, 0, 0, 0, 0)


def test_images_that_a_job_takes_are_assigned_and_what_it_gives_back_is_unassigned(scene: Scene) -> None:
    batch_id = scene.a_batch(images=40)
    scene.read()
    job = scene.project.assign(batch_id, images=25)
    scene.read()
    assert scene.last(f"images_delta, {FLOWS}") == (-25, 0, 0, 25, 0, 0)
    scene.project.unassign(job.id)
    scene.read()
    assert scene.last(f"images_delta, {FLOWS}") == (25, 0, 0, 0, 25, 0)


def test_images_are_assigned_and_unassigned_by_the_number_of_jobs_alone_where_these_are_not_read(
    scene: Scene,
) -> None:
    batch_id = scene.a_batch(images=40)
    scene.read()
    job = scene.project.assign(batch_id, images=25)
    scene.read(read_jobs=ReadJobs.NEVER)
    assert scene.last(f"images_delta, {FLOWS}") == (-25, 0, 0, 25, 0, 0)
    scene.project.unassign(job.id)
    scene.read(read_jobs=ReadJobs.NEVER)
    assert scene.last(f"images_delta, {FLOWS}") == (25, 0, 0, 0, 25, 0)


def test_images_that_go_from_one_job_to_another_leave_the_flows_of_their_batch_right(scene: Scene) -> None:
    batch_id = scene.a_batch(images=17)
    small = scene.project.assign(batch_id, images=2)
    scene.read()
    scene.project.unassign(small.id)
    large = scene.project.assign(batch_id, images=10)
    scene.read()
    assert scene.last(f"num_jobs_delta, images_delta, {FLOWS}") == (0, -8, 0, 0, 8, 0, 0)
    scene.project.unassign(large.id)
    scene.project.assign(batch_id, images=2)
    scene.read()
    assert scene.last(f"num_jobs_delta, images_delta, {FLOWS}") == (0, 8, 0, 0, 0, 8, 0)


def test_jobs_take_images_of_their_own_batch_only(scene: Scene) -> None:
    first, second = scene.a_batch(images=40), scene.a_batch(images=9)
    scene.read()
    scene.project.assign(first, images=25)
    scene.project.delete(second)
    scene.read()
    assert scene.last(f"images_delta, {FLOWS}") == (-34, 0, 0, 25, 0, 9)


def test_jobs_that_are_read_for_the_first_time_took_nothing_since(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = Scene(*place)
    batch_id = scene.a_batch(images=40)
    scene.project.assign(batch_id, images=25)
    scene.read(read_jobs=ReadJobs.NEVER)
    scene.project.delete(batch_id)
    assert scene.jobs().verdict is Verdict.CHANGED
    assert scene.last(f"images_delta, {FLOWS}") == (-15, 0, 0, 0, 0, 15)
    scene.engine.dispose()


def test_images_of_a_batch_that_is_deleted_are_removed(scene: Scene) -> None:
    batch_id = scene.a_batch(images=9)
    scene.read()
    scene.project.delete(batch_id)
    scene.read()
    assert scene.last(f"images_delta, {FLOWS}") == (-9, 0, 0, 0, 0, 9)


def test_images_that_leave_one_batch_while_as_many_enter_another_moved(scene: Scene) -> None:
    first, second = scene.a_batch(images=9), scene.a_batch(images=4)
    scene.read()
    scene.project.merge(first, second)
    scene.read()
    images_delta, intake, moved, assigned, unassigned, removed = scene.last(f"images_delta, {FLOWS}")
    assert (images_delta, intake, assigned, unassigned, removed) == (0, 0, 0, 0, 0)
    assert moved in (4, 9, 13)


def test_a_day_adds_up_what_flowed_and_what_was_done(scene: Scene) -> None:
    for times in (1, 2):
        _a_busy_hour(scene, times)
    assert scene.ask(f"SELECT {FLOWS}, {WORK} FROM ledger.project_day") == [(42, 9, 18, 15, 6, 12, 6, 3)]
    ended = "jobs, job_images, annotated, approved, rejected"
    assert scene.ask(f"SELECT {ended} FROM ledger.project_day") == [scene.last(ended)]


def test_a_day_tells_of_the_jobs_what_was_read_on_it_though_midnight_came_after_the_batches(
    place: tuple[str, psycopg.Connection],
) -> None:
    """Days are those of UTC, whatever the time zone of the session."""
    uri, connection = place
    scene = Scene(f"{uri}&options=-c%20TimeZone%3DPacific%2FPago_Pago", connection)
    first = datetime(2024, 2, 4, tzinfo=UTC)
    _read_around(scene, first)
    batches, jobs, images = len(scene.project.batches), len(scene.project.jobs), scene.job_images()
    scene.project.annotate(scene.project.assign(scene.a_batch(), images=7).id, images=3)
    _read_around(scene, first + timedelta(days=1))
    annotated = sum(job.annotated for job in scene.project.jobs.values())
    told = "SELECT day, batches, jobs, job_images, annotated FROM ledger.project_day ORDER BY day"
    assert scene.ask(told) == [
        (date(2024, 2, 3), batches, None, None, None),
        (date(2024, 2, 4), batches + 1, jobs, images, annotated - 3),
        (date(2024, 2, 5), batches + 1, jobs + 1, images + 7, annotated),
    ]
    scene.engine.dispose()


def _read_around(scene: Scene, midnight: datetime) -> None:
    """Read so that the list of the batches is complete before midnight, and that of the jobs after it."""
    scene.clock.at = midnight - timedelta(milliseconds=350)
    scene.run(minutes=0)
    assert scene.last(f"observed_at < '{midnight}', jobs_at > '{midnight}'") == (True, True)


def _a_busy_hour(scene: Scene, times: int) -> None:
    """Let everything happen that a day adds up, so many times as large, and read after each."""
    project, kept, dropped = scene.project, scene.a_batch(images=12 * times), scene.a_batch(images=2 * times)
    scene.read()
    project.split(kept, images=3 * times)
    scene.read()
    project.delete(dropped)
    scene.read()
    job = project.assign(kept, images=5 * times)
    project.assign(kept, images=times)
    scene.read()
    project.annotate(job.id, images=4 * times)
    project.approve(job.id, images=2 * times)
    project.reject(job.id, images=times)
    scene.read()
    project.unassign(job.id)
    scene.read()
