"""The rules for Prometheus can be read, and judge by what the program tells of itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import promql_parser
import pytest
from prometheus_client import generate_latest
from ruamel.yaml import YAML

from etl.selection import Promise
from etl.settings import DatabaseSettings, WebSettings
from etl.simulator import Fault
from etl.web.metrics import LedgerMetrics, RunMetrics, registry
from etl.web.reader import Reader
from etl.web.site import Scheduler
from tests import grafana
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.store import PostgresLedger

HOME: Final = Path(__file__).parents[2] / "deploy/prometheus"


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(HOME / name)
    return found


RULES: Final = [rule for group in _read("batchledger.rules.yml")["groups"] for rule in group["rules"]]
ALERTS: Final = [rule for rule in RULES if "alert" in rule]


@pytest.fixture
def told(ledger: PostgresLedger, database: str) -> str:
    """Give what is scraped of a daemon after a run in which one project of two failed."""
    told = registry()
    runs = RunMetrics(told)
    runs.follow(Scheduler(is_going=lambda: True, next_tick_at=lambda: datetime.now(UTC)))
    told.register(LedgerMetrics(Reader(database, DatabaseSettings())))
    clock, world = FakeClock(), a_world(projects=2)
    source = WorldSource(world, clock)
    source.faults.add(Fault.status(500), path="/acme/cars/batches")
    runs.ended(a_run(ledger, [source], clock, promise=Promise(7200)))
    return generate_latest(told).decode()


def test_every_rule_is_written_in_the_language_of_prometheus() -> None:
    assert len(RULES) > len(ALERTS) > 5
    for rule in RULES:
        assert promql_parser.parse(rule["expr"])


def test_every_series_that_a_rule_asks_for_is_told(told: str) -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    asked = {name for rule in RULES for name in _names(rule["expr"])}
    series = set(re.findall(r"^(\w+)[{ ]", told, re.MULTILINE))

    assert len(asked) > len(recorded)
    assert asked - recorded - series == set()
    assert recorded & asked <= recorded


def test_every_label_that_a_rule_chooses_by_is_told(told: str) -> None:
    for rule in RULES:
        for name, label, value in _choices(rule["expr"]):
            assert re.search(rf'^{name}\{{[^}}]*{label}="{value}"', told, re.MULTILINE)


def test_every_alert_names_labels_that_it_has() -> None:
    for alert in ALERTS:
        named = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
        assert named <= set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", alert["expr"]))))
        assert alert["labels"].keys() == {"severity"}
        assert alert["annotations"].keys() == {"summary", "description"}


def test_every_alert_is_tried_by_promtool_and_documented() -> None:
    tried = {
        test["alertname"]
        for scene in _read("batchledger.rules.test.yml")["tests"]
        for test in scene["alert_rule_test"]
    }
    page = (HOME.parents[1] / "docs/how-to/prometheus.md").read_text("utf-8")

    assert tried == {alert["alert"] for alert in ALERTS}
    assert [name for name in tried if f"`{name}`" not in page] == []


def test_grafana_waits_as_long_as_prometheus_before_it_tells_the_same() -> None:
    waits = {alert["alert"]: alert["for"] for alert in ALERTS}
    of_grafana = {_camel(rule["uid"]): rule["for"] for rule in grafana.rules()}
    same = waits.keys() & of_grafana.keys()

    assert {"BatchledgerStale", "BatchledgerJobsStale", "BatchledgerNoRun"} < same
    assert len(same) == 8
    assert {name: waits[name] for name in same} == {name: of_grafana[name] for name in same}


def _camel(uid: str) -> str:
    return "".join(map(str.capitalize, uid.split("-")))


def test_what_is_scraped_is_where_the_page_is_by_default() -> None:
    scraped = _read("scrape.yml")
    (job,) = scraped["scrape_configs"]
    settings = WebSettings()

    assert job["static_configs"] == [{"targets": [f"localhost:{settings.port}"]}]
    assert settings.host == "127.0.0.1"
    assert scraped["rule_files"] == ["batchledger.rules.yml"]


def _selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def look(node: object) -> None:
        inner = getattr(node, "vector_selector", node)
        if isinstance(inner, promql_parser.VectorSelector):
            found.append(inner)

    promql_parser.walk(promql_parser.parse(expression), look)
    yield from found


def _names(expression: str) -> list[str]:
    return [str(selector.name) for selector in _selectors(expression)]


def _choices(expression: str) -> Iterator[tuple[str, str, str]]:
    for selector in _selectors(expression):
        for matcher in selector.matchers.matchers:
            yield str(selector.name), matcher.name, matcher.value
