"""One record → a batch, or a reject with its reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from etl.parse.body import UNDECODABLE, UnusableError, fields_of, raw_text
from etl.parse.extra import extra
from etl.parse.text import is_id, is_storable
from etl.parse.times import EPOCH, NANOSECONDS, UNITLESS_TO_S, parse_time
from etl.records import Batch, Reject

MAX_COUNT: Final = 2**31 - 1
"""Largest count that is believed: the largest `integer` of Postgres."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=UNITLESS_TO_S)]
_Microseconds = Annotated[int, msgspec.Meta(ge=0, lt=NANOSECONDS, multiple_of=1_000)]
"""Nanoseconds that lose nothing as microseconds."""


class _Timestamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Firestore's timestamp, as its JSON has it."""

    seconds: _Seconds = msgspec.field(name="_seconds")
    nanoseconds: _Microseconds = msgspec.field(name="_nanoseconds")


class _PlainBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A batch exactly as documented: the common case, decoded and checked in one pass."""

    id: str
    images: _Count
    uploaded: _Timestamp
    name: str | None = None
    num_jobs: _Count | None = msgspec.field(name="numJobs", default=None)


class _PlainList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A list of batches exactly as documented."""

    batches: list[_PlainBatch]


class _Identity(msgspec.Struct, frozen=True, gc=False):
    """The id of a record of which nothing else can be decoded."""

    id: str


_PLAIN_LIST: Final = msgspec.json.Decoder(_PlainList)
_PLAIN: Final = msgspec.json.Decoder(_PlainBatch)
_IDENTITY: Final = msgspec.json.Decoder(_Identity)


def plain_batches(body: bytes) -> tuple[Batch, ...] | None:
    """Take a body whose every record is as documented, in one pass; None leaves it to be taken apart."""
    try:
        batches = tuple(map(_from_plain, _PLAIN_LIST.decode(body).batches))
    except (*UNDECODABLE, UnusableError):
        return None
    return batches if len({batch.batch_id for batch in batches}) == len(batches) else None


def parse_record(position: int, record: msgspec.Raw) -> Batch | Reject:
    """Read one record; what cannot be used is kept with its reason."""
    try:
        return _from_plain(_PLAIN.decode(record))
    except (*UNDECODABLE, UnusableError):
        return _parse_loosely(position, record)


def _from_plain(record: _PlainBatch) -> Batch:
    """Take a record as documented; anything unusual about it is for the loose parser to explain."""
    uploaded = record.uploaded
    if not is_id(record.id) or (record.name is not None and "\0" in record.name):
        raise UnusableError
    at = EPOCH + timedelta(0, uploaded.seconds, uploaded.nanoseconds // 1_000)
    return Batch(record.id, record.images, record.name, record.num_jobs, at)


def _parse_loosely(position: int, record: msgspec.Raw) -> Batch | Reject:
    batch_id = None
    try:
        fields = fields_of(record)
        batch_id = _id(fields)
        return _from_fields(batch_id, fields)
    except UnusableError as error:
        return Reject(position, str(error), raw_text(record), batch_id or _id_alone(record))


def _id_alone(record: msgspec.Raw) -> str | None:
    """Read the id past whatever cannot be decoded, since the batch is there all the same."""
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


def _from_fields(batch_id: str, fields: dict[str, Any]) -> Batch:
    images = _count(fields, "images")
    if images is None:
        raise UnusableError("images is missing")
    uploaded_at, is_exact = _uploaded(fields.get("uploaded"))
    unknown = fields.keys() - {"id", "images", "name", "numJobs", "uploaded"}
    kept = sorted(unknown if is_exact else unknown | {"uploaded"})
    return Batch(
        batch_id,
        images,
        _name(fields.get("name")),
        _count(fields, "numJobs"),
        uploaded_at,
        extra({key: fields[key] for key in kept}),
    )


def _count(fields: dict[str, Any], key: str) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnusableError(f"{key} is not a whole number")
    if not 0 <= value <= MAX_COUNT:
        raise UnusableError(f"{key} is out of range (0 to {MAX_COUNT})")
    return value


def _name(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise UnusableError("name is not text")
    if not is_storable(value):
        raise UnusableError(
            "name holds a character that no database can store (NUL or half a surrogate pair)"
        )
    return value


def _uploaded(value: object) -> tuple[datetime | None, bool]:
    if value is None:
        return None, True
    try:
        return parse_time(value)
    except ValueError as error:
        raise UnusableError(f"uploaded {error}") from error
