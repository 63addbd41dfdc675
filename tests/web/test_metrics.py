"""What Prometheus is told: by its conventions, and as the ledger says."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psutil
import psycopg
import pytest
import requests
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from etl.commands.queries import reading
from etl.records import Moves, Observation, Slug, Verdict
from etl.report import JobsReport, ProjectReport, RunReport
from etl.selection import Promise
from etl.settings import DatabaseSettings
from etl.simulator import Fault, World
from etl.web.metrics import WITHIN_S, LedgerMetrics, RunMetrics, registry
from etl.web.reader import Reader
from etl.web.site import Scheduler
from etl.web.standing import standing
from tests.logins import as_owner, as_reader
from tests.worlds import FakeClock, WorldSource, a_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

    from etl.store import PostgresLedger
    from tests.web.conftest import Pages

NOW: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
UNITS: Final = {"seconds", "images", "projects"}
YES_OR_NO: Final = ("_kept", "_up", "_info")


class Scene:
    """A ledger of two projects with jobs, an hour between runs; a sixth one is as of now."""

    def __init__(self, uri: str, ledger: PostgresLedger) -> None:
        self.ledger = ledger
        self.clock = FakeClock(datetime.now(UTC) - timedelta(hours=6, minutes=10))
        world = World.seeded(3, projects=2, batches_per_project=3, start=self.clock.at - timedelta(days=9))
        for name in ("acme/cars", "acme/drones"):
            batch = world.project(name).upload(images=9, at=self.clock.at)
            world.project(name).assign(batch.id, images=4, at=self.clock.at)
        self.source = WorldSource(world, self.clock)
        self._metrics = CollectorRegistry()
        self._metrics.register(LedgerMetrics(Reader(as_reader(uri), DatabaseSettings())))

    def run(self, **options: Any) -> None:
        self.clock.move(hours=1)
        a_run(self.ledger, [self.source], self.clock, promise=Promise(3 * 3600), **options)

    def skip(self, project: str) -> None:
        """Have another run of now skip a project, as if somebody else held it."""
        at = self.clock.move(minutes=1)
        known = self.ledger.projects()[Slug("acme", project)].project_id
        skipped = Observation(
            project_id=known, verdict=Verdict.SKIPPED, rule="held", started_at=at, observed_at=at
        )
        self.ledger.record(self.ledger.begin_run(trigger="sync", started_at=at), [skipped])

    def told(self, metric: str) -> dict[Mapping[str, str] | tuple[str, ...], float]:
        return values(of_run(self._metrics)[metric])


@pytest.fixture
def scene(database: str, ledger: PostgresLedger) -> Scene:
    return Scene(database, ledger)


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
        "batchledger_project_promise_kept": (
            "SELECT project, workspace, is_kept::integer FROM analytics.freshness"
        ),
        "batchledger_project_jobs_promise_kept": (
            "SELECT project, workspace, is_jobs_kept::integer FROM analytics.freshness"
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


def test_projects_are_counted_by_how_the_last_attempts_at_them_ended(pages: Pages) -> None:
    found = measured(pages)

    for metric, column in {
        "batchledger_projects_by_verdict": "last_verdict",
        "batchledger_projects_by_jobs_verdict": "CASE WHEN last_verdict <> 'failed' THEN jobs_verdict END",
    }.items():
        told = pages.ask(f"SELECT {column}, count(*) FROM analytics.project WHERE is_tracked GROUP BY 1")
        assert {name: count for name, count in values(found[metric]).items() if count} == {
            (verdict,): count for verdict, count in told if verdict
        }
    assert values(found["batchledger_projects_by_verdict"])[("failed",)] == 1
    assert values(found["batchledger_projects_by_verdict"])[("suspect",)] == 1


def test_a_project_that_fails_does_so_whatever_is_read_or_skipped_after_it(scene: Scene) -> None:
    scene.source.faults.add(Fault.status(500), path="/acme/cars/batches")
    scene.run()
    assert scene.told("batchledger_projects_by_verdict")[("failed",)] == 1

    scene.run(only=(Slug("acme", "drones"),))
    assert scene.told("batchledger_last_run_projects")[("failed",)] == 0
    assert scene.told("batchledger_projects_by_verdict")[("failed",)] == 1

    scene.skip("cars")
    assert scene.told("batchledger_last_run_projects").keys() == {(verdict.value,) for verdict in Verdict}
    assert ("skipped",) not in scene.told("batchledger_projects_by_verdict")
    assert ("skipped",) not in scene.told("batchledger_projects_by_jobs_verdict")
    assert scene.told("batchledger_projects_by_verdict")[("failed",)] == 1


def test_jobs_that_could_not_be_read_are_told_while_the_batches_are_trusted(scene: Scene) -> None:
    scene.source.faults.add(Fault.status(500), path="/acme/cars/jobs")
    scene.run()

    assert scene.told("batchledger_projects_by_verdict")[("failed",)] == 0
    assert scene.told("batchledger_projects_by_jobs_verdict")[("failed",)] == 1


@pytest.mark.parametrize(
    ("fault", "verdict"), [(Fault.status(500), "failed"), (Fault.literal('{"jobs": []}'), "suspect")]
)
def test_jobs_are_not_told_of_while_the_batches_fail_and_nobody_asks_for_them(
    scene: Scene, fault: Fault, verdict: str
) -> None:
    scene.run()
    scene.source.faults.add(fault, path="/acme/cars/jobs")
    scene.run()
    assert scene.told("batchledger_projects_by_jobs_verdict")[(verdict,)] == 1

    scene.source.faults.add(Fault.status(500), path="/acme/cars/batches")
    scene.run()
    assert scene.told("batchledger_projects_by_verdict")[("failed",)] == 1
    assert sum(scene.told("batchledger_projects_by_jobs_verdict").values()) == 1
    assert scene.told("batchledger_projects_by_jobs_verdict")[(verdict,)] == 0


def test_where_no_thread_can_be_started_the_ledger_is_told_to_be_unreadable_and_later_read(
    database: str,
) -> None:
    """In a process of its own, and a thread takes room of its own for its stack: more than there may be."""
    script = """
