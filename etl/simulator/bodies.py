"""The documented JSON bodies, rendered from the world; the order of keys varies as Firestore's does."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from etl.simulator.people import manager_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.simulator.project import Project
    from etl.simulator.rows import Batch, Job

_BATCH_ORDERS = tuple(permutations(("name", "numJobs", "images", "uploaded", "id")))
_ENCODER = msgspec.json.Encoder()


def root(workspace: str) -> bytes:
    """Tell a key which workspace it belongs to."""
    return _ENCODER.encode(
        {
            "welcome": "Welcome to the Roboflow API.",
            "instructions": "You are successfully authenticated.",
            "docs": "https://docs.roboflow.com",
            "workspace": workspace,
        }
    )


def workspace(slug: str, projects: Iterable[Project]) -> bytes:
    """One workspace and its projects."""
    listed = [_project_row(project) for project in projects]
    return _ENCODER.encode(
        {"workspace": {"name": _title(slug), "url": slug, "members": 3, "projects": listed}}
    )


def batches(project: Project) -> bytes:
    """Every batch of a project: there is no pagination."""
    return _ENCODER.encode({"batches": [_batch_row(one) for one in project.batches.values()]})


def batch(one: Batch) -> bytes:
    """One batch, as the bare object."""
    return _ENCODER.encode(_batch_row(one))


def jobs(project: Project) -> bytes:
    """Every annotation job of a project."""
    return _ENCODER.encode({"jobs": [_job_row(project, one) for one in project.jobs.values()]})


def job(project: Project, one: Job) -> bytes:
    """One annotation job, as the bare object."""
    return _ENCODER.encode(_job_row(project, one))


def error(status: int, message: str, type_: str, hint: str) -> bytes:
    """A refusal, in the documented shape."""
    return _ENCODER.encode({"error": {"message": message, "status": status, "type": type_, "hint": hint}})


def _project_row(project: Project) -> dict[str, object]:
    return {
        "id": project.path,
        "type": "object-detection",
        "name": _title(project.slug),
        "created": project.created_ms / 1000,
        "updated": project.clock_ms / 1000,
        "images": project.dataset_images,
        "unannotated": 0,
        "annotation": project.slug,
        "versions": 1,
        "public": False,
        "splits": {"train": project.dataset_images},
        "classes": {project.slug: project.dataset_images},
        "colors": {project.slug: "#C7FC00"},
    }


def _batch_row(one: Batch) -> dict[str, object]:
    fields = {
        "id": one.id,
        "name": one.name,
        "images": one.images,
        "numJobs": one.num_jobs,
        "uploaded": _timestamp(one.uploaded_ms),
    }
    return {key: fields[key] for key in _BATCH_ORDERS[_mix(one.id) % len(_BATCH_ORDERS)]}


def _job_row(project: Project, one: Job) -> dict[str, object]:
    fields = {
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "sourceBatch": f"{project.internal_id}/{one.batch_id}",
        "project": project.internal_id,
        "numImages": one.num_images,
        "annotated": one.annotated,
        "unannotated": one.unannotated,
        "approved": one.approved,
        "rejected": one.rejected,
        "labeler": one.labeler,
        "reviewer": one.reviewer,
        "owner": project.workspace,
        "createdBy": manager_of(project.workspace),
        "instructionsText": "",
        "created": _timestamp(one.created_ms),
    }
    keys = tuple(fields)
    turn = _mix(one.id) % len(keys)
    return {key: fields[key] for key in keys[turn:] + keys[:turn]}


def _timestamp(ms: int) -> dict[str, int]:
    seconds, millis = divmod(ms, 1000)
    return {"_seconds": seconds, "_nanoseconds": millis * 1_000_000}


def _title(slug: str) -> str:
    return slug.replace("-", " ").title()


def _mix(row_id: str) -> int:
    """A number that differs from row to row but never for one row, so that equal states give equal bytes."""
    return crc32(row_id.encode())
