"""
The only writer of the ledger: one statement, and so one transaction, a project.

The statements run on psycopg itself, through connections that SQLAlchemy pools: prepared statements are its
own, and a thousand small transactions a run leave no time for a second layer.
"""

from __future__ import annotations

import hashlib
import zlib
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg
from psycopg import RawCursor
from psycopg.pq import Format
from psycopg.types.numeric import Int8
from sqlalchemy.exc import SQLAlchemyError

from etl.database import at_work, denied, given_up, unavailable
from etl.errors import ClaimLostError
from etl.guard import Known
from etl.ports import Applied, Scheduled
from etl.records import JobsState, Moves, ProjectState, Slug, Totals, Verdict
from etl.sql import BATCH, JOB, statement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from psycopg import Cursor
    from sqlalchemy import Engine

    from etl.guard import Belief, GuardRules
    from etl.ports import Examined, RunEnd
    from etl.records import (
        Batch,
        Job,
        JobsObservation,
        LookedUp,
        Observation,
        Project,
        Record,
        Reject,
        Snapshot,
    )
    from etl.sql import Subject

_FAST: Final = 1  # zlib's level: a third of the time of the default, for 2 % more bytes.

_GIVEN_UP: Final = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
"""What psycopg counts among the failures of the database, although it is one statement that failed."""

_UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # Among which are a server that takes no writes, and an index that is broken.
    psycopg.InternalError,
    SQLAlchemyError,
)


