"""What a reason says to the letter, and corners of what is read that only a mutant has found."""

from __future__ import annotations

import json
from datetime import UTC
from decimal import Decimal

import pytest

from etl.errors import PayloadError
from etl.parse import parse_batch, parse_batches, parse_root, parse_time, parse_workspace
from etl.records import Slug


def a_list(**fields: object) -> bytes:
    return json.dumps([{"id": "a", "images": 1, **fields}]).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'"text"', "the answer is JSON, but no object"),
        (b'{"error": "x"}', "the source answered 200 with an error in the body"),
        (b'{"batches": 1}', "the answer has no list `batches`"),
        (b"no JSON", "the answer is not JSON (7 bytes)"),
        (b"\n <html>", "the answer is not JSON (8 bytes, looks like HTML)"),
    ],
)
def test_a_body_that_is_no_list_says_what_is_wrong_with_it(body: bytes, message: str) -> None:
    with pytest.raises(PayloadError) as raised:
        parse_batches(body)
    assert str(raised.value) == message


def test_a_page_says_what_to_check() -> None:
    with pytest.raises(PayloadError) as raised:
        parse_batches(b"<html>")
    assert raised.value.remedy == "What answered is not the API; check ROBOFLOW_API_URL and proxies."


def test_another_batch_a_root_and_a_workspace_say_what_is_wrong_with_them() -> None:
    with pytest.raises(PayloadError) as raised:
        parse_batch(b'{"id": "b", "images": 1}', "a")
    assert str(raised.value) == "the look-up of a batch answered with another batch"
    with pytest.raises(PayloadError) as raised:
        parse_root(b"{}")
    assert str(raised.value) == "the source's root does not name the key's workspace"
    with pytest.raises(PayloadError) as raised:
        parse_workspace(b"{}", "acme")
    assert str(raised.value) == "the answer has no object `workspace`"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (a_list(name=1), "name is not text"),
        (
            a_list(name="\ud800"),
            "name holds a character that no database can store (NUL or half a surrogate pair)",
        ),
        (a_list(uploaded=True), "uploaded is no time"),
    ],
)
def test_a_reject_gives_its_reason_to_the_letter(body: bytes, reason: str) -> None:
    (reject,) = parse_batches(body).rejects
    assert reject.reason == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "is no time"),
        ({"_seconds": 1, "_nanoseconds": -1}, "has nanoseconds out of range (0 to 999999999)"),
        ("noon", "is not ISO 8601"),
        ("0001-01-01T00:00:00+14:00", "is out of range (1970 to 2100)"),
        (1, "is a number outside 2000 to 2100, both as seconds and as milliseconds"),
        ({"_seconds": 10**30}, "is out of range (1970 to 2100)"),
        ({"_seconds": -1}, "is out of range (1970 to 2100)"),
    ],
)
def test_what_is_no_time_says_why_to_the_letter(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) ") as raised:
        parse_time(value)
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    "value", ["2022-11-22T20:40:24+01:00", {"_seconds": 1669146024}, Decimal(1669146024), 1669146024818]
)
def test_a_time_is_in_utc_itself_and_not_in_a_zone_that_is_the_same_here(value: object) -> None:
    at, _ = parse_time(value)
    assert at.tzinfo is UTC


@pytest.mark.parametrize("before", [b"", rb'"\ud800": 1, '])
def test_half_a_surrogate_pair_in_bytes_spoils_its_own_record_only(before: bytes) -> None:
    body = b'{%b"batches": [{"id":"a","images":1,"name":"\xed\xa0\x80"}, {"id":"b","images":2}]}' % before
    snapshot = parse_batches(body)
    assert [batch.batch_id for batch in snapshot.records] == ["b"]
    (reject,) = snapshot.rejects
    assert (reject.position, reject.record_id) == (0, "a")
    assert reject.raw == r'{"id":"a","images":1,"name":"\xed\xa0\x80"}'


def test_what_cannot_be_stored_is_kept_with_its_keys_in_order_at_every_level() -> None:
    (batch,) = parse_batches(a_list(new={"z": "\x00", "a": 1})).records
    assert batch.extra is not None
    assert json.loads(batch.extra) == {"unstorable": r'{"new": {"a": 1, "z": "\u0000"}}'}


def test_the_last_level_that_is_kept_is_the_hundredth() -> None:
    kept = "[" * 100 + "]" * 100
    (batch,) = parse_batches(f'[{{"id":"a","images":1,"new":{kept}}}]'.encode()).records
    assert batch.extra == f'{{"new":{kept}}}'


def test_the_longest_id_has_a_thousand_bytes_whatever_is_in_it() -> None:
    assert parse_batches(a_list(id="-" * 1_000)).records
    assert parse_batches(a_list(id="-" * 1_001)).has_unreadable


@pytest.mark.parametrize("address", ["cars", "acme/cars", "acme/old/cars"])
def test_the_slug_of_a_project_is_what_follows_the_last_slash(address: str) -> None:
    body = json.dumps({"workspace": {"projects": [{"id": address}]}}).encode()
    assert [project.slug for project in parse_workspace(body, "acme").projects] == [Slug("acme", "cars")]


def test_a_project_without_an_address_says_what_it_should_be() -> None:
    (reject,) = parse_workspace(b'{"workspace": {"projects": [{}]}}', "acme").rejects
    assert reject.reason == "id is not `workspace/project`"
