"""Every figure, table and chart of the pages beside what SQL says, on a history whose numbers all differ."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from etl.commands.show import duration
from etl.web.app import DAYS
from etl.web.reads import GAPS, RUNS, TREND_DAYS
from tests.web import uneven
from tests.web.conftest import pages_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.conftest import NewDatabase
    from tests.web.conftest import Pages

PROJECTS: Final = ("cars", "drones", "helmets", "parcels", "potholes")
NONE: Final = "\N{EN DASH}"
MINUS: Final = "\N{MINUS SIGN}"
THIN: Final = "\N{NARROW NO-BREAK SPACE}"
APART: Final = " (batches and jobs were not seen together)"
TRIES: Final = 5

Rows = list[list[str]]
Points = list[tuple[Any, ...]]


class Drawn(msgspec.Struct, frozen=True):
    """A chart as it was drawn: its labels, that of the times first, and as many columns of numbers."""

    labels: list[str]
    data: list[list[float | None]]

    @property
    def points(self) -> Points:
        return list(zip(*self.data, strict=True))


class Shown(msgspec.Struct, frozen=True):
    """All that a page tells in numbers: figures by name, each table with its head by its heading, charts."""

    title: str
    figures: list[tuple[str, str]]
    tables: dict[str, Rows]
    charts: list[Drawn]


READ: Final = """() => {
  const text = (one) => one.textContent.replace(/[ \\n]+/g, " ").trim();
  const texts = (within, what) => [...within.querySelectorAll(what)].map(text);
  const within = (table) => table.closest("section").getAttribute("aria-labelledby");
  return {
    title: text(document.querySelector("h1")),
    figures: [...document.querySelectorAll("dl > div")].map((one) => texts(one, "dt, dd")),
    tables: Object.fromEntries([...document.querySelectorAll("main table")].map(
      (table) => [within(table), [...table.rows].map((row) => texts(row, "th, td"))])),
    charts: [...document.querySelectorAll("[data-chart]")].map(
      ({ plot }) => ({ labels: plot.series.map((one) => one.label), data: plot.data })),
  };
}"""


LEGENDS: Final = """all => all.map(({ plot }) => plot.data[0].map((_at, place) => {
  plot.setLegend({ idx: place });
  return [...plot.root.querySelectorAll(".u-legend .u-value")].map((value) => value.textContent);
}))"""


@pytest.fixture(scope="module")
def pages(new_database: NewDatabase) -> Iterator[Pages]:
    """Serve a ledger in which no two numbers are alike."""
    with new_database() as uri:
        uneven.tell(uri)
        with pages_of(uri) as served:
            yield served


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """Give one page of a browser for all tests."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context.new_page()


def read(page: Page, pages: Pages, path: str) -> Shown:
    page.goto(pages.url.rstrip("/") + path)
    return msgspec.convert(page.evaluate(READ), Shown)


def compare(look: Callable[[], object], ask: Callable[[], object]) -> None:
    """Compare what is shown with what SQL says; once more if that was another thing a moment later."""
    for _ in range(TRIES):
        before, shown, after = ask(), look(), ask()
        if before == after:
            assert shown == before
            return
    raise AssertionError("the ledger never says the same twice")


def told(value: object) -> str:
    """Write a value as pages do."""
    match value:
        case None:
            text = NONE
        case int():
            text = f"{value:,}".replace(",", THIN)
        case float():
            text = f"{math.floor(value * 1000) / 10:g}{THIN}%"
        case datetime():
            text = f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
        case timedelta():
            text = duration(value.total_seconds())
        case list():
            text = ", ".join(map(told, value))
        case _:
            text = str(value)
    return text


def table(head: list[str], rows: list[tuple[Any, ...]]) -> Rows:
    """Write a table with its head; a difference has a sign."""
    return [head, *([_cell(name, one) for name, one in zip(head, row, strict=True)] for row in rows)]


