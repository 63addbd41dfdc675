"""Where a body tells of a batch: in a list, bare or wrapped, and in the answer to a look-up."""

from __future__ import annotations

import pytest

from etl.errors import PayloadError
from etl.parse import Located, locate_batch, locate_job

FIRST = b'{"id": "a", "images": 1}'
SECOND = b'{"id": "b", "images": 2}'


@pytest.mark.parametrize("body", [b'{"batches": [%b, %b]}', b"[%b,\n %b]", b'{"x": 1, "batches":[%b,%b]}'])
def test_in_a_list_it_is_told_with_its_place_and_how_many_there_are(body: bytes) -> None:
    body = body % (FIRST, SECOND)
    assert locate_batch(body, "a") == Located(FIRST, body.index(FIRST), 0, 2)
    assert locate_batch(body, "b") == Located(SECOND, body.index(SECOND), 1, 2)
    assert locate_batch(body, "c") is None


@pytest.mark.parametrize("body", [FIRST, b'{"batch": %b}' % FIRST])
def test_in_the_answer_to_a_look_up_it_has_no_place_in_a_list(body: bytes) -> None:
    assert locate_batch(body, "a") == Located(FIRST, body.index(FIRST), None, None)
    assert locate_batch(body, "b") is None


def test_a_job_is_told_as_a_batch_is() -> None:
    job = b'{"id": "a", "numImages": 1}'
    body = b'{"batches": [%b], "jobs": [%b, %b]}' % (job, SECOND, job)
    assert locate_job(body, "a") == Located(job, body.rindex(job), 1, 2)
    assert locate_job(body, "c") is None
    body = b'{"job": %b}' % job
    assert locate_job(body, "a") == Located(job, body.index(job), None, None)


def test_what_stands_before_the_list_and_looks_the_same_is_not_it() -> None:
    body = b'{"x": %b, "batches": [%b]}' % (FIRST, FIRST)
    assert locate_batch(body, "a") == Located(FIRST, body.rindex(FIRST), 0, 1)


def test_what_another_record_holds_and_looks_the_same_is_not_it() -> None:
    outer = b'{"id": "o", "images": 1, "new": %b}' % FIRST
    body = b"[%b, %b]" % (outer, FIRST)
    assert locate_batch(body, "a") == Located(FIRST, body.rindex(FIRST), 1, 2)
    body = b"[%b, %b, %b]" % (SECOND, outer, FIRST)
    assert locate_batch(body, "a") == Located(FIRST, body.rindex(FIRST), 2, 3)


def test_of_two_records_of_one_batch_the_first_is_told() -> None:
    assert locate_batch(b"[%b,%b]" % (FIRST, FIRST), "a") == Located(FIRST, 1, 0, 2)


def test_a_record_that_cannot_be_used_is_found_by_its_id() -> None:
    unusable = b'{"id": "a"}'
    assert locate_batch(b"[%b]" % unusable, "a") == Located(unusable, 1, 0, 1)


def test_a_list_that_is_empty_has_nothing_of_it() -> None:
    assert locate_batch(b"[]", "a") is None
    assert locate_batch(b'{"batches": []}', "a") is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"1", "the answer is JSON, but no object"),
        (b'{"error": "x"}', "the source answered 200 with an error in the body"),
        (b'{"error": "x", "batches": []}', "the source answered 200 with an error in the body"),
        (b'{"batches": 1}', "the answer has no list `batches`"),
    ],
)
def test_a_body_of_another_shape_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(PayloadError) as raised:
        locate_batch(body, "a")
    assert str(raised.value) == message
