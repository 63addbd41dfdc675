"""
Response bytes → records. Strict on what we use, tolerant of what we do not know.

Every record of a list is either parsed or rejected with a reason; a body that is not a documented shape
raises `PayloadError` and nothing of it is believed. Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import msgspec

from etl.errors import PayloadError
from etl.records import Batch, Listing, Project, Reject, Slug, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_COUNT: Final = 2**31 - 1
"""Largest count that is believed: the largest `integer` of Postgres."""

_MAX_ID: Final = 1_500
"""Longest id, in characters: Firestore's own limit."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = _EPOCH
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_UNITLESS_FROM_S: Final = 946_684_800
"""2000-01-01, in seconds. From here to 2100 seconds and milliseconds cannot be taken for one another."""
_UNITLESS_TO_S: Final = 4_102_444_800
_NANOSECONDS: Final = 1_000_000_000


class _Timestamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Firestore's timestamp, as its JSON has it."""

    seconds: int = msgspec.field(name="_seconds")
    nanoseconds: int = msgspec.field(name="_nanoseconds")


class _PlainBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A batch exactly as documented: the common case, decoded and checked in one pass."""

    id: str
    images: int
    uploaded: _Timestamp
    name: str | None = None
    num_jobs: int | None = msgspec.field(name="numJobs", default=None)


_RECORDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PLAIN: Final = msgspec.json.Decoder(_PlainBatch)
_LOOSE: Final = msgspec.json.Decoder(float_hook=Decimal)


class _UnusableError(Exception):
    """A record that cannot be used; its text is the reason."""


def parse_batches(body: bytes) -> Snapshot:
    """
    Turn one response body into the batches of a project.

    Args:
        body: JSON as received: `{"batches": […]}` or a bare list.

    Returns:
        Every record once, in the order received; rejects beside them. Empty means that the project has none.

    Raises:
        PayloadError: The body is not a documented shape. Nothing of it may be believed.

    Source: Roboflow documentation, "List Image Batches"; the bare list: Roboflow's CLI.
    """
    return _snapshot(_records(body, "batches"))


def parse_batch(body: bytes, batch_id: str) -> Batch:
    """
    Turn the answer to a look-up into the one batch that was asked for.

    Args:
        body: JSON as received: the bare object, or `{"batch": {…}}`.
        batch_id: The id that was asked for.

    Raises:
        PayloadError: The body is not a documented shape, cannot be used, or is another batch.

    Source: Roboflow documentation, "View Batch"; the wrapped form: Roboflow's SDK tests.
    """
    fields = _object(body)
    record = fields.get("batch", fields)
    parsed = _parse_record(0, _raw(record))
    if isinstance(parsed, Reject):
        raise PayloadError(f"the look-up of a batch cannot be used: {parsed.reason}")
    if parsed.batch_id != batch_id:
        raise PayloadError("the look-up of a batch answered with another batch")
    return parsed


def parse_root(body: bytes) -> str:
    """
    Turn the answer of the root into the slug of the workspace that the key belongs to.

    Raises:
        PayloadError: The body does not name a workspace.

    Source: Roboflow documentation, "Authentication".
    """
    workspace = _object(body).get("workspace")
    if not isinstance(workspace, str) or not workspace:
        raise PayloadError("the source's root does not name the key's workspace")
    return workspace


def parse_workspace(body: bytes, workspace: str) -> Listing:
    """
    Turn the answer of a workspace into the projects that the key can see.

    Args:
        body: JSON as received: `{"workspace": {"projects": […]}}`.
        workspace: The slug that was asked for.

    Raises:
        PayloadError: The body is not the documented shape.

    Source: Roboflow documentation, "Get a Workspace".
    """
    inner = _object(body).get("workspace")
    rows = inner.get("projects") if isinstance(inner, dict) else None
    if not isinstance(rows, list):
        raise PayloadError("the answer has no list `workspace.projects`")
    parsed = [_project(position, row, workspace) for position, row in enumerate(rows)]
    return Listing(
        workspace,
        projects=tuple(project for project in parsed if isinstance(project, Project)),
        rejects=tuple(reject for reject in parsed if isinstance(reject, Reject)),
    )


def error_text(body: bytes) -> str:
    """
    Find the message in an error's body; empty when there is none that a person could read.

    Source: bodies seen: `{"error": "text"}`, `{"error": {"message", "type"}}`, `{"message": …}`.
    """
    fields = _fields_of_error(body)
    error = fields.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    message = inner if inner is not None else fields.get("message")
    return message if isinstance(message, str) else ""


def error_type(body: bytes) -> str:
    """Find `error.type` in an error's body; empty when there is none."""
    error = _fields_of_error(body).get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    return kind if isinstance(kind, str) else ""


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
        return _from_number(Decimal(value))
    raise ValueError("is no time")


def _records(body: bytes, key: str) -> Sequence[msgspec.Raw | object]:
    """Find the list of records, each as its own JSON text where the body can be taken apart at all."""
    try:
        if body.lstrip()[:1] == b"[":
            return _LIST.decode(body)
        fields = _RECORDS.decode(body)
        if "error" in fields or key not in fields:
            raise _shape_error(_object(body), key)
        return _LIST.decode(fields[key])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _loose_records(body, key)


