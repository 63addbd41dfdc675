"""An answer for which nobody waits beyond a set time, however long it takes to find."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Answer = TypeVar("_Answer")


class NoThreadError(Exception):
    """The system lets no thread be started. Whoever asks later begins anew."""


class Patience(Generic[_Answer]):
    """
    Finds an answer in a thread of its own, and gives up waiting for it. Safe to call from several threads.

    Who asks while it is being found waits for the same one: what hangs costs one thread, however often it is
    asked.

    Args:
        find: How the answer is found.
        within_s: Longest wait.
    """

    def __init__(self, find: Callable[[], _Answer], within_s: float) -> None:
        self._find, self._within_s = find, within_s
        self._lock = threading.Lock()
        self._going: Future[_Answer] | None = None

    def __call__(self) -> _Answer:
        """
        Return the answer, or raise what finding it raised.

        Raises:
            TimeoutError: There is none in time.
            NoThreadError: It cannot be looked for.
        """
        return self._begun().result(self._within_s)

    def _begun(self) -> Future[_Answer]:
        with self._lock:
            if self._going is None or self._going.done():
                # Kept only once somebody is at it, or all who ask would wait for what nobody finds.
                self._going = self._started()
            return self._going

    def _started(self) -> Future[_Answer]:
        answer: Future[_Answer] = Future()
        # Nothing hangs on it, so it must not hold up the end of the process.
        thread = threading.Thread(target=self._settle, args=(answer,), daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise NoThreadError(str(error)) from error
        return answer

    def _settle(self, answer: Future[_Answer]) -> None:
        try:
            answer.set_result(self._find())
        except BaseException as error:  # noqa: BLE001 - who waits for it is told, whatever it is.
            answer.set_exception(error)
