"""Every form of a time that Roboflow uses, at its boundaries."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from etl.parse import parse_batches, parse_time
from etl.records import Batch

SHOWN = datetime(2022, 11, 22, 19, 40, 24, 818000, tzinfo=UTC)
"""The documented example: 1669146024 s and 818 ms."""


def firestore(seconds: object, nanoseconds: object) -> dict[str, object]:
    return {"_seconds": seconds, "_nanoseconds": nanoseconds}


def batch_with(uploaded: str) -> Batch:
    (batch,) = parse_batches(f'[{{"id": "a", "images": 1, "uploaded": {uploaded}}}]'.encode()).records
    return batch


@pytest.mark.parametrize(
    ("value", "expected", "is_exact"),
    [
        (firestore(1669146024, 818000000), SHOWN, True),
        (firestore(0, 0), datetime(1970, 1, 1, tzinfo=UTC), True),
        (firestore(4102444799, 999999000), datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), True),
        (firestore(1669146024, 999999999), SHOWN.replace(microsecond=999999), False),
        (firestore(1669146024, 999), SHOWN.replace(microsecond=0), False),
        (firestore(1669146024, 1000), SHOWN.replace(microsecond=1), True),
        (firestore(1669146024, 1001), SHOWN.replace(microsecond=1), False),
        ({"_seconds": 1669146024}, SHOWN.replace(microsecond=0), True),
        ({"_seconds": 1669146024, "_nanoseconds": 0, "zone": "UTC"}, SHOWN.replace(microsecond=0), False),
    ],
)
def test_a_firestore_time_is_floored_to_the_microsecond(
    value: object, expected: datetime, *, is_exact: bool
) -> None:
    assert parse_time(value) == (expected, is_exact)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "no whole"),
        (firestore(None, 0), "no whole"),
        (firestore(1, None), "no whole"),
        ({"_seconds": True, "_nanoseconds": 0}, "no whole"),
        ({"_seconds": 1, "_nanoseconds": False}, "no whole"),
        (firestore("1669146024", 0), "no whole"),
        (firestore(Decimal("1669146024.0"), 0), "no whole"),
        ({"seconds": 1669146024, "nanos": 0}, "no whole"),
        (firestore(1669146024, -1), "nanoseconds out of range"),
        (firestore(1669146024, 1_000_000_000), "nanoseconds out of range"),
        (firestore(-1, 999999999), r"out of range \(1970"),
        (firestore(4102444800, 0), r"out of range \(1970"),
        (firestore(1669146024818, 0), r"out of range \(1970"),
        (firestore(10**4000, 0), r"out of range \(1970"),
        (firestore(-(10**4000), 0), r"out of range \(1970"),
    ],
)
def test_a_firestore_time_that_is_no_time_says_why(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_time(value)


@pytest.mark.parametrize(
    ("value", "expected", "is_exact"),
    [
        ("2022-11-22T19:40:24.818Z", SHOWN, True),
        ("2022-11-22T19:40:24.818000Z", SHOWN, True),
        ("2022-11-22T19:40:24,818Z", SHOWN, True),
        ("2022-11-22T20:40:24.818+01:00", SHOWN, True),
        ("2022-11-22T11:40:24.818-08:00", SHOWN, True),
        ("2022-11-23T01:10:24.818+0530", SHOWN, True),
        ("2022-11-22 19:40:24.818+00", SHOWN, True),
        ("2022-11-22T19:40:24.8180009Z", SHOWN, False),
        ("2022-11-22T19:40:24.818000000Z", SHOWN, True),
        ("2022-11-22T19:40:24.818000000000000001Z", SHOWN, False),
        ("2022-11-22T19:40:24Z", SHOWN.replace(microsecond=0), True),
        ("1970-01-01T01:00:00+01:00", datetime(1970, 1, 1, tzinfo=UTC), True),
        ("2022-11-22T19:40:24.5+00:00:00.0000005", SHOWN.replace(microsecond=500000), False),
    ],
)
def test_iso_8601_is_read_with_any_offset(value: str, expected: datetime, *, is_exact: bool) -> None:
    at, was_exact = parse_time(value)
    assert (at, was_exact, at.utcoffset()) == (expected, is_exact, timedelta(0))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2022-11-22T19:40:24.818", "no offset"),
        ("2022-11-22", "no offset"),
        ("11/22/22 at 1:39 pm", "not ISO 8601"),
        ("1669146024", "not ISO 8601"),
        ("1669146024818", "not ISO 8601"),
        ("", "not ISO 8601"),
        ("\ud800", "not ISO 8601"),
        ("2022-02-30T00:00:00Z", "not ISO 8601"),
        ("1969-12-31T23:59:59.999999Z", "out of range"),
        ("1970-01-01T00:00:00+01:00", "out of range"),
        ("2100-01-01T00:00:00Z", "out of range"),
        ("0001-01-01T00:00:00+14:00", "out of range"),
        ("9999-12-31T23:59:59-14:00", "out of range"),
    ],
)
def test_text_that_is_no_unambiguous_time_says_why(value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_time(value)


@pytest.mark.parametrize(
    ("value", "expected", "is_exact"),
    [
        (1669146024, SHOWN.replace(microsecond=0), True),
        (1669146024818, SHOWN, True),
        (Decimal("1669146024.818"), SHOWN, True),
        (Decimal("1669146024818.5"), SHOWN.replace(microsecond=818500), True),
        (Decimal("1669146024.8180009"), SHOWN, False),
        (Decimal("1.669146024818E+9"), SHOWN, True),
        (Decimal("1669146024.818000078201293945"), SHOWN, False),
        (Decimal("1669146024." + "9" * 40), SHOWN.replace(microsecond=999999), False),
        (Decimal("1669146024818." + "9" * 40), SHOWN.replace(microsecond=818999), False),
        (Decimal("1669146024.818" + "0" * 40 + "1"), SHOWN, False),
        (946684800, datetime(2000, 1, 1, tzinfo=UTC), True),
        (946684800000, datetime(2000, 1, 1, tzinfo=UTC), True),
        (Decimal("4102444799.999999"), datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), True),
        (4102444799999, datetime(2099, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), True),
    ],
)
def test_a_number_is_read_exactly_as_seconds_or_milliseconds(
    value: object, expected: datetime, *, is_exact: bool
) -> None:
    assert parse_time(value) == (expected, is_exact)


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1669146024,
        946684799,
        Decimal("946684799.999999999"),
        4102444800,
        946684799999,
        4102444800000,
        1669146024818000,
        1669146024818000000,
        10**4000,
        Decimal("1E+999"),
        Decimal("1E-999"),
        Decimal("1E+999999999999999999"),
    ],
)
def test_a_number_that_could_be_either_unit_or_neither_is_no_time(value: object) -> None:
    with pytest.raises(ValueError, match="outside 2000 to 2100"):
        parse_time(value)


@pytest.mark.parametrize("value", [True, False, None, [], [1669146024], 1669146024.818])
def test_any_other_value_is_no_time(value: object) -> None:
    with pytest.raises(ValueError, match="is no time"):
        parse_time(value)


def test_a_float_in_a_body_loses_no_digit() -> None:
    """As a binary float the first is 1669146024.8180000782…, the second 1669146024.0000009537…."""
    assert batch_with("1669146024.818") == Batch("a", 1, uploaded_at=SHOWN)
    assert batch_with("1669146024.000001").uploaded_at == SHOWN.replace(microsecond=1)


@pytest.mark.parametrize(
    "uploaded",
    [
        '{"_nanoseconds":818000001,"_seconds":1669146024}',
        '"2022-11-22T19:40:24.8180001Z"',
        "1669146024.8180000000000000000000000000001",
        "1669146024818.0000000000000000000000000000001",
    ],
)
def test_what_flooring_loses_is_kept_beside_it(uploaded: str) -> None:
    batch = batch_with(uploaded)
    assert batch.uploaded_at == SHOWN
    assert batch.extra == f'{{"uploaded":{uploaded}}}'


def test_a_time_of_a_million_digits_is_read_promptly() -> None:
    batch = batch_with("1669146024.818" + "0" * 1_000_000 + "1")
    assert batch.uploaded_at == SHOWN
    assert batch.extra is not None
    assert (
        len(json.loads(json.loads(batch.extra)["unstorable"])["uploaded"]) == len("1669146024.8181") + 10**6
    )
