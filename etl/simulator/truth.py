"""The truth about a world, as frozen values to compare a ledger with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from etl.simulator.rows import from_ms

if TYPE_CHECKING:
    from etl.simulator.project import Project
    from etl.simulator.rows import Batch, Job
    from etl.simulator.world import World


class BatchTruth(msgspec.Struct, frozen=True):
    """What a ledger that is up to date says of one batch."""

    name: str
    images: int
    num_jobs: int
    uploaded_at: datetime


class JobTruth(msgspec.Struct, frozen=True):
    """What a ledger that is up to date says of one annotation job."""

    name: str
    batch_id: str
    status: str
    num_images: int
    annotated: int
    unannotated: int
    approved: int
    rejected: int
    labeler: str
    reviewer: str
    created_at: datetime


class ProjectTruth(msgspec.Struct, frozen=True):
    """The batches of one project by id, and their totals."""

    batches: Mapping[str, BatchTruth]
    images: int
    num_jobs: int


class Truth(msgspec.Struct, frozen=True):
    """Every project that can be seen, by `workspace/project`, and the totals."""

    projects: Mapping[str, ProjectTruth]
    batches: int
    images: int
    num_jobs: int


def truth_of(world: World) -> Truth:
    """State the truth about every batch of the world."""
    projects = {path: project_truth(project) for path, project in world.projects.items()}
    return Truth(
        projects=MappingProxyType(projects),
        batches=sum(len(project.batches) for project in projects.values()),
        images=sum(project.images for project in projects.values()),
        num_jobs=sum(project.num_jobs for project in projects.values()),
    )


def project_truth(project: Project) -> ProjectTruth:
    """State the truth about the batches of one project."""
    batches = {batch_id: _batch_truth(batch) for batch_id, batch in project.batches.items()}
    return ProjectTruth(
        batches=MappingProxyType(batches),
        images=sum(batch.images for batch in batches.values()),
        num_jobs=sum(batch.num_jobs for batch in batches.values()),
    )


def job_truth(project: Project) -> Mapping[str, JobTruth]:
    """State the truth about the jobs of one project, by id; apart, because it is as large again."""
    return MappingProxyType({job_id: _job_truth(job) for job_id, job in project.jobs.items()})


def _batch_truth(batch: Batch) -> BatchTruth:
    return BatchTruth(batch.name, batch.images, batch.num_jobs, from_ms(batch.uploaded_ms))


def _job_truth(job: Job) -> JobTruth:
    return JobTruth(
        name=job.name,
        batch_id=job.batch_id,
        status=job.status,
        num_images=job.num_images,
        annotated=job.annotated,
        unannotated=job.unannotated,
        approved=job.approved,
        rejected=job.rejected,
        labeler=job.labeler,
        reviewer=job.reviewer,
        created_at=from_ms(job.created_ms),
    )