class PostgresLedger:
    """
    Implements `etl.ports.Ledger` on Postgres.

    Args:
        engine: Makes the connections. Its pool is emptied when a run ends, so that none idles until the next.
        host: Name of this machine, for the run's row.
        version: Version of this program, for the run's row.
        lease_s: Seconds until a new run's claims lapse unless it renews them.
        schema: Where its tables are.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        host: str,
        version: str,
        lease_s: float = 60.0,
        schema: str = "ledger",
    ) -> None:
        self._engine = engine
        self._host = host
        self._version = version
        self._lease_s = lease_s
        self._schema = schema

    def begin_run(
        self, *, trigger: str, started_at: datetime, rules: GuardRules | None = None, is_whole: bool = True
    ) -> int:
        """Open a run and return its id, which is also its claim number."""
        values = {
            "trigger": trigger,
            "started_at": started_at,
            "lease_s": self._lease_s,
            "host": self._host,
            "version": self._version,
            "is_whole": is_whole,
            "guard": None if rules is None else _text(rules),
        }
        # Were its number lost in a crash, the next run would get the same one, and with it this one's claims.
        with self._durable_cursor() as cursor:
            return int(_one(self._execute(cursor, "begin_run", values))[0])

    def end_run(self, run_id: int, end: RunEnd) -> None:
        """Close a run, give back what it still claims, and make all that it committed durable."""
        values = {
            "run_id": run_id,
            "ended_at": end.ended_at,
            "outcome": end.outcome,
            "batch_changes": end.moves.count,
            "requests": end.requests,
            **{verdict.value: end.verdicts.get(verdict, 0) for verdict in Verdict},
        }
        with self._durable_cursor() as cursor:
            self._execute(cursor, "end_run", values)
        self._engine.dispose()

    def register(
        self,
        projects: Sequence[Project],
        *,
        at: datetime,
        max_ages_s: Mapping[Slug, int] = MappingProxyType({}),
        is_whole: bool = True,
    ) -> Mapping[Slug, ProjectState]:
        """Make sure that each project has its row and its promise, and return what is held of each."""
        values = {
            "workspaces": [project.slug.workspace for project in projects],
            "projects": [project.slug.project for project in projects],
            "names": [project.name for project in projects],
            "types": [project.type for project in projects],
            "max_ages_s": [max_ages_s.get(project.slug) for project in projects],
            "at": at,
            "is_whole": is_whole,
        }
        with self._cursor() as cursor:
            self._execute(cursor, "register", values)
            self._execute(cursor, "identify", values)
            return _by_slug(self._states(cursor, [row[0] for row in cursor]))

    def projects(self) -> Mapping[Slug, ProjectState]:
        """Return what is held of each project that the ledger knows, followed or not."""
        with self._cursor() as cursor:
            self._execute(cursor, "projects", {})
            return _by_slug(self._states(cursor, [row[0] for row in cursor]))

    def untrack(self, project_ids: Collection[int], *, at: datetime) -> None:
        """Pause projects that the settings do not ask for any more; their history stays."""
        with self._cursor() as cursor:
            self._execute(cursor, "untrack", {"project_ids": list(project_ids), "at": at})

    def claim(self, run_id: int, project_ids: Collection[int]) -> Sequence[ProjectState]:
        """Claim the projects that no living run holds, stalest first, and return what is held of each."""
        with self._cursor() as cursor:
            self._execute(cursor, "claim", {"run_id": run_id, "project_ids": list(project_ids)})
            return self._states(cursor, [row[0] for row in cursor])

    def renew(self, run_id: int) -> None:
        """Push the end of the run's lease."""
        with self._cursor() as cursor:
            self._execute(cursor, "renew", {"run_id": run_id, "lease_s": self._lease_s})

    def known(self, project_id: int) -> Known:
        """Return the ids of the project's batches that are not gone."""
        return self._known(project_id, BATCH)

    def known_jobs(self, project_id: int) -> Known:
        """Return the ids of the project's annotation jobs that are not gone."""
        return self._known(project_id, JOB)

    def _known(self, project_id: int, subject: Subject) -> Known:
        with self._cursor() as cursor:
            self._execute(cursor, "known", {"project_id": project_id}, subject)
            return Known(*(frozenset(ids or ()) for ids in _one(cursor)))

    def apply(
        self,
        run_id: int,
        observation: Observation,
        batches: Examined[Batch] | None,
        jobs: Examined[Job] | None = None,
    ) -> Applied:
        """
        Write one project's answers, with the evidence for what is believed of them, in one transaction.

        Raises:
            ClaimLostError: The project is not ours any more. Nothing was written.
        """
        examined = tuple(subject for subject, answer in ((BATCH, batches), (JOB, jobs)) if answer)
        values = {
            **_values(observation),
            **_examined_columns(BATCH, batches),
            **_examined_columns(JOB, jobs),
            **_payload_columns(observation, batches, jobs),
            "run_id": run_id,
        }
        with self._cursor() as cursor:
            row = self._execute(cursor, "apply", values, *examined).fetchone()
        if row is None:
            raise ClaimLostError("another run has claimed the project since; what was read is dropped")
        verdict, jobs_verdict = row[0], row[8]
        return Applied(
            Verdict(verdict),
            _moves(row[1:8]),
            None if jobs_verdict is None else Verdict(jobs_verdict),
            _moves(row[9:]),
        )

    def preview(self, observation: Observation, snapshot: Snapshot[Batch], belief: Belief) -> Applied:
        """Say what `apply` would change of the batches, and write nothing."""
        moves = _moves(self._preview(observation, snapshot, belief, BATCH))
        return Applied(_verdict(belief, moves), moves)

    def preview_jobs(self, observation: Observation, snapshot: Snapshot[Job], belief: Belief) -> Applied:
        """Say what `apply` would change of the jobs, and write nothing."""
        kinds_and_images = self._preview(observation, snapshot, belief, JOB)[:6]
        moves = _moves(kinds_and_images)
        return Applied(Verdict.UNCHANGED, Moves(), _verdict(belief, moves), moves)

    def _preview(
        self, observation: Observation, snapshot: Snapshot[Record], belief: Belief, subject: Subject
    ) -> Sequence[Any]:
        values = {**_values(observation), **_answer_columns(subject, snapshot, belief)}
        with self._cursor() as cursor:
            return _one(self._execute(cursor, "preview", values, subject))

    def record(self, run_id: int, observations: Sequence[Observation]) -> int:
        """Write observations that changed nothing, many at a time; return how many were ours to write."""
        with self._cursor() as cursor:
            self._execute(cursor, "record", {"run_id": run_id, **_columns(observations)})
            return cursor.rowcount

    def last_scheduled(self) -> Scheduled | None:
        """Return the latest run of any daemon on this database; None if there was none."""
        with self._cursor() as cursor:
            row = self._execute(cursor, "last_scheduled", {}).fetchone()
            return None if row is None else Scheduled(*row)

    def note_tick(self, scheduled_at: datetime, reason: str, *, recorded_at: datetime) -> None:
        """Note a scheduled time at which no run started; the same one twice is noted once."""
        values = {
            "scheduled_at": scheduled_at,
            "reason": reason,
            "recorded_at": recorded_at,
            "host": self._host,
        }
        with self._cursor() as cursor:
            self._execute(cursor, "tick", values)

    def _states(self, cursor: Cursor[Any], project_ids: Sequence[int]) -> list[ProjectState]:
        self._execute(cursor, "state", {"project_ids": project_ids})
        return [
            ProjectState(project_id, Slug(workspace, project), Totals(*totals), JobsState(*jobs), *rest)
            for project_id, workspace, project, *columns in cursor
            for totals, rest, jobs in [(columns[:3], columns[3:9], columns[9:])]
        ]

    def _execute(
        self, cursor: Cursor[Any], file: str, values: Mapping[str, Any], *examined: Subject
    ) -> Cursor[Any]:
        command = statement(file, schema=self._schema, examined=examined)
        # Left alone, psycopg gives an integer the smallest type that holds it, and a statement is prepared
        # anew for each mixture of types.
        arguments = [Int8(value) if type(value) is int else value for value in command.arguments(values)]
        return cursor.execute(command.text, arguments, prepare=True)

    @contextmanager
    def _durable_cursor(self) -> Iterator[Cursor[Any]]:
        """Lend a cursor with one transaction, which is on disk, with all before it, when the block ends."""
        with self._cursor() as cursor, cursor.connection.transaction():
            cursor.execute("SET LOCAL synchronous_commit = on")
            yield cursor

    @contextmanager
    def _cursor(self) -> Iterator[Cursor[Any]]:
        """Lend a cursor of a pooled connection, on which every statement is a transaction of its own."""
        try:
            with self._connection() as connection, _raw_cursor(connection) as cursor:
                yield cursor
        except psycopg.errors.InsufficientPrivilege as error:
            raise denied(error) from None
        except _GIVEN_UP as error:
            raise given_up(error) from None
        except _UNAVAILABLE as error:
            # What one connection has lost, the others mostly have, too.
            self._engine.dispose()
            raise unavailable(self._engine, error) from None

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        pool, pooled, is_lost = self._engine.pool, self._engine.raw_connection(), False
        try:
            with at_work(pooled) as connection:
                yield connection
        except _UNAVAILABLE:
            is_lost = True
            raise
        finally:
            # The pool would try to roll back what is lost, and print a traceback. One that was disposed of in
            # the meantime closes nothing any more.
            if is_lost or self._engine.pool is not pool:
                pooled.invalidate()
            else:
                pooled.close()