def _cell(name: str, value: Any) -> str:
    if name == "by" and value:
        return f"{'+' if value > 0 else MINUS}{told(abs(value))}"
    return told(value)


PROJECT: Final = [
    *("Project", "State", "Age", "Not assigned", "Batches"),
    *("Kept 1 d", "7 d", "30 d", "Last verdict"),
]
RUN: Final = [
    *("Run", "Began", "Took", "Outcome", "Changed", "Unchanged", "Suspect", "Failed", "Skipped"),
    *("Changes", "Requests", "By"),
]
DAY: Final = ["Day", "Not assigned", "Came in", "Assigned", "Annotated", "Observed"]
GAP: Final = ["From", "To", "Why", "Promise"]
BATCH: Final = ["Batch", "Not assigned", "Jobs", "Uploaded", "Changed", "State"]
CHANGE: Final = ["Seen", "Changed after", "What", "Images", "by", "Jobs", "by", "Name", "Run"]


# The history


@pytest.mark.parametrize(
    ("view", "chosen"),
    [
        ("project", "TRUE"),
        ("freshness", "project <> 'parcels'"),
        ("project_daily", "project = 'helmets' AND day > current_date - 30"),
        ("project_daily", "project = 'cars' AND day > current_date - 30"),
        ("project_daily", "project = 'potholes' AND day > current_date - 30"),
        ("batch", "project = 'helmets'"),
        ("batch_progress", "project = 'helmets'"),
        ("batch_lead_time", "project = 'helmets'"),
        ("batch_change", "name IN ('of 2203', 'renamed')"),
        ("run", "run_id > 13"),
        ("gap", "TRUE"),
        ("forecast", "project = 'helmets'"),
    ],
)
def test_no_column_can_pass_for_another(pages: Pages, view: str, chosen: str) -> None:
    # Of a batch that is in step, both lists tell as many jobs.
    twice = "jobs" if view == "batch_progress" else ""
    rows = pages.ask(f"SELECT to_jsonb(told) - %s FROM analytics.{view} AS told WHERE {chosen}", twice)
    columns = {name: tuple(as_shown(row[name]) for (row,) in rows) for name in rows[0][0]}
    names = dict[tuple[Any, ...], list[str]]()
    for name, values in columns.items():
        names.setdefault(values, []).append(name)
    assert [alike for values, alike in names.items() if len(alike) > 1 and len(set(values)) > 1] == []


def as_shown(value: object) -> object:
    """Take times to the minute and shares to a tenth of a percent: more of them is not shown."""
    if isinstance(value, float) and 0 <= value <= 1:
        return math.floor(value * 1000)
    is_time = isinstance(value, str) and value[4:5] == "-" and value[10:11] == "T"
    return value[:16] if is_time and isinstance(value, str) else str(value)


# The first page


STATE: Final = """
CASE
    WHEN NOT project.is_tracked THEN 'paused'
    WHEN NOT project.is_kept THEN 'too old'
    WHEN project.last_verdict IN ('suspect', 'failed') THEN project.last_verdict
    WHEN project.last_observed_at IS NULL THEN 'never read'
    WHEN NOT project.is_jobs_kept THEN 'jobs too old'
    WHEN project.jobs_verdict IN ('suspect', 'failed') THEN 'jobs ' || project.jobs_verdict
    ELSE 'fresh'
END
"""
AGES: Final = "make_interval(secs => freshness.age_s), make_interval(secs => freshness.max_age_s)"


def age(age: timedelta | None, promised: timedelta | None) -> str:
    return (told(age) if age else "never read") + (f" of {told(promised)}" if promised else "")


def test_the_first_page_shows_the_totals_of_what_is_followed(page: Page, pages: Pages) -> None:
    names = ["Followed projects", "Images not yet assigned", "Batches", "Last trusted reading"]

    def said() -> list[tuple[str, str]]:
        (row,) = pages.ask(
            "SELECT count(*), sum(images)::integer, sum(batches)::integer, max(last_observed_at) "
            "FROM analytics.project WHERE is_tracked"
        )
        return list(zip(names, map(told, row), strict=True))

    compare(lambda: read(page, pages, "/").figures, said)
    assert len(set(dict(said()).values())) == len(names)


