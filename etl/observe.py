"""Read one project: fetch, compare, parse, cross-examine, apply. What goes wrong becomes its observation."""

from __future__ import annotations

import hashlib
import time
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from etl.errors import (
    ClaimLostError,
    DatabaseUnavailableError,
    InternalError,
    NotVisibleError,
    PayloadError,
    SourceError,
    StatementFailedError,
)
from etl.guard import Belief, Found, GuardRules, Inconclusive, Known, LookUp, NotFound, conclude, question
from etl.parse import parse_batch, parse_batches
from etl.plan import body_of
from etl.ports import Clock, Ledger, Source
from etl.records import Answer, Observation, ProjectState, Slug, Snapshot, Verdict
from etl.report import ProjectReport

if TYPE_CHECKING:
    from collections.abc import Mapping

_log: Final = structlog.get_logger(__name__)

_TICK: Final = timedelta(microseconds=1)


class Reading(msgspec.Struct, frozen=True):
    """What came of one project: its report, and the observation that is still to be written, if any."""

    report: ProjectReport
    observation: Observation | None = None


class Observer(msgspec.Struct, frozen=True):
    """
    Reads projects for one run, from several threads.

    Once `stop` is set no further request is begun. `run_id` is None for a dry run, which writes nothing.
    `until` is as for `etl.ports.Source`.
    """

    ledger: Ledger
    rules: GuardRules
    clock: Clock
    stop: Event
    until: float
    run_id: int | None

    def observe(self, source: Source, state: ProjectState) -> Reading:
        """
        Read one project and write what changed.

        Raises:
            DatabaseUnavailableError: The ledger cannot be reached; what was committed is whole.
        """
        began_at = self.clock()
        with bound_contextvars(run=self.run_id, project=str(state.slug)):
            try:
                return self._observe(source, state)
            except ClaimLostError as error:
                return skipped(state, self.clock(), str(error))
            except SourceError as error:
                _log.warning("project failed", error=str(error), remedy=error.remedy)
                return failed(state, error, self.clock(), began_at)
            except StatementFailedError as error:
                # One project that the database cannot cope with must not end every run at its place.
                _log.error("project failed in the database", error=str(error), remedy=error.remedy)
                return failed(state, InternalError(str(error), remedy=error.remedy), self.clock(), began_at)
            except DatabaseUnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 - a bug must not take the other projects with it.
                _log.exception("project failed by a fault of ours")
                return failed(state, _internal(error), self.clock(), began_at)

    def _observe(self, source: Source, state: ProjectState) -> Reading:
        answer = source.batches(state.slug, etag=state.etag, until=self.until)
        if answer.body is None:
            return _unchanged(state, answer, None)
        digest = hashlib.sha256(answer.body).digest()
        if digest == state.digest:
            return _unchanged(state, answer, digest)
        return self._examine(source, state, answer, digest)

    def _examine(self, source: Source, state: ProjectState, answer: Answer, digest: bytes) -> Reading:
        """Take an answer that differs from the last trusted one: parse, cross-examine, apply."""
        body = body_of(answer)
        began = time.perf_counter()
        snapshot = _parsed(body, answer)
        parse_ms = (time.perf_counter() - began) * 1000
        belief, requests = self._believe(source, state, snapshot, answer)
        observation = _observation(state, answer, Verdict.CHANGED, digest, parse_ms, requests)
        if self.run_id is None:
            applied = self.ledger.preview(observation, snapshot, belief)
        else:
            applied = self.ledger.apply(self.run_id, observation, snapshot, belief, body)
        report = ProjectReport(
            slug=state.slug,
            verdict=applied.verdict,
            moves=applied.moves,
            rule=belief.rule,
            rejects=len(snapshot.rejects),
            requests=observation.requests,
        )
        _tell(report)
        return Reading(report)

    def _believe(
        self, source: Source, state: ProjectState, snapshot: Snapshot, answer: Answer
    ) -> tuple[Belief, int]:
        """Return what is believed of the absences, and how many requests it took to find out."""
        known = self.ledger.known(state.project_id) if state.last_at else Known()
        asked = question(
            known,
            snapshot,
            self.rules,
            loss_suspected_since=state.loss_suspected_since,
            at=_observed_at(state, answer.observed_at),
        )
        told = {batch_id: self._look_up(source, state.slug, batch_id) for batch_id in asked.look_up}
        look_ups: Mapping[str, LookUp] = {batch_id: look_up for batch_id, (look_up, _) in told.items()}
        return conclude(known, asked, look_ups), sum(requests for _, requests in told.values())

    def _look_up(self, source: Source, slug: Slug, batch_id: str) -> tuple[LookUp, int]:
        if self.stop.is_set():
            return Inconclusive(), 0
        try:
            answer = source.batch(slug, batch_id, until=self.until)
            return Found(parse_batch(body_of(answer), batch_id)), answer.requests
        except NotVisibleError as error:
            return NotFound(), error.requests
        except SourceError as error:
            _log.info("look-up is inconclusive", batch=batch_id, error=str(error))
            return Inconclusive(), error.requests


