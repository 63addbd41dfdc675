"""What Superset asks for our dashboards, as a real one told `make dashboards`: kept in superset.sql."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FILE: Final = Path(__file__).with_suffix(".sql")

CHOSEN: Final = "acme/cars"
"""What `make dashboards` chooses in the filter of projects."""

_HEAD: Final = f"""\
-- What Superset sends for the dashboards of deploy/superset: when they are opened, and when {CHOSEN} is
-- chosen in their filter; in its place is {{projects}}. Days are told from today. `make dashboards` compares
-- this with what it sees, and writes it anew if that is something else.
"""
_OF_CHOSEN: Final = ", of what is chosen"


class Asked(NamedTuple):
    """One query of a chart or a filter; `is_chosen` is whether projects were chosen."""

    title: str
    is_chosen: bool
    sql: str


# Writing it.


def written(asked: Iterable[Asked], today: date) -> str:
    """
    Lay out what is asked as the file has it.

    Args:
        asked: As Superset sent it.
        today: When that was.
    """
    blocks = sorted(
        f"-- {one.title}{_OF_CHOSEN * one.is_chosen}\n{_general(one.sql, today)}" for one in asked
    )
    return "\n".join([_HEAD, *blocks])


_DAY: Final = re.compile(r"(?<=')\d{4}-\d\d-\d\d(?=['\s])")


def _general(sql: str, today: date) -> str:
    lines = "".join(f"{line.strip()}\n" for line in sql.strip().splitlines())
    days = _DAY.sub(lambda found: f"{{today{(date.fromisoformat(found[0]) - today).days:+d}}}", lines)
    return days.replace(f"'{CHOSEN}'", "{projects}")


# Reading it.


def asked(projects: Sequence[str], today: date) -> Iterator[Asked]:
    """
    Give what is asked.

    Args:
        projects: What is chosen, each as `workspace/project`; nothing: as dashboards open.
        today: When they are looked at.
    """
    for found in _BLOCK.finditer(FILE.read_text(encoding="utf-8")):
        is_chosen = found["chosen"] is not None
        if is_chosen == bool(projects):
            yield Asked(found["title"], is_chosen, _special(found["sql"], projects, today))


_BLOCK: Final = re.compile(
    rf"^-- (?P<title>[^\n]+?)(?P<chosen>{_OF_CHOSEN})?\n(?P<sql>[^-\n].+?;)$", re.MULTILINE | re.DOTALL
)
_TODAY: Final = re.compile(r"\{today([+-]\d+)\}")


def _special(sql: str, projects: Sequence[str], today: date) -> str:
    chosen = ", ".join(f"'{project}'" for project in projects)
    days = _TODAY.sub(lambda found: f"{today + timedelta(days=int(found[1]))}", sql)
    return days.replace("{projects}", chosen)
