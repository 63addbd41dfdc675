"""
Response bytes → records. Strict on what we use, tolerant of what we do not know.

Every record of a list is either parsed or rejected with a reason; a body that is not a documented shape
raises `PayloadError` and nothing of it is believed. Pure: no I/O, no clock.
"""

from __future__ import annotations

import decimal
import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeGuard

import msgspec

from etl.errors import PayloadError
from etl.records import Batch, Listing, Project, Reject, Slug, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_COUNT: Final = 2**31 - 1
"""Largest count that is believed: the largest `integer` of Postgres."""

_MAX_ID: Final = 1_000
"""Longest id or slug, in bytes: two of them still fit one index row of Postgres (2,704 bytes)."""

_MAX_DEPTH: Final = 100
"""Deepest nesting that is stored as JSON; a database may refuse what is some thousand levels deep."""

_MAX_WHOLE_DIGITS: Final = 131_072
_MAX_FRACTION_DIGITS: Final = 16_383
"""The digits before and after the point that `numeric`, and so `jsonb`, can hold."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = _EPOCH
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_UNITLESS_FROM_S: Final = 946_684_800
"""2000-01-01, in seconds. From here to 2100 seconds and milliseconds cannot be taken for one another."""
_UNITLESS_TO_S: Final = 4_102_444_800
_NANOSECONDS: Final = 1_000_000_000

_MEMBER: Final = re.compile(r"[^\s,:]")
"""Where the next member of a list or an object begins, between its brackets."""

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""The characters that no text of Postgres can hold: NUL and half a surrogate pair."""

_EXACT: Final = decimal.Context(prec=decimal.MAX_PREC, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
"""Arithmetic without rounding; the default keeps 28 digits."""


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=_UNITLESS_TO_S)]
_Microseconds = Annotated[int, msgspec.Meta(ge=0, lt=_NANOSECONDS, multiple_of=1_000)]
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


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_LEVEL: Final = msgspec.json.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw])
_PLAIN_LIST: Final = msgspec.json.Decoder(_PlainList)
_PLAIN: Final = msgspec.json.Decoder(_PlainBatch)
_IDENTITY: Final = msgspec.json.Decoder(_Identity)
_JSON: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)
_OUTLINE: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_constant)
"""Leaves numbers as text, so that one that is too large spoils its own record and no other."""

_EXTRA: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_PAGE_REMEDY: Final = "What answered is not the API; check ROBOFLOW_API_URL and proxies."

_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Located(msgspec.Struct, frozen=True):
    """
    One record where it lies in a body.

    `position` is its place in the list, from 0, and `count` how many there are; None where the body is the
    one batch that was asked for. `offset` and the length of `raw` are in bytes.
    """

    raw: bytes
    offset: int
    position: int | None = None
    count: int | None = None


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
    plain = _plain_snapshot(body)
    if plain is not None:
        return plain
    whole = _opened(body)
    return _snapshot(whole if isinstance(whole, list) else _list_of(_object(whole), "batches"))


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
    fields = _object(_opened(body))
    parsed = _parse_record(0, fields.get("batch", msgspec.Raw(body)))
    if isinstance(parsed, Reject):
        raise PayloadError(f"the look-up of a batch cannot be used: {parsed.reason}")
    if parsed.batch_id != batch_id:
        raise PayloadError("the look-up of a batch answered with another batch")
    return parsed


def locate_batch(body: bytes, batch_id: str) -> Located | None:
    """
    Find the record that a body has of a batch; None if it has none.

    Args:
        body: As for `parse_batches`, or for `parse_batch`.
        batch_id: The batch.

    Raises:
        PayloadError: The body is not a documented shape.
    """
    whole = _opened(body)
    if isinstance(whole, dict) and "batches" not in whole:
        raw = bytes(_object(whole).get("batch", msgspec.Raw(body)))
        return Located(raw, _offset(body, raw)) if _tells_of(0, msgspec.Raw(raw), batch_id) else None
    records = whole if isinstance(whole, list) else _list_of(_object(whole), "batches")
    # The list itself comes first: what stands before it may look the same as a record.
    end = 0 if isinstance(whole, list) else _offset(body, bytes(_object(whole)["batches"]))
    for position, record in enumerate(records):
        raw = bytes(record)
        begin = _offset(body, raw, end)
        if _tells_of(position, record, batch_id):
            return Located(raw, begin, position, len(records))
        end = begin + len(raw)
    return None


