"""What a simulated world knows of its batches and jobs, compared with what the ledger says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from etl.commands.queries import answer
from etl.simulator import job_truth, truth_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from etl.simulator import World


class Batch(NamedTuple):
    """One batch, as told or as believed."""

    path: str
    batch_id: str
    name: str
    images: int
    num_jobs: int
    uploaded_at: datetime


class Job(NamedTuple):
    """One annotation job, as told or as believed, but for who works on it, which the ledger leaves out."""

    path: str
    job_id: str
    name: str
    batch_id: str
    status: str
    images: int
    annotated: int
    approved: int
    rejected: int
    created_at: datetime


class Account(NamedTuple):
    """Every batch and job that there is."""

    batches: frozenset[Batch]
    jobs: frozenset[Job]

    def differs_from(self, other: Account) -> list[str]:
        """Return the paths of the projects of which the other says something else."""
        batches, jobs = self.batches ^ other.batches, self.jobs ^ other.jobs
        return sorted({batch.path for batch in batches} | {job.path for job in jobs})


def told(world: World) -> Account:
    """Return what is true."""
    return Account(
        batches=frozenset(
            Batch(path, batch_id, *msgspec.structs.astuple(batch))
            for path, project in truth_of(world).projects.items()
            for batch_id, batch in project.batches.items()
        ),
        jobs=frozenset(
            Job(
                path,
                job_id,
                job.name,
                job.batch_id,
                job.status,
                job.num_images,
                job.annotated,
                job.approved,
                job.rejected,
                job.created_at,
            )
            for path, project in world.projects.items()
            for job_id, job in job_truth(project).items()
        ),
    )


_BATCHES: Final = """
SELECT
    workspace || '/' || project,
    batch_id,
    name,
    images,
    num_jobs,
    uploaded_at
FROM analytics.batch
WHERE gone_at IS NULL
"""

_JOBS: Final = """
SELECT
    workspace || '/' || project,
    job_id,
    name,
    batch_id,
    status,
    images,
    annotated,
    approved,
    rejected,
    created_at
FROM analytics.job
WHERE gone_at IS NULL
"""


def believed(connection: Connection) -> Account:
    """Return what the ledger says."""
    return Account(
        batches=frozenset(map(Batch._make, answer(connection, _BATCHES).rows)),
        jobs=frozenset(map(Job._make, answer(connection, _JOBS).rows)),
    )
