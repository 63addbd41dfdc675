"""How to speak to the source, one call on it, and one reply of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from etl import __version__


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    How to speak to the source.

    `auth` says where the key goes. `read_timeout_s` is for a whole answer, from the request to the last byte
    of the body, `total_s` for all attempts and waits of one call. `requests_per_s` is what all threads of a
    key may do together, in the long run (0: no limit); `burst` of them may come at once. With `nocache` the
    source is asked for a workspace as it is now, which its own clients do as well.
    """

    base_url: str = "https://api.roboflow.com"
    auth: Literal["header", "query"] = "header"
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    max_body_bytes: int = 64 * 1024 * 1024
    attempts: int = 5
    total_s: float = 120.0
    wait_initial_s: float = 0.5
    wait_max_s: float = 30.0
    retry_after_cap_s: float = 60.0
    requests_per_s: float = 10.0
    burst: int = 10
    nocache: bool = True
    user_agent: str = f"batchledger/{__version__}"


class Reply(msgspec.Struct, frozen=True):
    """One answer, whatever its status. A source may echo the key, so a traceback shows nothing of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Reply({self.status})"


class Call(msgspec.Struct):
    """One call on the source, over all its attempts. Times are readings of the monotonic clock."""

    path: str
    target: str
    began: float
    until: float
    ends: float
    etag: str | None = None
    requests: int = 0
    is_late: bool = False
