"""What the client makes of everything that can go wrong on a real socket, and how long it takes over it."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import socket
import ssl
import threading
import time
import traceback
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import pytest
import requests

from etl.client import ApiKey, RoboflowSource, SourceOptions
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
from etl.parse import error_text
from etl.records import Answer, Slug
from etl.simulator import Fault, ServerSettings, Simulator, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.ports import Source

CARS = Slug("acme", "cars")
CARS_PATH = "/acme/cars/batches"
CANARY = "rf+canary/key=42"
CERTIFICATE = Path(__file__).with_name("self_signed.pem")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    world = World.seeded(5, workspaces=1, projects=3, batches_per_project=30)
    with Simulator(world, ServerSettings(keys={"acme": CANARY}, has_etags=True)) as running:
        yield running


@contextmanager
def a_source(sim: Simulator | str, *, key: str = CANARY, **options: Any) -> Iterator[RoboflowSource]:
    url = sim if isinstance(sim, str) else sim.url
    quick = {"base_url": url, "requests_per_s": 0, "wait_initial_s": 0.01, "wait_max_s": 0.02, **options}
    with contextlib.closing(RoboflowSource(SourceOptions(**quick), ApiKey(key))) as source:
        yield source


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


def read(source: RoboflowSource, *, etag: str | None = None, within_s: float = 20.0) -> Answer:
    return source.batches(CARS, etag=etag, until=soon(within_s))


def failure(source: RoboflowSource, *, within_s: float = 20.0) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(source, within_s=within_s)
    return caught.value


@contextmanager
def takes(at_least: float, at_most: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert at_least <= time.monotonic() - began <= at_most


@contextmanager
def a_server(
    serve: Callable[[socket.socket], None], *, wrap: Callable[[socket.socket], socket.socket] | None = None
) -> Iterator[str]:
    """A server that gives every connection to `serve`, and that nothing keeps from ending."""
    closing = threading.Event()
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        while not closing.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                open_sockets.append(connection)
                threads.submit(handle, connection)

    def handle(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), wrap(connection) if wrap else connection as ready:
            serve(ready)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(8) as threads:
        listener.settimeout(0.05)
        threads.submit(accept)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            closing.set()
            for one in open_sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


def head_of_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and (more := connection.recv(65_536)):
        received += more
    return received


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


# What comes back when nothing goes wrong.


def test_an_answer_tells_what_was_read_and_when(sim: Simulator) -> None:
    before = datetime.now(UTC)
    with a_source(sim) as source:
        given = read(source)
    assert given.http_status == 200
    assert len(json.loads(given.body or b"")["batches"]) == 30
    assert given.etag
    assert before <= given.started_at <= given.observed_at <= datetime.now(UTC)
    assert given.requests == 1
    assert 0 < given.fetch_ms < 5_000


def test_the_times_of_an_answer_are_those_of_the_attempt_that_succeeded(sim: Simulator) -> None:
    sim.faults.add(Fault.stall(1.0), times=1)
    sim.faults.add(Fault.stall(0.3), times=1)
    before = datetime.now(UTC)
    with a_source(sim, read_timeout_s=0.5) as source:
        given = read(source)
    assert given.started_at - before >= timedelta(seconds=0.5)
    assert given.observed_at - given.started_at >= timedelta(seconds=0.3)
    assert given.fetch_ms >= 800
    assert given.requests == 2


def test_a_known_etag_brings_an_answer_without_a_body(sim: Simulator) -> None:
    with a_source(sim) as source:
        first = read(source)
        second = read(source, etag=first.etag)
        third = read(source, etag='W/"other"')
    assert (second.http_status, second.body, second.etag) == (304, None, first.etag)
    assert (third.http_status, third.body) == (200, first.body)


def test_a_304_that_repeats_no_etag_leaves_the_known_one_in_force() -> None:
    def serve(connection: socket.socket) -> None:
        head_of_request(connection)
        connection.sendall(b"HTTP/1.1 304 Not Modified\r\n\r\n")

    with a_server(serve) as url, a_source(url) as source:
        assert read(source, etag='"known"').etag == '"known"'


def test_a_304_that_nobody_asked_for_is_not_believed(sim: Simulator) -> None:
    sim.faults.add(Fault.status(304, b""))
    with a_source(sim) as source:
        assert type(failure(source)) is RefusedError


def test_every_method_asks_for_its_own_path(sim: Simulator) -> None:
    with a_source(sim) as source:
        batch_id = json.loads(read(source).body or b"")["batches"][0]["id"]
        answers = [
            source.root(until=soon()),
            source.workspace("acme", until=soon()),
            source.batch(CARS, batch_id, until=soon()),
        ]
    assert [given.http_status for given in answers] == [200] * 3
    paths = ["/", "/acme", f"{CARS_PATH}/{batch_id}"]
    assert [request.path for request in sim.requests.latest][1:] == paths


def test_only_a_workspace_is_asked_for_without_caches_and_only_by_setting(sim: Simulator) -> None:
    for nocache in (True, False):
        with a_source(sim, nocache=nocache) as source:
            source.root(until=soon())
            source.workspace("acme", until=soon())
            read(source)
    queries = [dict(request.query) for request in sim.requests.latest]
    assert queries == [{}, {"nocache": "true"}, {}, {}, {}, {}]


def test_the_key_travels_in_the_header_and_nowhere_else(sim: Simulator) -> None:
    with a_source(sim) as source:
        source.workspace("acme", until=soon())
    [request] = sim.requests.latest
    assert request.headers["authorization"] == f"Bearer {CANARY}"
    assert "api_key" not in request.query


def test_the_key_travels_in_the_query_by_setting_and_then_nowhere_else(sim: Simulator) -> None:
    with a_source(sim, auth="query") as source:
        source.workspace("acme", until=soon())
        read(source)
    workspace, batches = sim.requests.latest
    assert workspace.query == {"nocache": "true", "api_key": CANARY}
    assert batches.query == {"api_key": CANARY}
    assert "authorization" not in workspace.headers


def test_what_stands_in_netrc_does_not_replace_the_key(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with a_source(sim) as source:
        read(source)
    assert sim.requests.latest[0].headers["authorization"] == f"Bearer {CANARY}"


def test_ids_are_encoded_into_the_path() -> None:
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        seen.append(head_of_request(connection).split(b"\r\n")[0])
        connection.sendall(answer(b"{}"))

    with a_server(serve) as url, a_source(f"{url}/v1/") as source:
        source.batch(Slug("a b", "c/d"), "é?x=1#%", until=soon())
    assert seen == [b"GET /v1/a%20b/c%2Fd/batches/%C3%A9%3Fx%3D1%23%25 HTTP/1.1"]


def test_a_proxy_of_the_environment_is_used_unless_the_host_is_excepted(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        seen.append(head_of_request(connection).split(b"\r\n")[0])
        connection.sendall(answer(b"{}"))

    with a_server(serve) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with a_source(sim) as source:
            assert read(source).body == b"{}"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with a_source(sim) as source:
            assert read(source).body != b"{}"
    assert seen == [f"GET {sim.url}{CARS_PATH} HTTP/1.1".encode()]


def test_the_limits_hold_through_a_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_server(trickling_head) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with a_source("http://127.0.0.1:9", attempts=1, read_timeout_s=0.3) as source, takes(0.25, 2.0):
            assert type(failure(source)) is TransientError


def test_one_connection_serves_many_calls() -> None:
    connections: list[int] = []

    def serve(connection: socket.socket) -> None:
        connections.append(1)
        for given in (
            answer(b"{}"),
            b"HTTP/1.1 304 Not Modified\r\n\r\n",
            answer(b'{"error": "no"}', status="404 Not Found"),
            answer(b"", status="503 Service Unavailable"),
            answer(gzip.compress(b"{}"), "Content-Encoding: gzip"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            answer(b"[]"),
        ):
            head_of_request(connection)
            connection.sendall(given)

    with a_server(serve) as url, a_source(url) as source:
        assert read(source).body == b"{}"
        assert read(source, etag='"x"').http_status == 304
        assert type(failure(source)) is NotVisibleError
        assert read(source).body == b"{}"
        assert read(source).body == b"{}"
        assert read(source).body == b"[]"
    assert connections == [1]


def test_a_body_that_ends_with_its_connection_is_read_whole() -> None:
    def serve(connection: socket.socket) -> None:
        head_of_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000)

    with a_server(serve) as url, a_source(url) as source:
        assert read(source).body == b"x" * 300_000


def test_threads_do_not_get_each_others_answers(sim: Simulator) -> None:
    names = [slug.rpartition("/")[2] for slug in sim.world.projects]

    def ids(name: str) -> tuple[str, str]:
        body = source.batches(Slug("acme", name), etag=None, until=soon()).body or b""
        return name, json.loads(body)["batches"][0]["id"]

    with a_source(sim) as source, ThreadPoolExecutor(8) as threads:
        pairs = set(threads.map(ids, names * 20))
    assert len(pairs) == len(names) == 3


def test_a_page_for_people_with_status_200_is_an_answer_for_the_parser_to_judge(sim: Simulator) -> None:
    sim.faults.add(Fault.html())
    with a_source(sim) as source:
        assert (read(source).body or b"").startswith(b"<!DOCTYPE html>")


# What is repeated.


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_a_status_that_passes_is_repeated_until_it_has_passed(sim: Simulator, status: int) -> None:
    sim.faults.add(Fault.status(status), times=2)
    with a_source(sim) as source:
        given = read(source)
    assert (given.http_status, given.requests, sim.requests.total) == (200, 3, 3)


@pytest.mark.parametrize(
    "fault",
    [Fault.reset(), Fault.reset(is_during_body=True), Fault.truncated()],
    ids=["reset before the body", "reset in the body", "truncated"],
)
def test_a_broken_answer_is_read_again_and_never_taken_for_whole(sim: Simulator, fault: Fault) -> None:
    sim.faults.add(fault, times=2)
    with a_source(sim) as source:
        given = read(source)
        assert given.requests == 3
        assert given.body == read(source).body


@pytest.mark.parametrize(
    "fault",
    [Fault.reset(), Fault.reset(is_during_body=True), Fault.truncated(), Fault.status(503)],
    ids=["reset before the body", "reset in the body", "truncated", "503"],
)
def test_what_does_not_pass_comes_out_with_the_number_of_requests(sim: Simulator, fault: Fault) -> None:
    sim.faults.add(fault, times=None)
    with a_source(sim, attempts=4) as source:
        error = failure(source)
    assert type(error) is TransientError
    assert error.requests == sim.requests.total == 4
    assert "acme/cars/batches" in str(error)


def test_a_chunked_body_without_its_end_is_read_again() -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    answers = [whole[:-5], whole[:-9], whole.replace(b"2\r\n{}", b"zz\r\n{}"), whole]

    def serve(connection: socket.socket) -> None:
        head_of_request(connection)
        connection.sendall(answers.pop(0))

    with a_server(serve) as url, a_source(url) as source:
        given = read(source)
    assert (given.body, given.requests) == (b"{}", 4)


def test_an_error_whose_body_is_cut_short_is_not_taken_for_that_error() -> None:
    """A 404 tells an absence from a missing scope by its body alone."""

    def serve(connection: socket.socket) -> None:
        head_of_request(connection)
        connection.sendall(answer(b"x" * 100, status="404 Not Found")[:-50])

    with a_server(serve) as url, a_source(url, attempts=2) as source:
        error = failure(source)
    assert type(error) is TransientError
    assert error.requests == 2


def test_a_connection_that_was_closed_while_idle_costs_no_attempt_that_matters(sim: Simulator) -> None:
    sim.faults.add(Fault.hang_up())
    with a_source(sim) as source:
        read(source)
        assert read(source).requests <= 2


def test_a_refused_connection_is_repeated_and_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with a_source(f"http://127.0.0.1:{port}", attempts=3) as source:
        error = failure(source)
    assert type(error) is TransientError
    assert error.requests == 3
    assert "Connection refused" in str(error)


@pytest.mark.parametrize("header", ["1", "date"])
def test_the_source_is_given_the_time_that_it_asks_for(sim: Simulator, header: str) -> None:
    if header == "date":
        # A date has whole seconds, so the wait it asks for is between one and two.
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    sim.faults.add(Fault.status(429, headers={"Retry-After": header}))
    with a_source(sim) as source, takes(0.9, 3.0):
        assert read(source).requests == 2
    first, second = sim.requests.latest
    assert second.arrived_at_s - first.arrived_at_s >= 0.9


def test_the_source_is_not_given_more_time_than_the_cap(sim: Simulator) -> None:
    sim.faults.add(Fault.status(503, headers={"Retry-After": "3600"}))
    with a_source(sim, retry_after_cap_s=0.3) as source, takes(0.25, 2.0):
        assert read(source).requests == 2


def test_when_one_thread_is_told_to_wait_all_threads_of_the_key_wait(sim: Simulator) -> None:
    sim.faults.add(Fault.status(429, headers={"Retry-After": "1"}), path=CARS_PATH)
    with a_source(sim) as source, ThreadPoolExecutor(4) as threads:
        told = threads.submit(read, source)
        while not sim.requests.total:
            time.sleep(0.01)
        time.sleep(0.2)
        others = [threads.submit(source.workspace, "acme", until=soon()) for _ in range(3)]
        assert {other.result().http_status for other in others} == {told.result().http_status} == {200}
    first, *later = sim.requests.latest
    assert len(later) == 4
    assert min(request.arrived_at_s for request in later) - first.arrived_at_s >= 0.9


def test_a_thread_that_was_waiting_for_its_turn_waits_as_well() -> None:
    arrived: list[float] = []

    def serve(connection: socket.socket) -> None:
        while head_of_request(connection):
            arrived.append(time.monotonic())
            if len(arrived) == 1:
                time.sleep(0.15)
                connection.sendall(answer(b"", "Retry-After: 1", status="429 Too Many Requests"))
            else:
                connection.sendall(answer(b"{}"))

    with (
        a_server(serve) as url,
        a_source(url, requests_per_s=2.5, burst=1) as source,
        ThreadPoolExecutor(2) as threads,
    ):
        assert {given.http_status for given in threads.map(lambda _: read(source), range(2))} == {200}
    assert len(arrived) == 3
    assert arrived[1] - arrived[0] >= 1.1


# Time limits.


def trickling_head(connection: socket.socket) -> None:
    head_of_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(200):
        connection.sendall(b"X: y\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize(
    "fault",
    [Fault.stall(), Fault.stall(is_during_body=True), Fault.trickle(0.05)],
    ids=["stall before headers", "stall in the body", "trickle"],
)
def test_an_answer_that_does_not_end_is_given_up_after_the_limit_for_reading(
    sim: Simulator, fault: Fault
) -> None:
    sim.faults.add(fault)
    with a_source(sim, attempts=1, read_timeout_s=0.4) as source, takes(0.35, 1.5):
        error = failure(source)
    assert type(error) is TransientError
    assert "within its time" in str(error)


def test_headers_that_trickle_are_given_up_after_the_limit_for_reading() -> None:
    with (
        a_server(trickling_head) as url,
        a_source(url, attempts=1, read_timeout_s=0.4) as source,
        takes(0.35, 1.5),
    ):
        assert type(failure(source)) is TransientError


def test_a_server_that_does_not_accept_is_given_up_after_the_limit_for_connecting() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        source = stack.enter_context(a_source(f"http://127.0.0.1:{port}", attempts=1, connect_timeout_s=0.3))
        with takes(0.25, 1.5):
            assert type(failure(source)) is TransientError


@pytest.mark.parametrize(
    "fault",
    [Fault.stall(), Fault.stall(is_during_body=True), Fault.trickle(0.05)],
    ids=["stall before headers", "stall in the body", "trickle"],
)
def test_no_attempt_goes_on_past_the_deadline(sim: Simulator, fault: Fault) -> None:
    sim.faults.add(fault, times=None)
    with a_source(sim) as source, takes(0.35, 1.2):
        error = failure(source, within_s=0.4)
    assert type(error) is DeadlineError
    assert error.requests == 1


def test_no_wait_goes_on_past_the_deadline(sim: Simulator) -> None:
    sim.faults.add(Fault.status(429, headers={"Retry-After": "30"}), times=None)
    with a_source(sim) as source:
        with takes(0.0, 1.0):
            told = failure(source, within_s=5.0)
        with takes(0.0, 1.0):
            paused = failure(source, within_s=5.0)
    assert (type(told), told.http_status, told.requests) == (DeadlineError, 429, 1)
    assert (type(paused), paused.requests, sim.requests.total) == (DeadlineError, 0, 1)


def test_nothing_is_sent_after_the_deadline(sim: Simulator) -> None:
    with a_source(sim) as source:
        error = failure(source, within_s=-1.0)
    assert (type(error), error.requests, sim.requests.total) == (DeadlineError, 0, 0)


def test_a_deadline_says_what_went_before(sim: Simulator) -> None:
    sim.faults.add(Fault.status(503), times=None)
    with a_source(sim, attempts=1_000, wait_initial_s=0.1, wait_max_s=0.1) as source, takes(0.0, 1.5):
        error = failure(source, within_s=0.5)
    assert (type(error), error.http_status) == (DeadlineError, 503)
    assert error.requests == sim.requests.total > 1
    assert "status 503" in str(error)


def test_one_call_with_all_its_attempts_has_a_limit_of_its_own(sim: Simulator) -> None:
    sim.faults.add(Fault.stall(), times=None)
    with a_source(sim, read_timeout_s=0.3, total_s=0.8, attempts=1_000) as source, takes(0.5, 1.6):
        error = failure(source)
    assert type(error) is TransientError
    assert error.requests == sim.requests.total == 3


# The rate limit.


def arrivals(sim: Simulator) -> list[float]:
    return sorted(request.arrived_at_s for request in sim.requests.latest)


def test_all_threads_of_a_key_together_keep_to_the_rate(sim: Simulator) -> None:
    with a_source(sim, requests_per_s=40, burst=3) as source, ThreadPoolExecutor(6) as threads:
        assert len(list(threads.map(lambda _: read(source), range(30)))) == 30
    at = arrivals(sim)
    # The server sees a request a little after it was let go; the second term allows for that.
    for first, began in enumerate(at):
        for last in range(first, len(at)):
            assert last - first + 1 <= 3 + 40 * (at[last] - began + 0.06)
    assert at[-1] - at[0] <= 3.0


def test_repeated_attempts_keep_to_the_rate_as_well(sim: Simulator) -> None:
    sim.faults.add(Fault.status(503), times=4)
    with a_source(sim, requests_per_s=10, burst=1) as source:
        assert read(source).requests == 5
    at = arrivals(sim)
    assert at[-1] - at[0] >= 0.4 - 0.06


def test_a_rate_may_be_a_fraction_and_the_wait_for_a_turn_ends_with_the_deadline(sim: Simulator) -> None:
    with a_source(sim, requests_per_s=0.2, burst=1) as source:
        read(source)
        with takes(0.25, 1.0):
            error = failure(source, within_s=0.3)
    assert (type(error), error.requests, sim.requests.total) == (DeadlineError, 0, 1)


# What is not repeated.


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.status(400), RefusedError),
        (Fault.status(401), UnauthorizedError),
        (Fault.status(402), PausedError),
        (Fault.status(403), UnauthorizedError),
        (Fault.status(403, '{"error": {"type": "GraphMethodException"}}'), MissingScopeError),
        (Fault.status(404), NotVisibleError),
        (Fault.missing_scope(), MissingScopeError),
        (Fault.html(404), RefusedError),
        (Fault.status(405), RefusedError),
        (Fault.status(410), RefusedError),
        (Fault.status(423), PausedError),
        (Fault.status(204, b""), RefusedError),
        (Fault.status(206), RefusedError),
        (Fault.redirect("/elsewhere", 301), RefusedError),
    ],
)
def test_a_refusal_comes_out_at_once_as_what_to_do_about_it(
    sim: Simulator, fault: Fault, kind: type[SourceError]
) -> None:
    sim.faults.add(fault)
    with a_source(sim) as source:
        error = failure(source)
    assert type(error) is kind
    assert (error.http_status, error.requests, sim.requests.total) == (fault.code, 1, 1)
    assert str(error).startswith(f"acme/cars/batches: status {fault.code}")
    assert error.remedy
    assert error_text(fault.body or b"") in str(error)


def test_a_redirect_is_not_followed_with_the_key(sim: Simulator) -> None:
    with Simulator(World.seeded(1)) as other:
        sim.faults.add(Fault.redirect(f"{other.url}{CARS_PATH}"))
        with a_source(sim) as source:
            error = failure(source)
        assert other.requests.total == 0
    assert type(error) is RefusedError
    assert "ROBOFLOW_API_URL" in error.remedy


def test_a_wrong_key_is_named_as_what_to_check(sim: Simulator) -> None:
    with a_source(sim, key="wrong") as source:
        error = failure(source)
    assert type(error) is UnauthorizedError
    assert "ROBOFLOW_API_KEY" in error.remedy


@pytest.mark.parametrize(
    "body",
    [b"this is not gzip", gzip.compress(b"{}" * 99, mtime=0)[:-8] + bytes(8)],
    ids=["no gzip", "wrong checksum"],
)
def test_a_body_that_is_not_encoded_as_it_says_is_not_believed(sim: Simulator, body: bytes) -> None:
    sim.faults.add(Fault.status(200, body, headers={"Content-Encoding": "gzip"}))
    with a_source(sim) as source:
        error = failure(source)
    assert type(error) is PayloadError
    assert error.requests == 1


@pytest.mark.parametrize(
    "fault", [Fault.gzip_bomb(2_000), Fault.huge(20), Fault.endless()], ids=["bomb", "huge", "endless"]
)
def test_a_body_without_measure_does_not_fill_the_memory(sim: Simulator, fault: Fault) -> None:
    sim.faults.add(fault)
    with a_source(sim, max_body_bytes=2 * 1024 * 1024) as source:
        tracemalloc.start()
        try:
            error = failure(source)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert type(error) is PayloadError
    assert "max_body_bytes" in error.remedy
    assert (error.requests, sim.requests.total) == (1, 1)
    assert peak < 12 * 1024 * 1024


def test_a_body_of_just_the_limit_is_taken(sim: Simulator) -> None:
    sim.faults.add(Fault.literal(b"x" * 4_096))
    sim.faults.add(Fault.literal(b"x" * 4_097))
    with a_source(sim, max_body_bytes=4_096) as source:
        assert len(read(source).body or b"") == 4_096
        assert type(failure(source)) is PayloadError


def test_an_etag_that_could_not_be_sent_back_is_not_kept() -> None:
    etags = ['"ok"', '"folded\r\n here"', '"caf\xe9"', '"' + "x" * 5_000 + '"', ""]

    def serve(connection: socket.socket) -> None:
        for etag in etags:
            head_of_request(connection)
            connection.sendall(
                f"HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
            )

    with a_server(serve) as url, a_source(url) as source:
        assert [read(source).etag for _ in etags] == ['"ok"', '"folded here"', None, None, None]


def encrypted(connection: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context.wrap_socket(connection, server_side=True)


def polite(connection: socket.socket) -> None:
    head_of_request(connection)
    connection.sendall(answer(b"{}"))


def test_a_certificate_that_nobody_vouches_for_is_refused_and_one_in_the_bundle_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with a_server(polite, wrap=encrypted) as url:
        address = url.replace("http:", "https:")
        with a_source(address) as source:
            error = failure(source)
        assert type(error) is RefusedError
        assert error.requests == 1
        assert "certificate" in str(error)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        with a_source(address) as source:
            assert read(source).body == b"{}"


def test_the_limits_hold_under_tls_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with a_server(trickling_head, wrap=encrypted) as url:
        address = url.replace("http:", "https:")
        with a_source(address, attempts=1, read_timeout_s=0.4) as source, takes(0.35, 2.0):
            assert type(failure(source)) is TransientError


def test_a_handshake_that_does_not_end_is_given_up_after_the_limit_for_connecting() -> None:
    with a_server(lambda _: time.sleep(1.0)) as url:
        address = url.replace("http:", "https:")
        with a_source(address, attempts=1, connect_timeout_s=0.3) as source, takes(0.25, 0.9):
            assert type(failure(source)) is TransientError


def test_a_bundle_that_is_not_there_is_said_at_the_start(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(SettingsError, match=r"none\.pem"), a_source(sim):
        pass


# The key.


def everything_that_shows(error: BaseException) -> str:
    """All that an exception and those it came from can show, tracebacks with their locals included."""
    shown = [str(error), repr(error), repr(error.args), repr(vars(error)), str(getattr(error, "remedy", ""))]
    rendered = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown.extend(rendered.format(chain=True))
    nested = [one for one in (error.__cause__, error.__context__) if one is not None]
    shown.extend(everything_that_shows(one) for one in nested)
    return "\n".join(shown)


KEY_FAULTS = [
    Fault.status(400, json.dumps({"error": f"key {CANARY} is bad"})),
    Fault.status(401, json.dumps({"error": {"message": f"?api_key={quote(CANARY, safe='')}"}})),
    Fault.status(403, json.dumps({"message": "x" * 190 + CANARY})),
    Fault.status(404, json.dumps({"error": f"{CANARY}"})),
    Fault.status(503, json.dumps({"error": quote(CANARY).lower()})),
    Fault.redirect(f"http://127.0.0.1:9/?api_key={CANARY}"),
    Fault.reset(),
    Fault.reset(is_during_body=True),
    Fault.truncated(),
    Fault.stall(),
    Fault.stall(is_during_body=True),
    Fault.status(200, b"no gzip", headers={"Content-Encoding": "gzip"}),
    Fault.huge(3),
]


@pytest.mark.parametrize("auth", ["header", "query"])
@pytest.mark.parametrize("fault", KEY_FAULTS)
def test_the_key_shows_nowhere_when_a_call_fails(
    sim: Simulator, caplog: pytest.LogCaptureFixture, fault: Fault, auth: Literal["header", "query"]
) -> None:
    sim.faults.add(fault, times=None)
    with (
        logging_all(caplog),
        a_source(sim, auth=auth, attempts=2, read_timeout_s=0.2, max_body_bytes=2_000_000) as source,
    ):
        shown = everything_that_shows(failure(source)) + caplog.text + repr(source)
    assert_no_key(shown + repr([vars(record) for record in caplog.records]))


@pytest.mark.parametrize("auth", ["header", "query"])
def test_the_key_shows_nowhere_when_the_headers_of_an_answer_are_broken(
    caplog: pytest.LogCaptureFixture, auth: Literal["header", "query"]
) -> None:
    """At this urllib3 logs the whole URL as a warning."""

    def serve(connection: socket.socket) -> None:
        head_of_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nbroken\r\nX: y\r\n\r\n{}")

    with a_server(serve) as url, logging_all(caplog), a_source(url, auth=auth, attempts=1) as source:
        with contextlib.suppress(SourceError):
            read(source)
        assert_no_key(caplog.text + repr([vars(record) for record in caplog.records]))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:9", "http://nobody.invalid"])
def test_the_key_shows_nowhere_when_there_is_no_connection(
    caplog: pytest.LogCaptureFixture, url: str
) -> None:
    with logging_all(caplog), a_source(url, auth="query", attempts=2) as source:
        assert_no_key(everything_that_shows(failure(source)) + caplog.text)


def test_what_shows_would_show_the_key_if_requests_had_its_way(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The proof that the tests above look where a key would be."""
    with logging_all(caplog), pytest.raises(requests.HTTPError) as caught:
        requests.get(f"{sim.url}/nobody", params={"key": CANARY}, timeout=5).raise_for_status()
    assert quote(CANARY, safe="") in everything_that_shows(caught.value)
    assert quote(CANARY, safe="") in caplog.text


@contextmanager
def logging_all(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Everything from DEBUG, also where a logger of urllib3 was told so by name."""
    with contextlib.ExitStack() as stack:
        for name in ("", "urllib3", "urllib3.connectionpool", "urllib3.util.retry", "requests"):
            stack.enter_context(caplog.at_level(logging.DEBUG, logger=name))
        yield


def assert_no_key(shown: str) -> None:
    for form in (CANARY, quote(CANARY), quote(CANARY, safe="")):
        assert form.lower() not in shown.lower()


def test_messages_of_the_source_are_made_short_and_printable(sim: Simulator) -> None:
    told = "bad\x1b[31m\r\nthing\u202e " + "long " * 100
    sim.faults.add(Fault.status(400, json.dumps({"error": told})))
    with a_source(sim) as source:
        message = str(failure(source))
    assert message.isprintable()
    assert len(message) < 250
    assert message.startswith("acme/cars/batches: status 400: bad [31m thing long long")


def test_the_source_is_the_one_that_a_run_needs(sim: Simulator) -> None:
    """What this says, mypy checks."""
    with a_source(sim) as source:
        needed: Source = source
        assert needed.root(until=soon()).http_status == 200
