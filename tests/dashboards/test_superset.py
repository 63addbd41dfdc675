"""The dashboards for Superset, imported into a real one and looked at in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from benchmarks import superset as queries
from tests.dashboards.hosts import ROOT
from tests.dashboards.visitor import CHART, logged_in
from tests.superset import BUNDLE, charts_of, documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.dashboards.hosts import Superset
    from tests.dashboards.visitor import Visit, Visitor

pytestmark = [pytest.mark.dashboards, pytest.mark.timeout(900)]

DASHBOARDS: Final = documents("dashboards")
_MOST_BYTES: Final = 300_000
_HEIGHT: Final = 3_000
_PALETTE: Final = """
import sys
from PIL import Image
image = Image.open(sys.stdin.buffer).convert("RGB")
image.quantize(128, dither=Image.Dither.NONE).save(sys.stdout.buffer, "PNG", optimize=True)
"""


@pytest.fixture(scope="module")
def visitor(superset: Superset, superset_url: str) -> Iterator[Visitor]:
    with logged_in(superset_url, superset.password, _HEIGHT) as visitor:
        yield visitor


@pytest.fixture(scope="module", params=sorted(DASHBOARDS))
def visit(request: pytest.FixtureRequest, visitor: Visitor) -> Visit:
    return visitor.look(request.param)


def test_the_data_of_every_chart_has_rows(visit: Visit, superset: Superset) -> None:
    charts = superset.charts()
    results = {charts[number]: answer["result"] for number, answer in visit.answers.items()}
    assert sorted(results) == sorted(charts_of(DASHBOARDS[visit.name]))
    assert [result["error"] for answer in results.values() for result in answer if result["error"]] == []
    assert [chart for chart, answer in results.items() if not all(one["rowcount"] for one in answer)] == []


def test_no_chart_is_blank_and_none_shows_an_error(visit: Visit) -> None:
    assert visit.texts("[role=alert]") == []
    assert [text for text in visit.texts(".slice_container") if _TROUBLE.search(text)] == []
    for container in visit.page.locator(".slice_container").all():
        assert container.evaluate(_IS_DRAWN), container.inner_text()


_TROUBLE: Final = re.compile(r"No results were returned|(Unexpected|Database|Data) error|went wrong")
_IS_DRAWN: Final = """element => {
    const canvas = element.querySelector('canvas');
    if (!canvas) return element.innerText.trim().length > 0;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size > 10;
}"""


@pytest.mark.usefixtures("visit")
def test_superset_asks_for_nothing_outside_of_this_machine(visitor: Visitor) -> None:
    assert visitor.foreign == set()


def test_the_picture_is_kept(visit: Visit, superset: Superset) -> None:
    shrunk = subprocess.run(
        [superset.programs / "python", "-c", _PALETTE], input=visit.picture(), capture_output=True, check=True
    ).stdout
    assert len(shrunk) < _MOST_BYTES
    (ROOT / f"docs/images/superset-{visit.name.replace('_', '-')}.png").write_bytes(shrunk)


def test_a_number_on_the_dashboard_is_that_of_the_view(visitor: Visitor, reader_uri: str) -> None:
    visit = visitor.look("labelling_pipeline")
    with psycopg.connect(reader_uri) as reader:
        row = reader.execute("SELECT sum(images) FROM analytics.project").fetchone()
    assert row is not None
    assert f"{row[0]:,}" in visit.texts(".header-line")


def test_a_project_whose_jobs_alone_could_not_be_read_is_not_trusted(
    visitor: Visitor, reader_uri: str
) -> None:
    visit = visitor.look("freshness_and_trust")
    with psycopg.connect(reader_uri) as reader:
        rows = reader.execute("SELECT last_verdict, jobs_verdict FROM analytics.project").fetchall()
    untrusted = [row for row in rows if {"suspect", "failed"} & set(row)]
    assert [row for row in untrusted if row[0] in ("changed", "unchanged")]
    assert visit.texts(f"{CHART}:has-text('Not trusted') .header-line") == [str(len(untrusted))]


def test_the_benchmark_times_what_superset_asks(visitor: Visitor, superset: Superset) -> None:
    """If not, the file is written anew: look at the difference, and keep it."""
    seen = _seen_on_one_day(visitor, superset)
    known = queries.FILE.read_text(encoding="utf-8")
    queries.FILE.write_text(seen, encoding="utf-8")
    assert seen == known


def _seen_on_one_day(visitor: Visitor, superset: Superset) -> str:
    """Look at all of it, once more if it was midnight meanwhile: queries have dates, and the file has not."""
    began_on = datetime.now(UTC).date()
    asked = [
        one
        for name in sorted(DASHBOARDS)
        for chosen in ("", *queries.CHOSEN)
        for one in _asked(visitor.look(name, _choice(chosen)), superset.charts(), chosen)
    ]
    if datetime.now(UTC).date() != began_on:
        return _seen_on_one_day(visitor, superset)
    return queries.written(asked, began_on)


def _choice(chosen: str) -> dict[str, str]:
    return {chosen: queries.CHOSEN[chosen]} if chosen else {}


def _asked(visit: Visit, charts: dict[int, str], chosen: str) -> Iterator[queries.Asked]:
    """Tell what was asked for each chart, and for what a filter offers, where that hangs on the choice."""
    dashboard = DASHBOARDS[visit.name]
    names = {chart["uuid"]: chart["slice_name"] for chart in documents("charts").values()}
    filters = {
        one["id"]: f"filter {one['name']}"
        for one in dashboard["metadata"]["native_filter_configuration"]
        if not chosen or f"NATIVE_FILTER-{chosen}" in one["cascadeParentIds"]
    }
    answers = {names[charts[number]]: answer for number, answer in visit.answers.items()}
    answers |= {filters[one]: answer for one, answer in visit.choices.items() if one in filters}
    for title, answer in answers.items():
        for nth, one in enumerate(answer["result"], 1):
            whole = f"{dashboard['dashboard_title']}: {title}" + (f" ({nth})" if nth > 1 else "")
            yield queries.Asked(whole, chosen, one["query"])


def test_a_second_import_overwrites_the_first(superset: Superset, reader_uri: str) -> None:
    charts, titles = superset.charts(), superset.titles()
    superset.retitle("Something else")
    superset.import_bundle(reader_uri)
    assert (superset.charts(), superset.titles()) == (charts, titles)


def test_what_superset_refuses_is_not_taken_for_imported(superset: Superset, tmp_path: Path) -> None:
    broken = tmp_path / "superset"
    shutil.copytree(BUNDLE.parent, broken)
    (broken / "bundle/metadata.yaml").write_text("version: 9.9.9\n")
    with pytest.raises(AssertionError, match="did not import"):
        superset.run(
            "python",
            str(broken / "import_bundle.py"),
            SUPERSET_BATCHLEDGER_URI="postgresql://reader@localhost/x",
        )