def skipped(state: ProjectState, at: datetime, why: str) -> Reading:
    """Say that a project was due and not read by this run."""
    observed_at = _observed_at(state, at)
    observation = Observation(
        project_id=state.project_id,
        verdict=Verdict.SKIPPED,
        started_at=observed_at,
        observed_at=observed_at,
        previous_at=state.last_trusted_at,
    )
    return Reading(ProjectReport(slug=state.slug, verdict=Verdict.SKIPPED, error=why), observation)


def failed(
    state: ProjectState, error: SourceError, at: datetime, began_at: datetime | None = None
) -> Reading:
    """Say that a project could not be read, and why; nothing that was believed of it changes."""
    observed_at = _observed_at(state, at)
    observation = Observation(
        project_id=state.project_id,
        verdict=Verdict.FAILED,
        started_at=min(began_at or observed_at, observed_at),
        observed_at=observed_at,
        previous_at=state.last_trusted_at,
        http_status=error.http_status,
        requests=error.requests,
        totals=state.totals if state.last_trusted_at else None,
        error_class=type(error).__name__,
        error=str(error),
    )
    report = ProjectReport(
        slug=state.slug,
        verdict=Verdict.FAILED,
        requests=error.requests,
        error=str(error),
        remedy=error.remedy,
        exit_code=error.exit_code,
    )
    return Reading(report, observation)


def _unchanged(state: ProjectState, answer: Answer, digest: bytes | None) -> Reading:
    _log.debug("project unchanged")
    report = ProjectReport(slug=state.slug, verdict=Verdict.UNCHANGED, requests=answer.requests)
    return Reading(report, _observation(state, answer, Verdict.UNCHANGED, digest))


def _parsed(body: bytes, answer: Answer) -> Snapshot:
    try:
        return parse_batches(body)
    except PayloadError as error:
        raise PayloadError(
            str(error), remedy=error.remedy, http_status=answer.http_status, requests=answer.requests
        ) from error


def _observed_at(state: ProjectState, at: datetime) -> datetime:
    """Keep a project's observations in order, whatever the clock does."""
    return at if state.last_at is None else max(at, state.last_at + _TICK)


def _observation(  # noqa: PLR0913, PLR0917 - all of one observation.
    state: ProjectState,
    answer: Answer,
    verdict: Verdict,
    digest: bytes | None,
    parse_ms: float | None = None,
    look_up_requests: int = 0,
) -> Observation:
    observed_at = _observed_at(state, answer.observed_at)
    return Observation(
        project_id=state.project_id,
        verdict=verdict,
        started_at=min(answer.started_at, observed_at),
        observed_at=observed_at,
        previous_at=state.last_trusted_at,
        http_status=answer.http_status,
        requests=answer.requests + look_up_requests,
        body_bytes=len(answer.body) if answer.body is not None else None,
        fetch_ms=answer.fetch_ms,
        parse_ms=parse_ms,
        totals=state.totals,
        digest=digest,
        etag=answer.etag,
    )


def _internal(error: Exception) -> InternalError:
    return InternalError(
        f"a fault of batchledger's own ({type(error).__name__})", remedy="report it with the log of this run"
    )


def _tell(report: ProjectReport) -> None:
    moves = report.moves
    log = _log.warning if report.verdict is Verdict.SUSPECT or report.rejects else _log.debug
    log(
        f"project {report.verdict.value}",
        rule=report.rule,
        entered=moves.entered,
        changed=moves.changed + moves.renamed,
        left=moves.left,
        returned=moves.returned,
        images_delta=moves.images_delta,
        rejects=report.rejects,
    )
