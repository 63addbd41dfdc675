"""When runs are due: the ticks of a schedule as one host keeps them, and which of them went without a run."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import TYPE_CHECKING, Final

import msgspec

from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from etl.settings import ScheduleSettings

MOST: Final = 1000
"""Ticks without a run that are told apart; of a longer absence the latest so many."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SAMPLE_FROM: Final = datetime(2024, 1, 1, tzinfo=UTC)
_SAMPLE: Final = 100
"""Ticks that are looked at for the gaps of a cron expression: fixed ones, for a fixed offset."""

_STEP: Final = timedelta(microseconds=1)


class Absence(msgspec.Struct, frozen=True):
    """A tick at which no run started, and why: down, missed, coalesced or overlap."""

    scheduled_at: datetime
    reason: str


class Judgement(msgspec.Struct, frozen=True):
    """Whether a run is due, and which ticks went without one."""

    is_due: bool
    absences: tuple[Absence, ...] = ()


class Schedule:
    """
    The ticks of one host: those of the settings, each moved by the host's own offset.

    Ticks of an interval lie on a grid that is the same for every start of the program, so those missed while
    nobody was there are known as exactly as those to come.

    Args:
        settings: The interval or cron expression, the time zone, the largest offset.
        host: Name of the host; the same name has the same offset.

    Raises:
        SettingsError: The cron expression never comes true.
    """

    def __init__(self, settings: ScheduleSettings, host: str) -> None:
        self._next = _cron(settings) if settings.interval is None else _grid(settings.interval)
        longest = min(timedelta(seconds=settings.jitter_s), *_gaps(self._next))
        self.offset: Final = _share(host) * longest

    def after(self, moment: datetime) -> datetime:
        """Return the first tick after a moment."""
        return self._next(moment - self.offset) + self.offset

    @property
    def longest_gap(self) -> timedelta:
        """The longest time between two ticks, of those that are looked at."""
        return max(_gaps(self._next))

    def between(self, since: datetime, until: datetime) -> tuple[datetime, ...]:
        """Return the ticks after `since` and not after `until`; of more than a thousand, the latest."""
        # Ticks can only be counted forwards, so the look back is doubled until it is long enough.
        span = timedelta(hours=1)
        while until - since > span and len(self._walk(until - span, until)) < MOST:
            span *= 2
        return self._walk(max(since, until - span), until)[-MOST:]

    def _walk(self, since: datetime, until: datetime) -> tuple[datetime, ...]:
        return tuple(takewhile(lambda tick: tick <= until, _ticks(self.after, since)))


def judge(
    ticks: Sequence[datetime], now: datetime, *, grace: timedelta, is_catching_up: bool, up_since: datetime
) -> Judgement:
    """
    Say whether the latest of the ticks is to be run now, and what becomes of the others.

    Args:
        ticks: Those that have come and had no run, in order.
        now: The time.
        grace: A latest tick that is older than this is missed.
        is_catching_up: Nobody could run until now, at a start or while the database was away. Then a run is
            due however late it is, and it does not make the ticks before it less missed.
        up_since: When the daemon was started. Before that there was none.
    """
    if not ticks:
        return Judgement(is_due=False)
    is_late = now - ticks[-1] > grace
    is_due = is_catching_up or not is_late
    reason = "coalesced" if is_due and not is_catching_up else "missed"
    without = ticks if is_late else ticks[:-1]
    down = [tick for tick in without if tick < up_since]
    return Judgement(is_due=is_due, absences=absent(down, "down") + absent(without[len(down) :], reason))


def absent(ticks: Sequence[datetime], reason: str) -> tuple[Absence, ...]:
    """Give every tick the same reason."""
    return tuple(Absence(tick, reason) for tick in ticks)


def _ticks(after: Callable[[datetime], datetime], moment: datetime) -> Iterator[datetime]:
    while True:
        moment = after(moment)
        yield moment


def _grid(every: timedelta) -> Callable[[datetime], datetime]:
    """Count from the epoch in whole microseconds: seconds as floats would not always go forward."""
    return lambda moment: _EPOCH + ((moment - _EPOCH) // every + 1) * every


def _cron(settings: ScheduleSettings) -> Callable[[datetime], datetime]:
    # Who runs at an interval does not pay for the import.
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415

    trigger = CronTrigger.from_crontab(settings.cron, timezone=settings.timezone)

    def following(moment: datetime) -> datetime:
        found: datetime | None = trigger.get_next_fire_time(None, moment + _STEP)
        if found is None:
            raise SettingsError(
                f"the cron expression {settings.cron!r} names a time that never comes",
                remedy="correct `cron` in [schedule]",
            )
        return found.astimezone(UTC)

    return following


def _gaps(following: Callable[[datetime], datetime]) -> Iterator[timedelta]:
    ticks = islice(_ticks(following, _SAMPLE_FROM), _SAMPLE)
    return (later - earlier for earlier, later in pairwise(ticks))


def _share(host: str) -> float:
    """Return a number from 0 to 1, for a name always the same one."""
    digest = hashlib.sha256(host.encode()).digest()
    return int.from_bytes(digest[:4]) / (1 << 32)