import resource, sys, threading
from prometheus_client import CollectorRegistry, generate_latest
from etl.settings import DatabaseSettings
from etl.web.metrics import LedgerMetrics
from etl.web.reader import Reader

metrics = CollectorRegistry()
metrics.register(LedgerMetrics(Reader(sys.argv[1], DatabaseSettings())))
limits = resource.getrlimit(resource.RLIMIT_AS)
threading.stack_size(1 << 30)
with open("/proc/self/statm") as pages:
    used = int(pages.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 29), limits[1]))
told = [generate_latest(metrics).decode()]
threading.stack_size(0)
resource.setrlimit(resource.RLIMIT_AS, limits)
told.append(generate_latest(metrics).decode())
print([text.split("\\nbatchledger_ledger_up ")[1][:3] for text in told])
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, as_reader(database)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.splitlines()[-1:] == ["['0.0', '1.0']"], ran.stdout + ran.stderr
    assert "NoThreadError" in ran.stdout + ran.stderr


def test_a_database_that_does_not_answer_is_told_of_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/ledger?connect_timeout=60"
        assert_told_in_time(uri)


def test_a_ledger_that_somebody_holds_is_told_of_in_time(database: str) -> None:
    with psycopg.connect(as_owner(database)) as holder:
        holder.execute("LOCK TABLE ledger.project")
        assert_told_in_time(as_reader(database))
    assert up_of(as_reader(database)) == 1


def assert_told_in_time(uri: str) -> None:
    began_at = time.monotonic()
    assert up_of(uri) == 0
    # After ten seconds Prometheus gives up.
    assert WITHIN_S <= time.monotonic() - began_at < 10


def up_of(uri: str) -> float:
    metrics = CollectorRegistry()
    metrics.register(LedgerMetrics(Reader(uri, DatabaseSettings())))
    return values(of_run(metrics)["batchledger_ledger_up"])[()]


