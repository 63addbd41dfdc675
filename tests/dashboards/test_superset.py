"""The dashboards for Superset, imported into a real one and looked at in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from tests.dashboards.hosts import ROOT
from tests.dashboards.visitor import logged_in, look
from tests.superset import BUNDLE, charts_of, documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.dashboards.hosts import Superset
    from tests.dashboards.visitor import Visit

pytestmark = [pytest.mark.dashboards, pytest.mark.timeout(900)]

DASHBOARDS: Final = documents("dashboards")
_PIXEL: Final = "apachesuperset.gateway.scarf.sh"
_MOST_BYTES: Final = 300_000
_HEIGHT: Final = 3_000
_PALETTE: Final = """
import sys
from PIL import Image
image = Image.open(sys.stdin.buffer).convert("RGB")
image.quantize(128, dither=Image.Dither.NONE).save(sys.stdout.buffer, "PNG", optimize=True)
"""


@pytest.fixture(scope="module")
def page(superset: Superset, superset_url: str) -> Iterator[Page]:
    with logged_in(superset_url, superset.password, _HEIGHT) as page:
        yield page


@pytest.fixture(scope="module", params=sorted(DASHBOARDS))
def visit(request: pytest.FixtureRequest, page: Page, superset_url: str) -> Visit:
    return look(page, superset_url, request.param)


def test_the_data_of_every_chart_has_rows(visit: Visit, superset: Superset) -> None:
    charts = superset.charts()
    results = {charts[number]: answer["result"] for number, answer in visit.answers.items()}
    assert sorted(results) == sorted(charts_of(DASHBOARDS[visit.name]))
    assert [result["error"] for answer in results.values() for result in answer if result["error"]] == []
    assert [chart for chart, answer in results.items() if not all(one["rowcount"] for one in answer)] == []


def test_no_chart_is_blank_and_none_shows_an_error(visit: Visit) -> None:
    assert visit.texts("[role=alert], .ant-alert-error, .error-boundary") == []
    assert not [
        text for text in visit.texts(".slice_container") if re.search("No results|error", text, re.IGNORECASE)
    ]
    for container in visit.page.locator(".slice_container").all():
        assert container.evaluate(_IS_DRAWN), container.inner_text()


_IS_DRAWN: Final = """element => {
    const canvas = element.querySelector('canvas');
    if (!canvas) return element.innerText.trim().length > 0;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size > 10;
}"""


def test_nothing_leaves_this_machine(visit: Visit) -> None:
    assert visit.foreign <= {_PIXEL}


def test_the_picture_is_kept(visit: Visit, superset: Superset) -> None:
    shrunk = subprocess.run(
        [superset.programs / "python", "-c", _PALETTE], input=visit.picture(), capture_output=True, check=True
    ).stdout
    assert len(shrunk) < _MOST_BYTES
    (ROOT / f"docs/images/superset-{visit.name.replace('_', '-')}.png").write_bytes(shrunk)


def test_a_number_on_the_dashboard_is_that_of_the_view(
    page: Page, superset_url: str, reader_uri: str
) -> None:
    visit = look(page, superset_url, "labelling_pipeline")
    with psycopg.connect(reader_uri) as reader:
        row = reader.execute("SELECT sum(images) FROM analytics.project").fetchone()
    assert row is not None
    assert f"{row[0]:,}" in visit.texts(".header-line")


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
