"""Read one project: fetch, compare, parse, cross-examine, apply. What goes wrong becomes its observation."""

from __future__ import annotations

import hashlib
import time
from datetime import datetime, timedelta
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from msgspec.structs import replace
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
from etl.guard import (
    Belief,
    Found,
    GuardRules,
    Inconclusive,
    Known,
    LookUp,
    NotFound,
    Question,
    Rule,
    Surroundings,
    conclude,
    is_settled,
    question,
)
from etl.neighbours import Vicinity
from etl.parse import parse_batch, parse_batches
from etl.plan import body_of
from etl.ports import Clock, Ledger, Source
from etl.records import Answer, Batch, LookedUp, Observation, ProjectState, Slug, Snapshot, Verdict
from etl.report import ProjectReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_log: Final = structlog.get_logger(__name__)

_TICK: Final = timedelta(microseconds=1)

_CONFIRMABLE: Final = frozenset({Rule.UNCONFIRMED_LOSS, Rule.WHOLE_WORKSPACE})
_CONFIRM_REMEDY: Final = (
    "see at Roboflow whether it is so; if it is, accept it with `batchledger confirm W/P`"
)

HELD: Final = "held"
STOPPED: Final = "stopped"
"""Why a project was skipped: another run has it or has just read it; this one was asked to stop."""

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far a clock may be wrong before it is said. Hosts that set theirs by the network keep to a second."""

_CLOCK_REMEDY: Final = "see that the clocks of all hosts are right"


class Reading(msgspec.Struct, frozen=True):
    """What came of one project: its report, and the observation that is still to be written, if any."""

    report: ProjectReport
    observation: Observation | None = None


class Believed(msgspec.Struct, frozen=True):
    """What is believed of the absences of one answer, and what it took to find out."""

    belief: Belief
    is_settled: bool
    evidence: tuple[LookedUp, ...] = ()
    surroundings: Surroundings | None = None
    requests: int = 0


class LookedFor(msgspec.Struct, frozen=True):
    """What came of asking for one batch."""

    answer: LookUp
    requests: int
    body: bytes | None = None


class Observer(msgspec.Struct, frozen=True):
    """
    Reads projects for one run, from several threads.

    Args:
        ledger: Where to write.
        rules: The guard's thresholds.
        neighbours: What the other projects can say of a loss.
        clock: Tells the time.
        stop: Once it is set no further request is begun.
        until: As for `etl.ports.Source`.
        run_id: None for a dry run, which writes nothing.
        accepted: Batches whose absence an operator accepts.
        has_told_of_clock: Set once it has been said that the clock is behind.
    """

    ledger: Ledger
    rules: GuardRules
    neighbours: Vicinity
    clock: Clock
    stop: Event
    until: float
    run_id: int | None
    accepted: frozenset[str] = frozenset()
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
        if self.accepted:
            # What is accepted is to be compared with the list, whether or not that is as it was.
            state = replace(state, etag=None, digest=None)
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
        believed = self._believe(source, state, snapshot, answer)
        belief = believed.belief
        observation = _observation(state, answer, Verdict.CHANGED, digest, parse_ms, believed)
        if self.run_id is None:
            applied = self.ledger.preview(observation, snapshot, belief)
        else:
            applied = self.ledger.apply(
                self.run_id, observation, snapshot, belief, body, believed.evidence, believed.surroundings
            )
        report = ProjectReport(
            slug=state.slug,
            verdict=applied.verdict,
            moves=applied.moves,
            rule=belief.rule,
            rejects=len(snapshot.rejects),
            requests=observation.requests,
            remedy=_CONFIRM_REMEDY if belief.rule in _CONFIRMABLE else "",
        )
        _tell(report)
        return Reading(report)

    def _believe(
        self, source: Source, state: ProjectState, snapshot: Snapshot[Batch], answer: Answer
    ) -> Believed:
        """Find out what is to be believed of the absences."""
        known = self.ledger.known(state.project_id) if state.last_at else Known()
        at = _observed_at(state, answer.observed_at)
        surroundings = self._surroundings(state, snapshot, at)
        asked = question(
            known,
            snapshot,
            self.rules,
            loss_suspected_since=state.loss_suspected_since,
            at=at,
            surroundings=surroundings or Surroundings(),
            accepted=self.accepted,
        )
        control = self._control(source, state.slug, asked)
        told = {batch_id: self._look_up(source, state.slug, batch_id) for batch_id in asked.look_up}
        look_ups = {batch_id: one.answer for batch_id, one in told.items() if one}
        belief = conclude(asked, look_ups, control.answer if control else None)
        asked_for = {asked.control.record_id: control, **told} if asked.control else told
        return Believed(
            belief,
            is_settled(known, snapshot, asked, belief),
            (*_evidence(asked_for), *_acceptances(asked)),
            surroundings,
            sum(one.requests for one in asked_for.values() if one),
        )

    def _surroundings(
        self, state: ProjectState, snapshot: Snapshot[Batch], at: datetime
    ) -> Surroundings | None:
        """Look around in the workspace, once a loss is suspected."""
        if state.loss_suspected_since is None:
            return None
        is_bare = not snapshot.present
        return Surroundings(
            is_listed=self.neighbours.is_listed(state.slug),
            is_whole=self.neighbours.is_whole(state.slug),
            witness=self.neighbours.witness(state.slug, at, self.ledger.known) if is_bare else None,
        )

    def _control(self, source: Source, slug: Slug, asked: Question) -> LookedFor | None:
        control = asked.control
        return self._look_up(source, control.slug or slug, control.record_id) if control else None

    def _look_up(self, source: Source, slug: Slug, batch_id: str) -> LookedFor | None:
        """Ask for one batch; None if it is too late to ask."""
        if self.stop.is_set():
            return None
        try:
            answer = source.batch(slug, batch_id, until=self.until)
            body = body_of(answer)
            return LookedFor(Found(parse_batch(body, batch_id)), answer.requests, body)
        except NotVisibleError as error:
            return LookedFor(NotFound(), error.requests)
        except SourceError as error:
            _log.info("look-up is inconclusive", batch=batch_id, error=str(error))
            return LookedFor(Inconclusive(), error.requests)


_OUTCOMES: Final[Mapping[type[LookUp], str]] = MappingProxyType(
    {Found: "found", NotFound: "not_found", Inconclusive: "inconclusive"}
)


def _evidence(told: Mapping[str, LookedFor | None]) -> Iterator[LookedUp]:
    for batch_id, one in told.items():
        if one is not None:
            yield LookedUp(batch_id, _OUTCOMES[type(one.answer)], one.body)


def _acceptances(asked: Question) -> Iterator[LookedUp]:
    """Yield what an operator accepted, believed or not: the rest of the absences was judged without it."""
    return (LookedUp(batch_id, "accepted") for batch_id in sorted(asked.accepted))


def skipped(state: ProjectState, at: datetime, rule: str, why: str) -> Reading:
    """Say that a project was due and not read by this run, by which rule, and in words."""
    observed_at = _observed_at(state, at)
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
    observed_at = _observed_at(state, at)
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


def _unchanged(state: ProjectState, answer: Answer, digest: bytes | None) -> Reading:
    _log.debug("project unchanged")
    report = ProjectReport(slug=state.slug, verdict=Verdict.UNCHANGED, requests=answer.requests)
    return Reading(report, _observation(state, answer, Verdict.UNCHANGED, digest))


def _parsed(body: bytes, answer: Answer) -> Snapshot[Batch]:
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
    believed: Believed | None = None,
) -> Observation:
    observed_at = _observed_at(state, answer.observed_at)
    return Observation(
        project_id=state.project_id,
        verdict=verdict,
        started_at=min(answer.started_at, observed_at),
        observed_at=observed_at,
        previous_at=state.last_trusted_at,
        http_status=answer.http_status,
        requests=answer.requests + (believed.requests if believed else 0),
        body_bytes=len(answer.body) if answer.body is not None else None,
        fetch_ms=answer.fetch_ms,
        parse_ms=parse_ms,
        totals=state.totals,
        digest=digest,
        etag=answer.etag,
        is_settled=believed.is_settled if believed else None,
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
