"""
The daemon around its turns: APScheduler takes one at each tick; a hung one is noticed; the end is orderly.

The main thread only watches: once a second it sees that turns are taken, and tells the service manager.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from apscheduler.job import Job

    from etl.daemon import Daemon, Health
    from etl.ticks import Schedule

_log: Final = structlog.get_logger(__name__)

_HUNG: Final = 1
"""Exit code of a daemon that ends because it can do nothing more."""

_POLL_S: Final = 1.0
_LAST_WORDS_S: Final = 5.0
"""Time for the report of a hung turn; it may hang as well, when nobody reads what we write."""


def serve(
    daemon: Daemon,
    *,
    notify: Callable[[str], None] = lambda _state: None,
    watchdog_s: float | None = None,
    end_now: Callable[[int], object] = os._exit,
) -> None:
    """
    Take turns until the daemon is asked to stop, and end within its limit.

    Args:
        daemon: What to do.
        notify: Speaks to the service manager.
        watchdog_s: How often the service manager wants to hear that we are well; None if it does not.
        end_now: Ends the process without more ado: for a turn that will never end, or not in time.
    """
    # Of ticks that it skips we say more ourselves, and in the ledger.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler = _scheduler()
    job = scheduler.add_job(daemon.turn, _Ticks(daemon.schedule), id="turn", next_run_time=datetime.now(UTC))
    scheduler.start()
    notify(f"READY=1\nSTATUS={_status(daemon.health)}")
    try:
        _watch(daemon, scheduler, job, _heart(notify, watchdog_s), end_now)
    finally:
        notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={round((daemon.limits.stop_s + _LAST_WORDS_S) * 1e6)}")
        scheduler.shutdown(wait=False)
    if not daemon.is_idle.wait(daemon.limits.stop_s):
        _log.warning("the project in hand did not end in time and is dropped; the ledger is whole")
        _flush()
        end_now(0)


def is_going(daemon: Daemon) -> bool:
    """Say whether turns are taken: there is a scheduler, and no turn is hung."""
    return _is_alive() and not daemon.is_hung


@contextmanager
def notifier(environ: Mapping[str, str], redact: Callable[[str], str]) -> Iterator[Callable[[str], None]]:
    """
    Yield what speaks to systemd, or to nobody where there is none.

    Args:
        environ: `NOTIFY_SOCKET` says whether there is one.
        redact: Takes the secrets out of what is said.
    """
    if not environ.get("NOTIFY_SOCKET"):
        yield lambda _state: None
        return
    from sdnotify import SystemdNotifier  # noqa: PLC0415 - only a service needs it.

    manager = SystemdNotifier()
    # It would send Latin-1, and drop what is not.
    yield lambda state: manager.notify(redact(state).encode().decode("latin-1"))
    if manager.socket is not None:
        manager.socket.close()


def watchdog_period(environ: Mapping[str, str], pid: int) -> float | None:
    """Return how often systemd wants a sign of life: twice in the time that it waits; None if it does not."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    is_ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    return int(microseconds) / 2e6 if is_ours and microseconds.isdecimal() else None


def tell_status(notify: Callable[[str], None]) -> Callable[[Health], None]:
    """Return what shows the health in `systemctl status`."""
    return lambda health: notify(f"STATUS={_status(health)}")


class _Ticks(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types.
    """Our schedule, as APScheduler asks for it."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return self._schedule.after(previous_fire_time or now)


def _scheduler() -> BackgroundScheduler:
    return BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(1)},
        # How late is too late, and what becomes of ticks that were passed over, a turn decides and records:
        # APScheduler's own way is to skip after one second, and to say nothing about those that it merges.
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )


def _watch(
    daemon: Daemon,
    scheduler: BackgroundScheduler,
    job: Job,
    beat: Callable[[], None],
    end_now: Callable[[int], object],
) -> None:
    """Until we are asked to stop, see each second that the turns are taken."""
    while not daemon.stop.wait(_POLL_S):
        if not is_going(daemon):
            _give_up(daemon, end_now)
            return
        beat()
        _keep_time(daemon, scheduler, job)


def _keep_time(daemon: Daemon, scheduler: BackgroundScheduler, job: Job) -> None:
    """Bring the next turn forward where time did not pass as it was expected to."""
    now = datetime.now(UTC)
    following = now if daemon.wants_retry else daemon.schedule.after(now)
    if job.next_run_time > following:  # Later than the next tick only if the clock was put back.
        job.modify(next_run_time=following)
    # It waits by a clock that stands still while the host sleeps, and would wake up that much too late.
    scheduler.wakeup()


def _is_alive() -> bool:
    return any(thread.name == "APScheduler" for thread in threading.enumerate())


def _give_up(daemon: Daemon, end_now: Callable[[int], object]) -> None:
    """End the process, because only a new one can help; whoever supervises us starts it."""
    last_words = threading.Timer(_LAST_WORDS_S, end_now, (_HUNG,))
    last_words.daemon = True
    last_words.start()
    _log.critical(
        "no turn can be taken any more; the process ends, so that it is started again",
        running_since=daemon.health.running_since,
        limit_s=daemon.limits.turn_s,
        threads=_stacks(),
    )
    _flush()
    last_words.cancel()
    end_now(_HUNG)


def _stacks() -> str:
    """Say where every thread is: lines of code without values, so without secrets."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames().items()  # noqa: SLF001 - public in all but name.
    return "\n".join(
        f"{names.get(number)}:\n{''.join(traceback.format_stack(frame))}" for number, frame in frames
    )


def _heart(notify: Callable[[str], None], period_s: float | None) -> Callable[[], None]:
    """Return what tells the service manager that we are well, as often as it wants to hear it."""
    if period_s is None:
        return lambda: None
    told_at = -float("inf")

    def beat() -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= period_s - _POLL_S:
            notify("WATCHDOG=1")
            told_at = now

    return beat


def _status(health: Health) -> str:
    following = f"next run at {health.next_tick_at:%Y-%m-%d %H:%M:%S} UTC"
    if health.last_error:
        return f"last turn failed: {health.last_error}; {following}"
    if health.last_run_at is None:
        return f"no run yet; {following}"
    return f"last run at {health.last_run_at:%Y-%m-%d %H:%M:%S} UTC {health.last_outcome}; {following}"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
