"""What the database does not take of batches or jobs: set apart before it, or without harm to the batches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from etl.database import engine
from etl.records import Moves, Verdict
from etl.selection import ReadJobs
from etl.settings import DatabaseSettings
from etl.simulator.faults import Fault
from etl.store import PostgresLedger
from tests.integration.test_jobs import PATH, WORK, Scene
from tests.logins import as_owner
from tests.worlds import a_run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def scene(database: str) -> Iterator[Scene]:
    """Give a project with jobs that was read once."""
    with psycopg.connect(database, autocommit=True) as connection:
        made = Scene(database, connection)
        assert made.jobs().verdict is Verdict.CHANGED
        yield made
        made.engine.dispose()


@pytest.mark.parametrize(
    ("subject", "fields", "reason"),
    [
        (subject, {**fields, key: value}, reason)
        for subject, key, fields in (
            ("batch", "images", {"images": 1}),
            ("job", "numImages", {"numImages": 1}),
        )
        for key, value, reason in (
            (key, 2**31, f"{key} is out of range (0 to 2147483647)"),
            (key, -1, f"{key} is out of range (0 to 2147483647)"),
            (
                "name",
                "a\0b",
                "name holds a character that no database can store (NUL or half a surrogate pair)",
            ),
            (
                "name",
                "\ud800",
                "name holds a character that no database can store (NUL or half a surrogate pair)",
            ),
        )
    ],
)
def test_one_that_no_database_could_hold_is_set_apart_and_the_others_are_applied(
    scene: Scene, subject: str, fields: dict[str, Any], reason: str
) -> None:
    """What the parser lets pass the database takes: a batch or a job is refused before it, and alone."""
    many, key = {"batch": ("batches", "images"), "job": ("jobs", "numImages")}[subject]
    told = json.dumps({many: [{"id": "good", key: 3}, {"id": "bad", **fields}]})
    report = scene.read(Fault.literal(told), path=f"/{PATH}/{many}", read_jobs=ReadJobs.ALWAYS)
    assert Verdict.FAILED not in (report.verdict, report.jobs and report.jobs.verdict)
    found = f"SELECT {subject}_id, images FROM ledger.{subject} WHERE {subject}_id IN ('good', 'bad')"
    assert scene.ask(found) == [("good", 3)]
    assert scene.ask("SELECT subject, record_id, reason FROM ledger.reject") == [(subject, "bad", reason)]


def test_the_largest_that_a_job_may_be_is_applied_however_often(scene: Scene) -> None:
    counts = ("numImages", "annotated", "unannotated", "approved", "rejected")
    jobs = [{"id": f"large-{number}", **dict.fromkeys(counts, 2**31 - 1)} for number in range(3)]
    report = scene.jobs(Fault.literal(json.dumps({"jobs": jobs})))
    assert (report.verdict, report.rejects) == (Verdict.SUSPECT, 0)
    assert scene.last(WORK) == (3 * (2**31 - 1),) * 3


def test_jobs_that_the_database_refuses_leave_the_batches_trusted(scene: Scene, database: str) -> None:
    believed = scene.there()
    job = scene.project.assign(scene.a_batch(images=5007), images=5000)
    with psycopg.connect(as_owner(database), autocommit=True) as owner:
        owner.execute("ALTER TABLE ledger.job ADD CONSTRAINT ck_job_small CHECK (images < 1000)")
        report = scene.run()
        owner.execute("ALTER TABLE ledger.job DROP CONSTRAINT ck_job_small")
    (project,) = report.projects
    assert (project.verdict, project.requests, report.exit_code) == (Verdict.CHANGED, 2, 4)
    assert project.moves == Moves(entered=1, images_delta=7, num_jobs_delta=1)
    assert project.jobs is not None
    assert (project.jobs.verdict, project.jobs.moves) == (Verdict.FAILED, Moves())
    assert scene.last("jobs_error") == ("a fault of batchledger's own (CheckViolation)",)
    assert scene.there() == believed
    assert scene.jobs().moves == Moves(entered=1, images_delta=5000)
    assert job.id in scene.there()


@pytest.mark.parametrize("mode", ["SHARE", "ACCESS EXCLUSIVE"])
def test_a_table_of_jobs_that_somebody_locks_leaves_the_batches_trusted(
    scene: Scene, database: str, mode: str
) -> None:
    """With the first lock jobs can be read and not be written, with the second neither."""
    believed, impatient = scene.there(), engine(database, DatabaseSettings(lock_timeout_s=0.1))
    scene.project.assign(scene.a_batch(images=30), images=20)
    scene.clock.move(minutes=10)
    ledger = PostgresLedger(impatient, host="here", version="test")
    with psycopg.connect(as_owner(database)) as owner:
        owner.execute(f"LOCK TABLE ledger.job IN {mode} MODE".encode())
        (report,) = a_run(ledger, [scene.source], scene.clock).projects
    assert (report.verdict, report.moves.images_delta) == (Verdict.CHANGED, 10)
    assert report.jobs is not None
    assert (report.jobs.verdict, "lock timeout" in report.jobs.error) == (Verdict.FAILED, True)
    assert "lock_timeout_s" in report.jobs.remedy
    assert scene.there() == believed
    assert scene.jobs().moves.entered == 1
    impatient.dispose()
