"""A run: find the projects → claim them → observe each → report. Knows ports, no edges."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from etl.errors import StatementFailedError
from etl.guard import GuardRules
from etl.neighbours import Neighbours, of_jobs
from etl.observe import Observer
from etl.plan import Account, Plan, look_around, make_plan
from etl.ports import RunEnd
from etl.readings import HELD, STOPPED, Reading, failed, skipped, unrecorded
from etl.records import ProjectState, Slug, Verdict
from etl.report import ProjectReport, RunReport
from etl.selection import ProjectFilter, Promise, ReadJobs

if TYPE_CHECKING:
    from datetime import datetime
    from threading import Event

    from etl.ports import Clock, Ledger

_log: Final = structlog.get_logger(__name__)

_FLUSH_ROWS: Final = 500
_FLUSH_S: Final = 2.0
"""Observations that changed nothing are written when so many, or so many seconds' worth, are waiting."""

_MOST_UNWRITTEN: Final = 3
"""Projects that may be locked; if there are more, it is the ledger that is, and each would be waited for."""

_HELD: Final = "another run reads it, or has just done so"
_STOPPED: Final = "the run was asked to stop"

Progress = Callable[[ProjectReport, int], None]
"""Told of each project as it is done, and how many there are in all."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    How to run.

    Args:
        trigger: What started it: sync, schedule, confirm, demo.
        projects: Which of the visible projects are wanted.
        only: Read these projects and no others, whatever `projects` says.
        rules: The guard's thresholds.
        accepted: Batches of the one project in `only` whose absence an operator accepts.
        accepted_jobs: The same of annotation jobs.
        read_jobs: Of which projects to read the annotation jobs, too.
        scrub: Takes out of a body of jobs what is not to be kept of people.
        promise: How old the numbers of a project may become.
        concurrency: Projects read at once.
        deadline_s: Seconds after which nothing more is begun.
        renew_s: Seconds between two renewals of the lease.
        is_dry: Say what would be written, and write nothing.
    """

    trigger: str
    projects: ProjectFilter
    only: tuple[Slug, ...] = ()
    rules: GuardRules = GuardRules()
    accepted: frozenset[str] = frozenset()
    accepted_jobs: frozenset[str] = frozenset()
    read_jobs: ReadJobs = ReadJobs.AUTO
    scrub: Callable[[bytes], bytes] = bytes
    promise: Promise = Promise()
    concurrency: int = 8
    deadline_s: float = 600.0
    renew_s: float = 15.0
    is_dry: bool = False


