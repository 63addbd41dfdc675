"""Whatever the source sends of jobs: all or none of it, every record accounted for, nothing unstorable."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etl.errors import PayloadError
from etl.parse import MAX_COUNT, parse_job, parse_jobs
from etl.parse.people import People, PeoplePolicy, scrubbed
from etl.records import Job, Snapshot
from tests.property.test_parse import (
    ENDS_AT,
    EPOCH,
    assert_accounts_for,
    assert_extra_is_storable,
    assert_reject_is_storable,
    hostile_text,
    is_an_id,
    is_storable,
    scalars,
    text_of,
    timestamps,
    values,
)

COUNTS = ("annotated", "unannotated", "approved", "rejected")
TEXTS = ("name", "status", "labeler", "reviewer")
NAMED = People(PeoplePolicy.PSEUDONYM, b"secret")

records = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "c"]) | hostile_text | scalars,
        "numImages": st.integers(0, 3) | values,
        "sourceBatch": st.sampled_from(["P/b", "b", "P/", ""]) | hostile_text | values,
        "project": st.just("P") | values,
        "created": timestamps | values,
        "owner": values,
        "instructionsText": hostile_text,
        "new": values,
    }
    | {key: st.integers(0, 3) | values for key in COUNTS}
    | dict.fromkeys(TEXTS, hostile_text | values),
)
lists = st.lists(records | records | values, max_size=4)
storable_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ids = st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=30)
counts = st.none() | st.integers(0, MAX_COUNT)
usable = st.builds(
    Job,
    job_id=ids,
    images=st.integers(0, MAX_COUNT),
    name=st.none() | storable_text,
    status=st.none() | storable_text,
    batch_id=st.none() | ids,
    annotated=counts,
    unannotated=counts,
    approved=counts,
    rejected=counts,
    labeler=st.none() | storable_text.filter(bool),
    reviewer=st.none() | storable_text.filter(bool),
    created_at=st.none()
    | st.integers(0, 4102444800 * 10**6 - 1).map(lambda us: EPOCH + timedelta(microseconds=us)),
    extra=st.none() | st.integers().map(lambda number: f'{{"new":{number}}}'),
)


def rendered(job: Job) -> dict[str, Any]:
    """Write a job as the source documents it."""
    record: dict[str, Any] = {"id": job.job_id, "numImages": job.images}
    record |= {key: getattr(job, key) for key in (*TEXTS, *COUNTS)}
    if job.batch_id is not None:
        record |= {"sourceBatch": f"P/{job.batch_id}", "project": "P"}
    if job.created_at is not None:
        seconds, rest = divmod((job.created_at - EPOCH) // timedelta(microseconds=1), 10**6)
        record["created"] = {"_seconds": seconds, "_nanoseconds": rest * 1_000}
    return record | (json.loads(job.extra) if job.extra else {})


def assert_job_is_storable(job: Job) -> None:
    assert 0 < len(job.job_id.encode()) <= 1_000
    assert job.batch_id is None or 0 < len(job.batch_id.encode()) <= 1_000
    for text in (job.job_id, job.batch_id, job.name, job.status, job.labeler, job.reviewer, job.extra):
        assert is_storable(text)
    for count in (job.images, job.annotated, job.unannotated, job.approved, job.rejected):
        assert 0 <= (count or 0) <= MAX_COUNT
    assert EPOCH <= (job.created_at or EPOCH) < ENDS_AT
    assert_extra_is_storable(json.loads(job.extra or "{}"))


@given(lists)
def test_every_record_is_a_job_or_a_reject(all_: list[object]) -> None:
    snapshot = parse_jobs(text_of({"jobs": all_}))
    assert snapshot == parse_jobs(text_of(all_))
    assert_accounts_for(snapshot, len(all_))
    for job in snapshot.records:
        assert_job_is_storable(job)
    for reject in snapshot.rejects:
        assert_reject_is_storable(reject)
        assert json.loads(reject.raw) == all_[reject.position]


@given(lists)
def test_present_are_all_ids_that_can_be_read(all_: list[object]) -> None:
    readable = [record for record in all_ if isinstance(record, dict) and is_an_id(record.get("id"))]
    snapshot = parse_jobs(text_of(all_))
    assert snapshot.present == {record["id"] for record in readable}
    assert snapshot.has_unreadable is (len(readable) < len(all_))


@given(st.lists(usable, max_size=5, unique_by=lambda job: job.job_id))
def test_jobs_written_as_documented_are_read_as_they_were(jobs: list[Job]) -> None:
    assert parse_jobs(text_of({"jobs": [rendered(job) for job in jobs]})) == Snapshot(tuple(jobs))
    spaced = json.dumps([rendered(job) for job in jobs], ensure_ascii=False, indent=1)
    assert parse_jobs(b"\xef\xbb\xbf" + spaced.encode()) == Snapshot(tuple(jobs))


@given(records, st.booleans())
def test_a_look_up_of_any_record_agrees_with_the_list(
    record: dict[str, Any],
    is_wrapped: bool,  # noqa: FBT001 (given)
) -> None:
    snapshot = parse_jobs(text_of([record]))
    try:
        job = parse_job(text_of({"job": record} if is_wrapped else record), str(record.get("id")))
    except PayloadError:
        assert snapshot.records == ()
    else:
        assert snapshot.records == (job,)


@given(lists, st.sampled_from([People(), NAMED]))
def test_to_take_the_people_out_changes_nothing_else(all_: list[object], people: People) -> None:
    def without(snapshot: Snapshot[Job]) -> list[object]:
        return [(job.job_id, job.images, job.status, job.annotated, job.rejected) for job in snapshot.records]

    body = text_of({"jobs": all_})
    if b"@" in body or b"%40" in body:
        return
    before, after = parse_jobs(body), parse_jobs(scrubbed(body, people))
    assert after.present == before.present
    assert after.has_unreadable == before.has_unreadable
    if len({str(record.get("id")) for record in all_ if isinstance(record, dict)}) == len(all_):
        assert without(after) == without(before)