def _offset(body: bytes, raw: bytes, start: int = 0) -> int:
    return body.index(raw, start)


def _tells_of(position: int, record: msgspec.Raw, batch_id: str) -> bool:
    return _parse_record(position, record).batch_id == batch_id


def parse_root(body: bytes) -> str:
    """
    Turn the answer of the root into the slug of the workspace that the key belongs to.

    Raises:
        PayloadError: The body does not name a workspace.

    Source: Roboflow documentation, "Authentication".
    """
    workspace = _opened(_object(_opened(body)).get("workspace"))
    if not isinstance(workspace, str) or not _is_id(workspace):
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
    inner = _opened(_object(_opened(body)).get("workspace"))
    if not isinstance(inner, dict):
        raise PayloadError("the answer has no object `workspace`")
    rows = _list_of(inner, "projects")
    read = [_project(position, row, workspace) for position, row in enumerate(rows)]
    parsed = tuple(_without_repeats(rows, read))
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
    return _storable(message) if isinstance(message, str) else ""


def error_type(body: bytes) -> str:
    """Find `error.type` in an error's body; empty when there is none."""
    error = _fields_of_error(body).get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    return _storable(kind) if isinstance(kind, str) else ""


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


def _opened(body: bytes | msgspec.Raw | None) -> object:
    """Take apart one level, each member as its own JSON text."""
    if body is None:
        return None
    try:
        return _LEVEL.decode(body)
    except _UNDECODABLE:
        return _opened_by_force(bytes(body))


def _opened_by_force(body: bytes) -> object:
    """Take apart what the strict decoder refuses as a whole, such as half a surrogate pair in one name."""
    whole = _loads(body, _OUTLINE)
    if not isinstance(whole, (list, dict)):
        return _loads(body)
    members = tuple(_members(_characters(body).strip()[1:-1]))
    if isinstance(whole, list):
        return [raw for _, raw in members]
    return {key: raw for (key, _), (_, raw) in zip(members[::2], members[1::2], strict=True)}


def _members(inside: str) -> Iterator[tuple[object, msgspec.Raw]]:
    end = 0
    while start := _MEMBER.search(inside, end):
        value, end = _OUTLINE.raw_decode(inside, start.start())
        yield value, msgspec.Raw(inside[start.start() : end].encode("utf-8", "surrogatepass"))


def _characters(body: bytes) -> str:
    return body.decode("utf-8-sig", "surrogatepass")


def _object(whole: object) -> Mapping[str, msgspec.Raw]:
    if not isinstance(whole, dict):
        raise PayloadError("the answer is JSON, but no object")
    if "error" in whole:
        raise PayloadError("the source answered 200 with an error in the body")
    return whole


def _list_of(fields: Mapping[str, msgspec.Raw], key: str) -> Sequence[msgspec.Raw]:
    records = _opened(fields.get(key))
    if not isinstance(records, list):
        raise PayloadError(f"the answer has no list `{key}`")
    return records


def _loads(body: bytes, decoder: json.JSONDecoder = _JSON) -> object:
    try:
        return decoder.decode(_characters(body))
    except (ValueError, RecursionError, decimal.InvalidOperation) as error:
        raise _no_json(body) from error


def _no_json(body: bytes) -> PayloadError:
    if body.lstrip()[:1] != b"<":
        return PayloadError(f"the answer is not JSON ({len(body)} bytes)")
    return PayloadError(f"the answer is not JSON ({len(body)} bytes, looks like HTML)", remedy=_PAGE_REMEDY)


