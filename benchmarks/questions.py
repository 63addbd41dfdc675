"""What dashboards and people ask, in one list: of each view, in Grafana and Superset, in the cookbook."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks import superset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

_TREE: Final = Path(__file__).parents[1]
_DASHBOARDS: Final = _TREE / "deploy" / "grafana" / "dashboards"
_COOKBOOK: Final = _TREE / "docs" / "how-to" / "answers.md"


class Place(NamedTuple):
    """What is asked about: a project; with empty names its whole workspace, or all of them; and when."""

    workspace: str
    project: str
    batch_id: str
    now: datetime

    @property
    def condition(self) -> str:
        """The rows of a view that belong to it."""
        workspace = f"workspace = '{self.workspace}'"
        return f"{workspace} AND project = '{self.project}'" if self.project else workspace

    @property
    def arguments(self) -> str:
        """The last two arguments of a function."""
        return f"'{self.workspace}', " + (f"'{self.project}'" if self.project else "NULL")

    @property
    def choice(self) -> dict[str, str]:
        """What one chooses for it in Superset, by the filter."""
        if self.project:
            return {"project": f"{self.workspace}/{self.project}"}
        return {"workspace": self.workspace} if self.workspace else {}


class Question(NamedTuple):
    """One query of one place in the product."""

    where: str
    title: str
    sql: str


# What a dashboard draws from a view; {place} is the filter of the dashboard.
_VIEWS: Final = MappingProxyType(
    {
        "project": "SELECT * FROM analytics.project WHERE {place}",
        "freshness": "SELECT * FROM analytics.freshness WHERE {place}",
        "gap, 90 days": """
            SELECT * FROM analytics.gap
            WHERE {place} AND coalesce(to_at, now()) > now() - INTERVAL '90 days'
        """,
        "batch": "SELECT * FROM analytics.batch WHERE {place} AND gone_at IS NULL",
        "job": "SELECT * FROM analytics.job WHERE {place} AND gone_at IS NULL",
        "backlog": "SELECT * FROM analytics.backlog WHERE {place} ORDER BY uploaded_at LIMIT 200",
        "backlog_age": "SELECT * FROM analytics.backlog_age WHERE {place}",
        "batch_progress": "SELECT * FROM analytics.batch_progress WHERE {place}",
        "stalled": "SELECT * FROM analytics.stalled WHERE {place} ORDER BY idle_s DESC LIMIT 200",
        "forecast": "SELECT * FROM analytics.forecast WHERE {place}",
        "project_daily, 90 days": """
            SELECT day, sum(images), sum(intake), sum(assigned), sum(annotated_work), bool_and(is_observed)
            FROM analytics.project_daily
            WHERE {place} AND day > (now() AT TIME ZONE 'UTC')::date - 90
            GROUP BY day
        """,
        "project_daily, all": """
            SELECT day, sum(images), sum(intake), sum(assigned), sum(annotated_work), bool_and(is_observed)
            FROM analytics.project_daily
            WHERE {place}
            GROUP BY day
        """,
        "project_weekly, all": """
            SELECT week, sum(images), sum(intake), sum(assigned), sum(annotated_work), min(observed_days)
            FROM analytics.project_weekly
            WHERE {place}
            GROUP BY week
        """,
        "project_monthly, all": """
            SELECT month, sum(images), sum(intake), sum(assigned), sum(annotated_work), min(observed_days)
            FROM analytics.project_monthly
            WHERE {place}
            GROUP BY month
        """,
        "project_period, days of 90 days": """
            SELECT period_start, sum(images), sum(intake), sum(assigned), bool_and(is_observed)
            FROM analytics.project_period(
                'day', 'America/New_York', now() - INTERVAL '90 days', now(), {arguments}
            )
            GROUP BY period_start
        """,
        "project_period, weeks of two years": """
            SELECT period_start, sum(images), sum(intake), sum(assigned), bool_and(is_observed)
            FROM analytics.project_period(
                'week', 'America/New_York', now() - INTERVAL '2 years', now(), {arguments}
            )
            GROUP BY period_start
        """,
        "burn_down, 90 days": """
            SELECT day, sum(remaining), sum(annotated_work), bool_and(is_observed)
            FROM analytics.burn_down
            WHERE {place} AND day > (now() AT TIME ZONE 'UTC')::date - 90
            GROUP BY day
        """,
        "batch_lead_time, uploaded in 90 days": """
            SELECT * FROM analytics.batch_lead_time
            WHERE {place} AND uploaded_at > now() - INTERVAL '90 days'
        """,
        "batch_lead_time, all": "SELECT * FROM analytics.batch_lead_time WHERE {place}",
        "batch_move, 90 days": """
            SELECT * FROM analytics.batch_move
            WHERE {place} AND observed_at > now() - INTERVAL '90 days'
        """,
        "batch_change, 7 days": """
            SELECT * FROM analytics.batch_change
            WHERE {place} AND observed_at > now() - INTERVAL '7 days'
        """,
        "job_change, 7 days": """
            SELECT * FROM analytics.job_change
            WHERE {place} AND observed_at > now() - INTERVAL '7 days'
        """,
        "observation, 7 days": """
            SELECT * FROM analytics.observation
            WHERE {place} AND observed_at > now() - INTERVAL '7 days'
        """,
        "batch_diff, 7 days": """
            SELECT * FROM analytics.batch_diff(now() - INTERVAL '7 days', now(), {arguments})
        """,
        "batch_as_of, a year ago": """
            SELECT * FROM analytics.batch_as_of(now() - INTERVAL '1 year', {arguments})
        """,
    }
)

# Asked of one batch only.
_OF_A_BATCH: Final = MappingProxyType(
    {
        f"{view} of a batch": f"SELECT * FROM analytics.{view} WHERE {{place}} AND batch_id = '{{batch_id}}'"
        for view in ("batch_history", "batch_change", "job_history", "batch_lead_time")
    }
)


def questions(place: Place) -> Iterator[Question]:
    """Give every query, about one place."""
    if place.workspace:
        yield from _of_views(place)
    yield from _of_grafana(place)
    yield from _of_superset(place)
    yield from _of_the_cookbook(place)


def _of_views(place: Place) -> Iterator[Question]:
    for title, sql in {**_VIEWS, **(_OF_A_BATCH if place.project else {})}.items():
        values = {"place": place.condition, "arguments": place.arguments, "batch_id": place.batch_id}
        yield Question("view", title, sql.format(**values))


def _of_grafana(place: Place) -> Iterator[Question]:
    for path in sorted(_DASHBOARDS.glob("*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        since = place.now - _length(dashboard["time"]["from"])
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                sql = _substituted(target["rawSql"], _variables(dashboard, place), (since, place.now))
                yield Question("Grafana", panel["title"], sql)


def _variables(dashboard: dict[str, Any], place: Place) -> dict[str, str]:
    """Give what the dashboard opens with, but for the place."""
    variables = {each["name"]: each["current"].get("value", "") for each in dashboard["templating"]["list"]}
    return variables | {"workspace": place.workspace or "*", "project": place.project}


def _length(words: str) -> timedelta:
    """Read Grafana's name of a time in the past: now-90d."""
    found = re.fullmatch(r"now-(\d+)([hd])(?:/d)?", words)
    if found is None:
        raise SystemExit(f"a dashboard begins at {words}, which this benchmark cannot read")
    return timedelta(**{{"h": "hours", "d": "days"}[found[2]]: int(found[1])})


