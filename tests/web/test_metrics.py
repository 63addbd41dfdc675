"""What Prometheus is told: by its conventions, and as the ledger says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest
import requests
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from etl.commands.queries import reading
from etl.records import Moves, Slug, Verdict
from etl.report import ProjectReport, RunReport
from etl.web.metrics import RunMetrics, registry
from etl.web.reads import standing
from etl.web.site import Scheduler
from tests.logins import as_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from tests.web.conftest import Pages

NOW: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
UNITS: Final = ("seconds", "bytes", "images", "projects", "info", "up", "total", "omitted")


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def measured(pages: Pages) -> dict[str, Metric]:
    return families(requests.get(f"{pages.url}metrics", timeout=30).text)


def of_run(metrics: CollectorRegistry) -> dict[str, Metric]:
    return families(generate_latest(metrics).decode())


def values(family: Metric) -> dict[Mapping[str, str] | tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def a_report(**fields: object) -> RunReport:
    chosen = {"run_id": 1, "started_at": NOW, "ended_at": NOW + timedelta(seconds=7), "outcome": "partial"}
    return RunReport(**{**chosen, "projects": (), **fields})  # type: ignore[arg-type]


def test_the_ages_and_promises_of_projects_are_those_of_the_ledger(pages: Pages) -> None:
    found = measured(pages)

    for metric, query in {
        "batchledger_project_last_success_timestamp_seconds": (
            "SELECT project, workspace, extract(EPOCH FROM last_observed_at) FROM analytics.project"
        ),
        "batchledger_project_jobs_last_success_timestamp_seconds": (
            "SELECT project, workspace, extract(EPOCH FROM jobs_observed_at) FROM analytics.freshness "
            "WHERE jobs_verdict IS NOT NULL"
        ),
        "batchledger_project_max_age_seconds": (
            "SELECT project, workspace, max_age_s FROM analytics.freshness"
        ),
        "batchledger_project_backlog_images": "SELECT project, workspace, images FROM analytics.project",
    }.items():
        told = pages.ask(query)
        assert len(told) == 3
        assert values(found[metric]) == pytest.approx({(p, w): float(value) for p, w, value in told})


def test_the_last_run_is_that_of_the_ledger(pages: Pages) -> None:
    found = measured(pages)
    ((ended_at, *verdicts),) = pages.ask(
        "SELECT extract(EPOCH FROM ended_at), changed, unchanged, suspect, failed, skipped "
        "FROM analytics.run ORDER BY run_id DESC LIMIT 1"
    )

    assert found["batchledger_last_run_timestamp_seconds"].samples[0].value == pytest.approx(float(ended_at))
    names = ("changed", "unchanged", "suspect", "failed", "skipped")
    assert values(found["batchledger_last_run_projects"]) == {
        (name,): value for name, value in zip(names, verdicts, strict=True)
    }


def test_names_follow_the_conventions_of_prometheus(pages: Pages) -> None:
    metrics = registry()
    RunMetrics(metrics).follow(Scheduler(lambda: True, lambda: NOW))
    ours = [
        family
        for family in (*measured(pages).values(), *of_run(metrics).values())
        if family.name.startswith("batchledger_")
    ]

    assert len(ours) > 15
    for family in ours:
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert {sample.name for sample in family.samples} == {f"{family.name}_total"}
        else:
            assert family.name.endswith(UNITS), family.name


def test_a_run_is_counted_by_what_it_did() -> None:
    metrics = registry()
    counted = RunMetrics(metrics)
    projects = (
        ProjectReport(
            slug=Slug("acme", "cars"), verdict=Verdict.CHANGED, moves=Moves(entered=2, left=1), requests=3
        ),
        ProjectReport(slug=Slug("acme", "drones"), verdict=Verdict.FAILED, requests=4),
    )
    counted.began(2.5)
    counted.retried()
    counted.ended(a_report(projects=projects, listing_requests=2))
    found = of_run(metrics)

    verdicts = values(found["batchledger_observations"])
    assert verdicts[("changed",)] == verdicts[("failed",)] == 1
    assert verdicts[("unchanged",)] == verdicts[("suspect",)] == verdicts[("skipped",)] == 0
    assert values(found["batchledger_http_requests"])[()] == 9
    assert values(found["batchledger_http_retries"])[()] == 1
    assert values(found["batchledger_rows_written"]) == {("batch_change",): 3, ("observation",): 2}
    assert found["batchledger_scheduler_lag_seconds"].samples[0].value == 2.5
    sums = {
        sample.labels["outcome"]: sample.value
        for sample in found["batchledger_run_duration_seconds"].samples
        if sample.name.endswith("_sum")
    }
    assert sums == {"completed": 0, "partial": 7, "stopped": 0, "deadline": 0}


def test_a_run_that_comes_to_nothing_is_counted_as_well() -> None:
    metrics = registry()
    counted = RunMetrics(metrics)
    with pytest.raises(KeyError), counted.counting_failures():
        raise KeyError

    assert values(of_run(metrics)["batchledger_run_failures"])[()] == 1


def test_only_so_many_projects_have_series_of_their_own(pages: Pages) -> None:
    with reading(as_reader(pages.uri)) as connection:
        found = standing(connection, limit=2)

    assert (found.total, [project.project for project in found.projects]) == (3, ["cars", "drones"])
