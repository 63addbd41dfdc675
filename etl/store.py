"""
The only writer of the ledger: one transaction a project, set-based statements from `etl/sql`.

The statements run on psycopg itself, through connections that SQLAlchemy pools: COPY and prepared statements
are its own, and a thousand small transactions a run leave no time for a second layer.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg

from etl.database import unavailable
from etl.errors import ClaimLostError
from etl.guard import Known
from etl.ports import Applied
from etl.records import Moves, ProjectState, Slug, Totals, Verdict
from etl.sql import SQL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from psycopg import Connection, Cursor
    from sqlalchemy import Engine

    from etl.guard import Belief
    from etl.ports import RunEnd
    from etl.records import Observation, Project, Reject, Snapshot

_SNAPSHOT_COLUMNS: Final = ("batch_id", "name", "images", "num_jobs", "uploaded_at", "extra", "is_listed")
_SNAPSHOT_TYPES: Final = ("text", "text", "int4", "int4", "timestamptz", "text", "bool")
_COPY: Final = f"COPY pg_temp.snapshot ({', '.join(_SNAPSHOT_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_ANALYZE_FROM: Final = 5_000
"""Rows from which the planner is told the size of the snapshot; below, its default guess is near enough."""

_FAST: Final = 1  # zlib's level: a third of the time of the default, for 2 % more bytes.

_SESSION: Final = (
    # Plans are kept from transaction to transaction: planning would cost more than running. A table that was
    # empty when the plan was made must not be scanned whole once it is full, and no statement needs to.
    "SET LOCAL plan_cache_mode = force_generic_plan; "
    "SET LOCAL enable_seqscan = off; "
    "SET LOCAL jit = off; "
    "SET LOCAL client_min_messages = warning; "
    # Nothing is lost by it but the last moments before a crash, whole transactions only, and the next run
    # carries on from there; the end of a run waits until all of it is on disk.
    "SET LOCAL synchronous_commit = off; "
)


class PostgresLedger:
    """
    Implements `etl.ports.Ledger` on Postgres.

    Args:
        engine: Makes the connections; its pool must have room for one a thread.
        host: Name of this machine, for the run's row.
        version: Version of this program, for the run's row.
        lease_s: Seconds until a new run's claims lapse unless it renews them.
    """

    def __init__(self, engine: Engine, *, host: str, version: str, lease_s: float = 60.0) -> None:
        self._engine = engine
        self._host = host
        self._version = version
        self._lease_s = lease_s

    def begin_run(self, *, trigger: str, started_at: datetime) -> int:
        """Open a run and return its id, which is also its claim number."""
        values = {
            "trigger": trigger,
            "started_at": started_at,
            "lease_s": self._lease_s,
            "host": self._host,
            "version": self._version,
        }
        with self._transaction() as cursor:
            return int(_one(cursor.execute(SQL["begin_run"], values))[0])

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
        with self._transaction() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = on")
            cursor.execute(SQL["end_run"], values)

    def register(self, projects: Sequence[Project], *, at: datetime) -> Mapping[Slug, ProjectState]:
        """Make sure that each project has its row, and return what is held of each."""
        values = {
            "workspaces": [project.slug.workspace for project in projects],
            "projects": [project.slug.project for project in projects],
            "names": [project.name for project in projects],
            "types": [project.type for project in projects],
            "at": at,
        }
        with self._transaction() as cursor:
            cursor.execute(SQL["register"], values)
            cursor.execute(SQL["identify"], values)
            return _by_slug(_states(cursor, [row[0] for row in cursor]))

    def tracked(self) -> Mapping[Slug, ProjectState]:
        """Return what is held of each project that the ledger follows."""
        with self._transaction() as cursor:
            cursor.execute(SQL["tracked"])
            return _by_slug(_states(cursor, [row[0] for row in cursor]))

    def untrack(self, project_ids: Collection[int]) -> None:
        """Mark projects that the settings do not ask for any more; their history stays."""
        with self._transaction() as cursor:
            cursor.execute(SQL["untrack"], {"project_ids": list(project_ids)})

    def claim(self, run_id: int, project_ids: Collection[int]) -> Sequence[ProjectState]:
        """Claim the projects that no living run holds, stalest first, and return what is held of each."""
        with self._transaction() as cursor:
            cursor.execute(SQL["claim"], {"run_id": run_id, "project_ids": list(project_ids)})
            return _states(cursor, [row[0] for row in cursor])

    def renew(self, run_id: int) -> None:
        """Push the end of the run's lease."""
        with self._transaction() as cursor:
            cursor.execute(SQL["renew"], {"run_id": run_id, "lease_s": self._lease_s})

    def known(self, project_id: int) -> Known:
        """Return the ids of the project's batches that are not gone."""
        with self._transaction() as cursor:
            row = _one(cursor.execute(SQL["known"], {"project_id": project_id}))
            return Known(*(frozenset(ids or ()) for ids in row))

    def apply(
        self, run_id: int, observation: Observation, snapshot: Snapshot, belief: Belief, body: bytes
    ) -> Applied:
        """
        Write one project's answer in one transaction.

        Raises:
            ClaimLostError: The project is not ours any more. Nothing was written.
        """
        values = _values(run_id, observation, belief, body)
        with self._transaction(_SCRATCH) as cursor:
            _hold(cursor, values)
            _compare(cursor, values, snapshot, belief)
            observation_id, verdict, *moved = _one(cursor.execute(SQL["apply"], values))
            _keep_rejects(cursor, observation_id, snapshot.rejects)
        return Applied(verdict=Verdict(verdict), moves=Moves(*(int(count) for count in moved)))

    def preview(self, observation: Observation, snapshot: Snapshot, belief: Belief) -> Applied:
        """Say what `apply` would change, and write nothing but temporary tables."""
        values = _values(0, observation, belief, b"")
        with self._transaction(_SCRATCH) as cursor:
            _compare(cursor, values, snapshot, belief)
            moves = Moves(*(int(count) for count in _one(cursor.execute(SQL["moves"]))))
        return Applied(verdict=_verdict(belief, moves), moves=moves)

    def record(self, run_id: int, observations: Sequence[Observation]) -> int:
        """Write observations that changed nothing, many at a time; return how many were ours to write."""
        with self._transaction() as cursor:
            cursor.execute(SQL["record"], {"run_id": run_id, **_columns(observations)})
            return cursor.rowcount

    def note_tick(self, scheduled_at: datetime, reason: str, *, recorded_at: datetime) -> None:
        """Note a scheduled time at which no run started; the same one twice is noted once."""
        values = {
            "scheduled_at": scheduled_at,
            "reason": reason,
            "recorded_at": recorded_at,
            "host": self._host,
        }
        with self._transaction() as cursor:
            cursor.execute(SQL["tick"], values)

    @contextmanager
    def _transaction(self, prelude: str = "") -> Iterator[Cursor[Any]]:
        """Run one transaction on a pooled connection; what the caller raises rolls it back."""
        try:
            with self._engine.connect() as pooled:
                connection = pooled.connection.driver_connection
                with _psycopg(connection).cursor(binary=True) as cursor:
                    cursor.execute(_SESSION + prelude, binary=False)
                    yield cursor
                pooled.connection.commit()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise unavailable(self._engine, error) from None


