"""Where a number of an annotation job comes from: the same as of a batch, by the readings of the jobs."""

from __future__ import annotations

import json
import zlib
from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from etl.commands import show
from etl.commands.queries import reading
from etl.commands.queries.explain import JobExplanation, explain_job
from etl.commands.show.explain import explain as shown
from etl.errors import UnknownProjectError
from etl.guard import GuardRules
from etl.parse.people import People, scrubbed
from etl.records import Slug
from etl.selection import ReadJobs
from etl.simulator.faults import Fault
from tests.integration.test_jobs import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl.commands.queries.past import JobThen

CARS = Slug("acme", "cars")


class Traced(Scene):
    """A project with jobs that was read once."""

    def __init__(self, uri: str, connection: psycopg.Connection) -> None:
        super().__init__(uri, connection)
        self.uri = uri

    def explain(self, job_id: str, at: datetime | None = None) -> JobExplanation:
        with reading(self.uri) as connection:
            return explain_job(connection, CARS, job_id, at or self.clock.at)

    def then(self, job_id: str, at: datetime | None = None) -> JobThen | None:
        return self.explain(job_id, at).believed

    def says(self, job_id: str) -> str:
        stream = StringIO()
        shown(show.console(stream, {}), self.explain(job_id))
        return stream.getvalue()


@pytest.fixture
def scene(database: str) -> Iterator[Traced]:
    with psycopg.connect(database, autocommit=True) as connection:
        made = Traced(database, connection)
        made.run()
        yield made
        made.engine.dispose()


def test_a_number_is_traced_to_its_change_its_reading_its_run_and_its_record(scene: Traced) -> None:
    job = scene.project.assign(scene.a_batch(images=40), images=30)
    scene.run()
    scene.project.annotate(job.id, images=10)
    scene.run(scrub=lambda body: scrubbed(body, People()))
    scene.run(scrub=lambda body: scrubbed(body, People()))

    found = scene.explain(job.id)

    assert found.believed
    assert found.change
    assert found.observation
    assert found.run
    assert found.job_id == job.id
    assert (found.believed.images, found.believed.annotated) == (30, 10)
    assert found.believed.batch_id == found.change.batch_id == job.batch_id
    assert (found.change.kind, found.change.images_delta, found.change.annotated_delta) == ("changed", 0, 10)
    ((observed_at, previous_at, verdict, digest),) = scene.ask(
        "SELECT jobs_at, jobs_previous_at, jobs_verdict, encode(jobs_digest, 'hex') "
        "FROM ledger.observation WHERE observation_id = %s",
        found.observation.observation_id,
    )
    seen = found.observation
    assert (seen.observed_at, seen.previous_at, seen.verdict) == (observed_at, previous_at, verdict)
    assert (found.change.observed_at, found.change.changed_after) == (observed_at, previous_at)
    assert (seen.digest, seen.http_status, seen.fetch_ms, found.run.run_id) == (digest, 200, None, 3)
    assert found.body
    assert found.record
    ((stored,),) = scene.ask("SELECT body FROM ledger.payload WHERE digest = decode(%s, 'hex')", digest)
    body = zlib.decompress(stored)
    assert body[found.record.offset :][: found.record.length].decode() == found.record.raw
    assert (json.loads(found.record.raw)["id"], found.record.count) == (job.id, len(scene.project.jobs))
    assert (found.body.is_intact, "@" in found.record.raw) == (True, False)
    assert found.confirmed
    assert (found.confirmed.observations, found.confirmed.last_at) == (1, scene.last("jobs_at")[0])
    assert (found.pending, found.departure) == (None, None)


def test_what_people_see_of_a_job_is_in_words_of_jobs(scene: Traced) -> None:
    job = scene.project.assign(scene.a_batch(images=40), images=30)
    scene.run()
    said = scene.says(job.id)
    assert said.startswith(f"Job {job.id} of acme/cars as believed at ")
    assert f"value     {job.name}: 30 images, 0 annotated, 0 approved, 0 rejected, " in said
    assert f"; made from batch {job.batch_id}\n" in said
    assert "made by   entered: +30 images, 0 annotated, 0 approved, 0 rejected, after " in said
    scene.project.unassign(job.id)
    scene.run()
    said = scene.says(job.id)
    assert "asked for on its own, the job was not found (404)" in said
    assert "none: the list does not show the job" in said


