"""One connection to the source: kept alive, read within its time and its size."""

from __future__ import annotations

import http.client
import io
import logging
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from etl.errors import SettingsError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from _typeshed import WriteableBuffer

_CHUNK: Final = 256 * 1024
"""Most that is decoded in one step: large enough that a usual body takes one, small beside any limit."""

_BUFFER: Final = 64 * 1024
"""Read ahead of the parser of headers, so that a usual answer takes one system call instead of three."""

NO_ANSWER: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
"""All that requests, urllib3 and what lies below them raise when there is no answer, or no usable URL."""


def _has_no_key(record: logging.LogRecord) -> bool:
    return "api_key=" not in f"{record.msg} {record.args}"


# Some loggers of urllib3 print the URLs of requests, one of them at WARNING. With the key in the query that
# is the key, so such records are dropped where they arise, whatever levels and handlers are set. Filters are
# not inherited, so each logger gets one; all of them exist once urllib3 is imported.
for _name in tuple(logging.root.manager.loggerDict):
    if _name.startswith("urllib3"):
        logging.getLogger(_name).addFilter(_has_no_key)


class Line(HTTPAdapter):
    """
    One connection to the source, kept alive.

    It is used without a `Session`, which would follow redirects, keep cookies and read `~/.netrc`.
    """

    _pool: urllib3.HTTPConnectionPool | None = None

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,  # noqa: FBT001 - The signature is that of requests.
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> urllib3.HTTPConnectionPool:
        """Look the pool up once: a line has one address, and one set of settings."""
        if self._pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._pool = cast("urllib3.HTTPConnectionPool", pool)
            self._pool.ConnectionCls = _timely(self._pool.ConnectionCls)
        return self._pool


@cache
def _timely(connection: type) -> type:
    """Make a kind of connection whose answers end in time; any kind: plain, TLS, through a proxy."""
    return type(connection.__name__, (connection,), {"response_class": _timely_response})


def _timely_response(
    connection: urllib3.connection.HTTPConnection, sock: socket.socket, *, method: str | None = None
) -> http.client.HTTPResponse:
    """Start to read an answer; by now urllib3 has set the connection's limit to that of reading."""
    until = time.monotonic() + float(connection.timeout or 0.0)
    return http.client.HTTPResponse(cast("socket.socket", _TimelySocket(sock, until)), method=method)


class _TimelySocket:
    """What `http.client` needs of a socket to read an answer from it, but no later than a set time."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock, self._until = sock, until

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimelyReader(self._sock, self._until), _BUFFER)


class _TimelyReader(io.RawIOBase):
    """
    Reads a socket until a set time.

    The limit of a socket starts anew with each byte, so that a server which sends one now and then, of the
    headers or of the body, could hold us for ever.
    """

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock, self._until = sock, until
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class TooLargeError(ValueError):
    """The body is larger than we take."""


def read(raw: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """Read a body to its end, counting what it decodes to, so that a small answer cannot fill the memory."""
    chunks: list[bytes] = []
    size = 0
    while chunk := raw.read(_CHUNK, decode_content=True):
        size += len(chunk)
        if size > limit:
            raise TooLargeError
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def base_url(url: str) -> str:
    """Bring the address into the form that a path can be put after."""
    try:
        parts = urlsplit(requests.Request("GET", url).prepare().url or "")
    except ValueError:
        parts = urlsplit("")
    is_usable = parts.scheme in ("http", "https") and not parts.query and not parts.fragment
    if not is_usable or parts.username is not None or parts.password is not None:
        raise SettingsError(
            "the address of the source is not one of the form https://host or https://host/path",
            remedy="Check ROBOFLOW_API_URL; the default is https://api.roboflow.com.",
        )
    return parts.geturl().rstrip("/")


def environment(url: str) -> tuple[dict[str, str], bool | str]:
    """Take proxies and trusted certificates from the environment, by the rules of requests itself."""
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, stream=None, verify=None, cert=None)
    proxies, verify = dict(settings["proxies"]), settings["verify"] or True
    if isinstance(verify, str) and not Path(verify).exists():
        raise SettingsError(
            f"there is no bundle of certificates at {verify}",
            remedy="Correct or unset REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE).",
        )
    return proxies, verify
