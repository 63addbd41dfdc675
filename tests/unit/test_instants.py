"""How people name moments, and what cannot be one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest

from etl.commands.instants import Span, as_word, instant_of, past_instant_of, span_of, when_of
from etl.errors import SettingsError

NOW: Final = datetime(2026, 11, 20, 15, 30, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("now", NOW),
        ("today", datetime(2026, 11, 20, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 19, tzinfo=UTC)),
        ("-1d", NOW - timedelta(days=1)),
        ("now-1d", NOW - timedelta(days=1)),
        ("-90m", NOW - timedelta(minutes=90)),
        ("-1d2h3m4s", NOW - timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T12:00Z", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("2026-11-20T12:00", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("2026-11-20 12:00+02:00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_in_utc(text: str, at: datetime) -> None:
    read = instant_of(text, NOW)
    assert read == at
    assert read.tzinfo is UTC


def test_a_day_is_a_day_of_utc_wherever_the_clock_stands() -> None:
    tokyo = datetime(2026, 11, 21, 0, 30, tzinfo=timezone(timedelta(hours=9)))
    assert instant_of("today", tokyo) == datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "-", "-1", "now-", "-d", "-1w", "-1h1d", "-1.5d", "--1d", "1d", "now+1d"),
        *("0001-01-01T00:00+10:00", "-99999999999d", "-999999d", "2026-13-01", "tomorrow"),
    ],
)
def test_what_is_no_moment_is_refused_with_the_ways_to_write_one(text: str) -> None:
    with pytest.raises(SettingsError, match="is not an instant") as refused:
        instant_of(text, NOW)
    assert "yesterday or -1d12h" in refused.value.remedy


def test_so_long_ago_is_no_option_on_a_command_line_and_options_stay_as_they_are() -> None:
    words = ["-1d", "-12h30m", "-h", "--json", "-1", "-d", "now-1d", "acme/cars", "-"]
    assert [as_word(word) for word in words] == ["now-1d", "now-12h30m", *words[2:]]


def test_a_stretch_of_time_has_its_ends_in_order() -> None:
    assert span_of(None, None, NOW) == Span()
    assert span_of("-2d", "-1d", NOW) == Span(NOW - timedelta(days=2), NOW - timedelta(days=1))
    assert span_of("now", None, NOW) == Span(NOW, None)
    for one, other in (("now", "-1d"), ("now", "now")):
        with pytest.raises(SettingsError, match=f"{one} is not before {other}"):
            span_of(one, other, NOW)


@pytest.mark.parametrize(("from_text", "to_text"), [("-1d", None), (None, "now"), ("-1d", "now")])
def test_one_moment_and_a_stretch_of_time_exclude_each_other(
    from_text: str | None, to_text: str | None
) -> None:
    assert when_of("now", None, None, NOW) == NOW
    assert when_of(None, from_text, to_text, NOW) == span_of(from_text, to_text, NOW)
    with pytest.raises(SettingsError, match="--at asks for one moment"):
        when_of("now", from_text, to_text, NOW)


def test_of_a_moment_that_is_still_to_come_nothing_is_said() -> None:
    assert past_instant_of("now", NOW) == NOW
    for ask in (past_instant_of, lambda text, now: when_of(text, None, None, now)):
        with pytest.raises(SettingsError, match="2027-01-01 is still to come"):
            ask("2027-01-01", NOW)