def test_values_of_a_job_that_a_look_up_told_are_traced_to_its_answer(scene: Traced) -> None:
    hidden = min(job.id for job in scene.project.jobs.values() if job.unannotated)
    scene.project.annotate(hidden, images=1)
    scene.run(Fault.without(hidden))

    found = scene.explain(hidden)

    assert found.observation
    assert found.body
    assert found.record
    assert (found.observation.verdict, found.observation.rule) == ("suspect", "short_list")
    assert (found.observation.look_up, found.body.of) == ("found", "look_up")
    assert found.body.digest == found.observation.look_up_digest
    assert json.loads(found.record.raw)["id"] == hidden
    assert found.pending
    assert found.pending.unlisted_since == found.observation.observed_at
    assert "the list lacks jobs that exist when asked for one by one" in scene.says(hidden)


@pytest.mark.parametrize(
    ("options", "evidence"),
    [
        ({}, "look_up"),
        ({"rules": GuardRules(max_lookups=0)}, "second_absence"),
        ({"accepted_jobs": True}, "accepted"),
    ],
)
def test_the_departure_of_a_job_says_why_it_is_believed(
    scene: Traced, options: dict[str, Any], evidence: str
) -> None:
    lost = scene.project.assign(scene.a_batch()).id
    scene.run()
    scene.project.unassign(lost)
    if options.get("accepted_jobs"):
        options = {"only": (CARS,), "accepted_jobs": frozenset({lost}), "trigger": "confirm"}
    scene.run(**options)
    first_absent_at = scene.last("jobs_at")[0]
    scene.run(**options)

    found = scene.explain(lost)

    assert found.departure
    assert found.believed
    assert (found.believed.knowledge, found.departure.evidence) == ("gone", evidence)
    assert found.departure.first_absent_at == first_absent_at


def test_a_job_that_is_carried_over_an_unusable_record_says_what_is_wrong_with_it(scene: Traced) -> None:
    job_id = min(scene.project.jobs)
    scene.run(Fault.with_fields(numImages=-1))
    pending = scene.explain(job_id).pending
    assert pending
    assert pending.carried_since == scene.last("jobs_at")[0]
    assert pending.reason == "numImages is out of range (0 to 2147483647)"


def test_how_well_a_job_of_the_past_is_known_is_told(scene: Traced) -> None:
    job = scene.project.assign(scene.a_batch(images=40), images=30)
    scene.run()
    (entered_at,) = scene.last("jobs_at")
    before = entered_at - timedelta(minutes=5)
    assert scene.then(job.id, before - timedelta(hours=9)) is None
    assert knowledge(scene, job.id, entered_at) == ("observed", 30)
    assert knowledge(scene, job.id, entered_at + timedelta(minutes=5)) == ("carried", 30)
    scene.run()
    assert knowledge(scene, job.id, entered_at + timedelta(minutes=5)) == ("observed", 30)
    (unchanged_at,) = scene.last("jobs_at")
    assert knowledge(scene, job.id, unchanged_at) == ("observed", 30)
    scene.run(Fault.status(500))
    scene.run()
    assert knowledge(scene, job.id, unchanged_at + timedelta(minutes=5)) == ("carried", 30)
    (read_at,) = scene.last("jobs_at")
    scene.project.annotate(job.id, images=10)
    scene.run()
    assert knowledge(scene, job.id, read_at + timedelta(minutes=5)) == ("carried", 30)
    scene.project.unassign(job.id)
    scene.run()
    (left_at,) = scene.last("jobs_at")
    assert knowledge(scene, job.id, left_at - timedelta(minutes=5)) == ("carried", 30)
    assert knowledge(scene, job.id, left_at) == ("gone", 0)


def test_a_job_of_before_the_first_reading_may_have_been_there(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        scene = Traced(database, connection)
        scene.run(read_jobs=ReadJobs.NEVER)
        at = scene.clock.at
        scene.run()
        then = scene.then(min(scene.project.jobs), at)
        scene.engine.dispose()
    assert then
    assert (then.knowledge, then.images, then.observed_before) == ("unknown", None, None)


def knowledge(scene: Traced, job_id: str, at: datetime) -> tuple[str, int | None]:
    then = scene.then(job_id, at)
    assert then
    return then.knowledge, then.images


def test_a_job_that_nobody_knows_cannot_be_traced(scene: Traced) -> None:
    known = min(scene.project.jobs)
    with pytest.raises(UnknownProjectError, match="no job nope") as caught:
        scene.explain("nope")
    assert "batchledger export job --project acme/cars" in caught.value.remedy
    with pytest.raises(UnknownProjectError, match=known):
        scene.explain(known[:-1])
