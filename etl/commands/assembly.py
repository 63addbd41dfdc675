"""The set-up that commands share: settings → database → ledger → keys → run. Nothing of it prints."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import text

from etl import __version__
from etl.client import ApiKey, RoboflowSource, SourceOptions
from etl.config import required_keys
from etl.database import connect, engine, is_behind, migrate, require_head, revision
from etl.embedded import default_home, server
from etl.errors import ClockError, DeadlineError
from etl.observe import CLOCK_TOLERANCE
from etl.parse.people import scrubbed
from etl.plan import Account
from etl.ports import Clock
from etl.selection import Promise
from etl.settings import DatabaseSettings, Settings
from etl.store import PostgresLedger
from etl.sync import Run, RunOptions
from etl.ticks import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection

    from etl.records import Slug
    from etl.settings import SourceSettings
    from etl.sync import Progress

_LEAST_PROMISE: Final = timedelta(hours=2)
"""For who runs `sync` hourly from cron, of which the settings know nothing: one run may go wrong."""

_RENEWALS: Final = 4
"""Renewals in the time of one lease, so that a slow one or two do not lose it."""


_CLOCK_REMEDY: Final = (
    "set the wrong one right (`date -u` on both; NTP keeps it so) and start again; nothing was written"
)


class Database(msgspec.Struct, frozen=True):
    """
    Where the ledger is, and the time limits of its connections.

    `home` is the folder of the embedded database; None for a database of the user's own.
    """

    uri: str
    limits: DatabaseSettings
    home: Path | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether it is ours to start, to migrate and to stop."""
        return self.home is not None


class Workbench(msgspec.Struct, frozen=True):
    """All that a run needs, ready for any number of runs."""

    settings: Settings
    database: Database
    ledger: PostgresLedger
    accounts: tuple[Account, ...]
    clock: Clock
    stop: Event

    def run(self, options: RunOptions, progress: Progress | None = None) -> Run:
        """Prepare one run; call it to run it."""
        told = {} if progress is None else {"progress": progress}
        return Run(self.accounts, self.ledger, options, clock=self.clock, stop=self.stop, **told)


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


@contextmanager
def workbench(
    settings: Settings, environ: Mapping[str, str], *, stop: Event, clock: Clock = utc_now
) -> Iterator[Workbench]:
    """
    Set up everything between the settings and a run, and take it down at the end of the block.

    Args:
        settings: As loaded.
        environ: The environment, for the place of the embedded database.
        stop: Set it to end a run after the projects in hand; it also ends every wait between two attempts.
        clock: Tells the time.

    Raises:
        SettingsError: There is no key, or a key or the embedded database cannot be used.
        DatabaseUnavailableError: The database cannot be reached.
        SchemaMismatchError: It is the user's own, and at another revision.
        ClockError: It is the user's own, and its server's clock disagrees with this host's.
    """
    with ExitStack() as stack:
        accounts = open_accounts(settings, stop=stop, clock=clock, stack=stack)
        database = stack.enter_context(open_database(settings, environ))
        prepare(database, minds_clock=True)
        ledger = stack.enter_context(open_ledger(database, settings))
        yield Workbench(settings, database, ledger, accounts, clock, stop)


@contextmanager
def open_database(settings: Settings, environ: Mapping[str, str]) -> Iterator[Database]:
    """Yield the database that the settings name; else the embedded one, which runs until the block ends."""
    if settings.database.url is not None:
        yield Database(settings.database.url.get_secret_value(), settings.database)
        return
    home = home_of(settings, environ)
    with server(home) as uri:
        yield Database(uri, settings.database, home)