_QUOTED: Final = re.compile(r"\$\{(\w+):sqlstring\}")
_MACRO: Final = re.compile(r"\$__(timeFilter|timeGroup|timeFrom|timeTo)\(([^()]*)\)")


def _substituted(sql: str, variables: dict[str, str], span: tuple[datetime, datetime]) -> str:
    """Put in what Grafana would: its variables, and the range of time that the dashboard opens with."""
    begins, ends = (f"'{at.isoformat()}'" for at in span)
    macros: dict[str, Callable[[str], str]] = {
        "timeFilter": lambda column: f"{column} BETWEEN {begins} AND {ends}",
        "timeGroup": lambda given: f"date_bin('1 hour', {given.split(',')[0]}, '2000-01-01Z')",
        "timeFrom": lambda _: begins,
        "timeTo": lambda _: ends,
    }
    filled = _QUOTED.sub(lambda found: f"'{variables[found[1]]}'", sql).replace("$__interval", "1 hour")
    return _MACRO.sub(lambda found: macros[found[1]](found[2]), filled)


def _of_superset(place: Place) -> Iterator[Question]:
    for one in superset.asked(place.choice, place.now.date()):
        yield Question("Superset", one.title, one.sql)


_BLOCK: Final = re.compile(r"^#+ (?P<heading>[^\n]+)$|^```sql\n(?P<sql>.+?)^```", re.MULTILINE | re.DOTALL)


def _of_the_cookbook(place: Place) -> Iterator[Question]:
    """Take the queries between the fences that ask about as much as a project, a workspace, or everything."""
    text = _COOKBOOK.read_text(encoding="utf-8")
    heading = ""
    for found in _BLOCK.finditer(text):
        heading = found["heading"] or heading
        sql = found["sql"] or ""
        if sql and ("'acme'" in sql, "'cars'" in sql) == (bool(place.workspace), bool(place.project)):
            view = re.search(r"analytics\.(\w+)", sql)
            title = f"{heading.partition('.')[0]}: {view[1] if view else ''}"
            yield Question(
                "cookbook",
                title,
                sql.replace("'acme'", f"'{place.workspace}'").replace("'cars'", f"'{place.project}'"),
            )
