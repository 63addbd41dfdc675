"""Whatever the source sends: all of it or none of it, every record accounted for, and nothing unstorable."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etl.errors import PayloadError
from etl.parse import MAX_COUNT, error_text, error_type, parse_batch, parse_batches, parse_workspace
from etl.records import Batch, Record, Reject, Snapshot

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ENDS_AT = datetime(2100, 1, 1, tzinfo=UTC)

hostile_text = st.text(st.characters(exclude_categories=()), max_size=8)
hostile_integers = st.one_of(
    st.integers(), st.sampled_from([0, MAX_COUNT, MAX_COUNT + 1, 10**9, 1669146024, 1669146024818, 10**400])
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    hostile_integers,
    st.floats(allow_nan=False, allow_infinity=False),
    hostile_text,
    st.sampled_from(["2022-11-22T19:40:24.8180001+05:30", "2022-11-22T19:40:24Z", "2022-11-22T19:40"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(hostile_text, inner, max_size=2),
    max_leaves=4,
)
timestamps = st.fixed_dictionaries({"_seconds": hostile_integers, "_nanoseconds": hostile_integers})
records = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "c"]) | hostile_text | scalars,
        "images": st.integers(0, 3) | values,
        "numJobs": st.integers(0, 3) | values,
        "name": hostile_text | values,
        "uploaded": timestamps | values,
        "new": values,
    },
)
lists = st.lists(records | records | values, max_size=4)


def text_of(whole: object) -> bytes:
    """Write JSON with surrogates escaped."""
    return json.dumps(whole).encode()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Take a body and cut, repeat or overwrite some of its bytes."""
    body = draw(lists.map(lambda all_: text_of({"batches": all_})) | lists.map(text_of))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, len(body)))
        body = body[:start] + draw(st.binary(max_size=4) | st.just(body[start:end] * 2)) + body[end:]
    return body


usable = st.builds(
    Batch,
    batch_id=st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=30),
    images=st.integers(0, MAX_COUNT),
    name=st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    num_jobs=st.none() | st.integers(0, MAX_COUNT),
    uploaded_at=st.none()
    | st.integers(0, 4102444800 * 10**6 - 1).map(lambda us: EPOCH + timedelta(microseconds=us)),
    extra=st.none() | st.integers().map(lambda number: f'{{"new":{number}}}'),
)


def rendered(batch: Batch) -> dict[str, Any]:
    """Write a batch as the source documents it."""
    record: dict[str, Any] = {"id": batch.batch_id, "images": batch.images}
    if batch.name is not None:
        record["name"] = batch.name
    if batch.num_jobs is not None:
        record["numJobs"] = batch.num_jobs
    if batch.uploaded_at is not None:
        microseconds = (batch.uploaded_at - EPOCH) // timedelta(microseconds=1)
        seconds, rest = divmod(microseconds, 10**6)
        record["uploaded"] = {"_seconds": seconds, "_nanoseconds": rest * 1_000}
    return record | (json.loads(batch.extra) if batch.extra else {})


def is_storable(text: str | None) -> bool:
    try:
        return text is None or "\0" not in text.encode().decode()
    except UnicodeEncodeError:
        return False


def assert_batch_is_storable(batch: Batch) -> None:
    assert is_storable(batch.batch_id)
    assert 0 < len(batch.batch_id.encode()) <= 1_000
    assert is_storable(batch.name)
    assert 0 <= batch.images <= MAX_COUNT
    assert 0 <= (batch.num_jobs or 0) <= MAX_COUNT
    assert EPOCH <= (batch.uploaded_at or EPOCH) < ENDS_AT
    assert is_storable(batch.extra)
    assert_extra_is_storable(json.loads(batch.extra or "{}"))


def assert_extra_is_storable(value: object) -> None:
    if isinstance(value, str):
        assert is_storable(value)
    elif isinstance(value, dict):
        assert all(is_storable(key) for key in value)
        assert_extra_is_storable(list(value.values()))
    elif isinstance(value, list):
        for member in value:
            assert_extra_is_storable(member)


def assert_reject_is_storable(reject: Reject) -> None:
    assert is_storable(reject.raw)
    assert is_storable(reject.reason)
    assert is_storable(reject.record_id)
    assert reject.reason


