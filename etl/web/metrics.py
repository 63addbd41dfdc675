"""What Prometheus is told, by its conventions: what this process did, and how the ledger stands."""

from __future__ import annotations

import platform
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from etl import __version__
from etl.errors import BatchledgerError
from etl.records import Verdict
from etl.web.patience import NoThreadError, Patience
from etl.web.standing import Standing, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from etl.report import RunReport
    from etl.web.reader import Reader
    from etl.web.site import Scheduler

_log: Final = structlog.get_logger(__name__)

MOST_PROJECTS: Final = 1000
"""Projects with series of their own, the first by name; how many there are beyond is told by a number."""

WITHIN_S: Final = 5.0
"""Longest wait for the ledger. Prometheus gives up after ten seconds, and then learns nothing at all."""

_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200)
_OUTCOMES: Final = ("completed", "partial", "stopped", "deadline")
_PROJECT: Final = ("workspace", "project")
_ATTEMPTS: Final = tuple(verdict for verdict in Verdict if verdict is not Verdict.SKIPPED)
"""How an attempt may end: who skips a project has not tried it."""


def registry(proc: str = "/proc") -> CollectorRegistry:
    """
    Make a registry that knows the process and what was built.

    Args:
        proc: Where the kernel tells of processes.
    """
    # Since when a counter counts is the same for all of them: process_start_time_seconds.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    made = CollectorRegistry()
    _Process(proc=proc, registry=made)
    GCCollector(registry=made)
    build = Info("batchledger_build", "What is running.", registry=made)
    build.info({"version": __version__, "python": platform.python_version()})
    return made


class _Process(ProcessCollector):
    """
    Tells of the process also where /proc has nothing but processes, as in a unit with ProcSubset=pid.

    When the host was started, from which the start of a process is reckoned, is asked of a clock.
    """

    def _boot_time(self) -> float:
        clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
        if clock is None:
            raise OSError("no Linux, which has no /proc to tell of processes either")
        return time.time() - time.clock_gettime(clock)


class RunMetrics:
    """
    What the runs of this process did. Safe to call from several threads.

    Args:
        registry: Where it is told.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._durations = Histogram(
            "batchledger_run_duration_seconds",
            "Time from the start of a run to its end.",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._verdicts = Counter(
            "batchledger_observations", "Readings of projects, by verdict.", ["verdict"], registry=registry
        )
        self._jobs_verdicts = Counter(
            "batchledger_jobs_readings",
            "Readings of the annotation jobs of projects, by verdict.",
            ["verdict"],
            registry=registry,
        )
        self._requests = Counter(
            "batchledger_http_requests", "HTTP requests sent, repeated ones included.", registry=registry
        )
        self._retries = Counter(
            "batchledger_http_retries", "HTTP requests that were repeated.", registry=registry
        )
        self._rows = Counter(
            "batchledger_rows_written", "Rows appended to the ledger, by table.", ["table"], registry=registry
        )
        self._failures = Counter(
            "batchledger_run_failures",
            "Runs that could not be made or ended by an error, such as a database that is away.",
            registry=registry,
        )
        self._lag = Gauge(
            "batchledger_scheduler_lag_seconds",
            "How long after its time the last run began.",
            registry=registry,
        )
        self._show_all()

    def _show_all(self) -> None:
        """Begin every series with nothing, so that the first of its kind is seen as an increase."""
        for outcome in _OUTCOMES:
            self._durations.labels(outcome)
        for verdict in Verdict:
            self._verdicts.labels(verdict.value)
        # Jobs that were not asked for were not read, and so are skipped by nobody.
        for verdict in _ATTEMPTS:
            self._jobs_verdicts.labels(verdict.value)
        for table in ("batch_change", "job_change", "observation"):
            self._rows.labels(table)

    def began(self, lag_s: float) -> None:
        """Note that a run begins, so long after its time."""
        self._lag.set(lag_s)

    def retried(self) -> None:
        """Note that a request is repeated."""
        self._retries.inc()

    @contextmanager
    def counting_failures(self) -> Iterator[None]:
        """Note it if what is done in the block ends by an error."""
        with self._failures.count_exceptions():
            yield

    def ended(self, report: RunReport) -> None:
        """Note what a run did."""
        seconds = (report.ended_at - report.started_at).total_seconds()
        self._durations.labels(report.outcome).observe(seconds)
        for verdict, count in report.verdicts.items():
            self._verdicts.labels(verdict.value).inc(count)
        self._requests.inc(report.requests)
        self._rows.labels("observation").inc(len(report.projects))
        self._rows.labels("batch_change").inc(report.moves.count)
        for jobs in (project.jobs for project in report.projects if project.jobs):
            self._jobs_verdicts.labels(jobs.verdict.value).inc()
            self._rows.labels("job_change").inc(jobs.moves.count)

    def follow(self, scheduler: Scheduler) -> None:
        """Tell from now on how the scheduler of these runs is."""
        going = Gauge(
            "batchledger_scheduler_up", "Whether the scheduler takes its turns.", registry=self.registry
        )
        going.set_function(lambda: float(scheduler.is_going()))
        following = Gauge(
            "batchledger_scheduler_next_run_timestamp_seconds",
            "When the next run is due.",
            registry=self.registry,
        )
        following.set_function(lambda: scheduler.next_tick_at().timestamp())


class LedgerMetrics(Collector):
    """
    How the ledger stands, read when it is asked for, whoever makes the runs.

    Args:
        reader: Lends connections.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._found = Patience(self._read, WITHIN_S)

    def collect(self) -> Iterator[Metric]:
        """Read it; where it cannot be read, say only that."""
        found = self._found_in_time()
        yield GaugeMetricFamily(
            "batchledger_ledger_up",
            f"Whether the ledger can be read within {WITHIN_S:g} seconds.",
            float(found is not None),
        )
        if found is not None:
            yield from _projects(found)
            yield from _verdicts(found)
            yield from _last_run(found)

    def describe(self) -> list[Metric]:
        """Say nothing yet: to be registered is no reason to read."""
        return []

    def _found_in_time(self) -> Standing | None:
        try:
            return self._found()
        except (BatchledgerError, SQLAlchemyError, TimeoutError, NoThreadError) as error:
            _log.warning("metrics of the ledger cannot be read", error=type(error).__name__)
            return None

    def _read(self) -> Standing:
        with self._reader() as connection:
            return standing(connection, limit=MOST_PROJECTS)