class Run:
    """
    One run, from its claims to its report.

    Args:
        accounts: The keys to read with.
        ledger: Where to write.
        options: How to run.
        clock: Tells the time.
        stop: Set it to end the run after the projects in hand.
        progress: Told of each project as it is done.
    """

    def __init__(  # noqa: PLR0913 - what a run needs from the outside is just this.
        self,
        accounts: Sequence[Account],
        ledger: Ledger,
        options: RunOptions,
        *,
        clock: Clock,
        stop: Event,
        progress: Progress = lambda _report, _total: None,
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._options = options
        self._clock = clock
        self._stop = stop
        self._progress = progress
        self._until = time.monotonic() + options.deadline_s

    def __call__(self) -> RunReport:
        """
        Run.

        Raises:
            UnknownProjectError: A project named in `only` that neither a key nor the ledger knows.
            DatabaseUnavailableError: The ledger cannot be reached; what was committed is whole.
        """
        started_at = self._clock()
        before = self._ledger.projects()
        directory = look_around(self._accounts, until=self._until, stop=self._stop)
        followed = {slug: state for slug, state in before.items() if state.is_tracked}
        plan = make_plan(directory, self._options.projects, followed, self._options.only)
        if self._options.is_dry:
            return self._report(None, started_at, plan, self._rehearse(plan, before))
        run_id = self._ledger.begin_run(
            trigger=self._options.trigger,
            started_at=started_at,
            rules=self._options.rules,
            is_whole=not self._options.only,
        )
        with bound_contextvars(run=run_id):
            report = self._report(run_id, started_at, plan, self._perform(run_id, plan, before))
            self._ledger.end_run(run_id, _end(report))
        return report

    def _rehearse(self, plan: Plan, before: Mapping[Slug, ProjectState]) -> list[ProjectReport]:
        """Read and compare, without a claim and without a row."""
        states = [before.get(project.slug, ProjectState(0, project.slug)) for project in plan.projects]
        reports = list[ProjectReport]()
        for reading in self._readings(None, plan, states, before):
            if reading is not None:
                reports.append(reading.report)
                self._progress(reading.report, len(states))
        return reports

    def _perform(self, run_id: int, plan: Plan, before: Mapping[Slug, ProjectState]) -> list[ProjectReport]:
        slugs = [project.slug for project in plan.projects]
        states = self._ledger.register(
            plan.projects,
            at=self._clock(),
            max_ages_s={slug: age for slug in slugs if (age := self._options.promise.of(slug))},
            is_whole=not self._options.only,
        )
        if plan.dropped:
            dropped = [before[slug].project_id for slug in plan.dropped]
            self._ledger.untrack(dropped, at=self._clock())
        claimed = self._ledger.claim(run_id, [state.project_id for state in states.values()])
        # Another run may have read a project, and ended, while this one was still listing what there is.
        stale = [state for state in claimed if state.last_trusted_at == _last_trusted_at(before, state.slug)]
        taken = states.keys() - {state.slug for state in stale}
        others = [skipped(states[slug], self._clock(), HELD, _HELD) for slug in taken]
        readings = self._readings(run_id, plan, stale, before)
        return self._write(run_id, len(states), _chain(others, readings))

    def _readings(
        self,
        run_id: int | None,
        plan: Plan,
        states: Sequence[ProjectState],
        before: Mapping[Slug, ProjectState],
    ) -> Iterator[Reading | None]:
        """Read each project that can be read. Yields each as it is done, and None while nothing is."""
        for state in states:
            if error := plan.refused.get(state.slug):
                # What is wrong with a whole key has been told once, however many projects suffer from it.
                if error not in plan.problems:
                    _log.warning(
                        "project failed",
                        error=str(error),
                        remedy=error.remedy,
                        run=run_id,
                        project=str(state.slug),
                    )
                yield failed(state, error, self._clock())
        readable = [state for state in states if state.slug not in plan.refused]
        yield from self._read(run_id, plan, readable, before)

    def _read(
        self,
        run_id: int | None,
        plan: Plan,
        states: Sequence[ProjectState],
        before: Mapping[Slug, ProjectState],
    ) -> Iterator[Reading | None]:
        observer = Observer(
            ledger=self._ledger,
            rules=self._options.rules,
            neighbours=Neighbours(before.values(), plan.listed),
            job_neighbours=Neighbours(before.values(), plan.listed, of_jobs),
            clock=self._clock,
            stop=self._stop,
            until=self._until,
            run_id=run_id,
            accepted=self._options.accepted,
            accepted_jobs=self._options.accepted_jobs,
            read_jobs=self._options.read_jobs,
            scrub=self._options.scrub,
        )
        done: SimpleQueue[Reading | BaseException] = SimpleQueue()

        def work(state: ProjectState) -> None:
            try:
                done.put(self._read_one(observer, plan, state))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that runs the run.
                done.put(error)

        pool = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="read")
        try:
            for state in states:
                pool.submit(work, state)
            yield from _receive(done, len(states))
        finally:
            pool.shutdown(cancel_futures=True)

    def _read_one(self, observer: Observer, plan: Plan, state: ProjectState) -> Reading:
        if self._stop.is_set():
            return skipped(state, self._clock(), STOPPED, _STOPPED)
        return observer.observe(plan.sources[state.slug.workspace], state)

    def _write(self, run_id: int, total: int, readings: Iterator[Reading | None]) -> list[ProjectReport]:
        """Gather the readings; write those that changed nothing many at a time; keep the lease."""
        reports, pending = dict[Slug, ProjectReport](), list[Reading]()
        written_at = renewed_at = time.monotonic()
        for reading in readings:
            now = time.monotonic()
            if reading is not None:
                reports[reading.report.slug] = reading.report
                pending += [reading] if reading.observation else []
                self._progress(reading.report, total)
            if len(pending) >= _FLUSH_ROWS or now - written_at >= _FLUSH_S:
                reports |= self._flush(run_id, pending)
                written_at = now
            if now - renewed_at >= self._options.renew_s:
                self._ledger.renew(run_id)
                renewed_at = now
        reports |= self._flush(run_id, pending)
        return list(reports.values())

    def _flush(self, run_id: int, pending: list[Reading]) -> Mapping[Slug, ProjectReport]:
        """Write what is waiting, and return the reports of those that could not be written."""
        unwritten = dict[Slug, ProjectReport]()
        try:
            self._record(run_id, pending)
        except StatementFailedError:
            unwritten = self._record_one_by_one(run_id, pending)
        pending.clear()
        return unwritten

    def _record_one_by_one(self, run_id: int, readings: Sequence[Reading]) -> dict[Slug, ProjectReport]:
        """Let a project whose row somebody locks not take the others with it."""
        unwritten = dict[Slug, ProjectReport]()
        for reading in readings:
            try:
                self._record(run_id, [reading])
            except StatementFailedError as error:
                unwritten[reading.report.slug] = unrecorded(reading, error)
                if len(unwritten) > _MOST_UNWRITTEN:
                    raise
        return unwritten

    def _record(self, run_id: int, readings: Sequence[Reading]) -> None:
        observations = [reading.observation for reading in readings if reading.observation]
        dropped = len(observations) - self._ledger.record(run_id, observations) if observations else 0
        if dropped:
            _log.warning("another run has taken over; observations are dropped", dropped=dropped)

    def _report(
        self, run_id: int | None, started_at: datetime, plan: Plan, projects: Sequence[ProjectReport]
    ) -> RunReport:
        return RunReport(
            run_id=run_id,
            started_at=started_at,
            ended_at=max(self._clock(), started_at),
            outcome=self._outcome(plan, projects),
            projects=tuple(sorted(projects, key=lambda project: project.slug)),
            problems=plan.problems,
            listing_requests=plan.requests,
        )

    def _outcome(self, plan: Plan, projects: Sequence[ProjectReport]) -> str:
        if self._stop.is_set():
            return "stopped"
        if not plan.problems and all(project.is_trusted for project in projects):
            return "completed"
        has_failed = any(project.verdict is Verdict.FAILED for project in projects)
        return "deadline" if has_failed and time.monotonic() >= self._until else "partial"


def _last_trusted_at(states: Mapping[Slug, ProjectState], slug: Slug) -> datetime | None:
    state = states.get(slug)
    return state.last_trusted_at if state else None


def _receive(done: SimpleQueue[Reading | BaseException], count: int) -> Iterator[Reading | None]:
    """Yield what the threads put there, and None for each second without anything."""
    while count:
        try:
            reading = done.get(timeout=1.0)
        except Empty:
            yield None
            continue
        if isinstance(reading, BaseException):
            raise reading
        count -= 1
        yield reading


def _chain(done: Sequence[Reading], coming: Iterator[Reading | None]) -> Iterator[Reading | None]:
    yield from done
    yield from coming


def _end(report: RunReport) -> RunEnd:
    return RunEnd(
        ended_at=report.ended_at,
        outcome=report.outcome,
        verdicts=report.verdicts,
        moves=report.moves,
        requests=report.requests,
    )
