"""What SIGINT and SIGTERM do: a command unwinds; a run ends with what it has in hand, then at once."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event
    from types import FrameType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_STOPPING: Final = "stopping after the projects in hand; once more to end at once"

EXIT_BASE: Final = 128
"""A process that a signal ended exits, by custom, with this and the number of the signal."""


@contextmanager
def tidy_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that a database that we started is stopped as well."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may say what a signal does.
        yield
        return

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(EXIT_BASE + number)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Stopped:
    """Which signal came first, if any."""

    def __init__(self) -> None:
        self._first: int | None = None

    def note(self, number: int) -> bool:
        """Keep the first signal; return whether this is it."""
        is_first = self._first is None
        self._first = self._first or number
        return is_first

    def exit_code(self, otherwise: int) -> int:
        """Return the exit code that tells of the signal, or the other one if there was none."""
        return otherwise if self._first is None else EXIT_BASE + self._first


@contextmanager
def stops_on_signal(stop: Event, say: Callable[[str], None], words: str = _STOPPING) -> Iterator[Stopped]:
    """
    Set the event at the first SIGINT or SIGTERM, and end the process at the second.

    A handler runs between any two steps of the main thread, which may hold the lock of the event at that
    moment, so the handler only puts the signal to a queue and another thread sets the event. To be called in
    the main thread.

    Args:
        stop: Set at the first signal.
        say: Told then, in another thread, that the end is near.
        words: What it is told.
    """
    arrived: SimpleQueue[int] = SimpleQueue()
    stopped = Stopped()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stopped.note(number):
            arrived.put(number)
        else:
            # Nothing is tidied up: what is committed is whole, and the embedded database finds its own way.
            os._exit(EXIT_BASE + number)

    def pass_on() -> None:
        if arrived.get():
            stop.set()
            say(words)

    before = {one: signal.signal(one, handle) for one in _SIGNALS}
    listener = threading.Thread(target=pass_on, name="signals", daemon=True)
    listener.start()
    try:
        yield stopped
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        arrived.put(0)
        listener.join()
