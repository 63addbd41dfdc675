"""How people name moments: ISO 8601, now, today, yesterday, so long ago; and what lies between two."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from etl.errors import SettingsError

_AGO: Final = re.compile(r"(?:now)?-((?:\d+d)?)((?:\d+h)?(?:\d+m)?(?:\d+s)?)")
INSTANT: Final = "ISO 8601 (UTC unless it says), now, today, yesterday or -1d12h"
_REMEDY: Final = "write it as 2026-11-20T12:00Z, 2026-11-20, now, today, yesterday or -1d12h"


class Span(msgspec.Struct, frozen=True):
    """A stretch of time that is asked for; None where it has no end on that side."""

    from_at: datetime | None = None
    to_at: datetime | None = None


def instant_of(text: str, now: datetime) -> datetime:
    """
    Read an instant; UTC unless it says otherwise, midnight where it is a day.

    Raises:
        SettingsError: It is none.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    named = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    if text in named:
        return named[text]
    try:
        return now - _duration(text) if is_ago(text) else _from_iso(text)
    except (ValueError, OverflowError):
        raise SettingsError(f"{text!r} is not an instant", remedy=_REMEDY) from None


def past_instant_of(text: str, now: datetime) -> datetime:
    """
    Read an instant of which there is something to know.

    Raises:
        SettingsError: It is none, or is still to come.
    """
    at = instant_of(text, now)
    if at > now:
        raise SettingsError(f"{text} is still to come", remedy="name a moment that has been")
    return at


def is_ago(text: str) -> bool:
    """Say whether it is written as so long ago, such as -1d or now-90m."""
    return text[-1:].isalpha() and _AGO.fullmatch(text) is not None


def as_word(argument: str) -> str:
    """Write `-1d`, which a command line would take for an option, as the `now-1d` that it abbreviates."""
    return f"now{argument}" if argument.startswith("-") and is_ago(argument) else argument


def _duration(text: str) -> timedelta:
    ago = _AGO.fullmatch(text)
    days, times = ago.groups() if ago else ("", "")
    return msgspec.convert(f"P{days}{times and 'T' + times}".upper(), timedelta)


def _from_iso(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def span_of(from_text: str | None, to_text: str | None, now: datetime) -> Span:
    """
    Read a stretch of time.

    Raises:
        SettingsError: An end of it is no instant, or it ends before it begins.
    """
    from_at = None if from_text is None else instant_of(from_text, now)
    to_at = None if to_text is None else instant_of(to_text, now)
    if from_at is not None and to_at is not None and not from_at < to_at:
        raise SettingsError(f"{from_text} is not before {to_text}", remedy="give the earlier instant first")
    return Span(from_at, to_at)


def when_of(at: str | None, from_text: str | None, to_text: str | None, now: datetime) -> datetime | Span:
    """
    Read either an instant or a stretch of time.

    Raises:
        SettingsError: Both are given, one of them cannot be read, or the instant is still to come.
    """
    if at is None:
        return span_of(from_text, to_text, now)
    if from_text is not None or to_text is not None:
        raise SettingsError(
            "--at asks for one moment, --from and --to for what happened between two",
            remedy="leave out --at, or --from and --to",
        )
    return past_instant_of(at, now)