def test_after_a_pause_a_promise_is_kept_though_the_numbers_are_old(scene: Scene) -> None:
    name = ("cars", "acme")
    scene.run()
    for _ in range(4):
        scene.run(projects=["acme/drones"])
    assert name not in scene.told("batchledger_project_promise_kept")

    scene.source.faults.add(Fault.status(500), path="/acme/cars/batches")
    scene.run()
    age_s = time.time() - scene.told("batchledger_project_last_success_timestamp_seconds")[name]
    assert age_s > scene.told("batchledger_project_max_age_seconds")[name]
    assert scene.told("batchledger_project_promise_kept")[name] == 1
    assert scene.told("batchledger_project_jobs_promise_kept")[name] == 1


def test_a_promise_of_jobs_may_be_broken_alone(scene: Scene) -> None:
    scene.run()
    for _ in range(4):
        scene.source.faults.add(Fault.status(500), path="/acme/cars/jobs")
        scene.run()

    assert set(scene.told("batchledger_project_promise_kept").values()) == {1}
    assert scene.told("batchledger_project_jobs_promise_kept") == {("cars", "acme"): 0, ("drones", "acme"): 1}


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
            assert has_unit(family), family.name


def has_unit(family: Metric) -> bool:
    """Say whether the name has the unit as a word of its own, or ends as what is but true or false does."""
    if family.name.endswith(YES_OR_NO):
        return {sample.value for sample in family.samples} <= {0, 1}
    return not UNITS.isdisjoint(family.name.split("_"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batchledger_project_backlog", 17),
        ("batchledger_project_kept", 17),
        ("batchledger_scheduler_up", 0.5),
        ("batchledger_by_verdict", 1),
        ("batchledger_omitted", 1),
    ],
)
def test_a_name_without_a_unit_is_found_out(name: str, value: float) -> None:
    assert not has_unit(GaugeMetricFamily(name, "What it tells.", value))


def test_a_run_is_counted_by_what_it_did() -> None:
    metrics = registry()
    counted = RunMetrics(metrics)
    projects = (
        ProjectReport(
            slug=Slug("acme", "cars"),
            verdict=Verdict.CHANGED,
            moves=Moves(entered=2, left=1),
            requests=3,
            jobs=JobsReport(verdict=Verdict.CHANGED, moves=Moves(entered=4, changed=1)),
        ),
        ProjectReport(
            slug=Slug("acme", "boats"),
            verdict=Verdict.UNCHANGED,
            requests=2,
            jobs=JobsReport(verdict=Verdict.SUSPECT, moves=Moves(changed=2)),
        ),
        ProjectReport(slug=Slug("acme", "drones"), verdict=Verdict.FAILED, requests=4),
    )
    counted.began(2.5)
    counted.retried()
    counted.ended(a_report(projects=projects, listing_requests=2))
    found = of_run(metrics)

    verdicts = values(found["batchledger_observations"])
    assert verdicts[("changed",)] == verdicts[("unchanged",)] == verdicts[("failed",)] == 1
    assert verdicts[("suspect",)] == verdicts[("skipped",)] == 0
    jobs = values(found["batchledger_jobs_readings"])
    assert jobs == {("changed",): 1, ("unchanged",): 0, ("suspect",): 1, ("failed",): 0}
    assert values(found["batchledger_http_requests"])[()] == 11
    assert values(found["batchledger_http_retries"])[()] == 1
    assert values(found["batchledger_rows_written"]) == {
        ("batch_change",): 3,
        ("job_change",): 7,
        ("observation",): 3,
    }
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


def test_a_process_tells_of_itself_where_nothing_but_processes_can_be_seen(tmp_path: Path) -> None:
    """As under systemd with ProcSubset=pid."""
    (tmp_path / "self").symlink_to("/proc/self")
    process = psutil.Process()

    told = of_run(registry(str(tmp_path)))
    started_at = told["process_start_time_seconds"].samples[0].value
    assert started_at == pytest.approx(process.create_time(), abs=2)
    assert told["process_resident_memory_bytes"].samples[0].value > 1_000_000
    assert {"process_cpu_seconds", "process_open_fds"} <= told.keys()


def test_only_so_many_projects_have_series_of_their_own(pages: Pages) -> None:
    with reading(as_reader(pages.uri)) as connection:
        found = standing(connection, limit=2)

    assert (found.total, [project.project for project in found.projects]) == (3, ["cars", "drones"])