def assert_accounts_for(snapshot: Snapshot[Record], number_of_records: int) -> None:
    assert len(snapshot.records) + len(snapshot.rejects) == number_of_records
    positions = [reject.position for reject in snapshot.rejects]
    assert positions == sorted(set(positions))
    assert all(0 <= position < number_of_records for position in positions)
    ids = [record.record_id for record in snapshot.records]
    assert len(ids) == len(set(ids))


@given(mutated())
def test_any_body_gives_a_snapshot_or_an_error_of_ours_and_the_same_each_time(body: bytes) -> None:
    try:
        snapshot = parse_batches(body)
    except PayloadError:
        return
    assert snapshot == parse_batches(body)
    assert_accounts_for(snapshot, len(snapshot.records) + len(snapshot.rejects))
    for batch in snapshot.records:
        assert_batch_is_storable(batch)
    for reject in snapshot.rejects:
        assert_reject_is_storable(reject)


@given(lists)
def test_every_record_is_a_batch_or_a_reject(all_: list[object]) -> None:
    assert_accounts_for(parse_batches(text_of({"batches": all_})), len(all_))
    assert parse_batches(text_of(all_)) == parse_batches(text_of({"batches": all_}))


@given(lists)
def test_present_are_all_ids_that_can_be_read(all_: list[object]) -> None:
    ids = {record.get("id") for record in all_ if isinstance(record, dict) and is_an_id(record.get("id"))}
    snapshot = parse_batches(text_of(all_))
    assert snapshot.present == ids
    readable = [record for record in all_ if isinstance(record, dict) and is_an_id(record.get("id"))]
    assert snapshot.has_unreadable is (len(readable) < len(all_))


def is_an_id(value: object) -> bool:
    return (
        isinstance(value, str) and value.isprintable() and value not in ("", ".", "..") and "/" not in value
    )


@given(lists)
def test_order_and_position_are_those_of_the_answer(all_: list[object]) -> None:
    snapshot = parse_batches(text_of(all_))
    rejected = {reject.position for reject in snapshot.rejects}
    kept = [record for position, record in enumerate(all_) if position not in rejected]
    assert [batch.batch_id for batch in snapshot.records] == [
        record["id"] for record in kept if isinstance(record, dict)
    ]
    for reject in snapshot.rejects:
        assert json.loads(reject.raw) == all_[reject.position]


@given(st.lists(usable, max_size=5, unique_by=lambda batch: batch.batch_id))
def test_batches_written_as_documented_are_read_as_they_were(batches: list[Batch]) -> None:
    body = text_of({"batches": [rendered(batch) for batch in batches]})
    assert parse_batches(body) == Snapshot(tuple(batches))
    spaced = json.dumps([rendered(batch) for batch in batches], ensure_ascii=False, indent=1)
    assert parse_batches(b"\xef\xbb\xbf" + spaced.encode()) == Snapshot(tuple(batches))


@given(usable, st.booleans())
def test_a_look_up_gives_what_the_list_gives(batch: Batch, is_wrapped: bool) -> None:  # noqa: FBT001 (given)
    record = rendered(batch)
    assert parse_batch(text_of({"batch": record} if is_wrapped else record), batch.batch_id) == batch


@given(records, st.booleans())
def test_a_look_up_of_any_record_agrees_with_the_list(
    record: dict[str, Any],
    is_wrapped: bool,  # noqa: FBT001 (given)
) -> None:
    snapshot = parse_batches(text_of([record]))
    try:
        batch = parse_batch(text_of({"batch": record} if is_wrapped else record), str(record.get("id")))
    except PayloadError:
        assert snapshot.records == ()
    else:
        assert snapshot.records == (batch,)


@given(mutated())
def test_every_parser_gives_a_record_or_an_error_of_ours(body: bytes) -> None:
    for parse in (lambda raw: parse_batch(raw, "a"), lambda raw: parse_workspace(raw, "acme")):
        try:
            parse(body)
        except PayloadError:
            continue
    assert is_storable(error_text(body))
    assert is_storable(error_type(body))


@given(lists)
def test_every_row_of_a_workspace_is_a_project_or_a_reject(rows: list[object]) -> None:
    listing = parse_workspace(text_of({"workspace": {"projects": rows}}), "acme")
    assert len(listing.projects) + len(listing.rejects) == len(rows)
    slugs = [project.slug for project in listing.projects]
    assert len(slugs) == len(set(slugs))
    assert all(is_storable(value) for project in listing.projects for value in (project.name, project.type))
    for reject in listing.rejects:
        assert_reject_is_storable(reject)