def home_of(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return the folder of the embedded database."""
    return settings.home or default_home(environ, os.geteuid())


def prepare(database: Database, *, minds_clock: bool = False) -> None:
    """
    See that the schema is this program's; the embedded one is brought there, since nobody else would.

    Args:
        database: Which one.
        minds_clock: See, too, that the clocks agree: who writes dates what it writes by its own.

    Raises:
        DatabaseUnavailableError: The database cannot be reached.
        SchemaMismatchError: The schema is another, and not ours to change.
        ClockError: The clock of the database's server disagrees with this host's.
    """
    with connect(database.uri, database.limits) as connection:
        if database.is_embedded and is_behind(revision(connection)):
            connection.rollback()
            migrate(connection)
        require_head(connection)
        if minds_clock and not database.is_embedded:
            require_clock(connection)


def require_clock(connection: Connection) -> None:
    """
    See that this host's clock agrees with that of the database's server.

    Raises:
        ClockError: They differ by more than five minutes, whichever of them is wrong.
    """
    began_at = utc_now()
    server_at = connection.scalar(text("SELECT clock_timestamp()"))
    ahead = max(began_at - server_at, timedelta(0)) - max(server_at - utc_now(), timedelta(0))
    if abs(ahead) > CLOCK_TOLERANCE:
        direction = "ahead of" if ahead > timedelta(0) else "behind"
        raise ClockError(
            f"the clock of this host is {abs(ahead).total_seconds():.0f} s {direction} that of the "
            "database's server",
            remedy=_CLOCK_REMEDY,
        )


@contextmanager
def open_ledger(database: Database, settings: Settings) -> Iterator[PostgresLedger]:
    """Yield the ledger; its connections are closed at the end of the block."""
    connections = engine(database.uri, database.limits)
    try:
        yield PostgresLedger(
            connections, host=socket.gethostname(), version=__version__, lease_s=settings.sync.lease_s
        )
    finally:
        connections.dispose()


def open_accounts(
    settings: Settings,
    *,
    stop: Event,
    clock: Clock,
    stack: ExitStack,
    on_retry: Callable[[], None] = lambda: None,
) -> tuple[Account, ...]:
    """Make a source for each key; their idle connections are closed with the stack."""
    accounts = list[Account]()
    for key in required_keys(settings):
        source = RoboflowSource(
            _source_options(settings.source),
            ApiKey(key.secret.get_secret_value()),
            sleep=sleep_until(stop),
            now=clock,
            on_retry=on_retry,
        )
        stack.callback(source.close)
        accounts.append(Account(source, key.workspace))
    return tuple(accounts)


def sleep_until(stop: Event) -> Callable[[float], None]:
    """Return a sleep that ends, as an error, when a run is asked to stop."""

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise DeadlineError("the run was asked to stop")

    return sleep


def run_options(
    settings: Settings, *, trigger: str, only: tuple[Slug, ...] = (), is_dry: bool = False
) -> RunOptions:
    """
    Turn the settings into those of one run.

    Args:
        settings: As loaded.
        trigger: What starts it: sync, schedule, demo.
        only: Read these projects and no others.
        is_dry: Say what would be written, and write nothing.
    """
    return RunOptions(
        trigger=trigger,
        projects=settings.project_filter,
        only=only,
        rules=settings.guard.rules,
        read_jobs=settings.jobs.read,
        scrub=scrub_of(settings),
        promise=promise(settings),
        concurrency=settings.sync.concurrency,
        deadline_s=settings.sync.deadline_s,
        renew_s=settings.sync.lease_s / _RENEWALS,
        is_dry=is_dry,
    )


def scrub_of(settings: Settings) -> Callable[[bytes], bytes]:
    """Return what takes out of a body of jobs what the settings do not let be kept of people."""
    people = settings.jobs.policy
    return lambda body: scrubbed(body, people)


def promise(settings: Settings) -> Promise:
    """Return what is promised of the age of each project's numbers."""
    age = settings.freshness.max_age
    if age is None:
        age = max(2 * Schedule(settings.schedule, "").longest_gap, _LEAST_PROMISE)
    rules = [(pattern, int(most.total_seconds())) for pattern, most in settings.freshness.max_ages]
    return Promise(int(age.total_seconds()), rules)


def patience(settings: Settings) -> float:
    """Return until when, by the monotonic clock, a command waits for the API."""
    return time.monotonic() + min(settings.source.total_s, settings.sync.deadline_s)


def _source_options(source: SourceSettings) -> SourceOptions:
    return SourceOptions(
        base_url=source.url,
        auth=source.auth,
        connect_timeout_s=source.connect_timeout_s,
        read_timeout_s=source.read_timeout_s,
        max_body_bytes=source.max_body_bytes,
        attempts=source.attempts,
        total_s=source.total_s,
        wait_initial_s=source.wait_initial_s,
        wait_max_s=source.wait_max_s,
        retry_after_cap_s=source.retry_after_cap_s,
        requests_per_s=source.requests_per_s,
    )
