"""Bodies → annotation jobs: every documented shape, and what becomes of all that is not documented."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from etl.errors import PayloadError
from etl.parse import MAX_COUNT, parse_job, parse_jobs
from etl.records import Job, Reject, Snapshot

AT = datetime(2022, 11, 22, 20, 14, 48, 297000, tzinfo=UTC)
CREATED = {"_seconds": 1669148088, "_nanoseconds": 297000000}
COUNTS = ("annotated", "unannotated", "approved", "rejected")
BESIDE: list[dict[str, Any]] = [{}, {"unknown": None}]
"""Nothing, and what leaves a record to the slow way."""


def a_record(**fields: Any) -> dict[str, Any]:
    return {
        "id": "j",
        "name": "north: Job 1",
        "status": "assigned",
        "sourceBatch": "P/b",
        "project": "P",
        "numImages": 10,
        "annotated": 6,
        "unannotated": 4,
        "approved": 3,
        "rejected": 1,
        "labeler": "person-1",
        "reviewer": "person-2",
        "instructionsText": "",
        "created": CREATED,
    } | fields


def a_job(**fields: Any) -> Job:
    values: dict[str, Any] = {
        "job_id": "j",
        "images": 10,
        "name": "north: Job 1",
        "status": "assigned",
        "batch_id": "b",
        "annotated": 6,
        "unannotated": 4,
        "approved": 3,
        "rejected": 1,
        "labeler": "person-1",
        "reviewer": "person-2",
        "created_at": AT,
    }
    return Job(**(values | fields))


def parsed(*records: object) -> Snapshot[Job]:
    return parse_jobs(json.dumps({"jobs": records}).encode())


def the_job(**fields: Any) -> Job:
    snapshot = parsed(a_record(**fields))
    assert snapshot.rejects == ()
    return snapshot.records[0]


def the_reject(**fields: Any) -> Reject:
    snapshot = parsed(a_record(**fields))
    assert snapshot.records == ()
    return snapshot.rejects[0]


# The body as a whole.


def test_a_documented_record_is_read_in_full() -> None:
    assert parsed(a_record()) == Snapshot((a_job(),))


def test_the_slow_way_reads_the_same_as_the_fast_one() -> None:
    assert parsed(a_record(unknown=1)) == Snapshot((a_job(extra='{"unknown":1}'),))
    assert parsed(a_record(id="i", numImages=None), a_record()).records == (a_job(),)


def test_a_bare_list_is_read_like_a_wrapped_one() -> None:
    assert parse_jobs(json.dumps([a_record()]).encode()) == parsed(a_record())


@pytest.mark.parametrize("body", [b'{"jobs": []}', b"[]", b'{"next": null, "jobs": []}'])
def test_an_empty_list_is_no_error(body: bytes) -> None:
    assert parse_jobs(body) == Snapshot(())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"<!doctype html>", "looks like HTML"),
        (b'{"jobs": [{"id": "j", "numIm', "not JSON"),
        (b"null", "no object"),
        (b"{}", "no list `jobs`"),
        (b'{"jobs": {"j": {}}}', "no list `jobs`"),
        (b'{"batches": []}', "no list `jobs`"),
        (b'{"error": "no", "jobs": []}', "200 with an error"),
    ],
)
def test_a_body_of_another_shape_is_not_believed(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        parse_jobs(body)


# Fields that we use.


@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("name", "name"),
        ("status", "status"),
        *((key, key) for key in COUNTS),
        ("labeler", "labeler"),
        ("reviewer", "reviewer"),
        ("created", "created_at"),
    ],
)
@pytest.mark.parametrize("is_null", [True, False])
def test_a_field_that_may_be_lacking_is_none(key: str, column: str, *, is_null: bool) -> None:
    record = a_record() | {key: None}
    if not is_null:
        del record[key]
    assert parsed(record) == Snapshot((a_job(**{column: None}),))


def test_a_record_may_have_next_to_nothing() -> None:
    assert parsed({"id": "j", "numImages": 0}) == Snapshot((Job("j", 0),))


@pytest.mark.parametrize("key", ["numImages", *COUNTS])
@pytest.mark.parametrize("value", [0, MAX_COUNT])
@pytest.mark.parametrize("beside", BESIDE)
def test_a_count_may_be_anything_that_an_integer_column_holds(
    key: str, value: int, beside: dict[str, Any]
) -> None:
    assert getattr(the_job(**{key: value}, **beside), "images" if key == "numImages" else key) == value


@pytest.mark.parametrize("key", ["numImages", *COUNTS])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, f"is out of range (0 to {MAX_COUNT})"),
        (MAX_COUNT + 1, f"is out of range (0 to {MAX_COUNT})"),
        (3.0, "is not a whole number"),
        ("3", "is not a whole number"),
        (True, "is not a whole number"),
    ],
)
def test_a_count_that_is_none_is_a_reject_of_a_job_that_is_there(
    key: str, value: object, reason: str
) -> None:
    reject = the_reject(**{key: value})
    assert reject == Reject(0, f"{key} {reason}", json.dumps(a_record(**{key: value})), "j")


def test_a_job_without_images_is_a_reject() -> None:
    assert the_reject(numImages=None).reason == "numImages is missing"


def test_counts_that_do_not_add_up_are_kept_as_they_are_told() -> None:
    job = the_job(annotated=9, unannotated=9, approved=9, rejected=9)
    assert (job.images, job.annotated, job.unannotated) == (10, 9, 9)


@pytest.mark.parametrize("key", ["name", "status", "sourceBatch"])
@pytest.mark.parametrize(
    ("value", "reason"), [(7, "is not text"), ([], "is not text"), ("P/\0", "holds a character")]
)
@pytest.mark.parametrize("beside", BESIDE)
def test_a_text_that_cannot_be_stored_is_a_reject(
    key: str, value: object, reason: str, beside: dict[str, Any]
) -> None:
    reject = the_reject(**{key: value}, **beside)
    assert reject.reason.startswith(f"{key} {reason}")
    assert reject.record_id == "j"


def test_a_time_that_is_none_is_a_reject_with_the_reason_of_the_time() -> None:
    assert the_reject(created="yesterday").reason == "created is not ISO 8601"
    assert the_reject(created={"_seconds": -1}).reason == "created is out of range (1970 to 2100)"


def test_what_flooring_a_time_loses_is_kept_beside_it() -> None:
    job = the_job(created={"_seconds": 1669148088, "_nanoseconds": 297000001})
    assert job == a_job(extra='{"created":{"_nanoseconds":297000001,"_seconds":1669148088}}')


def test_a_status_is_free_text() -> None:
    assert the_job(status="in Prüfung").status == "in Prüfung"


# The batch.


@pytest.mark.parametrize(
    ("source", "batch_id"), [("P/b", "b"), ("b", "b"), ("a/b/c", "c"), ("Q/b", "b"), ("/b", "b")]
)
@pytest.mark.parametrize("beside", BESIDE)
def test_the_batch_is_what_follows_the_last_slash(source: str, batch_id: str, beside: dict[str, Any]) -> None:
    assert the_job(sourceBatch=source, **beside).batch_id == batch_id


@pytest.mark.parametrize("source", ["", "P/", "/", "P/..", "P/a\nb", "bP/"])
def test_what_names_no_batch_is_kept_and_spoils_no_count(source: str) -> None:
    job = the_job(sourceBatch=source)
    assert job.batch_id is None
    assert job.images == 10
    assert json.loads(job.extra or "{}") == {"sourceBatch": source, "project": "P"}


@pytest.mark.parametrize(
    "record", [{"id": "j", "numImages": 1}, {"id": "j", "numImages": 1, "sourceBatch": None}]
)
def test_a_job_may_be_of_no_batch(record: dict[str, Any]) -> None:
    assert parsed(record).records == (Job("j", 1),)


def test_the_project_is_kept_only_where_the_batch_does_not_tell_it() -> None:
    assert the_job().extra is None
    assert the_job(project="Q").extra == '{"project":"Q"}'
    assert the_job(sourceBatch="b").extra == '{"project":"P"}'
    assert the_job(sourceBatch=None).extra == '{"project":"P"}'
    assert the_job(project="", sourceBatch="/b").extra is None


# People.


@pytest.mark.parametrize("key", ["labeler", "reviewer"])
@pytest.mark.parametrize("beside", BESIDE)
def test_nobody_is_none(key: str, beside: dict[str, Any]) -> None:
    assert getattr(the_job(**{key: ""}, **beside), key) is None
    assert getattr(the_job(**{key: None}, **beside), key) is None


@pytest.mark.parametrize("key", ["labeler", "reviewer"])
@pytest.mark.parametrize("value", ["", None])
def test_of_nobody_nothing_is_left_to_keep(key: str, value: str | None) -> None:
    assert the_job(**{key: value}, unknown=None).extra == '{"unknown":null}'


@pytest.mark.parametrize("key", ["labeler", "reviewer"])
@pytest.mark.parametrize("value", [7, ["a"], {"email": "a"}, False])
def test_people_who_are_named_in_another_way_are_kept_and_spoil_no_count(key: str, value: object) -> None:
    job = the_job(**{key: value})
    assert job == a_job(**{key: None}, extra=json.dumps({key: value}, separators=(",", ":")))


def test_a_name_of_a_person_that_cannot_be_stored_spoils_no_count() -> None:
    job = the_job(labeler="a\0")
    assert job.labeler is None
    assert job.extra == json.dumps({"unstorable": json.dumps({"labeler": "a\0"})})


# Fields that we do not use.


@pytest.mark.parametrize("text", ["", "No instructions provided"])
@pytest.mark.parametrize("beside", BESIDE)
def test_no_instructions_are_nothing_to_keep(text: str, beside: dict[str, Any]) -> None:
    extra = the_job(instructionsText=text, **beside).extra
    assert extra == ('{"unknown":null}' if beside else None)


def test_all_else_is_kept() -> None:
    job = the_job(instructionsText="Draw boxes", owner="o", createdBy="API", new=[1.10])
    assert job.extra == '{"createdBy":"API","instructionsText":"Draw boxes","new":[1.1],"owner":"o"}'


# Duplicates and rejects.


def test_of_equal_records_the_first_is_kept() -> None:
    snapshot = parsed(a_record(), a_record(id="i"), a_record())
    assert [job.job_id for job in snapshot.records] == ["j", "i"]
    assert [(one.position, one.reason, one.record_id) for one in snapshot.rejects] == [
        (2, "id repeats the record at position 0", "j")
    ]


def test_records_that_contradict_one_another_are_none_of_them_believed() -> None:
    snapshot = parsed(a_record(), a_record(annotated=5, unannotated=5))
    assert snapshot.records == ()
    assert {one.reason for one in snapshot.rejects} == {"id appears 2 times with different values"}
    assert snapshot.present == {"j"}


def test_one_bad_record_costs_no_other() -> None:
    snapshot = parsed(a_record(id="a"), a_record(id="b", numImages="many"), None, a_record(id="c"))
    assert [job.job_id for job in snapshot.records] == ["a", "c"]
    assert [(one.position, one.record_id) for one in snapshot.rejects] == [(1, "b"), (2, None)]
    assert snapshot.has_unreadable


def test_a_record_that_cannot_be_decoded_still_tells_its_id() -> None:
    (reject,) = parse_jobs(b'[{"id":"j","numImages":1,"name":"\xff"}]').rejects
    assert (reject.reason, reject.record_id) == ("record cannot be decoded", "j")


# The look-up of one job.


@pytest.mark.parametrize("record", [a_record(), {"job": a_record()}, {"job": a_record(), "more": 1}])
def test_a_look_up_is_read_bare_or_wrapped(record: dict[str, Any]) -> None:
    assert parse_job(json.dumps(record).encode(), "j") == a_job()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "the answer is JSON, but no object"),
        (b'{"error": "gone"}', "the source answered 200 with an error in the body"),
        (b"{}", "the look-up of a job cannot be used: id is missing"),
        (b'{"batch": {"id": "j"}}', "the look-up of a job cannot be used: id is missing"),
        (b'{"job": null}', "the look-up of a job cannot be used: record is not an object"),
        (b'{"job": {"id": "j"}}', "the look-up of a job cannot be used: numImages is missing"),
        (b'{"id": "i", "numImages": 1}', "the look-up of a job answered with another job"),
    ],
)
def test_a_look_up_that_is_not_the_job_is_not_believed(body: bytes, message: str) -> None:
    with pytest.raises(PayloadError) as raised:
        parse_job(body, "j")
    assert str(raised.value) == message
