"""Read one project: batches, then jobs; apply what is new. What goes wrong becomes its observation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from msgspec.structs import replace
from structlog.contextvars import bound_contextvars

from etl.errors import (
    ClaimLostError,
    DatabaseUnavailableError,
    InternalError,
    SourceError,
    StatementFailedError,
)
from etl.examine import Examiner, Heard, Matter, Past
from etl.guard import GuardRules
from etl.neighbours import Vicinity
from etl.parse import parse_batch, parse_batches, parse_job, parse_jobs
from etl.parse.people import mark_of
from etl.ports import Applied, Clock, Ledger, Source
from etl.readings import (
    HELD,
    NoJobs,
    Reading,
    dated,
    failed,
    observation_of,
    report_of,
    skipped,
)
from etl.records import Moves, Verdict
from etl.selection import ReadJobs

if TYPE_CHECKING:
    from etl.ports import Examined
    from etl.records import Batch, Job, Observation, ProjectState
    from etl.report import JobsReport, ProjectReport

_log: Final = structlog.get_logger(__name__)

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far a clock may be wrong before it is said. Hosts that set theirs by the network keep to a second."""

_CLOCK_REMEDY: Final = "see that the clocks of all hosts are right"


class Observer(msgspec.Struct, frozen=True):
    """
    Reads projects for one run, from several threads.

    Args:
        ledger: Where to write.
        rules: The guard's thresholds.
        neighbours: What the other projects can say of a loss of batches.
        job_neighbours: The same of jobs.
        clock: Tells the time.
        stop: Once it is set no further request is begun.
        until: As for `etl.ports.Source`.
        run_id: None for a dry run, which writes nothing.
        accepted: Batches whose absence an operator accepts.
        accepted_jobs: The same of jobs.
        read_jobs: Whether to ask for the annotation jobs.
        scrub: Takes out of a body of jobs what is not to be kept of people.
        has_told_of_clock: Set once it has been said that the clock is behind.
    """

    ledger: Ledger
    rules: GuardRules
    neighbours: Vicinity
    job_neighbours: Vicinity
    clock: Clock
    stop: Event
    until: float
    run_id: int | None
    accepted: frozenset[str] = frozenset()
    accepted_jobs: frozenset[str] = frozenset()
    read_jobs: ReadJobs = ReadJobs.AUTO
    scrub: Callable[[bytes], bytes] = bytes
    has_told_of_clock: Event = msgspec.field(default_factory=Event)

    def observe(self, source: Source, state: ProjectState) -> Reading:
        """
        Read one project and write what changed.

        Raises:
            DatabaseUnavailableError: The ledger cannot be reached; what was committed is whole.
        """
        began_at = self.clock()
        with bound_contextvars(run=self.run_id, project=str(state.slug)):
            self._mind_clock(state, began_at)
            try:
                return self._observe(source, state)
            except ClaimLostError as error:
                return skipped(state, self.clock(), HELD, str(error))
            except Exception as error:  # noqa: BLE001 - a bug must not take the other projects with it.
                return failed(state, _set_aside("project", error), self.clock(), began_at)

    def _mind_clock(self, state: ProjectState, now: datetime) -> None:
        """Say once a run that observations are dated later than the clock says, to keep them in order."""
        if state.last_at is None or state.last_at - now <= CLOCK_TOLERANCE or self.has_told_of_clock.is_set():
            return
        self.has_told_of_clock.set()
        _log.warning(
            "the clock is behind the last observation; new ones are dated just after the last",
            behind_s=round((state.last_at - now).total_seconds()),
            remedy=_CLOCK_REMEDY,
        )

    def _observe(self, source: Source, state: ProjectState) -> Reading:
        examiner = Examiner(self.rules, self.stop)
        batches = examiner.hear(
            self._batches(source), self._past(state), lambda at: dated(state, at), self.accepted
        )
        jobs = self._hear_jobs(examiner, source, state, batches) if self._wants_jobs(state, batches) else None
        try:
            return self._reading(state, batches, jobs)
        except Exception as error:
            if not isinstance(jobs, Heard) or jobs.examined is None:
                raise
            # What the database does not take of the jobs must not take the batches with it.
            refused = NoJobs(_set_aside("jobs", error), jobs.at, jobs.requests)
        return self._reading(state, batches, refused)

    def _reading(
        self, state: ProjectState, batches: Heard[Batch], jobs: Heard[Job] | NoJobs | None
    ) -> Reading:
        observation = observation_of(state, batches, jobs)
        applied = self._apply(observation, batches, jobs)
        report = report_of(state, observation, batches, jobs, applied)
        _tell(report)
        return Reading(report, None if self._is_written(batches, jobs) else observation)

    def _batches(self, source: Source) -> Matter[Batch]:
        return Matter(
            "batch",
            ask=lambda slug, etag: source.batches(slug, etag=etag, until=self.until),
            look_up=lambda slug, batch_id: source.batch(slug, batch_id, until=self.until),
            parse=parse_batches,
            parse_one=parse_batch,
            known=self.ledger.known,
            neighbours=self.neighbours,
        )

    def _jobs(self, source: Source) -> Matter[Job]:
        return Matter(
            "job",
            ask=lambda slug, etag: source.jobs(slug, etag=etag, until=self.until),
            look_up=lambda slug, job_id: source.job(slug, job_id, until=self.until),
            parse=parse_jobs,
            parse_one=parse_job,
            known=self.ledger.known_jobs,
            neighbours=self.job_neighbours,
            scrub=self.scrub,
            mark=mark_of(self.scrub),
        )

    def _past(self, state: ProjectState) -> Past:
        # What is accepted is to be compared with the list, whether or not that is as it was.
        return Past(
            project_id=state.project_id,
            slug=state.slug,
            digest=None if self.accepted else state.digest,
            etag=None if self.accepted else state.etag,
            loss_suspected_since=state.loss_suspected_since,
            is_read=state.last_at is not None,
        )

    def _wants_jobs(self, state: ProjectState, batches: Heard[Batch]) -> bool:
        """Say whether the jobs are to be read; on its own accord only where there are any."""
        if self.stop.is_set():
            return False
        if self.read_jobs is not ReadJobs.AUTO:
            return self.read_jobs is ReadJobs.ALWAYS
        return (
            state.jobs.last_trusted_at is not None
            or state.totals.num_jobs > 0
            or _may_have_jobs(batches.examined)
        )

    def _hear_jobs(
        self, examiner: Examiner, source: Source, state: ProjectState, batches: Heard[Batch]
    ) -> Heard[Job] | NoJobs:
        """Read the jobs; whatever goes wrong with them leaves the batches alone."""
        past = Past(
            project_id=state.project_id,
            slug=state.slug,
            digest=None if self.accepted_jobs else state.jobs.digest,
            etag=None if self.accepted_jobs else state.jobs.etag,
            loss_suspected_since=state.jobs.loss_suspected_since,
            is_read=state.jobs.last_trusted_at is not None,
        )
        try:
            return examiner.hear(self._jobs(source), past, lambda at: max(at, batches.at), self.accepted_jobs)
        except Exception as error:  # noqa: BLE001 - as for the whole project.
            cause = _set_aside("jobs", error)
            return NoJobs(cause, max(self.clock(), batches.at), cause.requests)

    def _is_written(self, batches: Heard[Batch], jobs: Heard[Job] | NoJobs | None) -> bool:
        """Say whether the ledger was told at once, because there was something to compare."""
        return batches.examined is not None or _examined(jobs) is not None

    def _apply(
        self, observation: Observation, batches: Heard[Batch], jobs: Heard[Job] | NoJobs | None
    ) -> Applied:
        if not self._is_written(batches, jobs):
            return Applied(observation.verdict, Moves(), _jobs_verdict(observation))
        if self.run_id is None:
            return self._preview(observation, batches, jobs)
        return self.ledger.apply(self.run_id, observation, batches.examined, _examined(jobs))

    def _preview(
        self, observation: Observation, batches: Heard[Batch], jobs: Heard[Job] | NoJobs | None
    ) -> Applied:
        applied = Applied(observation.verdict, Moves(), _jobs_verdict(observation))
        if (shown := batches.examined) is not None:
            told = self.ledger.preview(observation, shown.snapshot, shown.belief)
            applied = replace(applied, verdict=told.verdict, moves=told.moves)
        if (listed := _examined(jobs)) is not None:
            told = self.ledger.preview_jobs(observation, listed.snapshot, listed.belief)
            applied = replace(applied, jobs_verdict=told.jobs_verdict, jobs_moves=told.jobs_moves)
        return applied


