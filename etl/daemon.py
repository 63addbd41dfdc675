"""
One turn of the daemon: a run if one is due, ticks without a run noted, and nothing that escapes.

Every turn asks the ledger when the latest scheduled run began, on whatever host, and goes on from there. So a
second daemon does not run again what the first has run, a start knows what was missed before it, and nothing
about the past is kept in memory but the ticks that could not be written yet.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from etl.errors import BatchledgerError, DatabaseUnavailableError
from etl.ticks import MOST, Absence, Judgement, Schedule, absent, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.ports import Clock, Journal, Scheduled
    from etl.report import RunReport

_log: Final = structlog.get_logger(__name__)

_RETRY_S: Final = 60.0
_MOST_RETRY_S: Final = 3600.0
"""Waits after which a database that was away is tried again; they double, lest the API be read in vain."""

_SKEW: Final = timedelta(minutes=5)
"""How far ahead a time may be before it is not believed, because a clock, ours or another, was put back."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """
    How long things may last.

    Args:
        turn_s: One turn. A run has a deadline of its own; who outlives this as well will never end.
        stop_s: The end of the daemon, from the moment it is asked to.
        grace_s: How late a run may start.
    """

    turn_s: float
    stop_s: float
    grace_s: float


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the daemon would say of itself.

    `running_since` is the start of the turn in hand; `last_error` is empty once a turn went well.
    """

    started_at: datetime
    next_tick_at: datetime
    running_since: datetime | None = None
    last_run_at: datetime | None = None
    last_outcome: str | None = None
    last_success_at: datetime | None = None
    last_error: str = ""


