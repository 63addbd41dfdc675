"""What happens in a project by itself: one random event, as likely and as large as real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from random import Random

    from etl.simulator.project import Project
    from etl.simulator.rows import Batch, Job

    _Happening = Callable[[Project, Random, datetime], tuple[str, ...]]


_Row = TypeVar("_Row")


class Event(msgspec.Struct, frozen=True):
    """Something that happened: the verb, the path of the project, and the ids of the rows it touched."""

    kind: str
    project: str
    ids: tuple[str, ...]


def happen(project: Project, rng: Random, at: datetime) -> Event:
    """Let one random event happen that is possible in the project; an upload always is."""
    while True:
        (kind,) = rng.choices(tuple(_EVENTS), weights=_WEIGHTS)
        ids = _EVENTS[kind][1](project, rng, at)
        if ids:
            return Event(kind, project.path, ids)


def _upload(project: Project, rng: Random, at: datetime) -> tuple[str, ...]:
    return (project.upload(images=rng.randint(5, 300), at=at).id,)


def _append(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    return tuple(
        project.append(batch.id, images=rng.randint(1, 100)).id for batch in _any(rng, _batches(project), 1)
    )


def _assign(project: Project, rng: Random, at: datetime) -> tuple[str, ...]:
    for batch in _any(rng, _batches(project, at_least=1), 1):
        # As often as not the whole batch is handed out at once.
        images = rng.choice((batch.images, rng.randint(1, batch.images)))
        return (batch.id, project.assign(batch.id, images=images, at=at).id)
    return ()


def _annotate(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    jobs = [job for job in project.jobs.values() if job.unannotated]
    return tuple(
        project.annotate(job.id, images=rng.randint(1, job.unannotated)).id for job in _any(rng, jobs, 1)
    )


def _review(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    jobs = [job for job in _open_jobs(project) if job.status == "assigned" and not job.unannotated]
    return tuple(project.review(job.id).id for job in _any(rng, jobs, 1))


def _approve(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    return tuple(
        project.approve(job.id, images=rng.randint(1, job.unreviewed)).id
        for job in _any(rng, _unreviewed_jobs(project), 1)
    )


def _reject(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    return tuple(
        # Most of what is labelled is good enough.
        project.reject(job.id, images=rng.randint(1, 1 + job.unreviewed // 4)).id
        for job in _any(rng, _unreviewed_jobs(project), 1)
    )


def _complete(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    return tuple(project.complete(job.id).id for job in _any(rng, _open_jobs(project), 1))


def _unassign(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    jobs = [job for job in _open_jobs(project) if job.batch_id in project.batches]
    return tuple(project.unassign(job.id).id for job in _any(rng, jobs, 1))


def _merge(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    ids = tuple(batch.id for batch in _any(rng, _batches(project), rng.randint(2, 3)))
    if ids:
        project.merge(*ids)
    return ids


def _split(project: Project, rng: Random, at: datetime) -> tuple[str, ...]:
    for batch in _any(rng, _batches(project, at_least=2), 1):
        return (batch.id, project.split(batch.id, images=rng.randint(1, batch.images - 1), at=at).id)
    return ()


def _delete(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    return tuple(project.delete(batch.id).id for batch in _any(rng, _batches(project), 1))


def _restore(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    return tuple(project.restore(batch.id).id for batch in _any(rng, list(project.deleted.values()), 1))


def _rename(project: Project, rng: Random, _at: datetime) -> tuple[str, ...]:
    return tuple(
        project.rename(batch.id, f"checked {rng.randint(1, 999)}").id
        for batch in _any(rng, _batches(project), 1)
    )


def _batches(project: Project, *, at_least: int = 0) -> list[Batch]:
    return [batch for batch in project.batches.values() if batch.images >= at_least]


def _open_jobs(project: Project) -> list[Job]:
    return [job for job in project.jobs.values() if job.status != "complete"]


def _unreviewed_jobs(project: Project) -> list[Job]:
    return [job for job in _open_jobs(project) if job.unreviewed]


def _any(rng: Random, rows: list[_Row], count: int) -> list[_Row]:
    """Some of the rows, or none when there are too few."""
    return rng.sample(rows, count) if len(rows) >= count else []


_EVENTS: dict[str, tuple[int, _Happening]] = {
    "upload": (6, _upload),
    "append": (6, _append),
    "assign": (8, _assign),
    "annotate": (10, _annotate),
    "review": (2, _review),
    "approve": (4, _approve),
    "reject": (1, _reject),
    "complete": (4, _complete),
    "unassign": (1, _unassign),
    "merge": (2, _merge),
    "split": (2, _split),
    "delete": (1, _delete),
    "restore": (1, _restore),
    "rename": (1, _rename),
}
_WEIGHTS = tuple(weight for weight, _ in _EVENTS.values())
