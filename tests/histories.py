"""Histories that are written by hand, straight into the tables: what was seen, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import psycopg

MINUTE: Final = timedelta(minutes=1)


class Images(NamedTuple):
    """One batch, as an answer shows it."""

    images: int
    num_jobs: int = 0
    name: str | None = None
    uploaded_at: datetime | None = None


class Work(NamedTuple):
    """One job, as an answer shows it."""

    batch_id: str | None
    images: int
    annotated: int | None = 0
    approved: int | None = 0
    rejected: int | None = 0
    status: str | None = "assigned"
    created_at: datetime | None = None
    labeler: str | None = None


class Flows(NamedTuple):
    """Where images came from and went, in one observation."""

    intake: int = 0
    moved: int = 0
    assigned: int = 0
    unassigned: int = 0
    removed: int = 0


class Done(NamedTuple):
    """What was done in jobs, as one observation saw it."""

    annotated_work: int = 0
    approved_work: int = 0
    rejected_work: int = 0


class _Moved(NamedTuple):
    """One batch or job that differs: how it does, what it was, and what it is."""

    kind: str
    was: Any
    now: Any


@dataclass
class _State:
    """What is believed of one project."""

    project_id: int
    previous_at: datetime | None = None
    jobs_previous_at: datetime | None = None
    batches: Mapping[str, Images] | None = None
    jobs: Mapping[str, Work] | None = None


class History:
    """Writes observations as a run would, but takes the flows from whoever worked them out by hand."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._projects: dict[str, _State] = {}

    def project(self, name: str, at: datetime) -> None:
        """Let a project of workspace acme be known."""
        project_id = self._insert(
            "project",
            "project_id",
            workspace="acme",
            project=name,
            is_tracked=True,
            first_seen_at=at,
            batches=0,
            images=0,
            num_jobs=0,
        )
        self._projects[name] = _State(project_id)

    def see(
        self,
        name: str,
        at: datetime,
        batches: Mapping[str, Images],
        jobs: Mapping[str, Work] | None = None,
        *,
        flows: Flows | None = None,
        done: Done | None = None,
        rule: str | None = None,
        **more: Any,
    ) -> None:
        """
        Write an observation of all batches, and a minute later of all jobs unless they are None.

        The jobs are trusted, and the batches too unless a `rule` makes them suspect: then `batches` are what
        is believed of them nevertheless.
        """
        state = self._projects[name]
        changed = _changed(state.batches or {}, batches)
        is_read = jobs is not None
        moved_jobs = _changed(state.jobs or {}, jobs) if is_read else {}
        totals = _totals(batches, jobs if is_read else state.jobs)
        deltas = {
            "images_delta": sum(one.now.images - one.was.images for one in changed.values()),
            "num_jobs_delta": sum(one.now.num_jobs - one.was.num_jobs for one in changed.values()),
        }
        kinds = [one.kind for one in changed.values()]
        reading: dict[str, Any] = {}
        if is_read:
            reading = {
                "jobs_verdict": "changed" if moved_jobs else "unchanged",
                "jobs_at": at + MINUTE,
                "jobs_previous_at": state.jobs_previous_at,
                "jobs_changes": len(moved_jobs),
            }
        observation_id = self._observation(
            state,
            at,
            _verdict(rule, changed),
            rule=rule,
            batches_entered=kinds.count("entered"),
            batches_changed=kinds.count("changed"),
            batches_left=kinds.count("left"),
            **totals,
            **deltas,
            **reading,
            **(flows._asdict() if flows else {}),
            **(done._asdict() if done else {}),
            **more,
        )
        for batch_id, moved in changed.items():
            self._batch(state, observation_id, at, batch_id, moved)
        for job_id, moved in moved_jobs.items():
            self._job(state, observation_id, at + MINUTE, job_id, moved)
        if changed or moved_jobs:
            entered, left = kinds.count("entered"), kinds.count("left")
            sums = {**deltas, "batches_entered": entered, "batches_left": left}
            sums |= (flows or Flows())._asdict() | (done or Done())._asdict()
            self._roll_up(state, at, totals, sums)
        since = {"jobs_since": at + MINUTE} if is_read and state.jobs_previous_at is None else {}
        known = {key: value for key, value in totals.items() if value is not None}
        self._update("project", {"project_id": state.project_id}, known | since)
        state.batches = dict(batches)
        if rule is None:
            state.previous_at = at
        if is_read:
            state.jobs_previous_at, state.jobs = at + MINUTE, dict(jobs or {})

    def fail(self, name: str, at: datetime) -> None:
        """Write an attempt that failed."""
        state = self._projects[name]
        believed = _totals(state.batches or {}, state.jobs) if state.batches is not None else {}
        self._observation(
            state, at, "failed", error_class="TransientError", error="status 500", **believed, **_NOTHING
        )

    def _observation(self, state: _State, at: datetime, verdict: str, **values: Any) -> int:
        run_id = self._insert(
            "run", "run_id", trigger="sync", started_at=at, leased_until=at, host="here", version="test"
        )
        known = _NOTHING | {"requests": 1, "batches_renamed": 0, "batches_returned": 0} | values
        return self._insert(
            "observation",
            "observation_id",
            run_id=run_id,
            project_id=state.project_id,
            verdict=verdict,
            started_at=at,
            observed_at=at,
            previous_at=state.previous_at,
            **known,
        )

    def _batch(self, state: _State, observation_id: int, at: datetime, batch_id: str, moved: _Moved) -> None:
        kind, was, now = moved
        key = {"project_id": state.project_id, "batch_id": batch_id}
        shown = was if kind == "left" else now
        values = {**shown._asdict(), "images": now.images, "num_jobs": now.num_jobs}
        self._insert(
            "batch_change",
            "observation_id",
            **key,
            **values,
            observation_id=observation_id,
            kind=kind,
            images_delta=now.images - was.images,
            num_jobs_delta=now.num_jobs - was.num_jobs,
            observed_at=at,
            changed_after=state.previous_at,
        )
        self._keep("batch", key, kind, values, at=at, before=state.previous_at)

    def _job(self, state: _State, observation_id: int, at: datetime, job_id: str, moved: _Moved) -> None:
        kind, was, now = moved
        key = {"project_id": state.project_id, "job_id": job_id}
        values = now._asdict() if kind != "left" else was._asdict() | _NO_IMAGES
        deltas = {
            f"{name}_delta": (getattr(now, name) or 0) - (getattr(was, name) or 0)
            for name in ("images", "annotated", "approved", "rejected")
        }
        unannotated = None if now.annotated is None else now.images - now.annotated
        self._insert(
            "job_change",
            "observation_id",
            **key,
            **values,
            **deltas,
            unannotated=unannotated,
            observation_id=observation_id,
            kind=kind,
            observed_at=at,
            changed_after=state.jobs_previous_at,
        )
        values |= {"unannotated": unannotated}
        self._keep("job", key, kind, values, at=at, before=state.jobs_previous_at)

    def _keep(
        self,
        table: str,
        key: Mapping[str, Any],
        kind: str,
        values: Mapping[str, Any],
        *,
        at: datetime,
        before: datetime | None,
    ) -> None:
        if kind == "entered":
            self._insert(table, "project_id", **key, **values, first_seen_at=at, changed_at=at)
            return
        gone = {"missing_since": at, "present_at": before, "gone_at": at} if kind == "left" else {}
        self._update(table, key, {**values, "changed_at": at, **gone})

    def _roll_up(
        self, state: _State, at: datetime, totals: Mapping[str, Any], sums: Mapping[str, Any]
    ) -> None:
        """Add to the row of the day, in UTC."""
        values = {"project_id": state.project_id, "day": at.date(), **totals, **sums}
        updates = sql.SQL(", ").join(
            sql.SQL("{0} = EXCLUDED.{0}" if name in totals else "{0} = day.{0} + EXCLUDED.{0}").format(
                sql.Identifier(name)
            )
            for name in (*totals, *sums)
        )
        self._connection.execute(
            sql.SQL(
                "INSERT INTO ledger.project_day AS day ({}) VALUES ({}) "
                "ON CONFLICT (project_id, day) DO UPDATE SET {}"
            ).format(_names(values), sql.SQL(", ").join(map(sql.Literal, values.values())), updates)
        )

    def _insert(self, table: str, returned: LiteralString, **values: Any) -> int:
        row = self._connection.execute(
            sql.SQL("INSERT INTO ledger.{} ({}) VALUES ({}) RETURNING {}").format(
                sql.Identifier(table),
                _names(values),
                sql.SQL(", ").join(map(sql.Literal, values.values())),
                sql.Identifier(returned),
            )
        ).fetchone()
        assert row
        return int(row[0])

    def _update(self, table: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._connection.execute(
            sql.SQL("UPDATE ledger.{} SET {} WHERE {}").format(
                sql.Identifier(table), _pairs(values, ", "), _pairs(key, " AND ")
            )
        )


_NOTHING: Final = {
    "requests": 1,
    "batches_entered": 0,
    "batches_changed": 0,
    "batches_renamed": 0,
    "batches_left": 0,
    "batches_returned": 0,
    "images_delta": 0,
    "num_jobs_delta": 0,
}
_NO_IMAGES: Final = {"images": 0, "annotated": 0, "approved": 0, "rejected": 0}


def _verdict(rule: str | None, changed: Mapping[str, _Moved]) -> str:
    if rule is not None:
        return "suspect"
    return "changed" if changed else "unchanged"


def _changed(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> dict[str, _Moved]:
    """Say of each one that differs how it does, what it was and what it is."""
    after = after or {}
    none = {"batch": Images(0), "job": Work(None, 0)}
    empty = none[
        "job" if any(isinstance(one, Work) for one in (*before.values(), *after.values())) else "batch"
    ]
    entered = {key: _Moved("entered", empty, now) for key, now in after.items() if key not in before}
    changed = {
        key: _Moved("changed", was, after[key])
        for key, was in before.items()
        if key in after and after[key] != was
    }
    left = {key: _Moved("left", was, empty) for key, was in before.items() if key not in after}
    return entered | changed | left


def _totals(batches: Mapping[str, Images], jobs: Mapping[str, Work] | None) -> dict[str, int | None]:
    return {
        "batches": len(batches),
        "images": sum(one.images for one in batches.values()),
        "num_jobs": sum(one.num_jobs for one in batches.values()),
        "jobs": None if jobs is None else len(jobs),
        "job_images": None if jobs is None else sum(one.images for one in jobs.values()),
        **{
            name: None if jobs is None else sum(getattr(one, name) or 0 for one in jobs.values())
            for name in ("annotated", "approved", "rejected")
        },
    }


def _names(values: Mapping[str, Any]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, values))


def _pairs(values: Mapping[str, Any], between: LiteralString) -> sql.Composed:
    return sql.SQL(between).join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in values.items()
    )
