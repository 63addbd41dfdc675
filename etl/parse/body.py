"""A body → JSON, one level at a time, so that what is wrong with one member spoils no other."""

from __future__ import annotations

import decimal
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from etl.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_MEMBER: Final = re.compile(r"[^\s,:]")
"""Where the next member of a list or an object begins, between its brackets."""

_LEVEL: Final = msgspec.json.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw])
_JSON: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)
_OUTLINE: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_constant)
"""Leaves numbers as text, so that one that is too large spoils its own record and no other."""

_PAGE_REMEDY: Final = "What answered is not the API; check ROBOFLOW_API_URL and proxies."
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class UnusableError(Exception):
    """A record that cannot be used; its text is the reason."""


def opened(body: bytes | msgspec.Raw | None) -> object:
    """Take apart one level, each member as its own JSON text."""
    if body is None:
        return None
    try:
        return _LEVEL.decode(body)
    except UNDECODABLE:
        return _opened_by_force(bytes(body))


def _opened_by_force(body: bytes) -> object:
    """Take apart what the strict decoder refuses as a whole, such as half a surrogate pair in one name."""
    whole = loads(body, _OUTLINE)
    if not isinstance(whole, (list, dict)):
        return loads(body)
    members = tuple(_members(_characters(body).strip()[1:-1]))
    if isinstance(whole, list):
        return [raw for _, raw in members]
    return {key: raw for (key, _), (_, raw) in zip(members[::2], members[1::2], strict=True)}


def _members(inside: str) -> Iterator[tuple[object, msgspec.Raw]]:
    end = 0
    while start := _MEMBER.search(inside, end):
        value, end = _OUTLINE.raw_decode(inside, start.start())
        yield value, msgspec.Raw(inside[start.start() : end].encode(errors="surrogatepass"))


def _characters(body: bytes) -> str:
    return body.decode("utf-8-sig", "surrogatepass")


def object_of(whole: object) -> Mapping[str, msgspec.Raw]:
    """Take what must be an object, and none that tells of an error."""
    if not isinstance(whole, dict):
        raise PayloadError("the answer is JSON, but no object")
    if "error" in whole:
        raise PayloadError("the source answered 200 with an error in the body")
    return whole


def list_of(fields: Mapping[str, msgspec.Raw], key: str) -> Sequence[msgspec.Raw]:
    """Take the member of an object that must be a list."""
    records = opened(fields.get(key))
    if not isinstance(records, list):
        raise PayloadError(f"the answer has no list `{key}`")
    return records


def fields_of(record: msgspec.Raw) -> dict[str, Any]:
    """Decode a record whole; numbers with a fraction are exact."""
    try:
        fields = loads(bytes(record))
    except PayloadError as error:
        raise UnusableError("record cannot be decoded") from error
    if not isinstance(fields, dict):
        raise UnusableError("record is not an object")
    return fields


def raw_text(record: msgspec.Raw) -> str:
    """Give a record as text that a database can store; bytes that are no text are kept escaped."""
    return bytes(record).decode(errors="backslashreplace")


def loads(body: bytes, decoder: json.JSONDecoder = _JSON) -> object:
    """Decode a body whole, half surrogate pairs and all."""
    try:
        return decoder.decode(_characters(body))
    except (ValueError, RecursionError, decimal.InvalidOperation) as error:
        raise _no_json(body) from error


def _no_json(body: bytes) -> PayloadError:
    if body.lstrip()[:1] != b"<":
        return PayloadError(f"the answer is not JSON ({len(body)} bytes)")
    return PayloadError(f"the answer is not JSON ({len(body)} bytes, looks like HTML)", remedy=_PAGE_REMEDY)
