"""The files for Grafana are of the types that Grafana publishes, fit together, and hold no secret."""

from __future__ import annotations

import copy
import json
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import pytest
from grafana_foundation_sdk.models.alerting import Query
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.grafana import ALERTS, ALL, DASHBOARDS, HOME, dashboard, panels, provisioned, rules, variables
from tests.kinds import misfits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOURCES: Final = HOME / "provisioning/datasources/batchledger.yaml"
PROVIDERS: Final = HOME / "provisioning/dashboards/batchledger.yaml"
HOW_TO: Final = HOME.parents[1] / "docs/how-to/grafana.md"

on_every_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))


# Dashboards


@on_every_dashboard
def test_a_dashboard_is_of_the_published_kind(path: Path) -> None:
    assert misfits(dashboard(path), Dashboard) == []


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda board: board.update(titel="A"), ".titel: not known to Dashboard"),
        (lambda board: board.update(schemaVersion="39"), ".schemaVersion: '39' is not <class 'int'>"),
        (lambda board: board["templating"]["list"][1].update(hide=9), ".templating.list[1].hide: 9"),
        (lambda board: board["panels"][0].update(gridPos={"x": "left"}), ".panels[0].gridPos.x: 'left'"),
        (
            lambda board: board["panels"][0]["options"].update(textMode="loud"),
            ".panels[0].options.textMode: 'loud'",
        ),
        (
            lambda board: board["panels"][0]["options"].update(colour="value"),
            ".panels[0].options.colour: not known to Options",
        ),
        (
            lambda board: board["panels"][7]["fieldConfig"]["defaults"]["custom"].update(lines=1),
            ".panels[7].fieldConfig.defaults.custom.lines: not known",
        ),
        (
            lambda board: board["panels"][7]["fieldConfig"]["defaults"]["custom"].update(drawStyle="steps"),
            ".panels[7].fieldConfig.defaults.custom.drawStyle: 'steps'",
        ),
    ],
)
def test_a_dashboard_that_is_not_is_found_out(spoil: Callable[[Any], None], complaint: str) -> None:
    board = copy.deepcopy(dashboard(HOME / "dashboards/labelling-pipeline.json"))
    spoil(board)

    (found,) = misfits(board, Dashboard)
    assert found.startswith(complaint)


@on_every_dashboard
def test_no_two_panels_overlap_or_have_the_same_number(path: Path) -> None:
    board = dashboard(path)
    numbers = [panel["id"] for panel in panels(board)]

    assert len(numbers) == len(set(numbers))
    assert [(a["title"], b["title"]) for a, b in combinations(panels(board), 2) if _overlap(a, b)] == []
    assert [one["title"] for one in panels(board) if one["gridPos"]["x"] + one["gridPos"]["w"] > 24] == []


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    return bool(
        a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    )


@on_every_dashboard
def test_every_panel_says_what_it_shows_and_asks_the_chosen_database(path: Path) -> None:
    drawn = [panel for panel in panels(dashboard(path)) if panel["type"] != "row"]

    assert [panel["title"] for panel in drawn if not panel["description"].endswith(".")] == []
    asked = {
        json.dumps(source)
        for panel in drawn
        for source in (panel["datasource"], panel["targets"][0]["datasource"])
    }
    assert asked == {json.dumps({"type": "grafana-postgresql-datasource", "uid": "${datasource}"})}
    assert variables(dashboard(path))["datasource"]["current"]["value"] == "batchledger"


@on_every_dashboard
def test_a_dashboard_opens_on_the_first_workspace_and_all_of_its_projects(path: Path) -> None:
    workspace, project = (variables(dashboard(path))[name] for name in ("workspace", "project"))

    # With no choice of ours and no All of its own, Grafana chooses the first that the query offers.
    assert (workspace["includeAll"], workspace["current"]) == (False, {})
    assert (project["includeAll"], project["current"]["value"]) == (True, ALL)


def test_links_between_dashboards_lead_somewhere() -> None:
    boards = {board["uid"]: board for board in map(dashboard, DASHBOARDS)}
    linked = {link["url"].removeprefix("/d/") for board in boards.values() for link in board["links"]}

    assert linked == boards.keys()


# Provisioning, after the Go types of Grafana's configuration readers


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """What Grafana reads leniently and we do not."""


class _Source(_Strict):
    name: str
    uid: str
    type: Literal["grafana-postgresql-datasource"]
    access: Literal["proxy"]
    url: str
    user: str
    editable: bool
    jsonData: dict[str, str | int | bool]  # noqa: N815 - Grafana's name.
    secureJsonData: dict[str, str]  # noqa: N815 - The same.


