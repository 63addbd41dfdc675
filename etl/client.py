"""
The only importer of requests: auth, time limits, retry, rate limit, status → error.

The key is in two places only: `ApiKey`, and the header or query of a request. What requests and urllib3 raise
may quote a URL, and their frames hold the headers, so no exception of theirs leaves this module, not even as
the context of one of ours.
"""

from __future__ import annotations

import http.client
import io
import logging
import random
import re
import ssl
import time
from collections import deque
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import requests
import tenacity
import urllib3
from pyrate_limiter import Limiter, Rate, SingleBucketFactory, StateBucket, TokenBucket
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from etl import __version__
from etl.errors import (
    DeadlineError,
    MissingScopeError,
    NotVisibleError,
    PausedError,
    PayloadError,
    RefusedError,
    SettingsError,
    SourceError,
    TransientError,
    UnauthorizedError,
)
from etl.parse import error_text, error_type
from etl.records import Answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

    from etl.ports import Clock
    from etl.records import Slug

_CHUNK: Final = 256 * 1024
"""Most that is decoded in one step: large enough that a usual body takes one, small beside any limit."""

_BUFFER: Final = 64 * 1024
"""Read ahead of the parser of headers, so that a usual answer takes one system call instead of three."""

_MAX_MESSAGE: Final = 200
_MAX_ETAG: Final = 256
_SHORTEST_S: Final = 0.001
_LIMITER_BUFFER_MS: Final = 1
"""Added to each wait for a turn: enough for a limiter that counts in milliseconds; its default is 50."""