def _may_have_jobs(examined: Examined[Batch] | None) -> bool:
    """Say whether a batch has jobs, or is not listed any more: all of it may have been handed out."""
    if examined is None:
        return False
    belief = examined.belief
    is_less = bool(belief.gone or belief.missing or belief.found)
    return is_less or any(batch.num_jobs for batch in examined.snapshot.records)


def _jobs_verdict(observation: Observation) -> Verdict | None:
    return None if observation.jobs is None else observation.jobs.verdict


def _examined(jobs: Heard[Job] | NoJobs | None) -> Examined[Job] | None:
    return jobs.examined if isinstance(jobs, Heard) else None


def _set_aside(what: str, error: Exception) -> SourceError:
    """
    Say in the log why a project, or its jobs, could not be read, and let the rest go on.

    Raises:
        ClaimLostError: Another run has the project.
        DatabaseUnavailableError: There is no rest that could go on.
    """
    match error:
        case SourceError():
            _log.warning(f"{what} failed", error=str(error), remedy=error.remedy)
            return error
        case StatementFailedError():
            # One project that the database cannot cope with must not end every run at its place.
            _log.error(f"{what} failed in the database", error=str(error), remedy=error.remedy)
            return InternalError(str(error), remedy=error.remedy)
        case ClaimLostError() | DatabaseUnavailableError():
            raise error
        case _:
            _log.error(f"{what} failed by a fault of ours", exc_info=error)
            return InternalError(
                f"a fault of batchledger's own ({type(error).__name__})",
                remedy="report it with the log of this run",
            )


def _tell(report: ProjectReport) -> None:
    _tell_one("project", report)
    if report.jobs is not None and report.jobs.verdict is not Verdict.FAILED:
        _tell_one("jobs", report.jobs)


def _tell_one(what: str, report: ProjectReport | JobsReport) -> None:
    moves = report.moves
    log = _log.warning if report.verdict is Verdict.SUSPECT or report.rejects else _log.debug
    log(
        f"{what} {report.verdict.value}",
        rule=report.rule,
        entered=moves.entered,
        changed=moves.changed + moves.renamed,
        left=moves.left,
        returned=moves.returned,
        images_delta=moves.images_delta,
        rejects=report.rejects,
    )
