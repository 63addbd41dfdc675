"""What came of reading one project, for the ledger and for the report of the run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from etl.errors import MissingScopeError, SourceError
from etl.guard import Rule
from etl.records import JobsObservation, Observation, Verdict
from etl.report import JobsReport, ProjectReport

if TYPE_CHECKING:
    from etl.errors import StatementFailedError
    from etl.examine import Heard
    from etl.ports import Applied
    from etl.records import Batch, Job, Moves, ProjectState

_log: Final = structlog.get_logger(__name__)

_TICK: Final = timedelta(microseconds=1)

_CONFIRMABLE: Final = frozenset({Rule.UNCONFIRMED_LOSS, Rule.WHOLE_WORKSPACE})
_CONFIRM_REMEDY: Final = (
    "see at Roboflow whether it is so; if it is, accept it with `batchledger confirm W/P`"
)

HELD: Final = "held"
STOPPED: Final = "stopped"
"""Why a project was skipped: another run has it or has just read it; this one was asked to stop."""


class Reading(msgspec.Struct, frozen=True):
    """What came of one project: its report, and the observation that is still to be written, if any."""

    report: ProjectReport
    observation: Observation | None = None


class NoJobs(msgspec.Struct, frozen=True):
    """Jobs that were asked for and could not be read, or not be kept: why, when, and by how many requests."""

    error: SourceError
    at: datetime
    requests: int


def dated(state: ProjectState, at: datetime) -> datetime:
    """Keep a project's observations in order, whatever the clock does."""
    return at if state.last_at is None else max(at, state.last_at + _TICK)


def skipped(state: ProjectState, at: datetime, rule: str, why: str) -> Reading:
    """Say that a project was due and not read by this run, by which rule, and in words."""
    observed_at = dated(state, at)
    observation = Observation(
        project_id=state.project_id,
        verdict=Verdict.SKIPPED,
        started_at=observed_at,
        observed_at=observed_at,
        previous_at=state.last_trusted_at,
        rule=rule,
    )
    return Reading(ProjectReport(slug=state.slug, verdict=Verdict.SKIPPED, error=why), observation)


def failed(
    state: ProjectState, error: SourceError, at: datetime, began_at: datetime | None = None
) -> Reading:
    """
    Say that a project could not be read, and why; nothing that was believed of it changes.

    Args:
        state: What was believed.
        error: Why.
        at: When it failed.
        began_at: When it was begun; None where nothing was asked for it, because its key had failed before.
    """
    observed_at = dated(state, at)
    requests = error.requests if began_at else 0
    observation = Observation(
        project_id=state.project_id,
        verdict=Verdict.FAILED,
        started_at=min(began_at or observed_at, observed_at),
        observed_at=observed_at,
        previous_at=state.last_trusted_at,
        http_status=error.http_status,
        requests=requests,
        totals=state.totals if state.last_trusted_at else None,
        error_class=type(error).__name__,
        error=str(error),
    )
    report = ProjectReport(
        slug=state.slug,
        verdict=Verdict.FAILED,
        requests=requests,
        error=str(error),
        remedy=error.remedy,
        exit_code=error.exit_code,
    )
    return Reading(report, observation)


def unrecorded(reading: Reading, error: StatementFailedError) -> ProjectReport:
    """Say that the database did not take an observation, so that nothing is known to have been read."""
    report = reading.report
    _log.error(
        "project failed in the database", error=str(error), remedy=error.remedy, project=str(report.slug)
    )
    return ProjectReport(
        slug=report.slug,
        verdict=Verdict.FAILED,
        requests=report.requests,
        error=str(error),
        remedy=error.remedy,
        exit_code=error.exit_code,
    )


def observation_of(
    state: ProjectState, batches: Heard[Batch], jobs: Heard[Job] | NoJobs | None
) -> Observation:
    """Say what is to be noted of the answers of a project; its verdicts are those of answers without news."""
    answer, believed = batches.answer, batches.believed
    return Observation(
        project_id=state.project_id,
        verdict=Verdict.UNCHANGED,
        started_at=min(answer.started_at, batches.at),
        observed_at=batches.at,
        previous_at=state.last_trusted_at,
        http_status=answer.http_status,
        requests=batches.requests + (jobs.requests if jobs else 0),
        body_bytes=batches.size,
        fetch_ms=answer.fetch_ms,
        parse_ms=believed.parse_ms if believed else None,
        totals=state.totals,
        digest=batches.digest,
        etag=batches.etag,
        is_settled=believed.is_settled if believed else None,
        jobs=None if jobs is None else _jobs_observation(state, batches.at, jobs),
    )


def _jobs_observation(
    state: ProjectState, observed_at: datetime, jobs: Heard[Job] | NoJobs
) -> JobsObservation:
    """Say the same of the jobs, which are read after the batches, whatever the clock does."""
    at, previous_at = max(jobs.at, observed_at), state.jobs.last_trusted_at
    if isinstance(jobs, NoJobs):
        return JobsObservation(
            verdict=Verdict.FAILED,
            at=at,
            previous_at=previous_at,
            http_status=jobs.error.http_status,
            error_class=type(jobs.error).__name__,
            error=str(jobs.error),
        )
    return JobsObservation(
        verdict=Verdict.UNCHANGED,
        at=at,
        previous_at=previous_at,
        http_status=jobs.answer.http_status,
        body_bytes=jobs.size,
        digest=jobs.digest,
        etag=jobs.etag,
        is_settled=jobs.believed.is_settled if jobs.believed else None,
    )


def report_of(
    state: ProjectState,
    observation: Observation,
    batches: Heard[Batch],
    jobs: Heard[Job] | NoJobs | None,
    applied: Applied,
) -> ProjectReport:
    """Say for people what came of a project that was read."""
    return ProjectReport(
        slug=state.slug,
        requests=observation.requests,
        jobs=_jobs_report(jobs, applied),
        **_told(applied.verdict, applied.moves, batches),
    )


def _jobs_report(jobs: Heard[Job] | NoJobs | None, applied: Applied) -> JobsReport | None:
    if jobs is None:
        return None
    if isinstance(jobs, NoJobs):
        return JobsReport(verdict=Verdict.FAILED, error=str(jobs.error), remedy=_remedy(jobs.error))
    return JobsReport(**_told(applied.jobs_verdict or Verdict.UNCHANGED, applied.jobs_moves, jobs))


def _remedy(error: SourceError) -> str:
    """Say what to do; who may not read jobs may do without."""
    if not isinstance(error, MissingScopeError):
        return error.remedy
    return f'{error.remedy}; or do without them: `[jobs] read = "never"`'


def _told(verdict: Verdict, moves: Moves, heard: Heard[Batch] | Heard[Job]) -> dict[str, Any]:
    examined = heard.examined
    rule = examined.belief.rule if examined else None
    return {
        "verdict": verdict,
        "moves": moves,
        "rule": rule,
        "rejects": len(examined.snapshot.rejects) if examined else 0,
        "remedy": _CONFIRM_REMEDY if rule in _CONFIRMABLE else "",
    }
