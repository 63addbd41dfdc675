"""The usual working day of a small team of labellers in a simulated project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from random import Random

    from etl.simulator import Job, Project


@dataclass(frozen=True, slots=True)
class Team:
    """
    What a team is given and what it gets done, in images.

    Args:
        uploads: What comes in with an upload, on average.
        annotates: What it annotates in a day, on average; as many are put into jobs for the day after.
    """

    uploads: int
    annotates: int

    def upload(self, project: Project, rng: Random, at: datetime) -> None:
        """Let new images come in."""
        project.upload(images=_about(self.uploads, rng), at=at)

    def work(self, project: Project, rng: Random, at: datetime, left_alone: Collection[str]) -> None:
        """
        Do the work of a day: finish what was begun, the oldest first, then make new jobs.

        Args:
            project: Where they work.
            rng: Decides how good the day is, and how much of the work.
            at: When the new jobs are made.
            left_alone: Ids of the batches and jobs that nobody of them touches.
        """
        images = to_annotate = _about(self.annotates, rng)
        for job in [one for one in project.jobs.values() if one.id not in left_alone]:
            if job.status == "review":
                _judge(project, job, rng)
            elif job.status == "assigned":
                to_annotate -= _annotate(project, job, to_annotate)
        _assign(project, images, at, left_alone)


def _about(images: int, rng: Random) -> int:
    return round(images * rng.uniform(0.75, 1.25))


def _judge(project: Project, job: Job, rng: Random) -> None:
    """Approve most of a job; what is rejected is mended the day after, and then the job is complete."""
    if not job.unreviewed:
        project.complete(job.id)
        return
    rejected = rng.randint(0, job.unreviewed // 5)
    if rejected:
        project.reject(job.id, images=rejected)
    project.approve(job.id, images=job.unreviewed - rejected)


def _annotate(project: Project, job: Job, images: int) -> int:
    """Annotate up to so many images of a job, hand it in when all are, and return how many they were."""
    taken = min(images, job.unannotated)
    if taken:
        project.annotate(job.id, images=taken)
    if taken == job.unannotated:
        project.review(job.id)
    return taken


def _assign(project: Project, images: int, at: datetime, left_alone: Collection[str]) -> None:
    """Make jobs of so many images, of the latest uploads first: those are what everybody asks for."""
    for batch in reversed(list(project.batches.values())):
        taken = 0 if batch.id in left_alone else min(images, batch.images)
        if taken:
            project.assign(batch.id, images=taken, at=at)
            images -= taken
