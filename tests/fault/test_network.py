"""A whole run over a network that does its worst: what was believed stays, and the next run has the truth."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from etl.simulator import Fault
from tests.fault.encounter import Outcome, arrives, fails, goes_dark, meet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fault.conftest import NewScene
    from tests.fault.encounter import Making, Meeting, Rows
    from tests.fault.harness import Scene
    from tests.fault.recorder import Faults

CERTIFICATE: Final = Path(__file__).with_name("self_signed.pem")


def raw(head: bytes, *, share: float = 1.0, coding: str = "") -> Making:
    """Answer with a head of one's own before that share of the true list; `%d` in it is the list's length."""

    def made(rows: Rows) -> Fault:
        body = msgspec.json.encode({"batches": rows})
        body = gzip.compress(body) if coding == "gzip" else body
        sent = body[: round(len(body) * share)]
        filled = head % len(body) if b"%d" in head else head
        return Fault.raw(filled.replace(b"\n", b"\r\n") + b"\r\n\r\n" + sent)

    return made


def chunked(end: bytes) -> Making:
    def made(rows: Rows) -> Fault:
        body = msgspec.json.encode({"batches": rows})
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return Fault.raw(head + b"%x\r\n%s\r\n%s" % (len(body), body, end))

    return made


PATIENT: Final = {"BATCHLEDGER_SOURCE__ATTEMPTS": "4"}
"""Whoever is lent a connection that was reset since needs an attempt more."""

BRIEF: Final = {"BATCHLEDGER_SOURCE__CONNECT_TIMEOUT_S": "1", "BATCHLEDGER_SOURCE__READ_TIMEOUT_S": "1"}

OK: Final = b"HTTP/1.1 200 OK"
NEWS_IN_SPITE: Final[dict[str, Meeting]] = {
    "reset-once-before-the-body": arrives(Fault.reset(), times=1),
    "reset-once-in-the-body": arrives(Fault.reset(is_during_body=True), times=1),
    "reset-after-the-body": arrives(Fault.reset_after()),
    "closed-after-the-body": arrives(Fault.hang_up()),
    "truncated-once": arrives(Fault.truncated(), times=1),
    "stalled-once": arrives(Fault.stall(), times=1),
    "silent-for-a-moment": arrives(Fault.stall(0.3)),
    "silent-for-a-moment-in-the-body": arrives(Fault.stall(0.3, is_during_body=True)),
    "length-not-told": arrives(raw(OK)),
    "length-that-is-none": arrives(raw(OK + b"\nContent-Length: many")),
    "chunked": arrives(chunked(b"0\r\n\r\n")),
    "gzip": arrives(raw(OK + b"\nContent-Encoding: gzip", coding="gzip")),
    "told-to-continue-first": arrives(raw(b"HTTP/1.1 100 Continue\n\n" + OK)),
}
NO_WHOLE_ANSWER: Final[dict[str, Meeting]] = {
    "reset-before-the-body": fails(Fault.reset(), "TransientError", requests=2),
    "reset-in-the-body": fails(Fault.reset(is_during_body=True), "TransientError", requests=2),
    "closed-at-once": fails(Fault.raw(b""), "TransientError"),
    "stalled-headers": fails(Fault.stall(), "TransientError", requests=2),
    "stalled-body": fails(Fault.stall(is_during_body=True), "TransientError", requests=2),
    "trickle": fails(Fault.trickle(), "TransientError", requests=2),
    "truncated": fails(Fault.truncated(), "TransientError", requests=2),
    "chunks-without-end": fails(chunked(b""), "TransientError"),
    "chunk-of-no-size": fails(chunked(b"many\r\n"), "TransientError"),
    "half-of-a-length-not-told": fails(raw(OK, share=0.5), "PayloadError", 200),
    "shorter-length-than-sent": fails(raw(OK + b"\nContent-Length: 40"), "PayloadError", 200),
    "two-lengths": fails(raw(OK + b"\nContent-Length: 40\nContent-Length: %d"), "RefusedError"),
    "no-http": fails(Fault.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "TransientError"),
    "status-that-is-none": fails(raw(b"HTTP/1.1 fine OK"), "TransientError"),
    "too-many-headers": fails(raw(OK + b"\nX-A: a" * 200), "TransientError"),
    "a-header-too-long": fails(raw(OK + b"\nX-A: " + b"a" * 70_000), "TransientError"),
    "gzip-by-name-only": fails(raw(OK + b"\nContent-Encoding: gzip\nContent-Length: %d"), "PayloadError"),
    "gzip-cut": fails(raw(OK + b"\nContent-Encoding: gzip", coding="gzip", share=0.7), "PayloadError", 200),
    "utf-16": fails(
        lambda rows: Fault.literal(msgspec.json.encode(rows).decode().encode("utf-16")), "PayloadError", 200
    ),
    "gzip-bomb": fails(Fault.gzip_bomb(200), "PayloadError"),
    "endless": fails(Fault.endless(), "PayloadError"),
}


def test_a_network_that_gets_over_it(new_scene: NewScene, faults: Faults) -> None:
    meet(new_scene, faults, NEWS_IN_SPITE, kind="network: for a moment", environ=PATIENT)


def test_a_network_that_does_not_get_over_it(new_scene: NewScene, faults: Faults) -> None:
    meet(new_scene, faults, NO_WHOLE_ANSWER, kind="network: for good")


# What a redirect leads to, and what is there instead of the API.

CODES: Final = (300, 301, 302, 303, 307, 308)


class Listener:
    """Something else that listens. It keeps what it is sent, and answers nothing but what it is told to."""

    def __init__(self, greet: Callable[[socket.socket], object] = lambda _: None) -> None:
        self.received: list[bytes] = []
        self._greet = greet
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.address = "{}:{}".format(*self._socket.getsockname())

    def listen(self, closing: threading.Event) -> None:
        """Take whatever comes, until the end; keep silent connections open until then."""
        with self._socket, ExitStack() as connections:
            while not closing.is_set():
                with suppress(OSError):
                    connection, _ = self._socket.accept()
                    connections.enter_context(connection)
                    connection.settimeout(0.5)
                    self._greet(connection)
                    self.received.append(connection.recv(65_536))


@contextmanager
def listening(listener: Listener) -> Iterator[Listener]:
    closing = threading.Event()
    thread = threading.Thread(target=listener.listen, args=(closing,))
    thread.start()
    try:
        yield listener
    finally:
        closing.set()
        thread.join()


def test_the_key_does_not_follow_a_redirect(new_scene: NewScene, faults: Faults) -> None:
    with listening(Listener()) as elsewhere:
        to = f"http://{elsewhere.address}/acme/cars/batches"
        meetings = {f"r{code}": fails(Fault.redirect(to, code), "RefusedError", code) for code in CODES}
        meetings["no-scheme"] = fails(Fault.redirect(f"//{elsewhere.address}/"), "RefusedError", 302)
        meetings["nowhere"] = fails(Fault.redirect(""), "RefusedError", 302)
        headers = {"Refresh": f"0; url={to}", "Location": to, "Content-Type": "text/html"}
        meetings["refresh"] = fails(Fault.status(200, "<html>", headers=headers), "PayloadError", 200)
        meet(new_scene, faults, meetings, kind="network: redirect to elsewhere")
    assert elsewhere.received == []


@pytest.mark.parametrize("path", ["/", "/acme", "/acme/*"])
def test_the_key_does_not_follow_a_redirect_of_everything(scene: Scene, faults: Faults, path: str) -> None:
    scene.healthy_sync()
    with listening(Listener()) as elsewhere, faults("network: redirect to elsewhere") as case:
        fault = Fault.redirect(f"http://{elsewhere.address}/", 307)
        case.recovery_s = goes_dark(scene, Outcome("failed", "RefusedError", 307), 1, fault=fault, path=path)
    assert elsewhere.received == []


@contextmanager
def nobody() -> Iterator[str]:
    """Give the address of a port that is taken, so that nobody else listens there, and closed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield "http://{}:{}".format(*taken.getsockname())


