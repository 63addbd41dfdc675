"""How one connection is spoken over: as uvicorn does, but not for ever with who asks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEAD_S: Final = 10.0
"""Longest wait for what is asked. uvicorn itself sets a limit only between one question and the next."""


class Impatient(H11Protocol):
    """
    Closes a connection over which nothing whole is asked within ten seconds.

    Connections are few, so those of whoever sends nothing, or a byte now and then, would keep everybody else
    away. One that is being answered takes the time that it takes.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first question."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what is sent; go on waiting if there is nothing to answer in it."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_S, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
