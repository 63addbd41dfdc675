"""
What one key can read: the calls, each with its limits, its retries, its turn under the rate limit.

The key is in two places only: `ApiKey`, and the header or query of a request. What requests and urllib3 raise
may quote a URL, and their frames hold the headers, so no exception of theirs leaves this module, not even as
the context of one of ours.
"""

from __future__ import annotations

import http.client
import random
import time
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote, urlencode

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from etl.client.call import Call, Reply
from etl.client.failure import failed
from etl.client.key import sendable, shown
from etl.client.line import NO_ANSWER, Line, base_url, environment, read
from etl.client.refusal import is_transient, refused
from etl.client.retry import retry_after_s, retrying
from etl.client.turns import Turns
from etl.errors import DeadlineError, NotVisibleError, RefusedError, SourceError, TransientError
from etl.parse import error_text, error_type
from etl.records import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from etl.client.call import SourceOptions
    from etl.client.key import ApiKey
    from etl.ports import Clock
    from etl.records import Slug


_MAX_ETAG: Final = 256
_SHORTEST_S: Final = 0.001


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
        on_retry: Told of each call that is about to be repeated.

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
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._key = sendable(key)
        self._monotonic, self._now = monotonic, now
        self._base = base_url(options.base_url)
        self._proxies, self._verify = environment(self._base)
        self._turns = Turns(options, sleep=sleep, monotonic=monotonic)
        self._retrying = retrying(
            options, sleep=sleep, monotonic=monotonic, uniform=uniform, on_retry=on_retry
        )
        self._idle: deque[Line] = deque()

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

    def jobs(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        """Ask for all annotation jobs of a project; with an ETag the answer may be a 304 without a body."""
        return self._get((*slug, "jobs"), until=until, etag=etag)

    def job(self, slug: Slug, job_id: str, *, until: float) -> Answer:
        """Ask for one annotation job."""
        return self._get((*slug, "jobs", job_id), until=until)

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
            path=shown("/".join(segments), self._key) or "/",
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
        self._turns.take(call)
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

    def _exchange(self, call: Call) -> Reply:
        """Send one request and read its answer to the end."""
        try:
            with self._line() as line:
                return self._send(line, call)
        except NO_ANSWER as error:
            failure = failed(call, error, self._options, self._key)
        # Outside of the handler, so that what requests raised is not the context of what we raise.
        raise failure

    def _send(self, line: Line, call: Call) -> Reply:
        response = line.send(
            self._request(call),
            stream=True,
            timeout=self._limits(call),
            verify=self._verify,
            proxies=self._proxies,
        )
        try:
            body = read(response.raw, self._options.max_body_bytes)
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
    def _line(self) -> Iterator[Line]:
        """
        Lend a connection to one thread at a time.

        A `Session` for each thread would do, but would lose its connections with the threads of each run.
        """
        try:
            line = self._idle.pop()
        except IndexError:
            line = Line(pool_connections=1, pool_maxsize=1)
        try:
            yield line
        finally:
            self._idle.append(line)

    def _refusal(self, call: Call, reply: Reply) -> SourceError:
        status = reply.status
        told = shown(error_text(reply.body), self._key)
        message = f"{call.path}: status {status}" + (f": {told}" if told else "")
        if is_transient(status):
            asked_s = retry_after_s(reply.headers.get("Retry-After"), now=self._now())
            self._turns.pause(asked_s)
            return TransientError(message, retry_after_s=asked_s, http_status=status, requests=call.requests)
        kind, remedy = refused(status, error_type(reply.body))
        if kind is NotVisibleError and not error_text(reply.body):
            # A proxy's page says nothing of a batch, and would be taken for the proof that it is gone.
            kind, remedy = RefusedError, "What answered is not the API; check ROBOFLOW_API_URL and proxies."
        return kind(message, remedy=remedy, http_status=status, requests=call.requests)


def _etag(reply: Reply) -> str | None:
    """Take the ETag if it can be sent back; one that cannot would fail every later request."""
    value = reply.headers.get("ETag", "")
    return value if value.isascii() and value.isprintable() and 0 < len(value) <= _MAX_ETAG else None