@contextmanager
def silence(scheme: str) -> Iterator[str]:
    with listening(Listener()) as listener:
        yield f"{scheme}://{listener.address}"


@contextmanager
def a_stranger() -> Iterator[str]:
    """Give the address of a server whose certificate nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with listening(
        Listener(lambda connection: context.wrap_socket(connection, server_side=True))
    ) as listener:
        yield f"https://{listener.address}"


@contextmanager
def somebody(said: bytes) -> Iterator[str]:
    with listening(Listener(lambda connection: connection.sendall(said))) as listener:
        yield f"https://{listener.address}"


INSTEAD: Final[dict[str, tuple[Callable[[], AbstractContextManager[str]], str]]] = {
    "refused": (nobody, "TransientError"),
    "silence": (lambda: silence("http"), "TransientError"),
    "silence under TLS": (lambda: silence("https"), "TransientError"),
    "an unknown certificate": (a_stranger, "RefusedError"),
    "no TLS": (lambda: somebody(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "TransientError"),
    "a TLS alert": (lambda: somebody(b"\x15\x03\x03\x00\x02\x02\x28"), "TransientError"),
}


@pytest.mark.parametrize("instead", INSTEAD)
def test_a_source_that_cannot_be_reached(scene: Scene, faults: Faults, instead: str) -> None:
    scene.healthy_sync()
    there, error = INSTEAD[instead]
    with there() as url, faults(f"network: {instead}") as case:
        environ = {**BRIEF, "ROBOFLOW_API_URL": url}
        case.recovery_s = goes_dark(scene, Outcome("failed", error), 1, environ=environ)