def _loose_records(body: bytes, key: str) -> list[object]:
    """Take apart what the strict decoder refuses as a whole, such as a lone surrogate in one name."""
    whole = _loads(body)
    if isinstance(whole, list):
        return whole
    fields = whole if isinstance(whole, dict) else {}
    records = fields.get(key)
    if "error" in fields or not isinstance(records, list):
        raise _shape_error(fields, key)
    return records


def _shape_error(fields: dict[str, Any], key: str) -> PayloadError:
    if "error" in fields:
        return PayloadError("the source answered 200 with an error in the body")
    return PayloadError(f"the answer has no list `{key}`")


def _object(body: bytes) -> dict[str, Any]:
    whole = _loads(body)
    if not isinstance(whole, dict):
        raise PayloadError("the answer is JSON, but no object")
    if "error" in whole:
        raise PayloadError("the source answered 200 with an error in the body")
    return whole


def _loads(body: bytes) -> object:
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise PayloadError(f"the answer is not JSON ({len(body)} bytes{_looks_like(body)})") from error


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _looks_like(body: bytes) -> str:
    return ", looks like HTML" if body.lstrip()[:1] == b"<" else ""


def _fields_of_error(body: bytes) -> dict[str, Any]:
    try:
        whole = _loads(body)
    except PayloadError:
        return {}
    return whole if isinstance(whole, dict) else {}


def _snapshot(records: Sequence[msgspec.Raw | object]) -> Snapshot:
    parsed = [_parse_record(position, _raw(record)) for position, record in enumerate(records)]
    batches = [record for record in parsed if isinstance(record, Batch)]
    rejects = [record for record in parsed if isinstance(record, Reject)]
    if len({batch.batch_id for batch in batches}) < len(batches):
        return _without_duplicates(records, parsed)
    return Snapshot(tuple(batches), tuple(rejects))


def _without_duplicates(
    records: Sequence[msgspec.Raw | object], parsed: Sequence[Batch | Reject]
) -> Snapshot:
    """Keep the first of equal records; of records that contradict one another believe none."""
    by_id: defaultdict[str, list[int]] = defaultdict(list)
    for position, record in enumerate(parsed):
        if isinstance(record, Batch):
            by_id[record.batch_id].append(position)
    twice = {
        position: reject
        for positions in by_id.values()
        for position, reject in _duplicates(positions, records, parsed)
    }
    kept = [twice.get(position, record) for position, record in enumerate(parsed)]
    return Snapshot(
        tuple(record for record in kept if isinstance(record, Batch)),
        tuple(record for record in kept if isinstance(record, Reject)),
    )


def _duplicates(
    positions: list[int], records: Sequence[msgspec.Raw | object], parsed: Sequence[Batch | Reject]
) -> Iterator[tuple[int, Reject]]:
    is_agreed = all(parsed[position] == parsed[positions[0]] for position in positions)
    reason = (
        f"id repeats the record at position {positions[0]}"
        if is_agreed
        else f"id appears {len(positions)} times with different values"
    )
    for position in positions[1:] if is_agreed else positions:
        batch = parsed[position]
        batch_id = batch.batch_id
        yield position, Reject(position, reason, _text(_raw(records[position])), batch_id)


def _raw(record: msgspec.Raw | object) -> bytes:
    if isinstance(record, msgspec.Raw):
        return bytes(record)
    return json.dumps(record, default=_plain_number).encode()


def _plain_number(value: object) -> float | str:
    """Keep a number that is no exact float as its text."""
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    plain = float(value)
    return plain if math.isfinite(plain) and Decimal(repr(plain)) == value else str(value)


def _parse_record(position: int, raw: bytes) -> Batch | Reject:
    try:
        return _from_plain(_PLAIN.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _UnusableError):
        return _parse_loosely(position, raw)


def _from_plain(record: _PlainBatch) -> Batch:
    """Take a record as documented; anything unusual about it is for the loose parser to explain."""
    uploaded = record.uploaded
    name = record.name
    is_usual = (
        _is_id(record.id)
        and 0 <= record.images <= MAX_COUNT
        and 0 <= (record.num_jobs or 0) <= MAX_COUNT
        and 0 <= uploaded.seconds < _UNITLESS_TO_S
        and 0 <= uploaded.nanoseconds < _NANOSECONDS
        and uploaded.nanoseconds % 1_000 == 0
        and (name is None or "\0" not in name)
    )
    if not is_usual:
        raise _UnusableError
    at = _EPOCH + timedelta(seconds=uploaded.seconds, microseconds=uploaded.nanoseconds // 1_000)
    return Batch(record.id, record.images, name, record.num_jobs, at)


def _parse_loosely(position: int, raw: bytes) -> Batch | Reject:
    batch_id = None
    try:
        fields = _fields(raw)
        batch_id = _id(fields)
        return _from_fields(batch_id, fields)
    except _UnusableError as error:
        return Reject(position, str(error), _text(raw), batch_id)


def _fields(raw: bytes) -> dict[str, Any]:
    try:
        fields = _LOOSE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation):
        fields = _fields_by_force(raw)
    if not isinstance(fields, dict):
        raise _UnusableError("record is not an object")
    return fields


