"""A time in any form that Roboflow uses → UTC, without guessing."""

from __future__ import annotations

import decimal
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeGuard

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = EPOCH
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_UNITLESS_FROM_S: Final = 946_684_800
"""2000-01-01, in seconds. From here to 2100 seconds and milliseconds cannot be taken for one another."""

UNITLESS_TO_S: Final = 4_102_444_800
NANOSECONDS: Final = 1_000_000_000
_EXACT: Final = decimal.Context(prec=decimal.MAX_PREC, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
"""Arithmetic without rounding; the default keeps 28 digits."""


def parse_time(value: object) -> tuple[datetime, bool]:
    """
    Read a time in any form that Roboflow uses, without guessing.

    Args:
        value: Firestore's `{_seconds, _nanoseconds}`, ISO 8601 with an offset, or a number without a unit:
            epoch seconds or epoch milliseconds, which cannot be confused between the years 2000 and 2100.

    Returns:
        The time in UTC, floored to the microsecond, and whether flooring lost nothing.

    Raises:
        ValueError: The value is ambiguous, out of range (1970 to 2100), or no time at all.
    """
    if isinstance(value, dict):
        return _from_firestore(value)
    if isinstance(value, str):
        return _from_iso(value)
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return _from_number(value)
    raise ValueError("is no time")


def _from_firestore(value: dict[str, Any]) -> tuple[datetime, bool]:
    seconds, nanoseconds = value.get("_seconds"), value.get("_nanoseconds", 0)
    if not (_is_integer(seconds) and _is_integer(nanoseconds)):
        raise ValueError("has no whole `_seconds` and `_nanoseconds`")
    if not 0 <= nanoseconds < NANOSECONDS:
        raise ValueError("has nanoseconds out of range (0 to 999999999)")
    is_exact = nanoseconds % 1_000 == 0 and value.keys() <= {"_seconds", "_nanoseconds"}
    return _at_microsecond(seconds * 1_000_000 + nanoseconds // 1_000), is_exact


def _from_iso(value: str) -> tuple[datetime, bool]:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is not ISO 8601") from None
    if at.tzinfo is None:
        raise ValueError("has no offset from UTC, so it could be any of a day's hours")
    try:
        utc = at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range (1970 to 2100)") from None
    return _in_range(utc), _has_at_most_six_digits(value)


def _has_at_most_six_digits(value: str) -> bool:
    return not any(digits[6:].strip("0") for digits in re.findall(r"[.,](\d+)", value))


def _from_number(value: int | Decimal) -> tuple[datetime, bool]:
    for decimals, unit_per_s in ((6, 1), (3, 1_000)):
        if _UNITLESS_FROM_S * unit_per_s <= value < UNITLESS_TO_S * unit_per_s:
            microseconds = Decimal(value).scaleb(decimals, _EXACT)
            return _at_microsecond(int(microseconds)), int(microseconds) == microseconds
    raise ValueError("is a number outside 2000 to 2100, both as seconds and as milliseconds")


def _at_microsecond(microseconds: int) -> datetime:
    try:
        return _in_range(EPOCH + timedelta(microseconds=microseconds))
    except OverflowError:
        raise ValueError("is out of range (1970 to 2100)") from None


def _in_range(at: datetime) -> datetime:
    if not _EARLIEST <= at < _LATEST:
        raise ValueError("is out of range (1970 to 2100)")
    return at


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
