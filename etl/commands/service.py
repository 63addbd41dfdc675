"""The command `run`: from the settings to a daemon, and its talk with the service manager."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import TYPE_CHECKING, Final

import structlog

from etl.commands.assembly import (
    Workbench,
    open_accounts,
    open_database,
    open_ledger,
    prepare,
    run_options,
    utc_now,
)
from etl.commands.signals import stops_on_signal
from etl.config import secrets_of
from etl.daemon import Daemon, Limits
from etl.errors import DatabaseUnavailableError, SettingsError
from etl.log import Redactor
from etl.retention import Upkeep
from etl.scheduler import is_going, notifier, serve, tell_status, watchdog_period
from etl.ticks import Schedule
from etl.web.metrics import LedgerMetrics, RunMetrics, registry
from etl.web.reader import Reader
from etl.web.site import Scheduler, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from etl.commands.session import Session
    from etl.ports import Scheduled
    from etl.report import RunReport
    from etl.settings import Settings

_log: Final = structlog.get_logger(__name__)

_TURN_GRACE_S: Final = 120.0
"""What a run may take beyond its own deadline to write what it has read: twice the longest statement."""

_PRUNE_S: Final = 60.0
"""What a prune may take of one turn; the next one goes on from there."""

_STOP_GRACE_S: Final = 10.0
"""What the end may take beyond one answer of the API that is being waited for."""


def run(session: Session) -> int:
    """
    Run on the schedule until SIGTERM or SIGINT, and return the exit code.

    Args:
        session: The invocation.

    Raises:
        SettingsError: There is no key, or a setting is wrong.
        SchemaMismatchError: The database is the user's own, and at another revision.
        ClockError: The clock of its server disagrees with this host's.
    """
    stop = Event()
    with stops_on_signal(stop, session.say):
        # Closing the terminal is not meant to end a daemon, and there is nothing to read again.
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
        settings = session.settings(talk="info")
        redact = Redactor(secrets_of(settings, session.environ))
        metrics = RunMetrics(registry())
        with (
            notifier(session.environ, redact) as notify,
            _workbench(settings, session.environ, stop, metrics) as bench,
        ):
            schedule = Schedule(settings.schedule, socket.gethostname())
            turns = _Turns(bench, session.environ, schedule, metrics)
            daemon = Daemon(
                schedule,
                turns.run,
                turns,
                limits=_limits(settings),
                clock=bench.clock,
                stop=stop,
                tell=tell_status(notify),
            )
            _log.info("daemon started", next_tick_at=daemon.health.next_tick_at.isoformat(timespec="seconds"))
            with _status_page(daemon, bench, metrics):
                serve(daemon, notify=notify, watchdog_s=watchdog_period(session.environ, os.getpid()))
    return 0


@contextmanager
def _status_page(daemon: Daemon, bench: Workbench, metrics: RunMetrics) -> Iterator[None]:
    """Serve the status page, if it is wanted; that it cannot be had is no reason to make no runs."""
    settings = bench.settings.web
    scheduler = Scheduler(lambda: is_going(daemon), lambda: daemon.health.next_tick_at)
    with ExitStack() as stack:
        if settings.enabled:
            from etl.web.serving import address, listen, serving  # noqa: PLC0415 - only who serves pays.

            reader = Reader(bench.database.uri, bench.database.limits)
            site = Site(reader=reader, clock=bench.clock, registry=metrics.registry, scheduler=scheduler)
            metrics.follow(scheduler)
            metrics.registry.register(LedgerMetrics(reader))
            try:
                listener = listen(settings)
            except SettingsError as error:
                _log.warning("there is no status page", error=str(error), remedy=error.remedy)
            else:
                stack.enter_context(serving(site, settings, listener))
                _log.info("status page", address=address(listener))
        yield


class _Turns:
    """What a daemon does with a workbench. Before each turn the database is looked at anew."""

    def __init__(
        self, bench: Workbench, environ: Mapping[str, str], schedule: Schedule, metrics: RunMetrics
    ) -> None:
        self._bench = bench
        self._metrics = metrics
        self._began_at = bench.clock()
        self._environ = environ
        self._schedule = schedule
        self._options = run_options(bench.settings, trigger="schedule")

        self._upkeep = Upkeep(
            bench.database.uri, bench.database.limits, bench.settings.retention, clock=bench.clock
        )

    def run(self) -> RunReport:
        self._metrics.began(self._lag_s())
        with self._metrics.counting_failures():
            report = self._bench.run(self._options)()
        self._metrics.ended(report)
        self._upkeep(self._spare_time_ends())
        return report

    def _lag_s(self) -> float:
        """Return how late it is; what was due before we were there is not held against us."""
        now = self._bench.clock()
        ticks = self._schedule.between(self._began_at, now)
        return (now - ticks[-1]).total_seconds() if ticks else 0.0

    def _spare_time_ends(self) -> Callable[[], bool]:
        """Return what says that it has been long enough, with the next run in sight, or that all ends."""
        now = self._bench.clock()
        spare_s = (self._schedule.after(now) - now).total_seconds()
        until_s = time.monotonic() + min(spare_s / 2, _PRUNE_S)
        return lambda: self._bench.stop.is_set() or time.monotonic() >= until_s

    def last_scheduled(self) -> Scheduled | None:
        # To open the embedded database once more revives it if it was killed.
        with self._metrics.counting_failures():
            with open_database(self._bench.settings, self._environ) as database:
                prepare(database, minds_clock=True)
            return self._bench.ledger.last_scheduled()

    def note_tick(self, scheduled_at: datetime, reason: str, *, recorded_at: datetime) -> None:
        self._bench.ledger.note_tick(scheduled_at, reason, recorded_at=recorded_at)


@contextmanager
def _workbench(
    settings: Settings, environ: Mapping[str, str], stop: Event, metrics: RunMetrics
) -> Iterator[Workbench]:
    """Set up as for one run, but for a database that is away: a daemon waits for it."""
    with ExitStack() as stack:
        accounts = open_accounts(settings, stop=stop, clock=utc_now, stack=stack, on_retry=metrics.retried)
        database = stack.enter_context(open_database(settings, environ))
        try:
            prepare(database, minds_clock=True)
        except DatabaseUnavailableError as error:
            _log.warning("the database is waited for", error=str(error), remedy=error.remedy)
        ledger = stack.enter_context(open_ledger(database, settings))
        yield Workbench(settings, database, ledger, accounts, utc_now, stop)


def _limits(settings: Settings) -> Limits:
    return Limits(
        turn_s=settings.sync.deadline_s + _TURN_GRACE_S + _PRUNE_S,
        stop_s=settings.source.read_timeout_s + _STOP_GRACE_S,
        grace_s=settings.schedule.misfire_grace_s,
    )