def test_the_first_page_shows_each_project(page: Page, pages: Pages) -> None:
    def said() -> Rows:
        rows = pages.ask(
            f"SELECT workspace || '/' || project, {STATE}, {AGES}, images, batches, "
            "kept_1d, kept_7d, kept_30d, last_verdict "
            "FROM analytics.project JOIN analytics.freshness USING (workspace, project) "
            "ORDER BY workspace, project"
        )
        return [PROJECT, *([*row[:2], age(*row[2:4]), *map(told, row[4:])] for row in rows)]

    # The two in between are charts.
    compare(lambda: [row[:5] + row[7:] for row in read(page, pages, "/").tables["projects"]], said)


def test_the_first_page_draws_the_backlog_and_the_flow_of_each_project(page: Page, pages: Pages) -> None:
    def drawn() -> dict[str, list[Drawn]]:
        shown = read(page, pages, "/")
        listed = [row[0].removeprefix("acme/") for row in shown.tables["projects"][1:]]
        names = [name for name in listed if name != "parcels"]
        return {name: shown.charts[nth * 2 : nth * 2 + 2] for nth, name in enumerate(names)}

    compare(
        drawn,
        lambda: {name: trends(pages, name, TREND_DAYS) for name in PROJECTS if name != "parcels"},
    )


def test_the_first_page_shows_the_last_runs(page: Page, pages: Pages) -> None:
    def said() -> Rows:
        rows = pages.ask(
            "SELECT run_id::text AS id, started_at, ended_at - started_at, "
            "coalesce(outcome, CASE WHEN is_running THEN 'running' ELSE 'died' END), changed, unchanged, "
            "suspect, failed, skipped, batch_changes, requests, trigger || ' on ' || host "
            f"FROM analytics.run ORDER BY run_id DESC LIMIT {RUNS}"
        )
        return [
            RUN,
            *([row[0], told(row[1]), told(row[2]) if row[2] else "", *map(told, row[3:])] for row in rows),
        ]

    compare(lambda: read(page, pages, "/").tables["runs"], said)
    assert {"died", "running", "stopped", "partial"} <= {row[3] for row in said()}


def test_the_first_page_shows_the_gaps_of_the_last_week(page: Page, pages: Pages) -> None:
    chosen = "to_at > now() - INTERVAL '7 days' ORDER BY to_at DESC"

    def said() -> tuple[list[str], Rows | None]:
        rows = pages.ask(f"SELECT 'acme/' || project FROM analytics.gap WHERE {chosen}")
        return ["Project", *(slug for (slug,) in rows)], gaps(pages, chosen)

    def shown() -> tuple[list[str], Rows | None]:
        rows = read(page, pages, "/").tables["gaps"]
        return [row[0] for row in rows], [row[1:] for row in rows]

    compare(shown, said)


def test_the_first_page_says_since_when_nothing_is_trusted(page: Page, pages: Pages) -> None:
    def shown() -> list[tuple[str, ...]]:
        page.goto(pages.url)
        items = page.locator(".troubles li").all()
        return sorted((one.locator("h3").inner_text(), one.locator("p").first.inner_text()) for one in items)

    def said() -> list[tuple[str, ...]]:
        return pages.ask(
            f"SELECT 'acme/' || project || ' ' || {STATE}, coalesce("
            "'nothing trusted since ' || to_char(from_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') "
            "|| ' UTC (' || reason || '): ', 'jobs: nothing trusted since ' "
            "|| to_char(project.jobs_observed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') "
            "|| ' UTC: ' || jobs_error || '.') "
            "FROM analytics.project JOIN analytics.freshness USING (workspace, project) "
            "LEFT JOIN (SELECT project, from_at, reason FROM analytics.gap WHERE to_at IS NULL) AS open "
            "USING (project) "
            "WHERE is_tracked AND (NOT project.is_kept OR project.jobs_verdict = 'failed') ORDER BY project"
        )

    names = [name for name, _ in said()]
    assert names == ["acme/cars too old", "acme/parcels too old", "acme/potholes jobs failed"]
    assert [(name, re.sub(r"(?<=\)): .*", ": ", text)) for name, text in shown()] == said()


