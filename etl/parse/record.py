"""One record → what it tells, or a reject with its reason; and the fields that records have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from etl.parse.body import UNDECODABLE, UnusableError, fields_of, raw_text
from etl.parse.text import is_id, is_storable
from etl.parse.times import EPOCH, NANOSECONDS, UNITLESS_TO_S, parse_time
from etl.records import Record, Reject

MAX_COUNT: Final = 2**31 - 1
"""Largest count that is believed: the largest `integer` of Postgres."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=UNITLESS_TO_S)]
_Microseconds = Annotated[int, msgspec.Meta(ge=0, lt=NANOSECONDS, multiple_of=1_000)]
"""Nanoseconds that lose nothing as microseconds."""

RecordT = TypeVar("RecordT", bound=Record)


class Kind(msgspec.Struct, Generic[RecordT], frozen=True):
    """
    What records a list is of.

    Args:
        one: What the source calls one of them, and the member that may be around it.
        many: What it calls the list of them.
        plain_list: Takes a body whose every record is as documented, in one pass.
        plain: Takes a record exactly as documented. Both raise what `UNDECODABLE` lists, or `UnusableError`,
            at anything unusual, and leave it to be explained.
        loose: Takes the id and the fields of any other record.
    """

    one: str
    many: str
    plain_list: Callable[[bytes], Iterable[RecordT]]
    plain: Callable[[msgspec.Raw], RecordT]
    loose: Callable[[str, dict[str, Any]], RecordT]


class Timestamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Firestore's timestamp, as its JSON has it."""

    seconds: _Seconds = msgspec.field(name="_seconds")
    nanoseconds: _Microseconds = msgspec.field(name="_nanoseconds")

    @property
    def at(self) -> datetime:
        """The same in UTC; exact."""
        return EPOCH + timedelta(0, self.seconds, self.nanoseconds // 1_000)


class _Identity(msgspec.Struct, frozen=True, gc=False):
    """The id of a record of which nothing else can be decoded."""

    id: str


_IDENTITY: Final = msgspec.json.Decoder(_Identity)


def parse_record(kind: Kind[RecordT], record: msgspec.Raw, position: int = 0) -> RecordT | Reject:
    """Read one record, alone or in a list; what cannot be used is kept with its reason."""
    try:
        return kind.plain(record)
    except (*UNDECODABLE, UnusableError):
        return _parse_loosely(kind, record, position)


def is_plain(record_id: str, *texts: str | None) -> bool:
    """Say whether what was decoded can be stored as it is; half a surrogate pair was not decoded."""
    return is_id(record_id) and not any(text is not None and "\0" in text for text in texts)


def count(fields: dict[str, Any], key: str) -> int | None:
    """Read a count; None where the source does not say."""
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnusableError(f"{key} is not a whole number")
    if not 0 <= value <= MAX_COUNT:
        raise UnusableError(f"{key} is out of range (0 to {MAX_COUNT})")
    return value


def needed_count(fields: dict[str, Any], key: str) -> int:
    """Read a count without which a record is of no use."""
    value = count(fields, key)
    if value is None:
        raise UnusableError(f"{key} is missing")
    return value


def text(fields: dict[str, Any], key: str) -> str | None:
    """Read a text; None where there is none."""
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UnusableError(f"{key} is not text")
    if not is_storable(value):
        raise UnusableError(
            f"{key} holds a character that no database can store (NUL or half a surrogate pair)"
        )
    return value


def moment(fields: dict[str, Any], key: str) -> tuple[datetime | None, bool]:
    """Read a time, and say whether nothing of it was lost."""
    value = fields.get(key)
    if value is None:
        return None, True
    try:
        return parse_time(value)
    except ValueError as error:
        raise UnusableError(f"{key} {error}") from error


def _parse_loosely(kind: Kind[RecordT], record: msgspec.Raw, position: int) -> RecordT | Reject:
    record_id = None
    try:
        fields = fields_of(record)
        record_id = _id(fields)
        return kind.loose(record_id, fields)
    except UnusableError as error:
        return Reject(position, str(error), raw_text(record), record_id or _id_alone(record))


def _id_alone(record: msgspec.Raw) -> str | None:
    """Read the id past whatever cannot be decoded, since what it names is there all the same."""
    try:
        value = _IDENTITY.decode(record).id
    except UNDECODABLE:
        return None
    return value if is_id(value) else None


def _id(fields: dict[str, Any]) -> str:
    value = fields.get("id")
    if not isinstance(value, str):
        raise UnusableError("id is missing" if value is None else "id is not text")
    if not is_id(value):
        raise UnusableError("id is empty, too long, or holds characters that no id has")
    return value