class _Sources(_Strict):
    apiVersion: Literal[1]  # noqa: N815 - The same.
    datasources: list[_Source]


class _Provider(_Strict):
    name: str
    folder: str
    folderUid: str  # noqa: N815 - The same.
    type: Literal["file"]
    disableDeletion: bool  # noqa: N815 - The same.
    allowUiUpdates: bool  # noqa: N815 - The same.
    updateIntervalSeconds: int  # noqa: N815 - The same.
    options: dict[Literal["path"], str]


class _Providers(_Strict):
    apiVersion: Literal[1]  # noqa: N815 - The same.
    providers: list[_Provider]


class _Rule(_Strict, rename={"wait": "for"}):
    uid: str
    title: str
    condition: str
    wait: str
    noDataState: Literal["OK", "NoData", "Alerting"]  # noqa: N815 - The same.
    execErrState: Literal["OK", "Error", "Alerting"]  # noqa: N815 - The same.
    dashboardUid: str  # noqa: N815 - The same.
    panelId: int  # noqa: N815 - The same.
    labels: dict[str, str]
    annotations: dict[str, str]
    data: list[dict[str, Any]]


class _Group(_Strict):
    orgId: int  # noqa: N815 - The same.
    name: str
    folder: str
    interval: str
    rules: list[_Rule]


class _Alerts(_Strict):
    apiVersion: Literal[1]  # noqa: N815 - The same.
    groups: list[_Group]


@pytest.mark.parametrize(("path", "kind"), [(SOURCES, _Sources), (PROVIDERS, _Providers), (ALERTS, _Alerts)])
def test_a_file_of_provisioning_has_what_grafana_reads_and_nothing_else(path: Path, kind: type) -> None:
    assert msgspec.convert(provisioned(path), kind)


def test_an_alert_asks_and_compares_as_the_published_kind_says() -> None:
    steps = [step for rule in rules() for step in rule["data"]]

    assert [found for step in steps for found in misfits(step, Query)] == []
    assert {step["datasourceUid"] for step in steps} == {"batchledger", "__expr__"}


def test_every_alert_has_a_name_of_its_own_a_severity_and_a_condition_among_its_steps() -> None:
    assert len({rule["uid"] for rule in rules()}) == len({rule["title"] for rule in rules()}) == len(rules())
    for rule in rules():
        steps = {step["refId"]: step["model"] for step in rule["data"]}
        assert rule["labels"].keys() == {"severity"}
        assert steps[rule["condition"]]["expression"] in steps.keys() - {rule["condition"]}
        assert [name for name, model in steps.items() if model["refId"] != name] == []


def test_every_alert_leads_to_the_panel_that_shows_it() -> None:
    boards = {board["uid"]: board for board in map(dashboard, DASHBOARDS)}
    led_to = {
        rule["title"]: [
            panel["title"]
            for panel in panels(boards[rule["dashboardUid"]])
            if panel["id"] == rule["panelId"] and panel["type"] != "row"
        ]
        for rule in rules()
    }

    assert led_to == {
        "Numbers are older than promised": ["Freshness"],
        "A project was never read": ["Freshness"],
        "What is told of jobs is older than promised": ["Freshness"],
        "A project fails": ["What failed or was not believed"],
        "An answer is not believed": ["What failed or was not believed"],
        "The jobs of a project fail": ["What failed or was not believed"],
        "An answer about jobs is not believed": ["What failed or was not believed"],
        "No run": ["Runs"],
        "The books do not balance": ["Broken invariants"],
    }


def test_the_folder_and_the_source_are_the_same_wherever_they_are_named() -> None:
    (source,) = provisioned(SOURCES)["datasources"]
    (provider,) = provisioned(PROVIDERS)["providers"]

    assert source["uid"] == "batchledger"
    assert {group["folder"] for group in provisioned(ALERTS)["groups"]} == {provider["folder"]}
    assert provider["options"]["path"] in HOW_TO.read_text("utf-8")


def test_every_variable_of_the_environment_is_documented_and_alone_holds_what_is_secret() -> None:
    (source,) = provisioned(SOURCES)["datasources"]
    named = {
        name
        for path in (SOURCES, PROVIDERS, ALERTS)
        for name in re.findall(r"\$\{(\w+)\}", path.read_text("utf-8"))
    }

    assert re.fullmatch(r"\$\{\w+\}", source["secureJsonData"]["password"])
    assert [name for name in named if f"`{name}`" not in HOW_TO.read_text("utf-8")] == []
