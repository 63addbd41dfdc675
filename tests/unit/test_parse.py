"""Bodies → records: every documented shape, and what becomes of all that is not documented."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from etl.errors import PayloadError
from etl.parse import (
    MAX_COUNT,
    error_text,
    error_type,
    parse_batch,
    parse_batches,
    parse_root,
    parse_workspace,
)
from etl.records import Batch, Listing, Project, Reject, Slug, Snapshot

AT = datetime(2022, 11, 22, 19, 40, 24, 818000, tzinfo=UTC)
UPLOADED = {"_seconds": 1669146024, "_nanoseconds": 818000000}
ASTRAL = "\U0001f4e6"


def a_record(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "images": 3, "numJobs": 1, "name": "north", "uploaded": UPLOADED} | fields


def a_batch(**fields: Any) -> Batch:
    values: dict[str, Any] = {"batch_id": "a", "images": 3, "name": "north", "num_jobs": 1, "uploaded_at": AT}
    return Batch(**(values | fields))


def parsed(*records: object) -> Snapshot[Batch]:
    return parse_batches(json.dumps({"batches": records}).encode())


def the_batch(record: str) -> Batch:
    snapshot = parse_batches(f'{{"batches": [{record}]}}'.encode())
    assert snapshot.rejects == ()
    return snapshot.records[0]


def the_reject(record: str) -> Reject:
    snapshot = parse_batches(f'{{"batches": [{record}]}}'.encode())
    assert snapshot.records == ()
    return snapshot.rejects[0]


# The body as a whole.


def test_a_documented_record_is_read_in_full() -> None:
    assert parsed(a_record()) == Snapshot((a_batch(),))


def test_a_bare_list_is_read_like_a_wrapped_one() -> None:
    assert parse_batches(b" \n" + json.dumps([a_record()]).encode()) == parsed(a_record())


@pytest.mark.parametrize("body", [b'{"batches": []}', b"[]", b'{"next": null, "batches": []}'])
def test_an_empty_list_is_no_error(body: bytes) -> None:
    assert parse_batches(body) == Snapshot(())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"<!doctype html><title>502</title>", r"not JSON \(33 bytes, looks like HTML\)"),
        (b"Bad gateway", r"not JSON \(11 bytes\)"),
        (b'{"batches": [{"id": "a", "ima', "not JSON"),
        (b'{"batches": []} {}', "not JSON"),
        (b'{"batches": [NaN]}', "not JSON"),
        (b'{"batches": [{"id": "a", "images": -Infinity, "name": "\\ud800"}]}', "not JSON"),
        (b'{"batches": [{"id": "\x00"}]}', "not JSON"),
        ('{"batches": []}'.encode("utf-16"), "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"null", "no object"),
        (b"true", "no object"),
        (b"7", "no object"),
        (b'"batches"', "no object"),
        (b"{}", "no list `batches`"),
        (b'{"batches": null}', "no list `batches`"),
        (b'{"batches": {"a": {}}}', "no list `batches`"),
        (b'{"batches": "[]"}', "no list `batches`"),
        (b'{"Batches": []}', "no list `batches`"),
        (b'{"jobs": []}', "no list `batches`"),
        (b'{"error": "no", "batches": []}', "200 with an error"),
        (b'{"error": null, "batches": []}', "200 with an error"),
        (b'{"error": {"message": "\\ud800"}}', "200 with an error"),
    ],
)
def test_a_body_of_another_shape_is_not_believed(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        parse_batches(body)


def test_a_body_never_reaches_the_message() -> None:
    with pytest.raises(PayloadError) as caught:
        parse_batches(b'{"error": "canary", "canary": [')
    assert "canary" not in str(caught.value)


def test_a_byte_order_mark_is_no_obstacle() -> None:
    body = json.dumps({"batches": [a_record()]}).encode()
    assert parse_batches(b"\xef\xbb\xbf" + body) == parsed(a_record())
    assert parse_batch(b"\xef\xbb\xbf" + json.dumps(a_record()).encode(), "a") == a_batch()


# Fields that we use.


@pytest.mark.parametrize("key", ["name", "numJobs", "uploaded"])
@pytest.mark.parametrize("is_null", [True, False])
def test_a_field_that_may_be_lacking_is_none(key: str, *, is_null: bool) -> None:
    record = a_record() | {key: None}
    if not is_null:
        del record[key]
    column = {"name": "name", "numJobs": "num_jobs", "uploaded": "uploaded_at"}[key]
    assert parsed(record) == Snapshot((a_batch(**{column: None}),))


@pytest.mark.parametrize(("key", "column"), [("images", "images"), ("numJobs", "num_jobs")])
@pytest.mark.parametrize("value", [0, 1, MAX_COUNT])
@pytest.mark.parametrize("beside", [{}, {"unknown": None}])
def test_a_count_may_be_anything_that_an_integer_column_holds(
    key: str, column: str, value: int, beside: dict[str, None]
) -> None:
    (batch,) = parsed(a_record(**{key: value}, **beside)).records
    assert getattr(batch, column) == value


@pytest.mark.parametrize("key", ["images", "numJobs"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("-1", "out of range"),
        (str(MAX_COUNT + 1), "out of range"),
        ("9" * 4000, "out of range"),
        ("3.0", "not a whole number"),
        ("3e0", "not a whole number"),
        ("1e999", "not a whole number"),
        ('"3"', "not a whole number"),
        ("true", "not a whole number"),
        ("false", "not a whole number"),
        ("[3]", "not a whole number"),
        ("{}", "not a whole number"),
    ],
)
def test_a_count_that_is_none_is_a_reject_of_a_batch_that_is_there(key: str, value: str, reason: str) -> None:
    raw = f'{{"id":"a","images":1,"{key}":{value}}}'
    reject = the_reject(raw)
    assert reject == Reject(0, reject.reason, raw, "a")
    assert reject.reason.startswith(key)
    assert reason in reject.reason


def test_a_batch_without_images_is_a_reject() -> None:
    assert the_reject('{"id":"a"}').reason == "images is missing"
    assert the_reject('{"id":"a","images":null}').reason == "images is missing"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("7", "not text"),
        ("[]", "not text"),
        (r'"a\u0000b"', "no database"),
        (r'"\ud83d"', "no database"),
        (r'"\udce6\ud83d"', "no database"),
    ],
)
@pytest.mark.parametrize("rest", ["", ',"new":1'])
def test_a_name_that_cannot_be_stored_is_a_reject(name: str, reason: str, rest: str) -> None:
    uploaded = json.dumps(UPLOADED)
    reject = the_reject(f'{{"id":"a","images":1,"uploaded":{uploaded},"name":{name}{rest}}}')
    assert reject.record_id == "a"
    assert reason in reject.reason
    assert name in reject.raw


@pytest.mark.parametrize("name", ["", " ", ASTRAL, "a\nb\t", "é" * 3, "\ufeff\u202e", "n" * 2**20, "\\u0000"])
@pytest.mark.parametrize("beside", [{}, {"unknown": None}])
def test_any_text_that_can_be_stored_is_a_name(name: str, beside: dict[str, None]) -> None:
    (batch,) = parsed(a_record(name=name, **beside)).records
    assert batch.name == name


def test_a_surrogate_pair_is_one_character() -> None:
    assert the_batch(r'{"id":"a","images":1,"name":"\ud83d\udce6"}').name == ASTRAL


def test_an_upload_time_that_is_none_is_a_reject_with_the_reason_of_the_time() -> None:
    assert the_reject('{"id":"a","images":1,"uploaded":"2022-11-22T19:40:24"}') == Reject(
        0,
        "uploaded has no offset from UTC, so it could be any of a day's hours",
        '{"id":"a","images":1,"uploaded":"2022-11-22T19:40:24"}',
        "a",
    )


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"),
    [(-1, 0), (4102444800, 0), (0, -1), (0, 10**9), (10**30, 0), (True, 0)],
)
def test_a_documented_record_with_an_impossible_time_is_a_reject(seconds: int, nanoseconds: int) -> None:
    snapshot = parsed(a_record(uploaded={"_seconds": seconds, "_nanoseconds": nanoseconds}))
    assert snapshot.records == ()
    assert snapshot.rejects[0].reason.startswith("uploaded has no") or "range" in snapshot.rejects[0].reason


def test_both_ends_of_the_believed_range_are_read() -> None:
    first, last = (
        {"_seconds": 0, "_nanoseconds": 0},
        {"_seconds": 4102444799, "_nanoseconds": 999999000},
    )
    batches = parsed(a_record(id="a", uploaded=first), a_record(id="b", uploaded=last)).records
    assert [batch.uploaded_at for batch in batches] == [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ]


# Ids.


@pytest.mark.parametrize(
    "batch_id", ["6VN0fFQIWU1E24bDjGsN", "a b", "é", ASTRAL * 250, "x" * 1000, "...", "%2e", "a?b"]
)
def test_any_printable_text_that_is_no_path_is_an_id(batch_id: str) -> None:
    assert parsed(a_record(id=batch_id)).present == {batch_id}


@pytest.mark.parametrize(
    "batch_id", ["", ".", "..", "a/b", "a\nb", "a\0", "x" * 1001, ASTRAL * 251, "\ud800", "\u200b"]
)
@pytest.mark.parametrize("beside", [{}, {"unknown": None}])
def test_a_record_with_an_id_that_none_has_could_be_any_batch(batch_id: str, beside: dict[str, None]) -> None:
    snapshot = parsed(a_record(id=batch_id, **beside))
    assert snapshot.rejects[0].reason == "id is empty, too long, or holds characters that no id has"
    assert snapshot.has_unreadable
    assert snapshot.present == frozenset()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("{}", "id is missing"),
        ('{"id":null}', "id is missing"),
        ('{"id":7}', "id is not text"),
        ('{"id":["a"]}', "id is not text"),
        ("null", "record is not an object"),
        ("[]", "record is not an object"),
        ('"a"', "record is not an object"),
        ("7", "record is not an object"),
    ],
)
def test_a_record_without_an_id_is_kept_and_could_be_any_batch(record: str, reason: str) -> None:
    assert the_reject(record) == Reject(0, reason, record, None)


@pytest.mark.parametrize("number", [b"1e9999999999999999999", b"9" * 5_000])
def test_a_number_that_is_too_large_spoils_no_other_record(number: bytes) -> None:
    broken = b'{"id":"a","images":' + number + b"}"
    half = b'{"id":"b","images":1,"new":"\\ud800"}'
    snapshot = parse_batches(b"[" + broken + b"," + half + b"]")
    assert [reject.record_id for reject in snapshot.rejects] == ["a"]
    assert [batch.batch_id for batch in snapshot.records] == ["b"]


@pytest.mark.parametrize(
    "record",
    [
        b'{"id":"a","images":1,"name":"\xff"}',
        b'{"id":"a","images":1,"new":1e9999999999999999999}',
        b'{"id":"a","images":1,"new":' + b"9" * 5000 + b"}",
        b'{"images":1,"new":' + b"9" * 5000 + b',"id":"a"}',
    ],
)
def test_a_record_that_cannot_be_decoded_still_tells_its_id(record: bytes) -> None:
    (reject,) = parse_batches(b"[" + record + b"]").rejects
    assert reject.reason == "record cannot be decoded"
    assert reject.record_id == "a"
    assert reject.raw == record.decode("utf-8", errors="backslashreplace")


@pytest.mark.parametrize("record", [b'{"id":"\xff"}', b'{"id":"/","new":' + b"9" * 5000 + b"}", b'"\xff"'])
def test_a_record_that_cannot_be_decoded_nor_named_could_be_any_batch(record: bytes) -> None:
    assert parse_batches(b"[" + record + b"]").has_unreadable


def test_bytes_that_are_no_text_become_escapes_in_the_kept_record() -> None:
    (reject,) = parse_batches(b'[{"id":"a","name":"\xff\xed\xa0\x80"}]').rejects
    assert reject.raw == r'{"id":"a","name":"\xff\xed\xa0\x80"}'


def test_a_surrogate_in_bytes_is_a_name_that_cannot_be_stored() -> None:
    (reject,) = parse_batches(b'[{"id":"a","images":1,"name":"\xed\xa0\x80"}]').rejects
    assert "no database" in reject.reason


# One bad record among good ones.


def test_one_bad_record_costs_no_other() -> None:
    snapshot = parsed(a_record(id="a"), a_record(id="b", images="many"), a_record(id="c"))
    assert [batch.batch_id for batch in snapshot.records] == ["a", "c"]
    assert [(reject.position, reject.record_id) for reject in snapshot.rejects] == [(1, "b")]
    assert snapshot.present == {"a", "b", "c"}


def test_half_a_surrogate_pair_costs_no_other_record_and_no_digit() -> None:
    body = (
        r'{"batches": [{"id":"a","images":1,"name":"\ud800","f":1e400},'
        r' {"id":"b","images":1,"uploaded":1669146024.8180000000000000000000000000001}]}'
    )
    snapshot = parse_batches(body.encode())
    assert [(reject.position, reject.record_id) for reject in snapshot.rejects] == [(0, "a")]
    assert snapshot.rejects[0].raw == r'{"id":"a","images":1,"name":"\ud800","f":1e400}'
    (batch,) = snapshot.records
    assert (batch.batch_id, batch.uploaded_at) == ("b", AT)
    assert batch.extra == '{"uploaded":1669146024.8180000000000000000000000000001}'


@pytest.mark.parametrize("depth", [99, 100, 101, 400, *range(900, 1000)])
@pytest.mark.parametrize("name", ["north", "\\ud800"])
def test_deep_nesting_is_kept_or_refused(depth: int, name: str) -> None:
    nested = "[" * depth + "]" * depth
    body = f'[{{"id":"a","images":1,"name":"{name}","new":{nested}}},{{"id":"b","images":1}}]'
    try:
        snapshot = parse_batches(body.encode())
    except PayloadError:
        assert depth > 98
    else:
        assert "b" in snapshot.present
        assert "a" in snapshot.present or snapshot.has_unreadable


def test_a_level_too_many_is_kept_as_text() -> None:
    kept, escaped = "[" * 99 + "]" * 99, "[" * 101 + "]" * 101
    assert the_batch(f'{{"id":"a","images":1,"new":{kept}}}').extra == f'{{"new":{kept}}}'
    extra = the_batch(f'{{"id":"a","images":1,"new":{escaped}}}').extra
    assert extra == json.dumps({"unstorable": f'{{"new": {escaped}}}'})


# Duplicates.


def test_of_equal_records_the_first_is_kept() -> None:
    snapshot = parsed(a_record(), a_record(id="b"), a_record(), a_record())
    assert [batch.batch_id for batch in snapshot.records] == ["a", "b"]
    assert [(reject.position, reject.reason, reject.record_id) for reject in snapshot.rejects] == [
        (2, "id repeats the record at position 0", "a"),
        (3, "id repeats the record at position 0", "a"),
    ]
    assert json.loads(snapshot.rejects[0].raw) == a_record()


def test_records_that_contradict_one_another_are_none_of_them_believed() -> None:
    snapshot = parsed(a_record(), a_record(id="b"), a_record(images=4), a_record())
    assert [batch.batch_id for batch in snapshot.records] == ["b"]
    assert [(reject.position, reject.reason, reject.record_id) for reject in snapshot.rejects] == [
        (0, "id appears 3 times with different values", "a"),
        (2, "id appears 3 times with different values", "a"),
        (3, "id appears 3 times with different values", "a"),
    ]
    assert snapshot.present == {"a", "b"}


def test_records_that_differ_only_in_the_order_of_their_keys_are_equal() -> None:
    snapshot = parsed(a_record(new={"x": 1, "y": 2}), a_record(new={"y": 2, "x": 1}))
    assert len(snapshot.records) == 1


def test_records_that_differ_only_in_an_unknown_field_contradict_one_another() -> None:
    assert parsed(a_record(new=1), a_record(new=2)).records == ()


def test_a_usable_record_stands_beside_an_unusable_one_of_the_same_id() -> None:
    snapshot = parsed(a_record(), a_record(images=None))
    assert snapshot.records == (a_batch(),)
    assert snapshot.present_only == frozenset()


# Unknown fields.


def test_a_record_of_known_fields_has_nothing_extra() -> None:
    assert parsed(a_record()).records[0].extra is None


@pytest.mark.parametrize(
    "value",
    [
        "null",
        "true",
        '"new"',
        "-0",
        "9007199254740993",
        "9" * 4000,
        "0.1",
        "1.10",
        "3.14159265358979323846264338327950288419716939937510",
        "1E+400",
        "-1E-400",
        '{"a":[1,{"b":null}],"c":""}',
        f'"{ASTRAL}é"',
        r'"\\u0000"',
        r'"\\ud800"',
        '"\\n\\"\u2028"',
    ],
)
def test_an_unknown_field_is_kept_exactly(value: str) -> None:
    extra = the_batch(f'{{"id":"a","images":1,"new":{value}}}').extra
    assert extra is not None
    assert extra == f'{{"new":{"0" if value == "-0" else value}}}'


def test_unknown_fields_are_kept_in_one_order_whatever_the_order_received() -> None:
    one = the_batch('{"id":"a","images":1,"z":{"y":1,"x":2},"b":0}')
    other = the_batch('{"b":0,"z":{"x":2,"y":1},"images":1,"id":"a"}')
    assert one == other
    assert one.extra == '{"b":0,"z":{"x":2,"y":1}}'


def test_every_field_that_we_know_is_left_out_of_the_unknown_ones() -> None:
    assert parsed(a_record(status="new")) == Snapshot((a_batch(extra='{"status":"new"}'),))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (r'"\u0000"', r'"\u0000"'),
        (r'"\ud800"', r'"\ud800"'),
        (r'{"\u0000":1}', r'{"\u0000": 1}'),
        (r'["a",{"b":"\udfff"}]', r'["a", {"b": "\udfff"}]'),
        ("1e131072", '"1E+131072"'),
        ("1e-16384", '"1E-16384"'),
        ("[-12e131071]", '["-1.2E+131072"]'),
        ("0." + "1" * 16384, '"0.' + "1" * 16384 + '"'),
    ],
)
def test_what_jsonb_cannot_hold_is_kept_as_text(value: str, kept: str) -> None:
    extra = the_batch(f'{{"id":"a","images":1,"new":{value}}}').extra
    assert extra == json.dumps({"unstorable": f'{{"new": {kept}}}'})
    assert extra.isascii()


@pytest.mark.parametrize("value", ["1E+131071", "1E-16383", "0." + "1" * 16383])
def test_the_largest_numbers_of_jsonb_stay_numbers(value: str) -> None:
    assert the_batch(f'{{"id":"a","images":1,"new":{value}}}').extra == f'{{"new":{value}}}'


# The look-up of one batch.


@pytest.mark.parametrize("record", [a_record(), {"batch": a_record()}, {"batch": a_record(), "more": 1}])
def test_a_look_up_is_read_bare_or_wrapped(record: dict[str, Any]) -> None:
    assert parse_batch(json.dumps(record).encode(), "a") == a_batch()


@pytest.mark.parametrize("number", ["1.10", "1E+400", "0.12345678901234567890123"])
def test_a_look_up_and_a_list_give_the_same_batch(number: str) -> None:
    record = f'{{"id":"a","images":1,"uploaded":1669146024.81800000000001,"new":{number}}}'
    assert parse_batch(record.encode(), "a") == the_batch(record)
    assert parse_batch(f'{{"batch":{record}}}'.encode(), "a") == the_batch(record)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "no object"),
        (b'{"error": "gone"}', "200 with an error"),
        (b"{}", "id is missing"),
        (b'{"batch": null}', "record is not an object"),
        (b'{"batch": []}', "record is not an object"),
        (b'{"batch": {"id": "a"}}', "images is missing"),
        (b'{"id": "a", "images": 1, "name": "\\ud800"}', "no database"),
        (b'{"id": "b", "images": 1}', "another batch"),
    ],
)
def test_a_look_up_that_is_not_the_batch_is_not_believed(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        parse_batch(body, "a")


# The root and the workspace.


def test_the_root_names_the_workspace_of_the_key() -> None:
    assert parse_root(b'{"welcome": "hi", "workspace": "acme"}') == "acme"
    assert parse_root(b'{"welcome": "\\ud800", "workspace": "acme"}') == "acme"


@pytest.mark.parametrize(
    "workspace", ["null", '""', "7", '{"url": "acme"}', '"a/b"', '"a\\u0000"', '"\\ud800"', '".."']
)
def test_a_root_without_a_workspace_is_not_believed(workspace: str) -> None:
    with pytest.raises(PayloadError, match="does not name"):
        parse_root(f'{{"workspace": {workspace}}}'.encode())


@pytest.mark.parametrize("body", [b"{}", b'{"welcome": "hi"}'])
def test_a_root_that_says_nothing_of_a_workspace_is_not_believed(body: bytes) -> None:
    with pytest.raises(PayloadError, match="does not name"):
        parse_root(body)


def listed(*rows: object) -> Listing:
    return parse_workspace(json.dumps({"workspace": {"projects": rows}}).encode(), "acme")


def test_a_workspace_lists_its_projects() -> None:
    assert listed({"id": "acme/pallets", "name": "Pallets", "type": "object-detection"}) == Listing(
        "acme", (Project(Slug("acme", "pallets"), "Pallets", "object-detection"),)
    )


def test_a_workspace_may_be_empty() -> None:
    assert listed() == Listing("acme", ())


@pytest.mark.parametrize("label", [None, 7, ["x"], "a\0", "\ud800"])
def test_a_label_that_is_no_storable_text_is_unknown(label: object) -> None:
    assert listed({"id": "acme/pallets", "name": label, "type": label}).projects == (
        Project(Slug("acme", "pallets")),
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "record is not an object"),
        ("acme/pallets", "record is not an object"),
        ({}, "id is not"),
        ({"id": 7}, "id is not"),
        ({"id": "acme/"}, "id is not"),
        ({"id": "acme/.."}, "id is not"),
        ({"id": "acme/a\0"}, "id is not"),
        ({"id": "acme/" + "x" * 1001}, "id is not"),
    ],
)
def test_a_row_without_an_address_is_a_reject(row: object, reason: str) -> None:
    listing = listed(row, {"id": "acme/pallets"})
    assert [project.slug.project for project in listing.projects] == ["pallets"]
    assert listing.rejects[0].position == 0
    assert reason in listing.rejects[0].reason
    assert json.loads(listing.rejects[0].raw) == row


def test_a_project_that_is_listed_twice_is_kept_once() -> None:
    listing = listed({"id": "acme/a"}, {"id": "acme/b"}, {"id": "acme/a", "name": "again"})
    assert [project.slug.project for project in listing.projects] == ["a", "b"]
    assert listing.rejects == (
        Reject(2, "id repeats the project at position 0", '{"id": "acme/a", "name": "again"}'),
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "no object"),
        (b"{}", "no object `workspace`"),
        (b'{"workspace": "acme"}', "no object `workspace`"),
        (b'{"workspace": []}', "no object `workspace`"),
        (b'{"workspace": {}}', "no list `projects`"),
        (b'{"workspace": {"projects": {}}}', "no list `projects`"),
        (b'{"error": "no", "workspace": {"projects": []}}', "200 with an error"),
    ],
)
def test_a_workspace_of_another_shape_is_not_believed(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        parse_workspace(body, "acme")


# Bodies of errors.


@pytest.mark.parametrize(
    ("body", "text", "kind"),
    [
        (b'{"error": "text", "hint": "x"}', "text", ""),
        (
            b'{"error": {"message": "m", "type": "GraphMethodException", "hint": ""}}',
            "m",
            "GraphMethodException",
        ),
        (b'{"message": "m"}', "m", ""),
        (b'{"error": {"type": "T"}, "message": "m"}', "m", "T"),
        (b'{"error": null, "message": "m"}', "m", ""),
        (b'{"error": 7}', "", ""),
        (b'{"error": {"message": 7, "type": 7}}', "", ""),
        (b'{"error": "a\\u0000b\\ud800"}', r"a\u0000b\ud800", ""),
        (b'{"error": {"message": "\\ud83d\\udce6", "type": "\\u0000"}}', ASTRAL, r"\u0000"),
        (b"[]", "", ""),
        (b"{}", "", ""),
        (b"", "", ""),
        (b"plain text", "", ""),
        (b"<html>", "", ""),
        (b"\xff", "", ""),
        (b"[" * 100_000, "", ""),
    ],
)
def test_the_message_of_an_error_is_found_where_there_is_one(body: bytes, text: str, kind: str) -> None:
    assert (error_text(body), error_type(body)) == (text, kind)