def _projects(found: Standing) -> Iterator[Metric]:
    success = GaugeMetricFamily(
        "batchledger_project_last_success_timestamp_seconds",
        "Last trusted observation of a followed project; absent before the first one.",
        labels=_PROJECT,
    )
    jobs = GaugeMetricFamily(
        "batchledger_project_jobs_last_success_timestamp_seconds",
        "Last trusted reading of the annotation jobs of a followed project, 0 before the first one; absent "
        "where they are not to be read.",
        labels=_PROJECT,
    )
    promise = GaugeMetricFamily(
        "batchledger_project_max_age_seconds",
        "The age that is promised of a project's numbers; absent where nothing is.",
        labels=_PROJECT,
    )
    kept = GaugeMetricFamily(
        "batchledger_project_promise_kept",
        "Whether they are as fresh as promised, not counting what was paused; absent where nothing is.",
        labels=_PROJECT,
    )
    jobs_kept = GaugeMetricFamily(
        "batchledger_project_jobs_promise_kept",
        "The same of what is told of annotation jobs; absent where they are not to be read.",
        labels=_PROJECT,
    )
    backlog = GaugeMetricFamily(
        "batchledger_project_backlog_images", "Images not yet assigned to a job.", labels=_PROJECT
    )
    for project in found.projects:
        name = (project.workspace, project.project)
        if project.last_observed_at is not None:
            success.add_metric(name, project.last_observed_at.timestamp())
        if project.jobs_verdict is not None:
            jobs.add_metric(name, project.jobs_observed_at.timestamp() if project.jobs_observed_at else 0)
        if project.max_age_s is not None:
            promise.add_metric(name, project.max_age_s)
        if project.is_kept is not None:
            kept.add_metric(name, project.is_kept)
        if project.is_jobs_kept is not None:
            jobs_kept.add_metric(name, project.is_jobs_kept)
        backlog.add_metric(name, project.images)
    yield from (success, jobs, promise, kept, jobs_kept, backlog)
    yield GaugeMetricFamily("batchledger_projects", "Projects that are followed.", found.total)
    yield GaugeMetricFamily(
        "batchledger_projects_omitted",
        f"Followed projects without series of their own: only the first {MOST_PROJECTS} by name have them.",
        found.total - len(found.projects),
    )


def _verdicts(found: Standing) -> Iterator[Metric]:
    yield _by_verdict(
        "batchledger_projects_by_verdict",
        "Followed projects, by how the last attempt to read each ended, in whichever run; a turn that was "
        "skipped is none.",
        found.verdicts,
        _ATTEMPTS,
    )
    yield _by_verdict(
        "batchledger_projects_by_jobs_verdict",
        "Followed projects, by how the last reading of the annotation jobs of each ended; without those at "
        "which the last attempt failed, because then their jobs are not asked for.",
        found.jobs_verdicts,
        _ATTEMPTS,
    )


def _by_verdict(
    name: str, documentation: str, counts: Mapping[str, int], verdicts: Iterable[Verdict]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=("verdict",))
    for verdict in verdicts:
        family.add_metric((verdict.value,), counts.get(verdict.value, 0))
    return family


def _last_run(found: Standing) -> Iterator[Metric]:
    run = found.last_run
    if run is None:
        return
    yield GaugeMetricFamily(
        "batchledger_last_run_timestamp_seconds",
        "When the latest run that ended did so, on whatever host.",
        run.ended_at.timestamp(),
    )
    yield GaugeMetricFamily(
        "batchledger_last_run_duration_seconds",
        "How long it took.",
        (run.ended_at - run.started_at).total_seconds(),
    )
    counts = msgspec.structs.asdict(run)
    yield _by_verdict("batchledger_last_run_projects", "Projects that it read, by verdict.", counts, Verdict)
