"""How pages write what they are told: times, counts, shares, names that may hold anything, and commands."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape

from etl.commands.show import duration, percent, suspicion
from etl.web.reads import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from etl.records import Slug

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What has no look of its own, or breaks a line."""

_COMMAND: Final = re.compile(r"""`((?:'[^']*'|"[^"]*"|[^`'"])+)`""")
"""What stands between backticks; a name within quotation marks may have some of its own."""

_NONE: Final = "\N{EN DASH}"
_THIN: Final = "\N{NARROW NO-BREAK SPACE}"
_MINUS: Final = "\N{MINUS SIGN}"


def name(text: str | None) -> Markup:
    """Write a name, apart from the direction of what stands around it, and cut if it is long."""
    if not text:
        return Markup('<span class="quiet">no name</span>')
    plain = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    cut = plain if len(plain) <= NAME else f"{plain[:NAME]}…"
    return Markup('<bdi class="name">{}</bdi>').format(cut)


def moment(at: datetime | None) -> Markup:
    """Write a time to the minute, in UTC."""
    if at is None:
        return escape(_NONE)
    utc = at.astimezone(UTC)
    return Markup(
        '<time datetime="{:%Y-%m-%dT%H:%M:%SZ}" title="{:%Y-%m-%d %H:%M:%S} UTC">{:%Y-%m-%d %H:%M}</time>'
    ).format(utc, utc, utc)


def count(number: int | None) -> str:
    """Write a count; narrow spaces are between its thousands."""
    return _NONE if number is None else f"{number:,}".replace(",", _THIN)


def signed(number: int | None) -> str:
    """Write a difference with its sign."""
    if not number:
        return count(number)
    return f"{'+' if number > 0 else _MINUS}{count(abs(number))}"


def share(part: float | None) -> str:
    """Write a share."""
    return _NONE if part is None else f"{percent(part)}{_THIN}%"


def span(seconds: float | None) -> str:
    """Write a length of time."""
    return _NONE if seconds is None else duration(seconds)


def prose(text: str) -> Markup:
    """Write a sentence in which commands stand between backticks."""
    pieces = _COMMAND.split(text)
    marked = (
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )
    return Markup("").join(marked)


def to_project(slug: Slug) -> str:
    """Return the address of a project's page."""
    return f"/projects/{quote(slug.workspace, safe='')}/{quote(slug.project, safe='')}"


def to_batch(slug: Slug, batch_id: str) -> str:
    """Return the address of a batch's page."""
    return f"{to_project(slug)}/batches/{quote(batch_id, safe='')}"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "name": name,
    "moment": moment,
    "count": count,
    "signed": signed,
    "share": share,
    "span": span,
    "prose": prose,
    "quoted": shlex.quote,
    "suspicion": suspicion,
}
