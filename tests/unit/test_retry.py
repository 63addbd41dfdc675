"""When a call is repeated, after how long, and when it is given up: arithmetic on a clock of our own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from etl.client import ApiKey, Call, RoboflowSource, SourceOptions, retry_after_s, retrying
from etl.errors import RefusedError, SettingsError, SourceError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ATime:
    """A clock that only sleeping and working move."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []
        self.retries = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def count(self) -> None:
        self.retries += 1


def longest(_low: float, high: float) -> float:
    return high


def shortest(low: float, _high: float) -> float:
    return low


def a_call(time: ATime, *, ends_in_s: float = 1e9) -> Call:
    ends = time.now + ends_in_s
    return Call(path="acme/cars/batches", target="/", began=time.now, until=ends, ends=ends)


def failing(*errors: SourceError, time: ATime, takes_s: float = 0.0) -> Callable[[Call], str]:
    """An attempt that fails so often, the last way for ever if it is the only one, and then succeeds."""
    left = list(errors)

    def attempt(call: Call) -> str:
        call.requests += 1
        time.now += takes_s
        if left:
            raise left.pop(0)
        return "answer"

    return attempt


def run(
    time: ATime,
    attempt: Callable[[Call], str],
    *,
    uniform: Callable[[float, float], float] = longest,
    call: Call | None = None,
    options: SourceOptions | None = None,
) -> str:
    policy = retrying(
        options or SourceOptions(),
        sleep=time.sleep,
        monotonic=time.monotonic,
        uniform=uniform,
        on_retry=time.count,
    )
    return policy(attempt, call or a_call(time))


def unavailable(*, asks_s: float | None = None) -> TransientError:
    return TransientError("status 503", retry_after_s=asks_s)


def test_the_windows_that_waits_are_drawn_from_double() -> None:
    time = ATime()
    assert run(time, failing(*(unavailable() for _ in range(4)), time=time)) == "answer"
    assert time.retries == 4
    assert time.slept == [0.5, 1.0, 2.0, 4.0]


def test_a_window_grows_no_further_than_its_limit() -> None:
    time = ATime()
    options = SourceOptions(wait_max_s=1.5, attempts=9)
    run(time, failing(*(unavailable() for _ in range(5)), time=time), options=options)
    assert time.slept == [0.5, 1.0, 1.5, 1.5, 1.5]


def test_the_jitter_is_full_so_a_wait_can_be_nothing() -> None:
    time = ATime()
    run(time, failing(*(unavailable() for _ in range(4)), time=time), uniform=shortest)
    assert time.slept == [0.0] * 4


def test_a_wait_is_never_shorter_than_what_the_source_asked() -> None:
    time = ATime()
    run(time, failing(unavailable(asks_s=7.0), time=time), uniform=shortest)
    assert time.slept == [7.0]


def test_a_wait_may_be_longer_than_what_the_source_asked() -> None:
    time = ATime()
    run(time, failing(unavailable(asks_s=0.1), time=time), uniform=longest)
    assert time.slept == [0.5]


def test_what_the_source_asks_is_capped() -> None:
    time = ATime()
    run(time, failing(unavailable(asks_s=86_400.0), time=time), uniform=shortest)
    assert time.slept == [60.0]


def test_the_last_error_comes_out_when_the_attempts_are_used_up() -> None:
    time = ATime()
    errors = [unavailable() for _ in range(5)]
    call = a_call(time)
    with pytest.raises(TransientError) as caught:
        run(time, failing(*errors, time=time), call=call)
    assert caught.value is errors[-1]
    assert call.requests == 5
    assert not call.is_late
    assert len(time.slept) == 4


def test_no_wait_begins_that_would_end_after_the_call() -> None:
    time = ATime()
    call = a_call(time, ends_in_s=3.0)
    with pytest.raises(TransientError):
        run(time, failing(*(unavailable() for _ in range(5)), time=time), call=call)
    assert time.slept == [0.5, 1.0]
    assert call.is_late


def test_the_time_that_attempts_take_counts_as_well() -> None:
    time = ATime()
    call = a_call(time, ends_in_s=10.0)
    with pytest.raises(TransientError):
        run(time, failing(*(unavailable() for _ in range(5)), time=time, takes_s=4.0), call=call)
    assert call.requests == 3
    assert time.now - 1_000.0 == pytest.approx(4.0 + 0.5 + 4.0 + 1.0 + 4.0)


def test_what_a_repetition_will_not_mend_is_not_repeated() -> None:
    time = ATime()
    call = a_call(time)
    with pytest.raises(RefusedError):
        run(time, failing(RefusedError("status 400"), time=time), call=call)
    assert call.requests == 1
    assert time.slept == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30.0),
        ("Sun Mar  1 12:00:30 2026", 30.0),
        ("Sun, 01 Mar 2026 13:00:30 +0100", 30.0),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, seconds: float) -> None:
    assert retry_after_s(header, now=NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "soon",
        "-5",
        "1.5",
        "1e3",
        "inf",
        "nan",
        "٣",
        "9" * 400,
        "9" * 5_000,
        "Sun, 32 Mar 2026 12:00:00 GMT",
        "Sun, 01 Mar 99999999999999999999 12:00:00 GMT",
        "Sun, 01 Mar 2026 12:00:00 +99999999999",
        ", ",
        "\0",
    ],
)
def test_retry_after_that_says_nothing_usable_is_none(header: str | None) -> None:
    assert retry_after_s(header, now=NOW) is None


@pytest.mark.parametrize("value", ["", " ", "two words", "line\nbreak", "schlüssel", "tab\tbed", "\x7f"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_echoed(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        RoboflowSource(SourceOptions(), ApiKey(value))
    assert not value.strip() or value not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.roboflow.com",
        "ftp://api.roboflow.com",
        "file:///etc/passwd",
        "https://",
        "https://user:word@api.roboflow.com",
        "https://api.roboflow.com/?api_key=canary",
        "https://api.roboflow.com/#part",
        "https://api.roboflow.com:port",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_echoed(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        RoboflowSource(SourceOptions(base_url=url), ApiKey("key"))
    assert "canary" not in str(caught.value)
    assert "word" not in str(caught.value)


def test_no_repr_shows_the_key() -> None:
    key = ApiKey("rf_canary")
    source = RoboflowSource(SourceOptions(), key)
    assert "rf_canary" not in repr(key) + str(key) + f"{key}" + repr(source) + repr(vars(source))
    assert key.reveal() == "rf_canary"


@pytest.mark.parametrize("echo", ["rf/can+ary=", "rf%2Fcan%2Bary%3D", "rf%2fcan%2bary%3d", "RF/CAN+ARY="])
def test_the_key_is_redacted_in_every_spelling(echo: str) -> None:
    assert ApiKey("rf/can+ary=").redact(f"key {echo} is bad") == "key *** is bad"