_NO_ANSWER: Final = (
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


class ApiKey:
    """A key that no repr shows; `reveal` is the only way to it."""

    __slots__ = ("_forms", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        # Which characters are URL-encoded differs from encoder to encoder, so each may be or not.
        forms = "".join(f"(?:{re.escape(character)}|%{ord(character):02x})" for character in value)
        self._forms = re.compile(forms or r"(?!)", re.IGNORECASE)

    def __repr__(self) -> str:
        return "ApiKey(***)"

    @property
    def is_sendable(self) -> bool:
        """Whether a header can carry it: printable ASCII without spaces."""
        return bool(re.fullmatch(r"[!-~]+", self._value))

    def reveal(self) -> str:
        """Return the key itself, for a request."""
        return self._value

    def redact(self, text: str) -> str:
        """Replace the key, URL-encoded or not, by asterisks."""
        return self._forms.sub("***", text)


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


def _utc_now() -> datetime:
    return datetime.now(UTC)


class RoboflowSource:
    """
    What one key can read at Roboflow; implements `etl.ports.Source`. Safe to call from several threads.

    Proxies and the bundle of trusted certificates are taken from the environment, once, as `requests` would
    take them for each request. `~/.netrc` is never read: it would replace the key.

    Args:
        options: How to speak to the source.
        key: The key of one workspace.
        sleep: Waits between attempts.
        monotonic: The clock that limits are measured by; `until` of every method is a reading of it.
        now: The wall clock, for the times of an answer and for `Retry-After` dates.
        uniform: Draws from an interval, for the jitter of the waits.

    Raises:
        SettingsError: The address or the key cannot be used in a request.
    """

    def __init__(  # noqa: PLR0913 - Time and chance are arguments.
        self,
        options: SourceOptions,
        key: ApiKey,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now: Clock = _utc_now,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._options = options
        self._key = _sendable(key)
        self._sleep, self._monotonic, self._now = sleep, monotonic, now
        self._base = _base(options.base_url)
        self._proxies, self._verify = _environment(self._base)
        self._limiter = _limiter(options)
        self._retrying = retrying(options, sleep=sleep, monotonic=monotonic, uniform=uniform)
        self._idle: deque[_Line] = deque()
        self._not_before = 0.0

    def root(self, *, until: float) -> Answer:
        """Ask which workspace the key belongs to."""
        return self._get((), until=until)

    def workspace(self, workspace: str, *, until: float) -> Answer:
        """Ask for the projects of a workspace."""
        query = {"nocache": "true"} if self._options.nocache else {}
        return self._get((workspace,), until=until, query=query)

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        """Ask for all batches of a project; with an ETag the answer may be a 304 without a body."""
        return self._get((*slug, "batches"), until=until, etag=etag)

    def batch(self, slug: Slug, batch_id: str, *, until: float) -> Answer:
        """Ask for one batch."""
        return self._get((*slug, "batches", batch_id), until=until)

    def close(self) -> None:
        """Close the connections that are open and idle."""
        while self._idle:
            self._idle.pop().close()

    def _get(
        self,
        segments: tuple[str, ...],
        *,
        until: float,
        etag: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        call = self._call(segments, until=until, etag=etag, query=query or {})
        try:
            return self._retrying(self._attempt, call)
        except TransientError as error:
            last = error
        raise self._deadline(call, last) if call.is_late and call.ends == call.until else last

    def _call(
        self, segments: tuple[str, ...], *, until: float, etag: str | None, query: Mapping[str, str]
    ) -> Call:
        began = self._monotonic()
        path = "".join(f"/{quote(segment, safe='')}" for segment in segments) or "/"
        return Call(
            path=self._shown("/".join(segments)) or "/",
            target=f"{path}?{urlencode(query)}" if query else path,
            began=began,
            until=until,
            ends=min(until, began + self._options.total_s),
            etag=etag,
        )

    def _deadline(self, call: Call, last: TransientError) -> DeadlineError:
        return DeadlineError(
            f"{call.path}: the deadline of the run came first ({last})",
            remedy="Allow the run more time, or look at what the source answered.",
            http_status=last.http_status,
            requests=call.requests,
        )

    def _attempt(self, call: Call) -> Answer:
        self._await_turn(call)
        call.requests += 1
        started_at = self._now()
        reply = self._exchange(call)
        observed_at = self._now()
        is_unchanged = reply.status == http.HTTPStatus.NOT_MODIFIED and call.etag is not None
        if reply.status != http.HTTPStatus.OK and not is_unchanged:
            raise self._refusal(call, reply)
        return Answer(
            http_status=reply.status,
            body=None if is_unchanged else reply.body,
            etag=_etag(reply) or (call.etag if is_unchanged else None),
            started_at=started_at,
            observed_at=observed_at,
            requests=call.requests,
            fetch_ms=(self._monotonic() - call.began) * 1_000,
        )

    def _await_turn(self, call: Call) -> None:
        """Wait out what the source asked of any thread, then take a turn under the rate limit."""
        while True:
            self._wait_out_pause(call)
            self._take_turn(call)
            # While this thread waited for its turn, another one may have been told to wait.
            if self._not_before <= self._monotonic():
                return

    def _wait_out_pause(self, call: Call) -> None:
        pause_s = self._not_before - self._monotonic()
        if pause_s <= 0:
            return
        if self._monotonic() + pause_s >= call.ends:
            message = f"{call.path}: the source asked this key to wait"
            raise TransientError(message, retry_after_s=pause_s, requests=call.requests)
        self._sleep(pause_s)

    def _take_turn(self, call: Call) -> None:
        left_s = call.ends - self._monotonic()
        if left_s <= 0 or not self._has_turn(left_s):
            message = f"{call.path}: its turn under the rate limit did not come in time"
            raise TransientError(message, requests=call.requests)

    def _has_turn(self, within_s: float) -> bool:
        return self._limiter is None or bool(self._limiter.try_acquire(timeout=within_s))

    def _exchange(self, call: Call) -> Reply:
        """Send one request and read its answer to the end."""
        try:
            with self._line() as line:
                return self._send(line, call)
        except _NO_ANSWER as error:
            failure = self._failure(call, error)
        # Outside of the handler, so that what requests raised is not the context of what we raise.
        raise failure

    def _send(self, line: _Line, call: Call) -> Reply:
        response = line.send(
            self._request(call),
            stream=True,
            timeout=self._limits(call),
            verify=self._verify,
            proxies=self._proxies,
        )
        try:
            body = _read(response.raw, self._options.max_body_bytes)
            return Reply(response.status_code, response.headers, body)
        finally:
            # A body that was read to its end has given its connection back; any other ends it.
            response.close()

    def _request(self, call: Call) -> requests.PreparedRequest:
        request = requests.PreparedRequest()
        request.method, request.url = "GET", self._base + call.target
        request.headers = CaseInsensitiveDict(
            {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": self._options.user_agent}
        )
        if call.etag is not None:
            request.headers["If-None-Match"] = call.etag
        if self._options.auth == "header":
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        else:
            joint = "&" if "?" in call.target else "?"
            request.url += f"{joint}{urlencode({'api_key': self._key.reveal()})}"
        return request

    def _limits(self, call: Call) -> tuple[float, float]:
        """Limit one attempt, by the end of the call too; urllib3 counts connecting and reading towards it."""
        limits = urllib3.Timeout(
            connect=self._options.connect_timeout_s,
            read=self._options.read_timeout_s,
            total=max(call.ends - self._monotonic(), _SHORTEST_S),
        )
        # Adapters document that they take this; their annotations do not know.
        return cast("tuple[float, float]", limits)

    @contextmanager
    def _line(self) -> Iterator[_Line]:
        """
        Lend a connection to one thread at a time.

        A `Session` for each thread would do, but would lose its connections with the threads of each run.
        """
        try:
            line = self._idle.pop()
        except IndexError:
            line = _Line(pool_connections=1, pool_maxsize=1)
        try:
            yield line
        finally:
            self._idle.append(line)

    def _failure(self, call: Call, error: Exception) -> SourceError:
        """Say why there was no answer that could be read, without what only requests may know."""
        causes = tuple(_causes(error))
        if isinstance(error, _TooLargeError):
            return self._too_large(call)
        if _is_any(causes, urllib3.exceptions.DecodeError):
            message = f"{call.path}: the body is not encoded as its headers say"
            return PayloadError(message, requests=call.requests)
        if _is_any(causes, ssl.SSLCertVerificationError):
            return RefusedError(
                f"{call.path}: the certificate of the source cannot be verified",
                remedy="Check ROBOFLOW_API_URL; behind a proxy that opens TLS, set REQUESTS_CA_BUNDLE.",
                requests=call.requests,
            )
        # Only the outermost: deeper down, a number of the answer that is none is one too.
        if isinstance(error, ValueError):
            return RefusedError(
                f"{call.path}: no request or no answer that HTTP allows",
                remedy="Check ROBOFLOW_API_URL and the proxy settings of the environment.",
                requests=call.requests,
            )
        if _is_any(causes, TimeoutError, urllib3.exceptions.ReadTimeoutError):
            return TransientError(f"{call.path}: no whole answer within its time", requests=call.requests)
        message = f"{call.path}: the connection failed ({self._shown(_reason(causes))})"
        remedy = f"See that {self._shown(self._options.base_url)} can be reached; ROBOFLOW_API_URL names it."
        return TransientError(message, remedy=remedy, requests=call.requests)

    def _too_large(self, call: Call) -> PayloadError:
        return PayloadError(
            f"{call.path}: the body is larger than {self._options.max_body_bytes} bytes",
            remedy="If a project is that large, raise `max_body_bytes` in `[source]`.",
            requests=call.requests,
        )

    def _refusal(self, call: Call, reply: Reply) -> SourceError:
        status = reply.status
        told = self._shown(error_text(reply.body))
        message = f"{call.path}: status {status}" + (f": {told}" if told else "")
        if _is_transient(status):
            asked_s = retry_after_s(reply.headers.get("Retry-After"), now=self._now())
            self._pause(asked_s)
            return TransientError(message, retry_after_s=asked_s, http_status=status, requests=call.requests)
        kind, remedy = _refused(status, error_type(reply.body))
        if kind is NotVisibleError and not error_text(reply.body):
            # A proxy's page says nothing of a batch, and would be taken for the proof that it is gone.
            kind, remedy = RefusedError, "What answered is not the API; check ROBOFLOW_API_URL and proxies."
        return kind(message, remedy=remedy, http_status=status, requests=call.requests)

    def _pause(self, asked_s: float | None) -> None:
        """Let all threads of the key wait. If two say so at once one may lose; its own thread still waits."""
        if asked_s is not None:
            until = self._monotonic() + min(asked_s, self._options.retry_after_cap_s)
            self._not_before = max(self._not_before, until)

    def _shown(self, text: str) -> str:
        """Make text of others fit for a message: one line, no key, not long."""
        plain = "".join(character if character.isprintable() else " " for character in text)
        redacted = " ".join(self._key.redact(plain).split())
        return redacted if len(redacted) <= _MAX_MESSAGE else f"{redacted[: _MAX_MESSAGE - 1]}…"


def retrying(
    options: SourceOptions,
    *,
    sleep: Callable[[float], None],
    monotonic: Callable[[], float],
    uniform: Callable[[float, float], float],
) -> tenacity.Retrying:
    """
    Build the retry policy: call it with a function and a `Call`.

    A wait is drawn from the whole of an exponentially growing window (full jitter), and is never shorter than
    what the source asked for, up to the cap. There is no wait that would end at or after the end of the call.
    """
    window = tenacity.wait_exponential(multiplier=options.wait_initial_s, max=options.wait_max_s)

    def wait_s(state: tenacity.RetryCallState) -> float:
        return max(uniform(0.0, window(state)), min(_asked_s(state), options.retry_after_cap_s))

    def is_late_or_last(state: tenacity.RetryCallState) -> bool:
        call: Call = state.args[0]
        call.is_late = monotonic() + state.upcoming_sleep >= call.ends
        return call.is_late or state.attempt_number >= options.attempts

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        wait=wait_s,
        stop=is_late_or_last,
        sleep=sleep,
        reraise=True,
    )


def _asked_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after_s or 0.0) if isinstance(error, TransientError) else 0.0


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """
    Read a `Retry-After` header.

    Args:
        value: Seconds or an HTTP date; None when the header is absent.
        now: The wall clock.

    Returns:
        Seconds to wait from now, not negative; None when nothing usable was said.

    Source: RFC 9110, section 10.2.3.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,15}", text):
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without a known zone is in UTC; the RFC knows no other.
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)


def _is_transient(status: int) -> bool:
    return status in (408, 429) or 500 <= status <= 599  # noqa: PLR2004 - These are statuses.


_Refusal = tuple[type[SourceError], str]

_KEY_REMEDY: Final = "Check the API key (ROBOFLOW_API_KEY) and that it belongs to this workspace."
_UNAUTHORIZED: Final[_Refusal] = (UnauthorizedError, _KEY_REMEDY)
_PAUSED: Final[_Refusal] = (PausedError, "Check the plan and the billing of the workspace at Roboflow.")
_NOT_VISIBLE: Final[_Refusal] = (NotVisibleError, "Check the name, and that this key may see it.")
_REDIRECTED: Final[_Refusal] = (
    RefusedError,
    "A redirect is not followed with a key; set ROBOFLOW_API_URL to the address itself.",
)
_REFUSED: Final[_Refusal] = (RefusedError, "Check ROBOFLOW_API_URL, then the status of Roboflow.")
_MISSING_SCOPE: Final[_Refusal] = (
    MissingScopeError,
    "Use a key with the scopes workspace:read, project:read, batch:read and annotation-job:read.",
)
_REFUSALS: Final[Mapping[int, _Refusal]] = {
    401: _UNAUTHORIZED,
    402: _PAUSED,
    403: _UNAUTHORIZED,
    404: _NOT_VISIBLE,
    423: _PAUSED,
}


def _refused(status: int, kind: str) -> _Refusal:
    if status in (403, 404) and kind == "GraphMethodException":
        return _MISSING_SCOPE
    if 300 <= status <= 399:  # noqa: PLR2004 - These are statuses.
        return _REDIRECTED
    return _REFUSALS.get(status, _REFUSED)


def _sendable(key: ApiKey) -> ApiKey:
    if not key.is_sendable:
        raise SettingsError(
            "the API key is empty or holds characters that no key has",
            remedy="Check ROBOFLOW_API_KEY for spaces, quotes and line breaks.",
        )
    return key


def _base(url: str) -> str:
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


def _environment(url: str) -> tuple[dict[str, str], bool | str]:
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


def _limiter(options: SourceOptions) -> Limiter | None:
    """Build the token bucket of the key: a few numbers, and no thread to clean up after them."""
    if options.requests_per_s <= 0:
        return None
    per_million_ms = max(1, round(options.requests_per_s * 1_000))
    bucket = StateBucket([Rate(per_million_ms, 1_000_000, burst=options.burst)], algorithm=TokenBucket())
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=_LIMITER_BUFFER_MS)


class _Line(HTTPAdapter):
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


class _TooLargeError(ValueError):
    """The body is larger than we take."""


def _read(raw: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """Read a body to its end, counting what it decodes to, so that a small answer cannot fill the memory."""
    chunks: list[bytes] = []
    size = 0
    while chunk := raw.read(_CHUNK, decode_content=True):
        size += len(chunk)
        if size > limit:
            raise _TooLargeError
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _etag(reply: Reply) -> str | None:
    """Take the ETag if it can be sent back; one that cannot would fail every later request."""
    value = reply.headers.get("ETag", "")
    return value if value.isascii() and value.isprintable() and 0 < len(value) <= _MAX_ETAG else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk all exceptions that one was made from, outermost first; the libraries nest them in four ways."""
    waiting, seen = deque([error]), set[int]()
    while waiting:
        cause = waiting.popleft()
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            nested = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
            waiting.extend(inner for inner in nested if isinstance(inner, BaseException))


def _is_any(causes: tuple[BaseException, ...], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _reason(causes: tuple[BaseException, ...]) -> str:
    """Name what failed by the operating system's words, else by the innermost kind: texts may hold a URL."""
    told = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return told[-1] if told else type(causes[-1]).__name__
