"""What Superset asks for our dashboards, as a real one told `make dashboards`: kept in superset.sql."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FILE: Final = Path(__file__).with_suffix(".sql")

CHOSEN: Final = MappingProxyType({"workspace": "acme", "project": "acme/cars"})
"""What `make dashboards` chooses, by the filter in which it does."""

_HEAD: Final = """\
-- What Superset sends for the dashboards of deploy/superset: when they are opened, when a workspace is chosen
-- in their filter of workspaces, and when a project is in that of projects; in their places are {workspace}
-- and {project}. Days are told from today. `make dashboards` compares this with what it sees, and writes it
-- anew if that is something else.
"""


class Asked(NamedTuple):
    """One query of a chart or a filter; `chosen` is the filter in which something was, empty: in none."""

    title: str
    chosen: str
    sql: str


# Writing it.


def written(asked: Iterable[Asked], today: date) -> str:
    """
    Lay out what is asked as the file has it.

    Args:
        asked: As Superset sent it.
        today: When that was.
    """
    blocks = sorted(f"-- {one.title}{_scope(one.chosen)}\n{_general(one.sql, today)}" for one in asked)
    return "\n".join([_HEAD, *blocks])


def _scope(chosen: str) -> str:
    return f", of a {chosen}" if chosen else ""


_DAY: Final = re.compile(r"(?<=')\d{4}-\d\d-\d\d(?=['\s])")


def _general(sql: str, today: date) -> str:
    lines = "".join(f"{line.strip()}\n" for line in sql.strip().splitlines())
    days = _DAY.sub(lambda found: f"{{today{(date.fromisoformat(found[0]) - today).days:+d}}}", lines)
    for chosen, value in CHOSEN.items():
        days = days.replace(f"'{value}'", f"{{{chosen}}}")
    return days


# Reading it.


def asked(choice: Mapping[str, str], today: date) -> Iterator[Asked]:
    """
    Give what is asked.

    Args:
        choice: What is chosen in which of the filters; nothing: as dashboards open.
        today: When they are looked at.
    """
    for found in _BLOCK.finditer(FILE.read_text(encoding="utf-8")):
        chosen = found["chosen"] or ""
        if {chosen} - {""} == set(choice):
            yield Asked(found["title"], chosen, _special(found["sql"], choice, today))


_BLOCK: Final = re.compile(
    rf"^-- (?P<title>[^\n]+?)(, of a (?P<chosen>{'|'.join(CHOSEN)}))?\n(?P<sql>[^-\n].+?;)$",
    re.MULTILINE | re.DOTALL,
)
_TODAY: Final = re.compile(r"\{today([+-]\d+)\}")


def _special(sql: str, choice: Mapping[str, str], today: date) -> str:
    for chosen, value in choice.items():
        sql = sql.replace(f"{{{chosen}}}", f"'{value}'")
    return _TODAY.sub(lambda found: f"{today + timedelta(days=int(found[1]))}", sql)
