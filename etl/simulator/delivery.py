"""Put an answer on the wire: as it should be, or as a fault wants it."""

from __future__ import annotations

import socket
import struct
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from etl.simulator.faults import Delivery

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from etl.simulator.answer import Answer

# Long enough for the other side to have read what came before a reset, which would else overtake it.
_READ_S = 0.05
_RESET = struct.pack("ii", 1, 0)
_BODILESS = frozenset({204, 304})


class Wire:
    """
    One connection.

    Args:
        connection: Its socket.
        closing: Set when the simulator ends; whoever waits, waits for this too.
    """

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self._connection = connection
        self._closing = closing

    def deliver(self, answer: Answer, delivery: Delivery, seconds: float | None) -> bool:
        """
        Send an answer.

        Returns:
            Whether the connection can go on to be used.
        """
        _DELIVERIES[delivery](self, answer, seconds)
        return delivery in _LEAVES_OPEN and not self._closing.is_set()

    def plain(self, answer: Answer, _seconds: float | None) -> None:
        """As it should be."""
        # One call for head and body: half the system calls, and one packet for a small answer.
        self._connection.sendall(_head(answer) + answer.body)
        for _ in range(answer.fillers):
            self._connection.sendall(answer.filler)

    def reset_before(self, _answer: Answer, _seconds: float | None) -> None:
        """Reset at once."""
        self._reset()

    def reset_during(self, answer: Answer, _seconds: float | None) -> None:
        """Reset after half of the body."""
        self._connection.sendall(_head(answer) + _first_half(answer))
        self._closing.wait(_READ_S)
        self._reset()

    def reset_after(self, answer: Answer, _seconds: float | None) -> None:
        """Reset once all of it is read."""
        self.plain(answer, None)
        self._closing.wait(_READ_S)
        self._reset()

    def raw(self, answer: Answer, _seconds: float | None) -> None:
        """The body and nothing around it."""
        self._connection.sendall(answer.body)

    def stall_before(self, answer: Answer, seconds: float | None) -> None:
        """Be silent, then go on."""
        if not self._closing.wait(seconds):
            self.plain(answer, None)

    def stall_during(self, answer: Answer, seconds: float | None) -> None:
        """Be silent after half of the body, then go on."""
        half = _first_half(answer)
        self._connection.sendall(_head(answer) + half)
        if not self._closing.wait(seconds):
            self._connection.sendall(answer.body[len(half) :])

    def trickle(self, answer: Answer, seconds: float | None) -> None:
        """A byte at a time."""
        self._connection.sendall(_head(answer))
        for at in range(len(answer.body)):
            if self._closing.wait(seconds):
                return
            self._connection.sendall(answer.body[at : at + 1])

    def truncated(self, answer: Answer, _seconds: float | None) -> None:
        """Half of what was promised."""
        self._connection.sendall(_head(answer) + _first_half(answer))

    def endless(self, answer: Answer, _seconds: float | None) -> None:
        """Chunks until the other side has had enough."""
        self._connection.sendall(_head(answer, is_chunked=True) + _chunk(answer.body))
        while not self._closing.is_set():
            self._connection.sendall(_chunk(answer.filler))

    def _reset(self) -> None:
        """Make a reset of the close that follows; whoever closes asks `is_reset` first."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def is_reset(connection: socket.socket) -> bool:
    """Whether the connection is to be reset instead of ended."""
    return any(connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET)))


def _head(answer: Answer, *, is_chunked: bool = False) -> bytes:
    lines = (f"{name}: {value}\r\n" for name, value in _headers(answer, is_chunked=is_chunked))
    return f"HTTP/1.1 {answer.status} {_phrase(answer.status)}\r\n{''.join(lines)}\r\n".encode("latin-1")


def _headers(answer: Answer, *, is_chunked: bool) -> Iterator[tuple[str, str]]:
    yield "Date", formatdate(usegmt=True)
    yield from answer.headers.items()
    if answer.etag:
        yield "ETag", answer.etag
    if is_chunked:
        yield "Transfer-Encoding", "chunked"
    elif answer.status not in _BODILESS:
        yield "Content-Length", str(answer.length)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _first_half(answer: Answer) -> bytes:
    return answer.body[: len(answer.body) // 2]


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


_DELIVERIES: dict[Delivery, Callable[[Wire, Answer, float | None], None]] = {
    Delivery.PLAIN: Wire.plain,
    Delivery.HANG_UP: Wire.plain,
    Delivery.RESET_BEFORE: Wire.reset_before,
    Delivery.RESET_DURING: Wire.reset_during,
    Delivery.RESET_AFTER: Wire.reset_after,
    Delivery.STALL_BEFORE: Wire.stall_before,
    Delivery.STALL_DURING: Wire.stall_during,
    Delivery.TRICKLE: Wire.trickle,
    Delivery.TRUNCATED: Wire.truncated,
    Delivery.ENDLESS: Wire.endless,
    Delivery.RAW: Wire.raw,
}
_LEAVES_OPEN = frozenset({Delivery.PLAIN, Delivery.STALL_BEFORE, Delivery.STALL_DURING, Delivery.TRICKLE})