# A project


@pytest.mark.parametrize("project", PROJECTS)
def test_a_project_shows_its_figures(page: Page, pages: Pages, project: str) -> None:
    compare(
        lambda: dict(read(page, pages, f"/projects/acme/{project}").figures),
        lambda: figures_of(pages, project),
    )


def figures_of(pages: Pages, project: str) -> dict[str, str]:
    ((jobs, basis, missing, *values),) = pages.ask(
        "SELECT jobs, basis, "
        "(SELECT count(*) FROM analytics.batch AS one WHERE one.project = project.project "
        "AND one.missing_since IS NOT NULL AND one.gone_at IS NULL), "
        f"{AGES}, project.last_observed_at, "
        "ARRAY[kept_1d, kept_7d, kept_30d], images, batches, num_jobs, size, project.is_in_step, annotated, "
        "ARRAY[approved, rejected], project.jobs_observed_at, end_early, end_likely, end_late "
        "FROM analytics.project JOIN analytics.freshness USING (workspace, project) "
        "LEFT JOIN analytics.forecast USING (workspace, project) WHERE project.project = %s",
        project,
    )
    (is_aged, promised, seen_at, kept, images, batches, num_jobs, *of_jobs, early, likely, late) = values
    found = {"Images not yet assigned": images, "Batches": batches, "Annotation jobs": num_jobs}
    size, is_in_step, *of_jobs = of_jobs
    if jobs is not None:
        of_jobs = [told(size) + ("" if is_in_step else APART), *of_jobs]
        names = ("Images in batches and jobs", "Annotated", "Approved, rejected", "Jobs last read")
        found |= dict(zip(names, of_jobs, strict=True))
    if likely is not None:
        found[f"All {basis} by, at this rate"] = f"{likely} ({early or '?'} to {late or 'not in sight'})"
    if missing:
        found["Missing batches"] = missing
    found |= {"Age": age(is_aged, promised), "Last trusted reading": seen_at}
    found["Promise kept 1 d, 7 d, 30 d"] = kept
    return {name: told(value) for name, value in found.items()}


def test_the_projects_of_the_history_show_every_figure(pages: Pages) -> None:
    found = figures_of(pages, "helmets")

    assert len(found) == 12
    assert len(set(found.values())) == 12


@pytest.mark.parametrize("project", PROJECTS)
def test_a_project_shows_its_state_its_gaps_and_its_batches(page: Page, pages: Pages, project: str) -> None:
    def shown() -> dict[str, Any]:
        found = read(page, pages, f"/projects/acme/{project}")
        return {"title": found.title, **{name: found.tables.get(name) for name in ("gaps", "batches")}}

    def said() -> dict[str, Any]:
        ((state,),) = pages.ask(f"SELECT {STATE} FROM analytics.project WHERE project = %s", project)
        batches = pages.ask(
            "SELECT name, images, num_jobs, uploaded_at, changed_at, "
            "CASE WHEN gone_at IS NOT NULL THEN 'gone' WHEN missing_since IS NOT NULL THEN 'missing' "
            "ELSE 'there' END FROM analytics.batch WHERE project = %s "
            "ORDER BY uploaded_at DESC, batch_id DESC",
            project,
        )
        found = gaps(pages, f"project = '{project}' ORDER BY from_at DESC")
        return {
            "title": f"acme/{project} {state}",
            "gaps": found,
            "batches": table(BATCH, batches) if batches else None,
        }

    compare(shown, said)


