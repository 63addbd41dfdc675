"""One HTTP request as it arrived, and one answer before it goes out. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha1

import msgspec
from msgspec.structs import replace

JSON = "application/json; charset=utf-8"
_NOT_MODIFIED = 304
_OK = 200


class Request(msgspec.Struct, frozen=True):
    """A request as it arrived; header names are in lower case, `arrived_at_s` is on the monotonic clock."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""
    arrived_at_s: float = 0.0


class Answer(msgspec.Struct, frozen=True):
    """
    An answer that can be larger than memory.

    Args:
        status: The HTTP status.
        body: The body, or its beginning.
        headers: All but `Content-Length`, `Date` and `ETag`.
        etag: Empty when the server offers none.
        filler: What follows the beginning, `fillers` times.
        fillers: How often.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: {"Content-Type": JSON})
    etag: str = ""
    filler: bytes = b""
    fillers: int = 0

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return len(self.body) + len(self.filler) * self.fillers


def etag_of(body: bytes) -> str:
    """A weak ETag of the form that Express makes."""
    return f'W/"{len(body):x}-{sha1(body, usedforsecurity=False).hexdigest()[:27]}"'


def conditional(answer: Answer, request: Request) -> Answer:
    """304 without a body when the client has this very answer already."""
    known = request.headers.get("if-none-match", "")
    if answer.status == _OK and answer.etag and answer.etag in known:
        return replace(answer, status=_NOT_MODIFIED, body=b"", filler=b"", fillers=0)
    return answer
