"""The numbers of the charts, as the script takes them: seconds and series, None where nobody looked."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from etl.records import Slug

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from etl.web.reads import ChangeRow, DayRow


class Series(msgspec.Struct, frozen=True):
    """One line, row of bars or row of steps, with a value for each time; None is drawn as nothing."""

    label: str
    kind: str
    values: tuple[int | None, ...]


class Chart(msgspec.Struct, frozen=True):
    """Times in seconds since 1970, and the series over them."""

    times: tuple[float, ...]
    series: tuple[Series, ...]

    @property
    def json(self) -> str:
        """The same for the script."""
        return msgspec.json.encode(self).decode()


def backlog(days: Sequence[DayRow]) -> Chart:
    """Draw the backlog at the end of each day; a day that nobody looked at is a hole."""
    values = tuple(day.images if day.is_observed else None for day in days)
    return Chart(_times(days), (Series("images not yet assigned", "line", values),))


def flow(days: Sequence[DayRow]) -> Chart:
    """Draw what came in above the line and what was assigned below it."""
    came = tuple(day.intake if day.is_observed else None for day in days)
    went = tuple(-day.assigned if day.is_observed and day.assigned is not None else None for day in days)
    return Chart(_times(days), (Series("came in", "bars", came), Series("assigned", "bars", went)))


def life(changes: Sequence[ChangeRow], now: datetime) -> Chart:
    """Draw the images of a batch from one change to the next, and on until now."""
    oldest_first = changes[::-1]
    times = tuple(change.observed_at.timestamp() for change in oldest_first)
    values = tuple(change.images for change in oldest_first)
    return Chart(
        (*times, max((now.timestamp(), *times))),
        (Series("images not yet assigned", "steps", values + values[-1:] if values else (None,)),),
    )


def trends(days: Iterable[DayRow]) -> dict[Slug, tuple[Chart, Chart]]:
    """Draw the backlog and the flow of each project; days come in the order of projects."""
    grouped = groupby(days, key=lambda day: Slug(day.workspace, day.project))
    listed = ((slug, tuple(of_one)) for slug, of_one in grouped)
    return {slug: (backlog(of_one), flow(of_one)) for slug, of_one in listed}


def _times(days: Sequence[DayRow]) -> tuple[float, ...]:
    return tuple(_noon(day.day).timestamp() for day in days)


def _noon(day: date) -> datetime:
    """Put a day's value into its middle, so that bars stand over their day."""
    return datetime.combine(day, time(), UTC) + timedelta(hours=12)