def gaps(pages: Pages, chosen: str) -> Rows | None:
    rows = pages.ask(
        "SELECT from_at, coalesce(to_char(to_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), 'still open'), "
        "array_to_string(reasons, ', '), CASE WHEN is_promise_broken THEN 'broken' ELSE 'kept' END "
        f"FROM analytics.gap WHERE {chosen} LIMIT {GAPS}"
    )
    return table(GAP, rows) if rows else None


@pytest.mark.parametrize(("project", "days"), [*(("helmets", days) for days in DAYS), ("cars", DAYS[0])])
def test_a_project_draws_and_lists_its_days(page: Page, pages: Pages, project: str, days: int) -> None:
    def shown() -> tuple[list[Drawn], Rows]:
        found = read(page, pages, f"/projects/acme/{project}?days={days}")
        return found.charts, found.tables["days"]

    def said() -> tuple[list[Drawn], Rows]:
        rows = pages.ask(
            "SELECT day, images, intake, assigned, annotated_work, "
            "CASE WHEN is_observed THEN 'yes' WHEN intake IS NULL THEN 'no, carried from before' "
            "ELSE 'not trusted, but for what was new' END "
            "FROM analytics.project_daily WHERE project = %s ORDER BY day DESC LIMIT %s",
            project,
            days,
        )
        return trends(pages, project, days), table(DAY, rows)

    compare(shown, said)
    assert len(said()[1]) == 1 + min(days, uneven.DAYS)
    if project == "cars":
        assert [row[2] for row in said()[1] if row[5].startswith("not trusted")].count("613") == 1


def test_a_chart_tells_of_each_day_what_the_table_tells(page: Page, pages: Pages) -> None:
    days = read(page, pages, "/projects/acme/helmets?days=30").tables["days"][1:]
    backlog, flow = page.locator(".chart").evaluate_all(LEGENDS)
    legends = [[*line[:2], *other[1:]] for line, other in zip(backlog, flow, strict=True)][::-1]
    axis = page.locator(".chart").nth(1).evaluate("one => one.plot.axes[1]._values")
    for row, legend in zip(days, legends, strict=True):
        # A hole has a number in the table alone, that of the day before.
        assert legend == [row[0], NONE if row[5].startswith("no,") else row[1], *row[2:4]]
    assert sum(row[3] not in (NONE, "0") for row in days) > 10
    assert axis[0] != "0"
    assert [text for text in axis if text.startswith("-")] == []


def trends(pages: Pages, project: str, days: int) -> list[Drawn]:
    """Ask for the last days of a project, as its charts have them: at noon, and nothing carried."""
    rows = pages.ask(
        "SELECT extract(EPOCH FROM (day + TIME '12:00') AT TIME ZONE 'UTC')::float, "
        "CASE WHEN is_observed OR images_delta <> 0 THEN images END, intake, -assigned "
        "FROM analytics.project_daily "
        "WHERE project = %s AND day > (now() AT TIME ZONE 'UTC')::date - %s ORDER BY day",
        project,
        days,
    )
    times, images, came, went = ([row[place] for row in rows] for place in range(4))
    return [
        Drawn(["UTC", "images not yet assigned"], [times, images]),
        Drawn(["UTC", "came in", "assigned"], [times, came, went]),
    ]


# A batch


@pytest.fixture(scope="module")
def batches(page: Page, pages: Pages) -> dict[str, Shown]:
    """Read the pages of all batches that are not alike, by id."""
    rows = pages.ask(
        "SELECT batch_id FROM analytics.batch WHERE project = 'helmets' "
        "AND (name LIKE 'of %%' OR name IN ('renamed', 'split off')) ORDER BY name"
    )
    return {name: read(page, pages, f"/projects/acme/helmets/batches/{name}") for (name,) in rows}


def test_a_batch_shows_its_figures(pages: Pages, batches: dict[str, Shown]) -> None:
    assert {name: dict(shown.figures) for name, shown in batches.items()} == {
        name: figures_of_batch(pages, name) for name in batches
    }