def _raw_cursor(connection: psycopg.Connection) -> RawCursor[Any]:
    cursor: RawCursor[Any] = RawCursor(connection)
    cursor.format = Format.BINARY
    return cursor


def _one(cursor: Cursor[Any]) -> Sequence[Any]:
    row: Sequence[Any] | None = cursor.fetchone()
    if row is None:
        raise LookupError("the statement returned no row")
    return row


def _by_slug(states: Sequence[ProjectState]) -> dict[Slug, ProjectState]:
    return {state.slug: state for state in states}


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _moves(row: Sequence[Any]) -> Moves:
    return Moves(*(int(count) for count in row))


def _examined_columns(subject: Subject, examined: Examined[Record] | None) -> dict[str, Any]:
    """Give what an answer shows, what is believed of it and the evidence, by the subject's own names."""
    if examined is None:
        return {f"{subject.prefix}rule": None, f"{subject.prefix}surroundings": None}
    surroundings = examined.surroundings
    columns = {
        **_reject_columns(examined.snapshot.rejects),
        **_look_up_columns(examined.look_ups),
        "surroundings": None if surroundings is None else _text(surroundings),
    }
    return {
        **_answer_columns(subject, examined.snapshot, examined.belief),
        **{f"{subject.prefix}{name}": value for name, value in columns.items()},
    }


