"""What commands read of the archive: the body that a number is from, and the record in it."""

from __future__ import annotations

import hashlib
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from etl.commands.queries import rows
from etl.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from etl.parse import Located

Locate: TypeAlias = "Callable[[bytes, str], Located | None]"
"""Finds in a body the record of one id."""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """
    The body that the number is from: that of the list, or of the look-up.

    `stored_bytes` is its size in the archive, None since `pruned_at`, when it was dropped for its age.
    `is_intact` tells whether the archived bytes still have their digest, None where there are none.
    """

    of: Literal["list", "look_up"]
    digest: str
    body_bytes: int
    stored_bytes: int | None
    pruned_at: datetime | None
    is_intact: bool | None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """
    The record itself. `offset` and `length` are in bytes of the body.

    `position` is its place in the list, from 0, of `count`; None where the body is that of a look-up.
    """

    position: int | None
    count: int | None
    offset: int
    length: int
    raw: str


class _Stored(msgspec.Struct, frozen=True):
    body: bytes | None
    body_bytes: int
    pruned_at: datetime | None


_BODY: Final = """
SELECT
    body,
    body_bytes,
    pruned_at
FROM ledger.payload
WHERE digest = decode(:digest, 'hex')
"""


def body_with_record(
    connection: Connection, of: Literal["list", "look_up"], digest: str, locate: Locate, record_id: str
) -> tuple[Body | None, Record | None]:
    """Return a body of the archive, and the record that it has of one id; None for what is not there."""
    found = rows(connection, _Stored, _BODY, digest=digest)
    if not found:
        return None, None
    (stored,) = found
    body = _unpacked(stored.body)
    told = Body(
        of=of,
        digest=digest,
        body_bytes=stored.body_bytes,
        stored_bytes=None if stored.body is None else len(stored.body),
        pruned_at=stored.pruned_at,
        is_intact=None if stored.body is None else _is_intact(body, digest),
    )
    return told, None if body is None else _record(body, locate, record_id)


def _unpacked(body: bytes | None) -> bytes | None:
    """Take a body out of the archive; one that was damaged there is no evidence."""
    try:
        return None if body is None else zlib.decompress(body)
    except zlib.error:
        return None


def _is_intact(body: bytes | None, digest: str) -> bool:
    return body is not None and hashlib.sha256(body).hexdigest() == digest


def _record(body: bytes, locate: Locate, record_id: str) -> Record | None:
    try:
        found = locate(body, record_id)
    except PayloadError:
        return None
    if found is None:
        return None
    return Record(
        position=found.position,
        count=found.count,
        offset=found.offset,
        length=len(found.raw),
        raw=found.raw.decode("utf-8", errors="backslashreplace"),
    )
