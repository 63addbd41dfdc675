"""What a person sees, in a real Chromium: what SQL says, at any size, in any scheme, with any names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe

from etl.web.reads import NAME
from tests.web.conftest import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.web.conftest import Pages
    from tests.web.recorder import Record

PHONE: Final = {"width": 360, "height": 740}
DESK: Final = {"width": 1280, "height": 900}
SCHEMES: Final = ("light", "dark")


class Visit:
    """One page of a browser, with all that it asked for and complained about."""

    def __init__(self, context: BrowserContext, pages: Pages) -> None:
        self.page = context.new_page()
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self._pages = pages
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))

    def to(self, path: str) -> Page:
        self.page.goto(self._pages.url.rstrip("/") + path)
        return self.page


@pytest.fixture
def visit(browser: Browser, pages: Pages, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Give a browser as a test wants it; it never asks another host, and never complains."""
    context = browser.new_context(**{"viewport": DESK, **getattr(request, "param", {})})
    visited = Visit(context, pages)
    yield visited
    context.close()
    assert [url for url in visited.requested if not url.startswith(pages.url)] == []
    assert visited.requested
    assert visited.complaints == []


def each(**options: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("visit", [options], indirect=True, ids=["+".join(options)])


def paths(pages: Pages) -> list[str]:
    """Return a page of each kind, that of a batch with the longest name."""
    ((batch_id,),) = pages.ask("SELECT batch_id FROM analytics.batch ORDER BY length(name) DESC LIMIT 1")
    return ["/", "/projects/acme/cars", f"/projects/acme/cars/batches/{quote(batch_id)}", "/nowhere"]


def cells(page: Page, heading: str) -> list[list[str]]:
    """Return the rows of a table as people read them."""
    rows = page.locator(f"section[aria-labelledby={heading}] .scroll tbody tr").all()
    return [[cell.inner_text() for cell in row.locator("th, td").all()] for row in rows]


def number(text: str) -> int:
    return int(text.replace("\N{NARROW NO-BREAK SPACE}", "").replace("\N{MINUS SIGN}", "-"))


# What is shown equals what SQL says


def test_the_first_page_shows_what_sql_says(visit: Visit, pages: Pages) -> None:
    page = visit.to("/")

    projects = pages.ask(
        "SELECT workspace || '/' || project, images, batches, last_verdict "
        "FROM analytics.project ORDER BY workspace, project"
    )
    shown = [(row[0], number(row[3]), number(row[4]), row[10]) for row in cells(page, "projects")]
    assert sorted(shown) == projects
    runs = pages.ask(
        "SELECT run_id, to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), changed, unchanged, "
        "suspect, failed, skipped, batch_changes, requests FROM analytics.run ORDER BY run_id DESC LIMIT 15"
    )
    assert [(int(row[0]), row[1], *map(number, row[4:11])) for row in cells(page, "runs")] == runs
    ((total,),) = pages.ask("SELECT sum(images) FROM analytics.project")
    assert number(page.locator("dt:has-text('not yet assigned') + dd").inner_text()) == total
    assert sorted(page.locator("#attention ~ ul h3 a").all_inner_texts()) == ["acme/cars", "acme/drones"] + [
        slug for slug, *_, verdict in projects if slug == "acme/helmets" and verdict in ("suspect", "failed")
    ]


def test_a_batch_shows_its_life_as_sql_says(visit: Visit, pages: Pages) -> None:
    ((batch_id,),) = pages.ask(
        "SELECT batch_id FROM analytics.batch_change WHERE project = 'helmets' "
        "GROUP BY batch_id ORDER BY count(*) DESC, batch_id LIMIT 1"
    )
    page = visit.to("/projects/acme/helmets")
    page.locator(f"a[href$='{batch_id}']").click()

    changes = pages.ask(
        "SELECT kind, images, images_delta, run_id FROM analytics.batch_change "
        "WHERE project = 'helmets' AND batch_id = %s ORDER BY observation_id DESC",
        batch_id,
    )
    shown = [
        (row[2], number(row[3]), number(row[4].replace("+", "")), int(row[8])) for row in cells(page, "life")
    ]
    assert shown == changes
    assert len(changes) > 1


def test_charts_are_drawn_and_leave_out_what_nobody_saw(visit: Visit) -> None:
    page = visit.to("/projects/acme/helmets?days=30")

    drawn = page.locator(".chart canvas").evaluate_all(
        "all => all.map(one => "
        "one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(Boolean))"
    )
    assert drawn == [True, True]
    holes = page.locator(".chart").first.evaluate(
        "one => one.plot.data[1].filter(value => value === null).length"
    )
    assert holes >= 6
    visit.to("/")
    assert page.locator(".spark canvas").count() == 6


# Names that mean harm


@pytest.mark.parametrize("place", range(len(HOSTILE)))
def test_a_hostile_name_is_but_a_name(visit: Visit, pages: Pages, place: int) -> None:
    name = HOSTILE[place]
    ((batch_id,),) = pages.ask("SELECT batch_id FROM analytics.batch WHERE name = %s", name)
    page = visit.to("/projects/acme/cars")
    page.locator(f"a[href$='{batch_id}']").click()

    shown = page.locator("h1 bdi").evaluate("one => one.textContent")
    plain = name.replace("\u2028", "\ufffd").replace("\u0007", "\ufffd").replace("\t", "\ufffd")
    assert shown == (plain if len(plain) <= NAME else f"{plain[:NAME]}…")
    assert page.title() == "A batch of acme/cars · batchledger"
    assert page.locator("main script, main img, main svg").count() == 0


def test_a_name_from_right_to_left_turns_nothing_else_around(visit: Visit, pages: Pages) -> None:
    ((batch_id, images),) = pages.ask(
        "SELECT batch_id, images FROM analytics.batch WHERE name = %s", HOSTILE[2]
    )
    page = visit.to("/projects/acme/cars")
    row = page.locator(f"tr:has(a[href$='{batch_id}'])")

    places = [cell.bounding_box() for cell in row.locator("th, td").all()]
    lefts = [place["x"] for place in places if place]
    assert lefts == sorted(lefts)
    assert row.locator("td").first.inner_text() == str(images)


# However it is looked at


@each(viewport=PHONE, is_mobile=True)
def test_at_the_width_of_a_phone_no_page_scrolls_sideways(visit: Visit, pages: Pages) -> None:
    for path in paths(pages):
        page = visit.to(path)
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths == [360, 360], path
    # Known to the test: the missing page is a complaint of the browser itself.
    _forgive_the_missing_page(visit)


def _forgive_the_missing_page(visit: Visit) -> None:
    visit.complaints = [told for told in visit.complaints if "404" not in told]


@pytest.mark.parametrize(
    ("visit", "scheme"),
    [({"color_scheme": scheme}, scheme) for scheme in SCHEMES],
    indirect=["visit"],
    ids=SCHEMES,
)
def test_axe_finds_nothing_to_object_to(visit: Visit, pages: Pages, scheme: str, record_axe: Record) -> None:
    for kind, path in zip(("first", "project", "batch", "not found"), paths(pages), strict=True):
        response = Axe().run(visit.to(path)).response
        record_axe(kind, scheme, response)
        found = response["violations"]
        assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == [], path
    _forgive_the_missing_page(visit)


@each(color_scheme="dark")
def test_in_the_dark_the_page_is_dark_and_its_charts_are_too(visit: Visit) -> None:
    page = visit.to("/projects/acme/helmets")
    ground = "getComputedStyle(document.body).backgroundColor"
    line = "document.querySelector('.chart').plot.series[1].stroke()"

    dark = page.evaluate(f"[{ground}, {line}]")
    page.emulate_media(color_scheme="light")
    _until_it_is_so(page, f"{line} !== '#72abff'")
    light = page.evaluate(f"[{ground}, {line}]")
    assert dark == ["rgb(18, 23, 28)", "#72abff"]
    assert light == ["rgb(255, 255, 255)", "#1d63c9"]


def _until_it_is_so(page: Page, condition: str) -> None:
    """Wait for what a page does a moment later; its policy forbids wait_for_function to evaluate text."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it did not come to be so: {condition}")


def test_the_keyboard_alone_is_enough(visit: Visit, pages: Pages) -> None:
    page = visit.to("/")
    focus = "document.activeElement"

    page.keyboard.press("Tab")
    assert page.evaluate(f"{focus}.textContent") == "Skip to the content"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert page.evaluate(f"{focus}.id") == "main"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(f"{focus}.getAttribute('href') === '/projects/acme/helmets'"):
            break
    assert page.evaluate(f"getComputedStyle({focus}).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(f"{pages.url}projects/acme/helmets")


@each(java_script_enabled=False)
def test_without_javascript_every_word_is_there(visit: Visit, pages: Pages) -> None:
    page = visit.to("/projects/acme/helmets?days=30")
    ((count,),) = pages.ask("SELECT count(*) FROM analytics.batch WHERE project = 'helmets'")

    page.locator("summary").click()
    assert page.locator("section[aria-labelledby=days] .scroll tbody tr").count() >= 20
    assert page.locator("section[aria-labelledby=batches] tbody tr").count() == count
    assert page.locator("canvas").count() == 0