def _fields_by_force(raw: bytes) -> object:
    try:
        return _loads(raw)
    except PayloadError as error:
        raise _UnusableError("record cannot be decoded") from error


def _id(fields: dict[str, Any]) -> str:
    value = fields.get("id")
    if not isinstance(value, str):
        raise _UnusableError("id is missing" if value is None else "id is not text")
    if not _is_id(value):
        raise _UnusableError("id is empty, too long, or holds characters that no id has")
    return value


def _is_id(value: str) -> bool:
    return 0 < len(value) <= _MAX_ID and value.isprintable() and "/" not in value and value not in (".", "..")


def _from_fields(batch_id: str, fields: dict[str, Any]) -> Batch:
    images = _count(fields, "images")
    if images is None:
        raise _UnusableError("images is missing")
    uploaded_at, is_exact = _uploaded(fields.get("uploaded"))
    unknown = fields.keys() - {"id", "images", "name", "numJobs", "uploaded"}
    kept = sorted(unknown if is_exact else unknown | {"uploaded"})
    return Batch(
        batch_id,
        images,
        _name(fields.get("name")),
        _count(fields, "numJobs"),
        uploaded_at,
        _extra({key: fields[key] for key in kept}),
    )


def _count(fields: dict[str, Any], key: str) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _UnusableError(f"{key} is not a whole number")
    if not 0 <= value <= MAX_COUNT:
        raise _UnusableError(f"{key} is out of range (0 to {MAX_COUNT})")
    return value


def _name(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _UnusableError("name is not text")
    if not _is_storable(value):
        raise _UnusableError(
            "name holds a character that no database can store (NUL or half a surrogate pair)"
        )
    return value


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _uploaded(value: object) -> tuple[datetime | None, bool]:
    if value is None:
        return None, True
    try:
        return parse_time(value)
    except ValueError as error:
        raise _UnusableError(f"uploaded {error}") from error


def _from_firestore(value: dict[str, Any]) -> tuple[datetime, bool]:
    seconds, nanoseconds = value.get("_seconds"), value.get("_nanoseconds", 0)
    if not (_is_integer(seconds) and _is_integer(nanoseconds)):
        raise ValueError("has no whole `_seconds` and `_nanoseconds`")
    if not 0 <= nanoseconds < _NANOSECONDS:
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
    _, dot, fraction = value.replace(",", ".").partition(".")
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    return not dot or not fraction[6:digits].strip("0")


def _from_number(value: Decimal) -> tuple[datetime, bool]:
    if _UNITLESS_FROM_S <= value < _UNITLESS_TO_S:
        return _from_microseconds(value * 1_000_000)
    if _UNITLESS_FROM_S * 1_000 <= value < _UNITLESS_TO_S * 1_000:
        return _from_microseconds(value * 1_000)
    raise ValueError("is a number outside 2000 to 2100, both as seconds and as milliseconds")


def _from_microseconds(value: Decimal) -> tuple[datetime, bool]:
    whole = int(value)
    return _at_microsecond(whole), value == whole


def _at_microsecond(microseconds: int) -> datetime:
    try:
        return _in_range(_EPOCH + timedelta(microseconds=microseconds))
    except OverflowError:
        raise ValueError("is out of range (1970 to 2100)") from None


def _in_range(at: datetime) -> datetime:
    if not _EARLIEST <= at < _LATEST:
        raise ValueError("is out of range (1970 to 2100)")
    return at


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _extra(fields: dict[str, Any]) -> str | None:
    """Keep what we do not know as JSON text with sorted keys; text no database can store is kept escaped."""
    if not fields:
        return None
    try:
        text = json.dumps(fields, sort_keys=True, default=_plain_number)
    except (ValueError, RecursionError) as error:
        raise _UnusableError("a field that we do not know cannot be kept") from error
    if _has_unstorable_escape(text):
        return json.dumps({"unstorable": text})
    return text


def _has_unstorable_escape(text: str) -> bool:
    try:
        return not all(_is_storable(part) for part in _texts(json.loads(text)))
    except RecursionError:
        return True


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from _texts_of(value.values())
    elif isinstance(value, list):
        yield from _texts_of(value)


def _texts_of(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        yield from _texts(value)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="backslashreplace").replace("\0", "\\u0000")


def _project(position: int, row: object, workspace: str) -> Project | Reject:
    fields = row if isinstance(row, dict) else {}
    address = fields.get("id")
    slug = address.rpartition("/")[2] if isinstance(address, str) else ""
    if not _is_id(slug):
        return Reject(position, "id is not `workspace/project`", _text(_raw(row)))
    return Project(Slug(workspace, slug), _label(fields.get("name")), _label(fields.get("type")))


def _label(value: object) -> str | None:
    return value if isinstance(value, str) and _is_storable(value) else None