_SCRATCH: Final = SQL["scratch_tables"]


def _psycopg(connection: object) -> Connection[Any]:
    if not isinstance(connection, psycopg.Connection):
        raise TypeError("the ledger needs psycopg")
    return connection


def _one(cursor: Cursor[Any]) -> Sequence[Any]:
    row: Sequence[Any] | None = cursor.fetchone()
    if row is None:
        raise LookupError("the statement returned no row")
    return row


def _states(cursor: Cursor[Any], project_ids: Sequence[int]) -> list[ProjectState]:
    cursor.execute(SQL["state"], {"project_ids": project_ids})
    return [
        ProjectState(project_id, Slug(workspace, project), Totals(*totals), *rest)
        for project_id, workspace, project, *columns in cursor
        for totals, rest in [(columns[:3], columns[3:])]
    ]


def _by_slug(states: Sequence[ProjectState]) -> dict[Slug, ProjectState]:
    return {state.slug: state for state in states}


def _hold(cursor: Cursor[Any], values: Mapping[str, Any]) -> None:
    if cursor.execute(SQL["lock_claim"], values).fetchone() is None:
        raise ClaimLostError("another run has claimed the project since; what was read is dropped")


def _compare(cursor: Cursor[Any], values: Mapping[str, Any], snapshot: Snapshot, belief: Belief) -> None:
    """Copy the answer into a temporary table, and leave in another how it differs from what was believed."""
    _copy(cursor, snapshot, belief)
    cursor.execute(SQL["compare_shown"], values)
    absent = {
        "gone": list(belief.gone),
        "missing": list(belief.missing),
        "present_only": list(snapshot.present_only),
    }
    if any(absent.values()):
        cursor.execute(SQL["compare_absent"], {**values, **absent})


def _copy(cursor: Cursor[Any], snapshot: Snapshot, belief: Belief) -> None:
    with cursor.copy(_COPY) as copy:
        copy.set_types(_SNAPSHOT_TYPES)
        for batches, is_listed in ((snapshot.batches, True), (belief.found, False)):
            for batch in batches:
                copy.write_row(
                    (
                        batch.batch_id,
                        batch.name,
                        batch.images,
                        batch.num_jobs,
                        batch.uploaded_at,
                        batch.extra,
                        is_listed,
                    )
                )
    if len(snapshot.batches) >= _ANALYZE_FROM:
        cursor.execute("ANALYZE pg_temp.snapshot")


def _keep_rejects(cursor: Cursor[Any], observation_id: int, rejects: Sequence[Reject]) -> None:
    if rejects:
        cursor.executemany(
            SQL["reject"],
            [
                {
                    "observation_id": observation_id,
                    "position": reject.position,
                    "batch_id": reject.batch_id,
                    "reason": reject.reason,
                    "raw": reject.raw,
                }
                for reject in rejects
            ],
        )


def _verdict(belief: Belief, moves: Moves) -> Verdict:
    if belief.rule is not None:
        return Verdict.SUSPECT
    return Verdict.CHANGED if moves.count else Verdict.UNCHANGED


def _values(run_id: int, observation: Observation, belief: Belief, body: bytes) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "project_id": observation.project_id,
        "rule": belief.rule,
        "is_pending": bool(belief.rule or belief.missing),
        "is_loss": belief.rule is not None and belief.rule.is_loss,
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
        "body": zlib.compress(body, _FAST),
    }


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
    "error_class",
    "error",
)


def _columns(observations: Sequence[Observation]) -> dict[str, list[Any]]:
    """Turn rows into columns: one array a column is one statement for any number of rows."""
    totals = [observation.totals for observation in observations]
    return {
        **{name: [getattr(observation, name) for observation in observations] for name in _RECORDED},
        "batches": [total.batches if total else None for total in totals],
        "images": [total.images if total else None for total in totals],
        "num_jobs": [total.num_jobs if total else None for total in totals],
    }