def _fields_of_error(body: bytes) -> dict[str, Any]:
    try:
        whole = _loads(body)
    except PayloadError:
        return {}
    return whole if isinstance(whole, dict) else {}


def _plain_snapshot(body: bytes) -> Snapshot | None:
    """Take a body whose every record is as documented, in one pass; None leaves it to be taken apart."""
    try:
        batches = tuple(map(_from_plain, _PLAIN_LIST.decode(body).batches))
    except (*_UNDECODABLE, _UnusableError):
        return None
    return Snapshot(batches) if len({batch.batch_id for batch in batches}) == len(batches) else None


def _snapshot(records: Sequence[msgspec.Raw]) -> Snapshot:
    parsed = [_parse_record(position, record) for position, record in enumerate(records)]
    batches = [record for record in parsed if isinstance(record, Batch)]
    if len({batch.batch_id for batch in batches}) < len(batches):
        parsed = _without_duplicates(records, parsed)
    return Snapshot(
        tuple(record for record in parsed if isinstance(record, Batch)),
        tuple(record for record in parsed if isinstance(record, Reject)),
    )


def _without_duplicates(
    records: Sequence[msgspec.Raw], parsed: Sequence[Batch | Reject]
) -> list[Batch | Reject]:
    """Keep the first of equal records; of records that contradict one another believe none."""
    by_id: defaultdict[str, list[tuple[int, Batch]]] = defaultdict(list)
    for position, record in enumerate(parsed):
        if isinstance(record, Batch):
            by_id[record.batch_id].append((position, record))
    twice = dict(_duplicates(by_id.values()))
    return [
        Reject(position, twice[position], _raw_text(records[position]), record.batch_id)
        if isinstance(record, Batch) and position in twice
        else record
        for position, record in enumerate(parsed)
    ]


def _duplicates(groups: Iterable[list[tuple[int, Batch]]]) -> Iterator[tuple[int, str]]:
    for group in groups:
        (first, batch), *rest = group
        if all(other == batch for _, other in rest):
            yield from ((position, f"id repeats the record at position {first}") for position, _ in rest)
        else:
            reason = f"id appears {len(group)} times with different values"
            yield from ((position, reason) for position, _ in group)


def _raw_text(record: msgspec.Raw) -> str:
    """Give a record as text that a database can store; bytes that are no text are kept escaped."""
    return bytes(record).decode("utf-8", errors="backslashreplace")


def _parse_record(position: int, record: msgspec.Raw) -> Batch | Reject:
    try:
        return _from_plain(_PLAIN.decode(record))
    except (*_UNDECODABLE, _UnusableError):
        return _parse_loosely(position, record)


