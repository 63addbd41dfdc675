"""All that Grafana asks is asked of a filled ledger, as the role that reads it, and is answered."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.database import engine
from etl.records import Observation, Slug, Verdict
from etl.selection import Promise
from etl.simulator import Fault, World
from etl.store import PostgresLedger
from tests.grafana import (
    ALL,
    DASHBOARDS,
    Question,
    Sight,
    as_sent,
    dashboard,
    panels,
    questions_of_alerts,
    questions_of_panels,
    questions_of_variables,
    rules,
    variables,
)
from tests.logins import as_owner, as_reader
from tests.worlds import FakeClock, WorldSource, a_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import NewDatabase

DAYS: Final = 20
ANYTHING: Final = {"workspace": "*", "project": ALL, "grain": "day", "time_zone": "UTC"}
ONE: Final = {"workspace": "acme", "project": "cars", "grain": "week", "time_zone": "Europe/Berlin"}
NUMBERS: Final = (int, float, Decimal)


@pytest.fixture(scope="module")
def told(new_database: NewDatabase) -> Iterator[str]:
    """
    Tell of twenty days, ending now, of two projects.

    Images come in, go to jobs, are annotated and move between batches; one batch stands still. On one day an
    answer is no list, on one nobody looks, and at the end a list is too short.
    """
    with new_database() as uri:
        connections = engine(uri)
        _tell(PostgresLedger(connections, host="here", version="test"))
        connections.dispose()
        yield uri


def _tell(ledger: PostgresLedger) -> None:
    first_at = datetime.now(UTC) - timedelta(days=DAYS - 1)
    world = World.seeded(7, projects=2, batches_per_project=3, start=first_at - timedelta(days=5))
    clock = FakeClock()
    source = WorldSource(world, clock)
    for day in range(DAYS):
        clock.at = first_at + timedelta(days=day, minutes=-1)
        _work(world, day, clock.at)
        if day == 9:
            source.faults.add(Fault.html(), path="/acme/cars/batches")
        if day == DAYS - 1:
            source.faults.add(Fault.partial_list(0.9), path="/acme/drones/batches")
        if day != 12:
            a_run(ledger, [source], clock, promise=Promise(int(timedelta(days=1, hours=6).total_seconds())))


def _work(world: World, day: int, at: datetime) -> None:
    cars, drones = world.project("acme/cars"), world.project("acme/drones")
    batch = cars.upload(images=60, at=at - timedelta(hours=6))
    drones.upload(images=10 + day, at=at - timedelta(hours=6))
    job = cars.assign(batch.id, images=50 if day % 2 else 60, at=at - timedelta(hours=5))
    cars.annotate(job.id, images=40)
    if day % 3 == 2:
        cars.complete(job.id)
    if day % 5 == 4:
        cars.merge(*(one.id for one in list(cars.batches.values())[-4:] if one.images))


# Panels


every_panel = pytest.mark.parametrize("question", questions_of_panels(), ids=str)


@every_panel
def test_every_panel_has_rows(told: str, question: Question) -> None:
    assert _ask(told, question, Sight(ANYTHING))[1]


@every_panel
def test_no_panel_tells_of_other_projects_than_the_chosen_one(told: str, question: Question) -> None:
    names, rows = _ask(told, question, Sight(ONE))

    if "project" in names:
        assert {
            row[names.index("project")] for row in rows if isinstance(row[names.index("project")], str)
        } <= {"cars"}
    _, nobody = _ask(told, question, Sight({**ANYTHING, "project": "it's nobody's"}))
    assert not _tells_of_projects(question) or not any(any(map(_says_something, row)) for row in nobody)


def _tells_of_projects(question: Question) -> bool:
    return "${project" in question.sql


def _says_something(value: object) -> bool:
    return value not in (None, 0)


@every_panel
def test_every_panel_has_what_its_kind_draws(told: str, question: Question) -> None:
    names, rows = _ask(told, question, Sight(ANYTHING))

    if question.format == "time_series":
        times = [row[names.index("time")] for row in rows]
        assert times == sorted(times)
        drawn = [value for row in rows for name, value in zip(names, row, strict=True) if name != "time"]
        assert any(isinstance(value, NUMBERS) for value in drawn)


@every_panel
def test_what_is_typed_into_a_variable_stays_a_value(told: str, question: Question) -> None:
    hostile = "'); DROP VIEW analytics.batch; --"

    _ask(told, question, Sight({**ANYTHING, "workspace": hostile, "project": hostile}))


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_every_override_names_a_column_of_its_panel(told: str, path: Any) -> None:
    wrong = []
    for question in (one for one in questions_of_panels() if one.place.startswith(f"{path.stem}:")):
        names, rows = _ask(told, question, Sight(ANYTHING))
        drawn = {str(row[names.index("metric")]) for row in rows} if "metric" in names else set(names)
        wrong += [
            (question.place, name) for name in _overridden(path, question) if name not in drawn | _VERDICTS
        ]
    assert wrong == []


# Which of them there are depends on what happened.
_VERDICTS: Final = {"changed", "unchanged", "suspect", "failed", "skipped"}


def _overridden(path: Any, question: Question) -> list[str]:
    title = question.place.partition(": ")[2]
    (panel,) = [one for one in panels(dashboard(path)) if one["title"] == title and one["type"] != "row"]
    return [one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]]


# Variables


@pytest.mark.parametrize("question", questions_of_variables(), ids=str)
def test_every_variable_offers_what_is_there(told: str, question: Question) -> None:
    names, rows = _ask(told, question, Sight(ANYTHING))

    if names == ["project"]:
        assert rows == [("cars",), ("drones",)]
        assert not _ask(told, question, Sight({"workspace": "other"}))[1]
        return
    # Grafana takes the first of them where nothing was chosen yet: one, because all may be too many.
    assert (names, rows) == (["__text", "__value"], [("acme", "acme"), ("All", "*")])


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_the_periods_that_are_offered_are_those_that_the_ledger_knows(told: str, path: Any) -> None:
    for grain in variables(dashboard(path)).get("grain", {"query": "day"})["query"].split(","):
        for question in questions_of_panels():
            _ask(told, question, Sight({**ANYTHING, "grain": grain}))


# Alerts


@pytest.mark.parametrize("question", questions_of_alerts(), ids=str)
def test_every_alert_has_an_answer_that_is_one_number_for_each_label(told: str, question: Question) -> None:
    names, rows = _ask(told, question, Sight({}))

    assert rows
    for row in rows:
        assert sum(isinstance(value, NUMBERS) for value in row) == 1
        assert sum(isinstance(value, str) for value in row) == len(names) - 1
    assert "$" not in question.sql


def test_an_alert_says_which_project_is_late_fails_is_suspect_or_was_never_read(told: str) -> None:
    assert _alarmed(told, "Numbers are older than promised") == []
    assert _alarmed(told, "An answer is not believed") == [("acme", "drones")]
    with psycopg.connect(as_owner(told)) as connection:
        connection.execute("UPDATE ledger.project SET max_age_s = 1")
        late = connection.execute(_asked("Numbers are older than promised")).fetchall()
        connection.rollback()
    assert [row[:2] for row in late if row[2] > 0] == [("acme", "cars"), ("acme", "drones")]


class Hours:
    """A ledger of two projects with jobs, an hour between runs; a sixth one is as of now."""

    def __init__(self, uri: str, ledger: PostgresLedger) -> None:
        self.uri, self.ledger = uri, ledger
        self.clock = FakeClock(datetime.now(UTC) - timedelta(hours=6, minutes=10))
        world = World.seeded(3, projects=2, batches_per_project=3, start=self.clock.at - timedelta(days=9))
        for project in map(world.project, ("acme/cars", "acme/drones")):
            project.assign(project.upload(images=9, at=self.clock.at).id, images=4, at=self.clock.at)
        self.source = WorldSource(world, self.clock)

    def run(self, *failing: str, **options: Any) -> None:
        """Run; what these paths are asked fails."""
        self.clock.move(hours=1)
        for path in failing:
            self.source.faults.add(Fault.status(500), path=path)
        a_run(self.ledger, [self.source], self.clock, promise=Promise(3 * 3600), **options)

    def alarms(self) -> set[str]:
        """The alerts that go off for project cars, and no other."""
        titles = [one.place.removeprefix("alert: ") for one in questions_of_alerts()]
        found = {title: _alarmed(self.uri, title, limit=_limit(title)) for title in titles}
        assert {name for names in found.values() for name in names} <= {("acme", "cars")}
        return {title for title, names in found.items() if names}

    def counted(self, title: str) -> Any:
        """The number that a panel shows."""
        (question,) = [one for one in questions_of_panels() if one.place.endswith(f": {title}")]
        ((number,),) = _ask(self.uri, question, Sight(ANYTHING))[1]
        return number


@pytest.fixture
def hours(database: str, ledger: PostgresLedger) -> Hours:
    return Hours(database, ledger)


def test_alerts_and_panels_tell_of_jobs_that_fail_and_get_late_alone(hours: Hours) -> None:
    hours.run()
    for _ in range(4):
        hours.run("/acme/cars/jobs")

    assert hours.alarms() == {"The jobs of a project fail", "What is told of jobs is older than promised"}
    assert (hours.counted("Late"), hours.counted("Promises kept now")) == (1, 0.5)
    assert (hours.counted("Failed last time"), hours.counted("Suspect")) == (1, 0)


def test_numbers_are_as_of_the_oldest_of_batches_and_jobs(hours: Hours) -> None:
    hours.run()
    read_at = hours.clock() - timedelta(seconds=1)
    hours.run("/acme/cars/jobs")

    as_of = datetime.fromtimestamp(float(hours.counted("As of")) / 1000, UTC)
    assert read_at < as_of <= hours.clock() - timedelta(hours=1)


def test_alerts_and_panels_tell_of_jobs_that_are_not_believed(hours: Hours) -> None:
    for _ in range(4):
        hours.run()
    hours.source.faults.add(Fault.literal('{"jobs": []}'), path="/acme/cars/jobs")
    hours.run()
    hours.run(only=(Slug("acme", "drones"),))

    assert "An answer about jobs is not believed" in hours.alarms()
    assert (hours.counted("Failed last time"), hours.counted("Suspect")) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "alert"),
    [
        (Fault.status(500), "The jobs of a project fail"),
        (Fault.literal('{"jobs": []}'), "An answer about jobs is not believed"),
    ],
)
def test_alerts_of_jobs_end_while_the_batches_fail_and_nobody_asks_for_them(
    hours: Hours, answer: Fault, alert: str
) -> None:
    for _ in range(4):
        hours.run()
    hours.source.faults.add(answer, path="/acme/cars/jobs")
    hours.run()
    assert hours.alarms() == {alert}

    hours.run("/acme/cars/batches")
    assert hours.alarms() == {"A project fails"}


def test_a_project_whose_jobs_were_never_read_is_among_the_stalest(hours: Hours) -> None:
    for _ in range(2):
        hours.run("/acme/cars/jobs")
    hours.run("/acme/cars/jobs", only=(Slug("acme", "cars"),))

    (question,) = [one for one in questions_of_panels() if one.place.endswith(": Freshness")]
    names, rows = _ask(hours.uri, question, Sight(ANYTHING))
    cars, drones = [dict(zip(names, row, strict=True)) for row in rows]
    assert (cars["project"], drones["project"]) == ("cars", "drones")
    assert cars["age"] < drones["age"]
    assert (cars["jobs"], cars["age of jobs"]) == ("failed", None)


def test_an_alert_of_a_late_project_leaves_its_jobs_out_and_says_how_old_the_numbers_are(
    hours: Hours,
) -> None:
    hours.run()
    for _ in range(4):
        hours.run("/acme/cars/batches")

    assert hours.alarms() == {"Numbers are older than promised", "A project fails"}
    with psycopg.connect(as_reader(hours.uri)) as connection:
        ages = {row[1]: row[2] for row in connection.execute(_asked("Numbers are older than promised"))}
    assert ages["cars"] > 4 * 3600
    assert ages["drones"] == 0


def test_no_alert_goes_off_for_a_pause_nor_for_what_came_in_it(hours: Hours) -> None:
    hours.run()
    for _ in range(4):
        hours.run(projects=["acme/drones"])
    assert hours.alarms() == set()

    hours.run("/acme/cars/batches")
    assert hours.alarms() == {"A project fails"}
    assert (hours.counted("Late"), hours.counted("Promises kept now")) == (0, 1)


def test_an_alert_goes_on_whatever_is_read_or_skipped_after_it(hours: Hours) -> None:
    for _ in range(4):
        hours.run()
    hours.run("/acme/cars/batches")
    hours.run(only=(Slug("acme", "drones"),))
    at = hours.clock.move(minutes=1)
    cars = hours.ledger.projects()[Slug("acme", "cars")].project_id
    skipped = Observation(
        project_id=cars, verdict=Verdict.SKIPPED, rule="held", started_at=at, observed_at=at
    )
    hours.ledger.record(hours.ledger.begin_run(trigger="sync", started_at=at), [skipped])

    assert "A project fails" in hours.alarms()


def test_an_alert_says_that_the_books_do_not_balance(told: str) -> None:
    with psycopg.connect(as_owner(told)) as connection:
        assert connection.execute(_asked("The books do not balance")).fetchall() == [(0,)]
        connection.execute("UPDATE ledger.project SET images = images + 1")
        assert connection.execute(_asked("The books do not balance")).fetchall() != [(0,)]
        connection.rollback()


def _alarmed(uri: str, title: str, limit: int = 0) -> list[tuple[Any, ...]]:
    with psycopg.connect(as_reader(uri)) as connection:
        return [row[:-1] for row in connection.execute(_asked(title)) if row[-1] > limit]


def _limit(title: str) -> int:
    """Return the number beyond which an alert goes off; what tells of no project never does here."""
    (rule,) = [rule for rule in rules() if rule["title"] == title]
    (condition,) = rule["data"][-1]["model"]["conditions"]
    return int(condition["evaluator"]["params"][0])


def _asked(title: str) -> bytes:
    (sql,) = [one.sql for one in questions_of_alerts() if one.place == f"alert: {title}"]
    return sql.encode()


# All


def test_only_the_analysts_views_are_asked() -> None:
    asked = [*questions_of_panels(), *questions_of_variables(), *questions_of_alerts()]
    named = [_named(one.sql) for one in asked]

    assert len(asked) > 30
    assert [one.place for one, names in zip(asked, named, strict=True) if not names] == []
    assert {name.partition(".")[0] for names in named for name in names} == {"analytics"}


def _named(sql: str) -> list[str]:
    """Return the views and functions that are read; what LATERAL is put before may be either, or a query."""
    return re.findall(r"(?<!EPOCH )\b(?:FROM|JOIN)\s+(?:LATERAL\b\s*)?+([\w.]+)", sql)


def test_no_view_and_no_function_is_overlooked() -> None:
    sql = "FROM one.a CROSS JOIN LATERAL two.f(a.b) JOIN LATERAL (SELECT 1 FROM three.c) JOIN lateral_d"
    assert _named(sql) == ["one.a", "two.f", "three.c", "lateral_d"]


def _ask(uri: str, question: Question, sight: Sight) -> tuple[list[str], list[tuple[Any, ...]]]:
    with psycopg.connect(as_reader(uri), autocommit=True) as connection:
        cursor = connection.execute(as_sent(question.sql, sight).encode())
        return [column.name for column in cursor.description or ()], cursor.fetchall()
