"""The archive gives the same annotation jobs again; whatever was changed of them by hand is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from etl.parse.people import People, PeoplePolicy, scrubbed
from etl.records import Verdict
from etl.replay import replaying
from etl.selection import ReadJobs
from etl.settings import DatabaseSettings
from etl.simulator.faults import Fault
from etl.tables import metadata
from tests.integration.test_replay import CARS, DRONES, Archive, an_archive
from tests.logins import as_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.difference import Cause
    from etl.report import JobsReport

__all__ = ["an_archive"]

JOBS: Final = "/acme/cars/jobs"


def jobs(scene: Archive, *args: Any, **options: Any) -> JobsReport:
    """Run, and return how the jobs of the first project came out; a fault is one of their list."""
    report = scene.run(*args, **{"path": JOBS, **options}).projects[0].jobs
    assert report is not None
    return report


def assign(scene: Archive, images: int = 30) -> str:
    """Make a job of a new batch, which keeps ten images."""
    return scene.project.assign(scene.project.upload(images=images + 10).id, images=images).id


# What a reading of jobs can come to


def test_jobs_that_entered_changed_left_and_returned_come_out_again(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive(2)
    job = assign(scene)
    scene.run()
    scene.project.annotate(job, images=10)
    assert jobs(scene).moves.changed == 1
    scene.source.faults.add(Fault.status(404), path=f"{JOBS}/{job}", times=None)
    assert jobs(scene, Fault.without(job)).moves.left == 1
    assert jobs(scene, minutes=24 * 60).moves.returned == 1
    scene.project.unassign(job)
    assert jobs(scene).moves.left == 1
    assert scene.agrees()


@pytest.mark.parametrize("has_etags", [False, True], ids=["same body", "304"])
def test_batches_may_change_while_jobs_do_not_and_the_other_way_round(
    an_archive: Callable[..., Archive], *, has_etags: bool
) -> None:
    scene = an_archive(has_etags=has_etags)
    job = assign(scene)
    scene.run()
    scene.project.annotate(job, images=1)
    scene.run()
    scene.project.upload(images=5)
    scene.run()
    scene.run()
    assert scene.agrees()


def test_jobs_that_are_suspect_failed_or_unusable_come_out_again(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    for _ in range(3):
        assign(scene)
    scene.run()
    hidden = min(scene.project.jobs)
    verdicts = [
        jobs(scene, Fault.empty_list()).rule,
        jobs(scene, Fault.without(hidden)).rule,
        jobs(scene, Fault.status(500)).verdict,
        jobs(scene, Fault.with_fields(numImages="many")).verdict,
        jobs(scene, Fault.with_fields(priority="high")).verdict,
        jobs(scene).verdict,
    ]
    assert verdicts == ["empty_list", "short_list", "failed", "unchanged", "unchanged", "unchanged"]
    assert scene.ask("SELECT DISTINCT subject FROM ledger.reject") == [("job",)]
    assert scene.agrees()


def test_look_ups_of_jobs_are_taken_from_the_evidence(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    first, other = assign(scene), assign(scene)
    scene.run()
    scene.source.faults.add(Fault.status(404), path=f"{JOBS}/{first}", times=None)
    assert jobs(scene, Fault.without(first)).moves.left == 1
    observation = scene.last()
    # What answers now would answer otherwise.
    assert set(scene.project.jobs) >= {first, other}
    assert scene.agrees()
    scene.tamper(
        "UPDATE ledger.look_up SET outcome = 'inconclusive' WHERE subject = 'job' AND record_id = %s "
        "AND observation_id = %s",
        first,
        observation,
    )
    cause = scene.cause()
    assert cause.observation_id == observation
    assert {one.column for one in cause.differences} >= {"jobs_verdict", "jobs_changes"}


def test_the_body_of_a_look_up_of_a_job_that_is_not_there_is_named(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive()
    assign(scene)
    scene.run()
    assert jobs(scene, Fault.without(min(scene.project.jobs))).rule == "short_list"
    observation = scene.last()
    scene.owner.execute(
        "DELETE FROM ledger.payload WHERE digest IN (SELECT digest FROM ledger.look_up WHERE subject = 'job')"
    )
    assert scene.cause().what.startswith("the archive lacks the body")
    assert scene.cause().observation_id == observation


def test_the_word_of_an_operator_on_jobs_comes_out_again(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    absent = assign(scene)
    for _ in range(3):
        assign(scene)
    scene.run()
    options = {"trigger": "confirm", "only": (CARS,), "accepted_jobs": frozenset({absent})}
    report = jobs(scene, Fault.without(absent), **options)
    assert (report.verdict, report.moves.left) == (Verdict.CHANGED, 1)
    observation = scene.last()
    assert scene.agrees()
    scene.tamper("DELETE FROM ledger.look_up WHERE outcome = 'accepted'")
    assert scene.cause().observation_id == observation


@pytest.mark.parametrize(
    "people", [People(), People(PeoplePolicy.PSEUDONYM, b"secret")], ids=["omit", "pseudonym"]
)
def test_jobs_without_their_people_come_out_again(an_archive: Callable[..., Archive], people: People) -> None:
    scene = an_archive()
    for _ in range(2):
        assign(scene)
        jobs(scene, scrub=lambda body: scrubbed(body, people))
    assert scene.ask("SELECT count(*) FROM ledger.job WHERE labeler LIKE '%%@%%'") == [(0,)]
    assert scene.agrees()


# What was changed by hand


@pytest.fixture
def changed(an_archive: Callable[..., Archive]) -> tuple[Archive, dict[str, Any]]:
    """Give an archive in which one job changed, and what names it."""
    scene = an_archive(2)
    job = assign(scene)
    scene.run()
    scene.project.annotate(job, images=10)
    other = assign(scene)
    observation = scene.live()
    scene.run()
    ((run, at),) = scene.ask(
        "SELECT run_id, observed_at FROM ledger.observation WHERE observation_id = %s", observation
    )
    return scene, {
        "job": job,
        "first": min(job, other),
        "id": observation,
        "run": run,
        "day": at.date(),
    }


ROWS: Final = {
    "job": ("job_id = %(job)s", "job {job}"),
    "job_change": ("job_id = %(job)s AND observation_id = %(id)s", "job_change {job} {run}"),
    "observation": ("observation_id = %(id)s", "observation {run}"),
    "project": ("project = 'cars'", "project"),
    "project_day": ("project_id = 1", "project_day {day}"),
}
"""One row of each table, and how a replay names it."""

OF_JOBS: Final = {
    "job": set(metadata.tables["ledger.job"].c.keys()) - {"project_id", "job_id"},
    "job_change": set(metadata.tables["ledger.job_change"].c.keys())
    - {"project_id", "job_id", "observation_id"},
    "observation": {
        *("jobs", "job_images", "annotated", "approved", "rejected", "jobs_previous_at", "jobs_body_bytes"),
        *("jobs_changes", "jobs_settled", "intake", "moved", "assigned", "unassigned", "removed"),
        *("annotated_work", "approved_work", "rejected_work"),
    },
    "project": {
        *("jobs", "job_images", "annotated", "approved", "rejected", "jobs_since", "jobs_digest"),
        *("jobs_settled", "jobs_loss_suspected_since"),
    },
    "project_day": set(metadata.tables["ledger.project_day"].c.keys()) - {"project_id", "day"},
}
"""The columns that follow from what was received of jobs."""

OTHERWISE: Final = {
    "INTEGER": "coalesce({0}, 0) + 1",
    "BIGINT": "coalesce({0}, 0) + 1",
    'TEXT COLLATE "C"': "concat({0}, ' by hand')",
    "TEXT": "concat({0}, ' by hand')",
    "DATETIME": "coalesce({0}, '2024-02-03 12:00Z') + INTERVAL '1 second'",
    "BOOLEAN": "NOT coalesce({0}, FALSE)",
    "BLOB": "'\\x00'",
    "JSONB": """'{{"by": "hand"}}'""",
}
"""Another value of each type."""


@pytest.mark.parametrize("table", ROWS)
def test_each_column_that_is_changed_by_hand_is_found_as_the_first_difference(
    changed: tuple[Archive, dict[str, Any]], table: str
) -> None:
    scene, names = changed
    where, what = ROWS[table]
    scene.owner.execute(_unchecked(scene, table).encode())
    scene.owner.execute(
        f"CREATE TEMPORARY TABLE kept AS SELECT * FROM ledger.{table} WHERE {where}".encode(), names
    )
    with replaying(as_owner(scene.uri), DatabaseSettings()) as replayer:
        for column in sorted(OF_JOBS[table]):
            kind = str(metadata.tables[f"ledger.{table}"].c[column].type)
            _set(scene, f"{table} SET {column} = {OTHERWISE[kind].format(column)} WHERE {where}", names)
            cause = replayer.replay(CARS, 1).cause
            assert cause is not None, column
            told = (cause.what, {one.column for one in cause.differences}, cause.observation_id)
            assert told == (what.format(**names), {column}, names["id"])
            _set(scene, f"{table} SET {column} = (SELECT {column} FROM kept) WHERE {where}", names)
        assert replayer.replay(CARS, 1).cause is None


def _set(scene: Archive, what: str, names: dict[str, Any]) -> None:
    assert scene.owner.execute(f"UPDATE ledger.{what}".encode(), names).rowcount == 1


def _unchecked(scene: Archive, table: str) -> str:
    """Give the statements that let a table hold what it never should."""
    checks = scene.ask(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass", f"ledger.{table}"
    )
    return "; ".join(f"ALTER TABLE ledger.{table} DROP CONSTRAINT {name}" for (name,) in checks)


DAMAGES: Final[dict[str, tuple[str, str]]] = {
    "a job less": ("DELETE FROM ledger.job WHERE job_id = %(job)s", "job {job}"),
    "an extra job": (
        (
            "INSERT INTO ledger.job (project_id, job_id, images, first_seen_at, changed_at) "
            "SELECT 1, 'invented', 5, jobs_at, jobs_at FROM ledger.observation WHERE observation_id = %(id)s"
        ),
        "job invented",
    ),
    "a change less": (
        "DELETE FROM ledger.job_change WHERE job_id = %(job)s AND observation_id = %(id)s",
        "job_change {job} {run}",
    ),
    "a change more": (
        (
            "INSERT INTO ledger.job_change "
            "SELECT (jsonb_populate_record(job_change, jsonb_build_object('job_id', 'more'))).* "
            "FROM ledger.job_change WHERE job_id = %(job)s AND observation_id = %(id)s"
        ),
        "job_change more {run}",
    ),
    "another verdict": (
        "UPDATE ledger.observation SET jobs_verdict = 'unchanged' WHERE observation_id = %(id)s",
        "observation {run}",
    ),
    "a rule": (
        (
            "UPDATE ledger.observation SET jobs_verdict = 'suspect', jobs_rule = 'large_loss' "
            "WHERE observation_id = %(id)s"
        ),
        "observation {run}",
    ),
    "never compared": (
        "UPDATE ledger.observation SET jobs_changes = NULL WHERE observation_id = %(id)s",
        "observation {run}",
    ),
    "another time": (
        "UPDATE ledger.observation SET jobs_at = jobs_at + INTERVAL '1 second' WHERE observation_id = %(id)s",
        "job_change {first} {run}",
    ),
    "another body": (
        "UPDATE ledger.observation SET jobs_digest = '\\x00' WHERE observation_id = %(id)s",
        "the archive lacks the body 00",
    ),
    "no body": (
        "UPDATE ledger.observation SET jobs_digest = NULL WHERE observation_id = %(id)s",
        "it does not say which body of jobs it received",
    ),
    "a body that is not there": (
        (
            "DELETE FROM ledger.payload USING ledger.observation WHERE observation_id = %(id)s "
            "AND payload.digest = jobs_digest"
        ),
        "the archive lacks the body {digest}",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_was_changed_of_jobs_by_hand_is_found(
    changed: tuple[Archive, dict[str, Any]], name: str
) -> None:
    scene, names = changed
    asked = "SELECT encode(jobs_digest, 'hex') FROM ledger.observation WHERE observation_id = %s"
    ((digest,),) = scene.ask(asked, names["id"])
    statement, what = DAMAGES[name]
    assert scene.owner.execute(statement.encode(), names).rowcount == 1
    found = scene.replay()
    assert found[DRONES].cause is None
    cause = found[CARS].cause
    assert cause is not None
    assert cause.what == what.format(**names, digest=digest)
    assert (cause.observation_id, cause.run_id) == (names["id"], names["run"])


def test_jobs_that_were_not_the_same_again_are_named(changed: tuple[Archive, dict[str, Any]]) -> None:
    scene, _ = changed
    scene.tamper(
        "UPDATE ledger.observation SET jobs_digest = '\\x00' WHERE observation_id = %s", scene.last()
    )
    cause = scene.cause()
    assert cause.observation_id == scene.last()
    assert cause.what == "its body of jobs is said to be the last trusted one again, and is not"


# After bodies were dropped


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE ledger.job_change SET images = images + 1", "0 jobs more, 0 less, 1 otherwise"),
        ("DELETE FROM ledger.job_change", "1 jobs more, 0 less, 0 otherwise"),
        ("UPDATE ledger.job_change SET job_id = 'other'", "1 jobs more, 1 less, 0 otherwise"),
    ],
)
def test_a_history_of_jobs_that_does_not_lead_to_the_first_body_is_named(
    an_archive: Callable[..., Archive], statement: str, told: str
) -> None:
    scene = an_archive()
    before = scene.last()
    job = assign(scene)
    base = scene.live()
    scene.project.annotate(job, images=10)
    scene.run()
    _drop_bodies(scene, before)
    assert scene.replay()[CARS].cause is None
    scene.tamper(f"{statement} WHERE job_id = %s AND kind = 'entered'", job)
    cause: Cause = scene.cause()
    assert (cause.observation_id, cause.what) == (
        base,
        f"its body does not show what the history says of that time: {told}",
    )


def _drop_bodies(scene: Archive, until: int) -> None:
    """Drop, as prune does, the bodies of batches and of jobs of which nothing after that one has need."""
    scene.drop_bodies(until)
    scene.owner.execute(
        "UPDATE ledger.payload SET body = NULL, pruned_at = now() WHERE digest IN ("
        "SELECT jobs_digest FROM ledger.observation WHERE observation_id <= %(id)s) AND digest NOT IN ("
        "SELECT jobs_digest FROM ledger.observation WHERE observation_id > %(id)s)",
        {"id": until},
    )


def test_a_replay_begins_where_there_were_no_jobs_to_read(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    none = Fault.literal('{"jobs": []}')
    accepted = {"trigger": "confirm", "only": (CARS,), "accepted_jobs": frozenset(scene.project.jobs)}
    assert jobs(scene, none, **accepted).moves.left == len(scene.project.jobs)
    before = scene.last()
    scene.project.upload(images=6)
    assert scene.run(read_jobs=ReadJobs.NEVER).projects[0].jobs is None
    _drop_bodies(scene, before)
    assert jobs(scene, none).verdict is Verdict.UNCHANGED
    found = scene.replay()[CARS]
    assert (found.cause, found.differing, found.obstacle) == (None, {}, None)
    assert found.since is not None