def figures_of_batch(pages: Pages, batch_id: str) -> dict[str, str]:
    (row,) = pages.ask(
        "SELECT batch_id, CASE WHEN gone_at IS NOT NULL THEN 'gone, confirmed ' "
        "WHEN missing_since IS NOT NULL THEN 'missing since ' ELSE 'there' END, "
        "coalesce(gone_at, missing_since), images, num_jobs, uploaded_at, first_seen_at, last_seen_at "
        "FROM analytics.batch WHERE batch_id = %s",
        batch_id,
    )
    found = {"Id": row[0], "State": row[1] + (told(row[2]) if row[2] else "")}
    counts = ("Images not yet assigned", "Annotation jobs", "Uploaded", "First seen", "Last seen")
    found |= dict(zip(counts, row[3:], strict=True))
    progress = pages.ask(
        "SELECT size, is_in_step, ARRAY[share_assigned, share_annotated], "
        "ARRAY[share_approved, share_rejected], "
        "first_job_at, assigned_by, completed_by FROM analytics.batch_progress "
        "JOIN analytics.batch_lead_time USING (workspace, project, batch_id) WHERE batch_id = %s",
        batch_id,
    )
    shares = ("Images in it and in its jobs", "Assigned, annotated", "Approved, rejected")
    times = ("First job", "All assigned by", "All jobs complete by")
    if progress:
        ((size, is_in_step, *others),) = progress
        found |= dict(
            zip((*shares, *times), [told(size) + ("" if is_in_step else APART), *others], strict=True)
        )
    return {name: told(value) for name, value in found.items()}


def test_the_batches_of_the_history_have_every_figure(pages: Pages, batches: dict[str, Shown]) -> None:
    found = [figures_of_batch(pages, name) for name in batches]
    whole = [figures for figures in found if len(figures) == 13]

    states = {figures["State"].partition(" 2")[0] for figures in found}
    assert states == {"there", "gone, confirmed", "missing since"}
    assert len(whole) == len(found) - 1
    columns = [tuple(figures[name] for figures in whole) for name in whole[0]]
    assert len(set(columns)) == len(columns)
    assert all({figures[name] for figures in whole} != {NONE} for name in whole[0])


def test_a_batch_lists_its_changes_and_the_gaps_of_its_project(
    pages: Pages, batches: dict[str, Shown]
) -> None:
    late = gaps(pages, "project = 'helmets' ORDER BY from_at DESC")
    for name, shown in batches.items():
        rows = pages.ask(
            "SELECT observed_at, changed_after, kind, images, images_delta, num_jobs, num_jobs_delta, name, "
            "run_id::text FROM analytics.batch_change WHERE batch_id = %s ORDER BY observation_id DESC",
            name,
        )
        assert (shown.tables["life"], shown.tables["gaps"]) == (table(CHANGE, rows), late)


def test_a_batch_draws_its_life(pages: Pages, batches: dict[str, Shown]) -> None:
    holes = pages.ask(
        "SELECT extract(EPOCH FROM from_at)::float, extract(EPOCH FROM coalesce(to_at, now()))::float "
        "FROM analytics.gap WHERE project = 'helmets'"
    )

    def is_unseen(at: float) -> bool:
        return any(begun <= at <= ended for begun, ended in holes)

    for name, shown in batches.items():
        (drawn,) = shown.charts
        changes = pages.ask(
            "SELECT observed_at, images FROM analytics.batch_change WHERE batch_id = %s ORDER BY observed_at",
            name,
        )
        values = {at.timestamp(): images for at, images in changes}
        assert drawn.labels == ["UTC", "images not yet assigned"]
        assert {at: images for at, images in drawn.points if at in values} == values
        for at, images in drawn.points:
            believed = values[max(time for time in values if time <= at)]
            assert images == believed or (images is None and is_unseen(at))
