"""The numbers of the charts, as the script takes them: seconds and series, None where nothing is known."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from etl.commands.show import several
from etl.records import Slug
from etl.web.reads import Seen
from etl.web.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from etl.commands.queries.gaps import Gap
    from etl.commands.queries.history import State
    from etl.web.reads import BatchPage, DayRow


class Series(msgspec.Struct, frozen=True):
    """
    One line, row of bars or row of steps, with a value for each time; None is drawn as nothing.

    What `is_downward` has its values negated, so that they stand below the line; it is told without the sign.
    """

    label: str
    kind: str
    values: tuple[int | None, ...]
    is_downward: bool = False


class Chart(msgspec.Struct, frozen=True):
    """Times in seconds since 1970, and the series over them."""

    times: tuple[float, ...]
    series: tuple[Series, ...]

    @property
    def json(self) -> str:
        """The same for the script."""
        return msgspec.json.encode(self).decode()


def backlog(days: Sequence[DayRow]) -> Chart:
    """Draw the backlog at the end of each day; a day from which there is nothing to believe is a hole."""
    values = tuple(day.images if day.is_known else None for day in days)
    return Chart(_times(days), (Series("images not yet assigned", "line", values),))


def flow(days: Sequence[DayRow]) -> Chart:
    """Draw what came in above the line and what was assigned below it."""
    came = tuple(day.intake for day in days)
    went = tuple(None if day.assigned is None else -day.assigned for day in days)
    assigned = Series("assigned", "bars", went, is_downward=True)
    return Chart(_times(days), (Series("came in", "bars", came), assigned))


def life(found: BatchPage) -> Chart:
    """
    Draw the images of a batch from its first change on until it was last seen, and nothing within a gap.

    Where the changes or the gaps are too many for a page, it begins with the first that is known.
    """
    changes, holes = found.changes.rows[::-1], found.holes.rows[::-1]
    points = _points(changes, holes, _bounds(found)) if changes else []
    return Chart(
        tuple(at.timestamp() for at, _ in points),
        (Series("images not yet assigned", "steps", tuple(images for _, images in points)),),
    )


def _bounds(found: BatchPage) -> tuple[datetime, datetime]:
    changes, holes = found.changes.rows, found.holes
    first, last = changes[-1].observed_at, changes[0].observed_at
    begin = first if holes.is_whole else max(first, holes.rows[-1].from_at)
    return begin, max(begin, last, found.batch.last_seen_at)


def _points(
    changes: Sequence[State], holes: Sequence[Gap], bounds: tuple[datetime, datetime]
) -> list[tuple[datetime, int | None]]:
    """Tell the images at each change and both ends of each gap, and None in the middle of what is in one."""
    edges = [at for hole in holes for at in (hole.from_at, hole.to_at) if at]
    known = {*bounds, *edges, *(change.observed_at for change in changes)}
    moments = sorted(at for at in known if bounds[0] <= at <= bounds[1])
    points = [(at, _believed(changes, at)) for at in moments]
    unseen = [
        (at + (later - at) / 2, None) for at, later in pairwise(moments) if _is_within(holes, at, later)
    ]
    return sorted([*points, *unseen], key=itemgetter(0))


def _believed(changes: Sequence[State], at: datetime) -> int:
    return changes[bisect_right(changes, at, key=lambda change: change.observed_at) - 1].images


def _is_within(holes: Sequence[Gap], begin: datetime, end: datetime) -> bool:
    """Say whether a stretch of time is part of a gap; gaps never overlap."""
    before = holes[: bisect_right(holes, begin, key=lambda hole: hole.from_at)]
    ended_at = before[-1].to_at if before else begin
    return ended_at is None or end <= ended_at


class Trend(msgspec.Struct, frozen=True):
    """A small chart, and in words what it shows."""

    chart: Chart
    told: str


def trends(days: Iterable[DayRow]) -> dict[Slug, tuple[Trend, Trend]]:
    """Draw the backlog and the flow of each project; days come in the order of projects."""
    grouped = groupby(days, key=lambda day: Slug(day.workspace, day.project))
    listed = ((slug, tuple(of_one)) for slug, of_one in grouped)
    return {slug: (_backlog(of_one), _flow(of_one)) for slug, of_one in listed}


def _backlog(days: Sequence[DayRow]) -> Trend:
    known = [day.images for day in days if day.is_known]
    told = f"from {count(known[0])} to {count(days[-1].images)}{_doubts(days)}"
    return Trend(backlog(days), told if known else "not observed")


def _flow(days: Sequence[DayRow]) -> Trend:
    came, went = sum(day.intake or 0 for day in days), sum(day.assigned or 0 for day in days)
    told = f"{count(came)} came in, {count(went)} were assigned{_doubts(days)}"
    return Trend(flow(days), told if any(day.is_known for day in days) else "not observed")


def _doubts(days: Sequence[DayRow]) -> str:
    """Say on how many days what was seen is not trusted, and on how many there was nothing."""
    counts = Counter(day.seen for day in days)
    told = ((counts[Seen.IN_PART], "not trusted"), (counts[Seen.NOTHING], "not observed"))
    return "".join(f", {several(number, 'day')} {what}" for number, what in told if number)


def _times(days: Sequence[DayRow]) -> tuple[float, ...]:
    return tuple(_noon(day.day).timestamp() for day in days)


def _noon(day: date) -> datetime:
    """Put a day's value into its middle, so that bars stand over their day."""
    return datetime.combine(day, time(), UTC) + timedelta(hours=12)
