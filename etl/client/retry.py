"""When a call is repeated, and after how long a wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import tenacity

from etl.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.client.call import Call, SourceOptions


def retrying(
    options: SourceOptions,
    *,
    sleep: Callable[[float], None],
    monotonic: Callable[[], float],
    uniform: Callable[[float, float], float],
    on_retry: Callable[[], None],
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
        before_sleep=lambda _state: on_retry(),
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