def _from_plain(record: _PlainBatch) -> Batch:
    """Take a record as documented; anything unusual about it is for the loose parser to explain."""
    uploaded = record.uploaded
    if not _is_id(record.id) or (record.name is not None and "\0" in record.name):
        raise _UnusableError
    at = _EPOCH + timedelta(0, uploaded.seconds, uploaded.nanoseconds // 1_000)
    return Batch(record.id, record.images, record.name, record.num_jobs, at)


def _parse_loosely(position: int, record: msgspec.Raw) -> Batch | Reject:
    batch_id = None
    try:
        fields = _fields(record)
        batch_id = _id(fields)
        return _from_fields(batch_id, fields)
    except _UnusableError as error:
        return Reject(position, str(error), _raw_text(record), batch_id or _id_alone(record))


def _fields(record: msgspec.Raw) -> dict[str, Any]:
    try:
        fields = _loads(bytes(record))
    except PayloadError as error:
        raise _UnusableError("record cannot be decoded") from error
    if not isinstance(fields, dict):
        raise _UnusableError("record is not an object")
    return fields


def _id_alone(record: msgspec.Raw) -> str | None:
    """Read the id past whatever cannot be decoded, since the batch is there all the same."""
    try:
        value = _IDENTITY.decode(record).id
    except _UNDECODABLE:
        return None
    return value if _is_id(value) else None


def _id(fields: dict[str, Any]) -> str:
    value = fields.get("id")
    if not isinstance(value, str):
        raise _UnusableError("id is missing" if value is None else "id is not text")
    if not _is_id(value):
        raise _UnusableError("id is empty, too long, or holds characters that no id has")
    return value


def _is_id(value: str) -> bool:
    if value.isalnum() and value.isascii():
        return len(value) <= _MAX_ID
    return (
        0 < len(value) <= _MAX_ID
        and value.isprintable()
        and "/" not in value
        and value not in (".", "..")
        and (value.isascii() or len(value.encode()) <= _MAX_ID)
    )


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
    return _UNSTORABLE.search(text) is None


def _storable(text: str) -> str:
    """Write what cannot be stored as its escape."""
    return _UNSTORABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


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
    return not any(digits[6:].strip("0") for digits in re.findall(r"[.,](\d+)", value))


def _from_number(value: int | Decimal) -> tuple[datetime, bool]:
    for decimals, unit_per_s in ((6, 1), (3, 1_000)):
        if _UNITLESS_FROM_S * unit_per_s <= value < _UNITLESS_TO_S * unit_per_s:
            microseconds = Decimal(value).scaleb(decimals, _EXACT)
            return _at_microsecond(int(microseconds)), int(microseconds) == microseconds
    raise ValueError("is a number outside 2000 to 2100, both as seconds and as milliseconds")


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
    """
    Keep what we do not know as JSON text with sorted keys.

    What `jsonb` cannot hold is kept as one text, `{"unstorable": "…"}`.
    """
    if not fields:
        return None
    if not _is_deeper(fields, _MAX_DEPTH) and _fits_jsonb(fields):
        return _EXTRA.encode(fields).decode()
    try:
        return json.dumps({"unstorable": json.dumps(fields, sort_keys=True, default=str)})
    except RecursionError as error:
        raise _UnusableError("a field that we do not know is nested too deeply") from error


def _is_deeper(value: object, levels: int) -> bool:
    members: Iterable[object] = ()
    if isinstance(value, dict):
        members = value.values()
    elif isinstance(value, list):
        members = value
    return levels < 0 or any(_is_deeper(member, levels - 1) for member in members)


def _fits_jsonb(value: object) -> bool:
    if isinstance(value, str):
        return _is_storable(value)
    if isinstance(value, Decimal):
        return _fits_numeric(value)
    if isinstance(value, dict):
        return all(_is_storable(key) and _fits_jsonb(member) for key, member in value.items())
    return not isinstance(value, list) or all(_fits_jsonb(member) for member in value)


def _fits_numeric(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return (
        isinstance(exponent, int)
        and exponent >= -_MAX_FRACTION_DIGITS
        and value.adjusted() < _MAX_WHOLE_DIGITS
    )


def _project(position: int, row: msgspec.Raw, workspace: str) -> Project | Reject:
    try:
        fields = _fields(row)
    except _UnusableError as error:
        return Reject(position, str(error), _raw_text(row))
    address = fields.get("id")
    slug = address.rpartition("/")[2] if isinstance(address, str) else ""
    if not _is_id(slug):
        return Reject(position, "id is not `workspace/project`", _raw_text(row))
    return Project(Slug(workspace, slug), _label(fields.get("name")), _label(fields.get("type")))


def _without_repeats(
    rows: Sequence[msgspec.Raw], parsed: Sequence[Project | Reject]
) -> Iterator[Project | Reject]:
    """Keep the first of the rows with one address."""
    first: dict[Slug, int] = {}
    for position, project in enumerate(parsed):
        if isinstance(project, Reject) or first.setdefault(project.slug, position) == position:
            yield project
        else:
            reason = f"id repeats the project at position {first[project.slug]}"
            yield Reject(position, reason, _raw_text(rows[position]))


def _label(value: object) -> str | None:
    return value if isinstance(value, str) and _is_storable(value) else None
