"""The bundle for Superset fits the views, as far as it can be told without Superset."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest

from benchmarks.superset import asked
from tests.logins import as_reader
from tests.superset import charts_of, documents, refreshed

if TYPE_CHECKING:
    from collections.abc import Iterator

CHARTS: Final = documents("charts")
DATASETS: Final = documents("datasets")
DASHBOARDS: Final = documents("dashboards")
BY_ID: Final = {dataset["uuid"]: dataset for dataset in DATASETS.values()}
_COLUMNS: Final = 12
"""How wide the grid of a dashboard is."""
_SCOPES: Final = ["workspace", "project_path"]


@pytest.fixture
def reader(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(as_reader(database)) as connection:
        yield connection


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_has_the_columns_and_comments_of_its_view(name: str, reader: psycopg.Connection) -> None:
    """If not: DATABASE_URL=... python -m tests.superset."""
    assert DATASETS[name] == refreshed(DATASETS[name], reader)


@pytest.mark.parametrize("name", DATASETS)
def test_what_a_dataset_computes_can_be_asked_by_a_reader(name: str, reader: psycopg.Connection) -> None:
    dataset = DATASETS[name]
    computed = [column["expression"] for column in dataset["columns"] if column["expression"]]
    for expressions in (computed, [metric["expression"] for metric in dataset["metrics"]]):
        asked = ", ".join(["1", *expressions])
        reader.execute(f"SELECT {asked} FROM analytics.{dataset['table_name']}".encode())


@pytest.mark.parametrize(
    ("is_kept", "is_jobs_kept", "promise"),
    [
        (True, True, "kept"),
        (True, None, "kept"),
        (True, False, "broken for jobs"),
        (False, True, "broken"),
        (False, False, "broken"),
        (False, None, "broken"),
        (None, None, None),
    ],
)
def test_a_project_is_late_with_its_batches_or_with_its_jobs_unless_it_is_paused(
    reader: psycopg.Connection, *, is_kept: bool | None, is_jobs_kept: bool | None, promise: str | None
) -> None:
    told = {"is_kept": is_kept, "is_jobs_kept": is_jobs_kept}
    late = _computed(reader, "freshness", "late", told)
    assert late == (promise in ("broken", "broken for jobs"))
    assert _computed(reader, "freshness", "promise", told) == promise


@pytest.mark.parametrize(
    ("last_verdict", "jobs_verdict", "is_trusted"),
    [
        ("changed", "unchanged", True),
        ("unchanged", None, True),
        ("failed", None, False),
        ("suspect", "changed", False),
        ("changed", "failed", False),
        ("unchanged", "suspect", False),
    ],
)
def test_a_project_is_not_trusted_for_its_batches_or_for_its_jobs_unless_it_is_paused(
    reader: psycopg.Connection, *, last_verdict: str, jobs_verdict: str | None, is_trusted: bool
) -> None:
    told = {"last_verdict": last_verdict, "jobs_verdict": jobs_verdict}
    assert _computed(reader, "project", "untrusted", {**told, "is_tracked": True}) == (not is_trusted)
    assert _computed(reader, "project", "untrusted", {**told, "is_tracked": False}) == 0


@pytest.mark.parametrize(
    ("is_tracked", "age_s", "hours"), [(True, 7200.0, 2), (False, 7200.0, None), (True, None, 5)]
)
def test_numbers_grow_old_while_somebody_asks_for_them_and_also_before_there_are_any(
    reader: psycopg.Connection, *, is_tracked: bool, age_s: float | None, hours: int | None
) -> None:
    told = {"is_tracked": is_tracked, "age_s": age_s, "first_seen_at": datetime.now(UTC) - timedelta(hours=5)}
    found = _computed(reader, "project", "oldest_age_h", told)
    assert found is None if hours is None else float(found) == pytest.approx(hours, abs=0.1)


def _computed(reader: psycopg.Connection, name: str, what: str, told: dict[str, Any]) -> Any:
    """Compute a metric or a column of a dataset for one row."""
    types = {column["column_name"]: column["type"] for column in DATASETS[name]["columns"]}
    kinds = (("metrics", "metric_name"), ("columns", "column_name"))
    expressions = {one[key]: one["expression"] for kind, key in kinds for one in DATASETS[name][kind]}
    row = ", ".join(f"%({column})s::{types[column]} AS {column}" for column in told)
    query = f"SELECT {expressions[what]} FROM (SELECT {row}) AS {name}"
    (value,) = reader.execute(query.encode(), told).fetchone() or (None,)
    return value


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_asks_for_what_its_dataset_has(name: str) -> None:
    dataset = BY_ID[CHARTS[name]["dataset_uuid"]]
    columns = {column["column_name"] for column in dataset["columns"]}
    metrics = {metric["metric_name"] for metric in dataset["metrics"]}
    params = CHARTS[name]["params"]
    assert _named(params, "x_axis", "groupby", "groupby_b", "all_columns") <= columns
    assert _named(params, "metric", "metrics", "metrics_b") <= metrics
    assert {filter_["subject"] for filter_ in params["adhoc_filters"] if "subject" in filter_} <= columns


def _named(params: dict[str, Any], *keys: str) -> set[str]:
    values = (params[key] for key in keys if params.get(key))
    return {name for value in values for name in ([value] if isinstance(value, str) else value)}


def test_every_chart_is_on_a_dashboard() -> None:
    placed = {chart for dashboard in DASHBOARDS.values() for chart in charts_of(dashboard)}
    assert placed == {chart["uuid"] for chart in CHARTS.values()}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_charts_of_a_row_fill_it(name: str) -> None:
    position = DASHBOARDS[name]["position"]
    rows = [position[row]["children"] for row in position["GRID_ID"]["children"]]
    sizes = [[position[chart]["meta"] for chart in row] for row in rows]
    assert {sum(chart["width"] for chart in row) for row in sizes} == {_COLUMNS}
    assert {len({chart["height"] for chart in row}) for row in sizes} == {1}


def test_no_dashboard_asks_what_costs_all_of_the_ledger() -> None:
    """They load anew every five minutes; `batchledger verify` asks it."""
    assert "invariant_violation" not in {dataset["table_name"] for dataset in DATASETS.values()}


def test_every_dataset_is_that_of_a_chart() -> None:
    assert set(BY_ID) == {chart["dataset_uuid"] for chart in CHARTS.values()}


@pytest.mark.parametrize("choice", [{}, {"workspace": "acme"}, {"project": "acme/cars"}])
def test_the_benchmark_times_every_chart(choice: dict[str, str]) -> None:
    """If not: make dashboards."""
    names = {chart["uuid"]: chart["slice_name"] for chart in CHARTS.values()}
    placed = {
        f"{dashboard['dashboard_title']}: {names[chart]}"
        for dashboard in DASHBOARDS.values()
        for chart in charts_of(dashboard)
    }
    timed = {one.title.removesuffix(" (2)") for one in asked(choice, date(2026, 1, 1))}
    assert {title for title in timed if ": filter " not in title} == placed


@pytest.mark.parametrize(("chosen", "value"), [("workspace", "acme"), ("project", "acme/cars")])
def test_what_is_chosen_narrows_all_that_is_timed_but_the_runs(chosen: str, value: str) -> None:
    wide = [one.title for one in asked({chosen: value}, date(2026, 1, 1)) if f"IN ('{value}')" not in one.sql]
    assert wide == ["Freshness and trust: Last runs"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_projects_are_offered_of_the_workspace_that_is_chosen_and_charts_take_both(name: str) -> None:
    metadata = DASHBOARDS[name]["metadata"]
    workspace, project, _ = metadata["native_filter_configuration"]
    assert [one["targets"][0]["column"]["name"] for one in (workspace, project)] == _SCOPES
    assert (workspace["cascadeParentIds"], project["cascadeParentIds"]) == ([], [workspace["id"]])
    assert workspace["scope"] == project["scope"]
    items = DASHBOARDS[name]["position"].values()
    charts = [item["meta"] for item in items if isinstance(item, dict) and item["type"] == "CHART"]
    for chart in charts:
        has_place = set(_SCOPES) <= _columns_of(chart["uuid"])
        assert has_place == (chart["chartId"] not in workspace["scope"]["excluded"])


def _columns_of(uuid: str) -> set[str]:
    (chart,) = (chart for chart in CHARTS.values() if chart["uuid"] == uuid)
    return {column["column_name"] for column in BY_ID[chart["dataset_uuid"]]["columns"]}


def test_filters_ask_for_what_their_datasets_have() -> None:
    filters = [
        one for document in DASHBOARDS.values() for one in document["metadata"]["native_filter_configuration"]
    ]
    targets = [target for one in filters for target in one["targets"] if target]
    assert targets
    for target in targets:
        columns = BY_ID[target["datasetUuid"]]["columns"]
        assert target["column"]["name"] in {column["column_name"] for column in columns}


def test_the_bundle_reads_views_alone_and_holds_no_secret() -> None:
    assert {(dataset["schema"], dataset["sql"]) for dataset in DATASETS.values()} == {("analytics", None)}
    (database,) = documents("databases").values()
    address = urlsplit(database["sqlalchemy_uri"])
    assert (address.username, address.password, address.hostname) == ("dashboard", None, "localhost")
    assert not database["allow_dml"]
