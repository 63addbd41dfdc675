"""Somebody who looks at a dashboard: headless Chromium that cannot reach anything but this machine."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from playwright.sync_api import sync_playwright

from tests.dashboards.hosts import ADMIN
from tests.superset import charts_of, documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Page, Response, Route

WIDTH: Final = 1600
_LOOPBACK: Final = "127.0.0.1"
CHART: Final = ".dashboard-component-chart-holder"
_DATA: Final = "/api/v1/chart/data"
_PATIENCE_MS: Final = 120_000
_MOVEMENT_MS: Final = 2_000
"""How long charts take to come in."""


@dataclass
class Visit:
    """
    What came of a look at one dashboard.

    Args:
        name: The dashboard's file in the bundle.
        page: The page, drawn.
        answers: The answers that its charts got, by the number of the chart in Superset.
        choices: The answers that its filters got, by the id of the filter.
    """

    name: str
    page: Page
    answers: dict[int, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that match."""
        return self.page.locator(selector).all_inner_texts()

    def picture(self) -> bytes:
        """A picture of all of it."""
        bottom = self.page.evaluate(
            f"() => Math.max(...[...document.querySelectorAll('{CHART}')]"
            ".map(chart => chart.getBoundingClientRect().bottom))"
        )
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": int(bottom) + 16}
        return self.page.screenshot(clip=clip)  # type: ignore[arg-type]


_IS_DRAWN: Final = """charts =>
    document.querySelectorAll('.dashboard-component-chart-holder .slice_container').length === charts
    && !document.querySelector('.loading, [data-test=loading-indicator]')
"""


@dataclass
class Visitor:
    """
    A browser that is logged in.

    Args:
        url: Where Superset is.
        page: What it shows.
        foreign: The hosts that it was asked to reach and did not, because they are not this machine.
    """

    url: str
    page: Page
    foreign: set[str] = field(default_factory=set)

    def look(self, name: str, choice: Mapping[str, str] = MappingProxyType({})) -> Visit:
        """Open a dashboard of the bundle, with this chosen in its filters; wait until each chart is drawn."""
        dashboard = documents("dashboards")[name]
        visit = Visit(name, self.page)
        note = partial(_note, visit)
        self.page.on("response", note)
        chosen = _chosen(dashboard, choice)
        self.page.goto(f"{self.url}/superset/dashboard/{dashboard['slug']}/?standalone=1{chosen}")
        self.page.wait_for_function(_IS_DRAWN, arg=len(charts_of(dashboard)))
        self.page.wait_for_timeout(_MOVEMENT_MS)
        self.page.remove_listener("response", note)
        return visit

    def pass_or_stop(self, route: Route) -> None:
        """Let a request through to this machine, and no other."""
        where = urlsplit(route.request.url)
        if where.scheme in ("http", "https") and where.hostname != _LOOPBACK:
            self.foreign.add(str(where.hostname))
            route.abort()
        else:
            route.continue_()


@contextmanager
def logged_in(url: str, password: str, height: int) -> Iterator[Visitor]:
    """Open a browser, and log in."""
    executable = shutil.which("chromium")
    assert executable, "there is no chromium: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=[f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {_LOOPBACK}"],
        )
        page = browser.new_page(
            viewport={"width": WIDTH, "height": height}, timezone_id="UTC", locale="en-GB"
        )
        page.set_default_timeout(_PATIENCE_MS)
        visitor = Visitor(url, page)
        page.route("**/*", visitor.pass_or_stop)
        page.goto(f"{url}/login/")
        page.fill("#username", ADMIN)
        page.fill("#password", password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda where: "/login" not in where)
        yield visitor
        browser.close()


def _chosen(dashboard: Any, choice: Mapping[str, str]) -> str:
    """Choose as an address of Superset's own making does, in Rison."""
    filters = {one["name"].lower(): one for one in dashboard["metadata"]["native_filter_configuration"]}
    rison = ",".join(_state(filters[name], value) for name, value in choice.items())
    return f"&native_filters={quote(f'({rison})')}" if choice else ""


def _state(native_filter: Any, value: str) -> str:
    (target,) = native_filter["targets"]
    asked = f"extraFormData:(filters:!((col:{target['column']['name']},op:IN,val:!('{value}'))))"
    shown = f"filterState:(value:!('{value}'))"
    return f"{native_filter['id']}:(id:{native_filter['id']},ownState:(),{asked},{shown})"


def _note(visit: Visit, response: Response) -> None:
    if urlsplit(response.url).path.rstrip("/") != _DATA:
        return
    form = json.loads(response.request.post_data or "{}").get("form_data", {})
    if number := form.get("slice_id"):
        visit.answers[int(number)] = response.json()
    elif filter_id := form.get("native_filter_id"):
        visit.choices[filter_id] = response.json()