class Daemon:
    """
    What a turn needs and what it leaves for the next one.

    Args:
        schedule: When runs are due.
        run: Makes one run.
        journal: Knows the latest run, and takes the ticks without one.
        limits: How long things may last.
        clock: Tells the time.
        stop: Once it is set, no run begins.
        monotonic: The clock that limits are measured by.
        tell: Told the health after each turn.
    """

    def __init__(  # noqa: PLR0913 - time and the outside are arguments.
        self,
        schedule: Schedule,
        run: Callable[[], RunReport],
        journal: Journal,
        *,
        limits: Limits,
        clock: Clock,
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
        tell: Callable[[Health], None] = lambda _health: None,
    ) -> None:
        self.schedule = schedule
        self.limits = limits
        self.stop = stop
        self.is_idle = threading.Event()
        self.is_idle.set()
        self._run, self._journal, self._tell = run, journal, tell
        self._clock, self._monotonic = clock, monotonic
        self._health = Health(started_at=clock(), next_tick_at=clock())
        self._unwritten: deque[Absence] = deque(maxlen=MOST)
        self._settled_at: datetime | None = None
        self._is_behind = True
        self._turn_until: float | None = None
        self._retry_s, self._retry_from = _RETRY_S, float("inf")

    @property
    def health(self) -> Health:
        """What there is to say now."""
        return msgspec.structs.replace(self._health, next_tick_at=self.schedule.after(self._clock()))

    @property
    def is_hung(self) -> bool:
        """Whether a turn has outlived its limit."""
        until = self._turn_until
        return until is not None and self._monotonic() > until

    @property
    def wants_retry(self) -> bool:
        """Whether the database was away and it is time to look again, before the next tick."""
        return self.is_idle.is_set() and self._monotonic() >= self._retry_from

    def turn(self) -> None:
        """Do what is due, if anything is. Nothing escapes: what goes wrong is said, and tried again later."""
        # In this order, lest who sets `stop` and then waits until we are idle miss a turn that just begins.
        self.is_idle.clear()
        if self.stop.is_set():
            self.is_idle.set()
            return
        self._turn_until = self._monotonic() + self.limits.turn_s
        self._put(running_since=self._clock())
        try:
            self._take_turn()
        except BatchledgerError as error:
            self._regret(error)
        except Exception as error:  # noqa: BLE001 - APScheduler would print it past our log.
            _log.exception("the turn failed by a fault of ours; the next tick tries again")
            self._put(last_error=f"{type(error).__name__}; see the log")
            self._is_behind = True
        finally:
            self._turn_until = None
            self._put(running_since=None)
            self._tell(self.health)
            self.is_idle.set()

    def _take_turn(self) -> None:
        began_at = self._clock()
        latest = self._believable(self._journal.last_scheduled(), began_at)
        judgement = self._judge(latest, began_at)
        self._write(judgement.absences)
        if judgement.is_due:
            self._finish(self._run())
        ended_at = self._clock()
        self._write(absent(self.schedule.between(began_at, ended_at), "overlap"))
        self._settle(
            ended_at, is_unknown=not judgement.is_due and latest is not None and latest.is_served is None
        )

    def _settle(self, at: datetime, *, is_unknown: bool) -> None:
        """All is as it should be; only of a run that was at it when we came nobody knows yet how it ends."""
        self._settled_at = at
        self._is_behind = self._is_behind and is_unknown
        self._retry_s = _RETRY_S
        self._retry_from = self._monotonic() + _RETRY_S if self._is_behind else float("inf")

    def _judge(self, latest: Scheduled | None, now: datetime) -> Judgement:
        # A run serves every tick whose time without the host's offset has come, whichever host made it.
        served = [latest.started_at + self.schedule.offset] if latest else []
        settled = [self._settled_at] if self._settled_at and self._settled_at <= now + _SKEW else []
        if not served and not settled:
            return Judgement(is_due=True)
        ticks = self.schedule.between(max(served + settled), now)
        grace = timedelta(seconds=self.limits.grace_s)
        judgement = judge(
            ticks,
            now,
            grace=grace,
            is_catching_up=self._is_behind,
            up_since=self._health.started_at,
        )
        is_left_undone = self._is_behind and latest is not None and latest.is_served is False
        return msgspec.structs.replace(judgement, is_due=judgement.is_due or is_left_undone)

    def _believable(self, latest: Scheduled | None, now: datetime) -> Scheduled | None:
        """Doubt a run from the future: to wait for it could be to wait for ever."""
        if latest is None or latest.started_at <= now + _SKEW:
            return latest
        _log.warning("the latest run began in the future; see that all clocks are right", run=latest)
        return None

    def _write(self, absences: tuple[Absence, ...]) -> None:
        """Note ticks without a run; those that cannot be written are kept for the next time."""
        if absences:
            _log.warning(
                "ticks without a run",
                ticks=len(absences),
                first=absences[0].scheduled_at,
                last=absences[-1].scheduled_at,
                reason=absences[-1].reason,
            )
            self._unwritten.extend(absences)
            self._settled_at = absences[-1].scheduled_at
        while self._unwritten:
            tick = self._unwritten[0]
            self._journal.note_tick(tick.scheduled_at, tick.reason, recorded_at=self._clock())
            self._unwritten.popleft()

    def _finish(self, report: RunReport) -> None:
        for problem in report.problems:
            _log.warning("problem", error=str(problem), remedy=problem.remedy, run=report.run_id)
        say = _log.warning if report.exit_code else _log.info
        counts = {verdict.value: count for verdict, count in report.verdicts.items()}
        seconds = (report.ended_at - report.started_at).total_seconds()
        say("run ended", run=report.run_id, outcome=report.outcome, seconds=round(seconds, 1), **counts)
        success = {} if report.exit_code else {"last_success_at": report.ended_at}
        self._put(last_run_at=report.started_at, last_outcome=report.outcome, last_error="", **success)

    def _regret(self, error: BatchledgerError) -> None:
        _log.error("the turn failed; the next tick tries again", error=str(error), remedy=error.remedy)
        self._put(last_error=str(error))
        self._is_behind = True
        if isinstance(error, DatabaseUnavailableError):
            self._retry_from = self._monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, _MOST_RETRY_S)

    def _put(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of Health.
        self._health = msgspec.structs.replace(self._health, **fields)
