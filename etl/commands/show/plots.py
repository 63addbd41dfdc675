"""Plots in the terminal: bars of images by day or by state, a line of them in a word, a share as a bar."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.text import Text

from etl.commands.plain import plain
from etl.commands.show import raw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from rich.console import Console

    from etl.commands.queries.history import Day, State

_PLOT_WIDTH: Final = 78
_PLOT_HEIGHT: Final = 12
_LABEL: Final = 6
"""Columns of a label, a free one included."""

_NARROWEST_BAR: Final = 2
_WIDEST_BAR: Final = 6
"""Columns of a bar, the free one beside it included."""


def days_plot(out: Console, days: Sequence[Day], title: str) -> None:
    """Draw the images of each day as a bar; a day that nobody observed is drawn lightly."""
    bars = [_Bar(_short(day.day), day.images, not day.is_observed) for day in days]
    light = " (light: carried over a day that nobody observed)" if any(bar.is_light for bar in bars) else ""
    _plot(out, bars, f"{title}{light}")


def intake_plot(out: Console, days: Sequence[Day], title: str) -> None:
    """Draw the images that came new on each day as a bar; nothing where nobody looked."""
    unseen = any(day.intake is None for day in days)
    later = " (what came while nobody looked counts when it was seen)" if unseen else ""
    _plot(out, [_Bar(_short(day.day), day.intake or 0) for day in days], f"{title}{later}")


_EIGHTHS: Final = "▁▂▃▄▅▆▇█"
_UNSEEN: Final = "·"


def sparkline(heights: Sequence[int], is_seen: Sequence[bool]) -> str:
    """Draw numbers as one word, from the lowest bar for nothing to the highest; a dot where nobody looked."""
    top = max(1, *heights, 1)
    bars = (_EIGHTHS[round(height / top * (len(_EIGHTHS) - 1))] for height in heights)
    return "".join(bar if seen else _UNSEEN for bar, seen in zip(bars, is_seen, strict=True))


_SHARE_WIDTH: Final = 10


def share_bar(count: int, of: int) -> str:
    """Draw a share as a bar with its percentage, neither rounded up to whole nor down to nothing."""
    full = min(_SHARE_WIDTH, max(count > 0, _SHARE_WIDTH * count // of))
    percent = min(100, max(count > 0, 100 * count // of))
    return f"{'█' * full}{'░' * (_SHARE_WIDTH - full)} {percent:3d}%"


def states_plot(out: Console, states: Sequence[State], title: str) -> None:
    """Draw the images of each state as a bar."""
    _plot(out, [_Bar(_short(state.observed_at.date()), state.images) for state in states], title)


class _Bar(NamedTuple):
    label: str
    height: int
    is_light: bool = False


def _plot(out: Console, bars: Sequence[_Bar], title: str) -> None:
    """Draw bars, the latest ones if there is no room for all."""
    # A tenth of a second and 5 MB, which only a plot pays.
    import plotext  # noqa: PLC0415

    top = max(1, *(bar.height for bar in bars))
    margin = len(str(top)) + 1
    room = min(out.width, _PLOT_WIDTH) - margin
    shown = bars[-(room // _NARROWEST_BAR) :]
    width = min(_WIDEST_BAR, room // len(shown))
    figure = plotext.figure
    figure.clear()
    figure.plot_size(margin + width * len(shown), _PLOT_HEIGHT)
    figure.axes(active=False)
    for is_light, marker in ((False, "█"), (True, "░")):
        drawn = {place: bar for place, bar in enumerate(shown) if bar.is_light is is_light and bar.height}
        columns = [_columns(place, width) for place in drawn]
        heights = [bar.height for bar in drawn.values() for _ in range(width - 1)]
        if heights:
            figure.draw(figure.signal([*chain(*columns)], heights, marker=marker).fillx())
    figure.ruler("x").lim(0, width * len(shown) - 1)
    # Labels at even distances that leave room between two, the last bar's among them.
    labelled = range((len(shown) - 1) % -(-_LABEL // width), len(shown), -(-_LABEL // width))
    figure.ruler("x").ticks(
        [width * place + (width - 1) // 2 for place in labelled], [shown[place].label for place in labelled]
    )
    figure.ruler("y").lim(0, top)
    figure.ruler("y").ticks([0, top // 2, top], [f"{tick} " for tick in (0, top // 2, top)])
    out.print(Text(plain(title), style="bold"), soft_wrap=True)
    raw(out, (line.rstrip() for line in figure.build().string(colorless=True).splitlines()))
    out.print()


def _columns(place: int, width: int) -> range:
    """Return the columns of a bar; one is left free beside it."""
    return range(place * width, (place + 1) * width - 1)


def _short(day: date) -> str:
    return day.strftime("%m-%d")
