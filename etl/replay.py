"""
Make the ledger again from its archive, in a schema of its own, and compare it row by row with the live one.

The code that made the ledger makes it again: `etl.observe` over a source that answers what was answered then.
Projects are independent of one another, and each is rebuilt on its own, one body after the other.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from etl import __version__
from etl.archive import (
    ArchivedVicinity,
    ArchiveSource,
    DamagedError,
    Kept,
    Received,
    base_of,
    bodies,
    observations,
    received,
)
from etl.database import connect, denied, engine
from etl.difference import Fault, ProjectReplay, compare
from etl.errors import PayloadError, SettingsError, StatementFailedError, UnknownProjectError
from etl.guard import Belief, Surroundings
from etl.observe import Observer
from etl.parse import parse_batches, parse_jobs
from etl.records import Batch, Job, JobsObservation, Moves, Observation, ProjectState, Slug, Snapshot, Verdict
from etl.selection import ReadJobs
from etl.sql import rendered
from etl.store import PostgresLedger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from etl.settings import DatabaseSettings

SCHEMA: Final = "ledger_replay"
"""Where a replay writes; `etl/sql/replay_seed.sql` names it, too."""

_TABLES: Final = (
    *("batch", "batch_change", "claim", "job", "job_change", "look_up", "observation", "payload", "project"),
    *("project_day", "reject", "run"),
)
"""Those that a run reads or writes for one project."""

_LOCK: Final = 3_872_051_960_114_552_941
"""The advisory lock of whoever replays: there is one schema."""


class Replayer:
    """
    Replays one project after the other.

    Args:
        reader: Reads what is live and the archive, and compares, each time in one snapshot.
        writer: Prepares the schema; each of its statements is a transaction of its own.
        ledger: Writes to the schema.
        is_kept: Leave there what was rebuilt.
    """

    def __init__(
        self, reader: Connection, writer: Connection, ledger: PostgresLedger, *, is_kept: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._ledger = ledger
        self._is_kept = is_kept

    def projects(self, only: Sequence[Slug] = ()) -> dict[Slug, int]:
        """
        Return the number of each project of the ledger, or of those that are asked for.

        Raises:
            UnknownProjectError: The ledger does not know one of them.
        """
        with self._snapshot() as connection:
            found = connection.execute(text(_PROJECTS)).all()
        known = {Slug(workspace, project): project_id for project_id, workspace, project in found}
        unknown = [str(slug) for slug in only if slug not in known]
        if unknown:
            raise UnknownProjectError(
                f"the ledger knows no project {', '.join(unknown)}",
                remedy="`batchledger status` lists what it knows",
            )
        return {slug: known[slug] for slug in only or known}

    def replay(self, slug: Slug, project_id: int) -> ProjectReplay:
        """
        Rebuild one project and compare it.

        What runs write in the meantime is replayed, too, until a snapshot has nothing new.

        Raises:
            DatabaseUnavailableError: The database cannot be reached, or went away.
        """
        course = _Course(self._ledger, slug, project_id)
        with self._snapshot() as connection:
            obstacle = self._begin(connection, course)
            if obstacle is not None:
                return ProjectReplay(workspace=slug.workspace, project=slug.project, obstacle=obstacle)
            course.follow(connection)
        found = None
        while found is None:
            with self._snapshot() as connection:
                found = None if course.follow(connection) else self._compared(connection, course)
        if not self._is_kept:
            self._writer.exec_driver_sql(f"TRUNCATE {', '.join(f'{SCHEMA}.{table}' for table in _TABLES)}")
        return found

    def _begin(self, connection: Connection, course: _Course) -> str | None:
        """Give the replay the project as it stood where it begins; say why if that is nowhere."""
        base = base_of(connection, course.project_id)
        if base is None:
            self._seed(course.project_id, None, _Shown(Snapshot(()), Snapshot(())), None)
            return None
        if base.observation_id is None:
            why = "were dropped by prune" if base.is_pruned else "come from runs that noted no thresholds"
            return (
                f"the bodies until {base.lacking_at:%Y-%m-%dT%H:%M:%SZ} {why}, and since then no answer has "
                "shown all that was believed"
            )
        kept = next(observations(connection, course.project_id, base.observation_id - 1))
        shown = _shown(connection, kept)
        self._seed(course.project_id, kept, shown or _Shown(Snapshot(()), Snapshot(())), base.jobs_digest)
        course.begin(kept, base.jobs_at, shown)
        return None

    def _compared(self, connection: Connection, course: _Course) -> ProjectReplay:
        cause, differing = compare(connection, SCHEMA, course.project_id, course.after, course.fault)
        return ProjectReplay(
            workspace=course.slug.workspace,
            project=course.slug.project,
            observations=course.count,
            since=course.since,
            cause=cause,
            differing=differing,
        )

    def _seed(self, project_id: int, base: Kept | None, shown: _Shown, jobs_digest: bytes | None) -> None:
        values = {
            "project_id": project_id,
            "base": base.observation_id if base else None,
            "digest": base.digest if base else None,
            "shown": msgspec.json.encode(shown.batches.records).decode(),
            "jobs_digest": jobs_digest,
            "jobs_shown": msgspec.json.encode(shown.jobs.records).decode(),
        }
        self._writer.exec_driver_sql(rendered("replay_seed"), values)

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """Lend the reader for one transaction, which sees one state of everything."""
        with self._reader.begin():
            self._reader.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
            self._reader.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield self._reader


_PROJECTS: Final = "SELECT project_id, workspace, project FROM ledger.project ORDER BY workspace, project"


class _Shown(msgspec.Struct, frozen=True):
    """What the bodies of an observation show."""

    batches: Snapshot[Batch]
    jobs: Snapshot[Job]


class _Course:
    """How far the replay of one project has come, and what was wrong on the way."""

    def __init__(self, ledger: PostgresLedger, slug: Slug, project_id: int) -> None:
        self.slug = slug
        self.project_id = project_id
        self.since: datetime | None = None
        self.after: datetime | None = None
        self.count = 0
        self.fault: Fault | None = None
        self._ledger = ledger
        self._last_id = 0
        self._last_trusted_at: datetime | None = None
        self._last_at: datetime | None = None
        self._jobs_trusted_at: datetime | None = None
        self._believed: ProjectState | None = None

    def begin(self, base: Kept, jobs_at: datetime | None, shown: _Shown | None) -> None:
        """Begin after an observation that showed all that was believed, and see that it did."""
        self._last_trusted_at, self._jobs_trusted_at = base.observed_at, jobs_at
        self.since = base.observed_at
        # The jobs are read after the batches.
        self.after = self._last_at = max(base.observed_at, jobs_at or base.observed_at)
        self._last_id = base.observation_id
        lacking = "its body is not in the archive as it was received"
        wrong = lacking if shown is None else self._amiss(base, shown)
        if wrong:
            self._blame(base, wrong)

    def _amiss(self, base: Kept, shown: _Shown) -> str | None:
        """Say how the history up to the base differs from what its bodies show."""
        observation = Observation(
            project_id=self.project_id,
            verdict=base.verdict,
            started_at=base.started_at,
            observed_at=base.observed_at,
            jobs=JobsObservation(verdict=Verdict.CHANGED, at=base.observed_at),
        )
        moves = self._ledger.preview(observation, shown.batches, Belief()).moves
        absent = self._ledger.known(self.project_id).listed - shown.batches.present
        jobs_moves = self._ledger.preview_jobs(observation, shown.jobs, Belief()).jobs_moves
        absent_jobs = self._ledger.known_jobs(self.project_id).listed - shown.jobs.present
        return _unlike("batches", moves, absent) or _unlike("jobs", jobs_moves, absent_jobs)

    def follow(self, connection: Connection) -> bool:
        """Take again what was observed since; return whether there was anything."""
        before = self._last_id
        for kept in observations(connection, self.project_id, before):
            verdict = self._take(connection, kept)
            if verdict.is_trusted:
                self._last_trusted_at = kept.observed_at
            self._last_at = kept.observed_at
            if kept.jobs is not None:
                self._last_at = max(kept.observed_at, kept.jobs.observed_at)
                self._jobs_trusted_at = (
                    kept.jobs.observed_at if kept.jobs.verdict.is_trusted else self._jobs_trusted_at
                )
            self._last_id = kept.observation_id
        return self._last_id > before

    def _take(self, connection: Connection, kept: Kept) -> Verdict:
        self._mind_repeated(kept)
        if kept.is_applied or (kept.jobs is not None and kept.jobs.is_applied):
            return self._observe(connection, kept)
        return kept.verdict

    def _observe(self, connection: Connection, kept: Kept) -> Verdict:
        """Observe what was observed, as the run did; return the verdict that comes of it."""
        try:
            told = received(connection, kept)
        except DamagedError as error:
            self._blame(kept, str(error))
            return kept.verdict
        state = self._state(kept.run_id)
        state = replace(
            state,
            # That it was looked at is known; why the body was looked at although it was known is not.
            digest=None,
            last_trusted_at=self._last_trusted_at,
            last_at=self._last_at,
            jobs=replace(state.jobs, digest=None, last_trusted_at=self._jobs_trusted_at),
        )
        self._believed = None
        self.count += 1
        reading = self._observer(kept, told).observe(ArchiveSource(kept, told), state)
        if reading.observation is not None:
            self._blame(kept, f"its body is {reading.report.verdict.value} now: {reading.report.error}")
        return reading.report.verdict

    def _observer(self, kept: Kept, told: Received) -> Observer:
        return Observer(
            ledger=self._ledger,
            rules=kept.rules,
            neighbours=ArchivedVicinity(kept.surroundings),
            # The jobs were read last; that they could not be read is noted with the time of the clock.
            clock=lambda: kept.jobs.observed_at if kept.jobs else kept.observed_at,
            stop=Event(),
            until=time.monotonic() + _PATIENCE_S,
            run_id=kept.run_id,
            accepted=told.accepted,
            accepted_jobs=told.accepted_jobs,
            job_neighbours=ArchivedVicinity(kept.jobs.surroundings if kept.jobs else Surroundings()),
            read_jobs=ReadJobs.ALWAYS if kept.jobs else ReadJobs.NEVER,
        )

    def _mind_repeated(self, kept: Kept) -> None:
        """See that the answers which were called the same were the same."""
        is_repeated = kept.verdict is Verdict.UNCHANGED and not kept.is_applied and kept.digest is not None
        if is_repeated and kept.digest != self._believes(kept).digest:
            self._blame(kept, "its body is said to be the last trusted one again, and is not")
        jobs = kept.jobs
        if jobs is None or jobs.verdict is not Verdict.UNCHANGED or jobs.is_applied or jobs.digest is None:
            return
        if jobs.digest != self._believes(kept).jobs.digest:
            self._blame(kept, "its body of jobs is said to be the last trusted one again, and is not")

    def _believes(self, kept: Kept) -> ProjectState:
        """Return what is believed until something is observed again."""
        if self._believed is None:
            self._believed = self._state(kept.run_id)
        return self._believed

    def _state(self, run_id: int) -> ProjectState:
        (state,) = self._ledger.claim(run_id, [self.project_id])
        return state

    def _blame(self, kept: Kept, what: str) -> None:
        self.fault = self.fault or Fault(kept.observation_id, what)


def _unlike(what: str, moves: Moves, absent: frozenset[str]) -> str | None:
    if not moves.count and not absent:
        return None
    return (
        "its body does not show what the history says of that time: "
        f"{moves.entered + moves.returned} {what} more, {len(absent)} less, "
        f"{moves.changed + moves.renamed} otherwise"
    )


_PATIENCE_S: Final = 86_400.0
"""The archive answers at once; a run has to say until when it would wait."""


def _shown(connection: Connection, kept: Kept) -> _Shown | None:
    """Return what the bodies of an observation show; None if they are not to be had any more."""
    try:
        batches, jobs = bodies(connection, kept)
        return _Shown(parse_batches(batches), Snapshot(()) if jobs is None else parse_jobs(jobs))
    except (DamagedError, PayloadError):
        return None


@contextmanager
def replaying(uri: str, limits: DatabaseSettings, *, is_kept: bool = False) -> Iterator[Replayer]:
    """
    Make the schema of a replay, for as long as the block lasts.

    Args:
        uri: As for `etl.database.connect`.
        limits: As for `etl.database.connect`.
        is_kept: Leave the schema there, until the next replay.

    Raises:
        SettingsError: The role of the database may not make a schema.
        StatementFailedError: Somebody else replays.
        DatabaseUnavailableError: The database cannot be reached, or went away.
    """
    connections = engine(uri, limits)
    with (
        connect(uri, limits) as lock,
        connect(uri, limits) as writer,
        connect(uri, limits) as reader,
    ):
        _be_alone(lock)
        writer.execution_options(isolation_level="AUTOCOMMIT")
        reader.execution_options(isolation_level="REPEATABLE READ")
        _make_schema(writer)
        try:
            ledger = PostgresLedger(connections, host="", version=__version__, schema=SCHEMA)
            yield Replayer(reader, writer, ledger, is_kept=is_kept)
        finally:
            connections.dispose()
            if not is_kept:
                writer.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")


def _be_alone(connection: Connection) -> None:
    """Hold a lock until the transaction ends, with the connection."""
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
        raise StatementFailedError("somebody else replays this ledger", remedy="wait until that has ended")


def _make_schema(connection: Connection) -> None:
    """Make the tables anew; one that was kept, or left by a replay that was killed, goes."""
    statements = (
        f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
        f"CREATE SCHEMA {SCHEMA}",
        f"COMMENT ON SCHEMA {SCHEMA} IS 'What batchledger made of its archive; the next replay drops it.'",
        *(f"CREATE UNLOGGED TABLE {SCHEMA}.{table} (LIKE ledger.{table} INCLUDING ALL)" for table in _TABLES),
    )
    try:
        for statement in statements:
            connection.exec_driver_sql(statement)
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise SettingsError(str(denied(error.orig)), remedy=_OWNER_REMEDY) from None
        raise


_OWNER_REMEDY: Final = (
    "a replay makes a schema of its own: let DATABASE_URL name the role that owns schema ledger for it"
)