def _answer_columns(subject: Subject, snapshot: Snapshot[Record], belief: Belief) -> dict[str, Any]:
    columns = {
        "rule": belief.rule,
        "is_pending": bool(belief.rule or belief.missing),
        "is_loss": belief.rule is not None and belief.rule.is_loss,
        "shown": _text(snapshot.records),
        "found": _text(belief.found),
        "gone": list(belief.gone),
        "missing": list(belief.missing),
        "present_only": list(snapshot.present_only),
    }
    return {f"{subject.prefix}{name}": value for name, value in columns.items()}


def _reject_columns(rejects: Sequence[Reject]) -> dict[str, list[Any]]:
    return {
        "reject_positions": [reject.position for reject in rejects],
        "reject_record_ids": [reject.record_id for reject in rejects],
        "reject_reasons": [reject.reason for reject in rejects],
        "reject_raws": [reject.raw for reject in rejects],
    }


def _look_up_columns(look_ups: Sequence[LookedUp]) -> dict[str, list[Any]]:
    return {
        "look_up_record_ids": [look_up.record_id for look_up in look_ups],
        "look_up_outcomes": [look_up.outcome for look_up in look_ups],
        "look_up_digests": [None if look_up.body is None else _digest(look_up.body) for look_up in look_ups],
    }


def _payload_columns(
    observation: Observation, batches: Examined[Batch] | None, jobs: Examined[Job] | None
) -> dict[str, list[Any]]:
    payloads: dict[bytes | None, bytes] = {}
    if batches is not None:
        payloads |= {observation.digest: batches.body} | _found_bodies(batches.look_ups)
    if jobs is not None and observation.jobs is not None:
        payloads |= {observation.jobs.digest: jobs.body} | _found_bodies(jobs.look_ups)
    return {
        "payload_digests": list(payloads),
        "payload_bodies": [zlib.compress(received, _FAST) for received in payloads.values()],
        "payload_bytes": [len(received) for received in payloads.values()],
    }


def _found_bodies(look_ups: Sequence[LookedUp]) -> dict[bytes | None, bytes]:
    return {_digest(look_up.body): look_up.body for look_up in look_ups if look_up.body is not None}


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def _verdict(belief: Belief, moves: Moves) -> Verdict:
    if belief.rule is not None:
        return Verdict.SUSPECT
    return Verdict.CHANGED if moves.count else Verdict.UNCHANGED


def _values(observation: Observation) -> dict[str, Any]:
    return {
        "project_id": observation.project_id,
        "started_at": observation.started_at,
        "observed_at": observation.observed_at,
        "previous_at": observation.previous_at,
        "http_status": observation.http_status,
        "requests": observation.requests,
        "body_bytes": observation.body_bytes,
        "fetch_ms": observation.fetch_ms,
        "parse_ms": observation.parse_ms,
        "digest": observation.digest,
        "etag": observation.etag,
        "is_settled": observation.is_settled,
        **_jobs_values(observation.jobs),
    }


_OF_JOBS: Final = (
    "verdict",
    "at",
    "previous_at",
    "http_status",
    "body_bytes",
    "digest",
    "error_class",
    "error",
)


def _jobs_values(jobs: JobsObservation | None) -> dict[str, Any]:
    return {
        f"{JOB.prefix}{name}": None if jobs is None else getattr(jobs, name) for name in (*_OF_JOBS, "etag")
    } | {JOB.settled: None if jobs is None else jobs.is_settled}


_RECORDED: Final = (
    "project_id",
    "verdict",
    "started_at",
    "observed_at",
    "previous_at",
    "http_status",
    "requests",
    "body_bytes",
    "fetch_ms",
    "digest",
    "rule",
    "error_class",
    "error",
)


def _columns(observations: Sequence[Observation]) -> dict[str, list[Any]]:
    """Turn rows into columns: one array a column is one statement for any number of rows."""
    totals = [observation.totals for observation in observations]
    jobs = [observation.jobs for observation in observations]
    return {
        **{name: [getattr(observation, name) for observation in observations] for name in _RECORDED},
        **{f"{JOB.prefix}{name}": [one and getattr(one, name) for one in jobs] for name in _OF_JOBS},
        "batches": [total.batches if total else None for total in totals],
        "images": [total.images if total else None for total in totals],
        "num_jobs": [total.num_jobs if total else None for total in totals],
    }
