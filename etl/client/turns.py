"""The turns of one key: a rate limit over all its threads, and the pauses that the source asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyrate_limiter import Limiter, Rate, SingleBucketFactory, StateBucket, TokenBucket

from etl.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.client.call import Call, SourceOptions

_LIMITER_BUFFER_MS: Final = 1
"""Added to each wait for a turn: enough for a limiter that counts in milliseconds; its default is 50."""


class Turns:
    """
    Says when each request of one key may be sent. Safe to call from several threads.

    Args:
        options: How to speak to the source.
        sleep: Waits out a pause.
        monotonic: The clock that the ends of calls are readings of.
    """

    def __init__(
        self, options: SourceOptions, *, sleep: Callable[[float], None], monotonic: Callable[[], float]
    ) -> None:
        self._options, self._sleep, self._monotonic = options, sleep, monotonic
        self._limiter = _limiter(options)
        self._not_before = 0.0

    def take(self, call: Call) -> None:
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

    def pause(self, asked_s: float | None) -> None:
        """Let all threads of the key wait. If two say so at once one may lose; its own thread still waits."""
        if asked_s is not None:
            until = self._monotonic() + min(asked_s, self._options.retry_after_cap_s)
            self._not_before = max(self._not_before, until)


def _limiter(options: SourceOptions) -> Limiter | None:
    """Build the token bucket of the key: a few numbers, and no thread to clean up after them."""
    if options.requests_per_s <= 0:
        return None
    per_million_ms = max(1, round(options.requests_per_s * 1_000))
    bucket = StateBucket([Rate(per_million_ms, 1_000_000, burst=options.burst)], algorithm=TokenBucket())
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=_LIMITER_BUFFER_MS)
