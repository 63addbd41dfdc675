"""One simulated project: its batches and jobs, and the verbs that change them as Roboflow's users do."""

from __future__ import annotations

from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec.structs import replace

from etl.simulator.people import labeler_of, reviewer_of
from etl.simulator.rows import Batch, Job, to_ms, upload_name
from etl.simulator.seeding import Recipe, firestore_ids, seeded_batches, seeded_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_MINUTE_MS = 60_000


class Project:
    """
    A project and everything in it.

    Not safe across threads: while it is being served, change it only with the simulator's lock held.
    Images are never made or lost except by `upload`, `append`, `delete` and `restore`: all other verbs only
    move them. Each verb refuses with `KeyError` what does not exist, and with `ValueError` what is not
    possible.

    Args:
        workspace: Slug of its workspace.
        slug: Its own slug.
        recipe: How its first state is made.
    """

    def __init__(self, workspace: str, slug: str, recipe: Recipe) -> None:
        self.workspace = workspace
        self.slug = slug
        self.version = 0
        self.clock_ms = recipe.start_ms
        self._recipe = recipe
        self._rng = Random(f"{recipe.seed}/verbs")  # noqa: S311 - a reproducible world, not a secret.
        (self.internal_id,) = firestore_ids(self._rng, 1)
        self.dataset_images = self._rng.randint(0, 5000)
        self._batches: dict[str, Batch] | None = None
        self._jobs: dict[str, Job] | None = None
        self._deleted: dict[str, Batch] = {}

    @property
    def path(self) -> str:
        """The name users know it by: `workspace/project`."""
        return f"{self.workspace}/{self.slug}"

    @property
    def created_ms(self) -> int:
        """A day before the oldest of its first batches."""
        return self._recipe.start_ms - 121 * 24 * 3600 * 1000

    @property
    def batches(self) -> Mapping[str, Batch]:
        """What the list of batches shows, by id and in its order."""
        return seeded_batches(self._recipe) if self._batches is None else MappingProxyType(self._batches)

    @property
    def jobs(self) -> Mapping[str, Job]:
        """What the list of jobs shows, by id and in its order."""
        return seeded_jobs(self._recipe) if self._jobs is None else MappingProxyType(self._jobs)

    @property
    def deleted(self) -> Mapping[str, Batch]:
        """The batches that `restore` can bring back."""
        return MappingProxyType(self._deleted)

    @property
    def batch_count(self) -> int:
        """How many batches there are, without making them."""
        return self._recipe.batches if self._batches is None else len(self._batches)

    def total_images(self) -> int:
        """Images in batches and jobs together."""
        waiting = sum(batch.images for batch in self.batches.values())
        return waiting + sum(job.num_images for job in self.jobs.values())

    def upload(self, *, images: int, name: str | None = None, at: datetime | None = None) -> Batch:
        """Make a new batch, also when the name is taken: names are not unique."""
        _require(images >= 0, "an upload cannot have fewer than no images")
        uploaded_ms = self._tick(at)
        batch = Batch(self._new_id(), name or upload_name(uploaded_ms), images, 0, uploaded_ms)
        return self._put(batch)

    def append(self, batch_id: str, *, images: int) -> Batch:
        """Upload again under a batch's name: its images rise."""
        _require(images > 0, "an append needs images")
        batch = self.batches[batch_id]
        return self._put(replace(batch, images=batch.images + images))

    def assign(self, batch_id: str, *, images: int | None = None, at: datetime | None = None) -> Job:
        """Move images (all of them unless said) out of a batch into a new job."""
        batch = self.batches[batch_id]
        moved = batch.images if images is None else images
        _require(0 < moved <= batch.images, f"{moved} of {batch.images} images cannot be assigned")
        self._put(replace(batch, images=batch.images - moved, num_jobs=batch.num_jobs + 1))
        job_id = self._new_id()
        return self._put_job(
            Job(
                id=job_id,
                name=f"{batch.name}: Job {batch.num_jobs + 1}",
                batch_id=batch_id,
                status="assigned",
                num_images=moved,
                annotated=0,
                approved=0,
                rejected=0,
                labeler=labeler_of(self.workspace, job_id),
                reviewer=reviewer_of(self.workspace, job_id),
                created_ms=self._tick(at),
            )
        )

    def unassign(self, job_id: str) -> Batch:
        """Put a job back on the board: its images return to their batch and the job is no more."""
        job = self.jobs[job_id]
        _require(job.status != "complete", "a complete job cannot be unassigned")
        batch = self.batches[job.batch_id]
        del self._jobs_to_change()[job_id]
        return self._put(replace(batch, images=batch.images + job.num_images, num_jobs=batch.num_jobs - 1))

    def annotate(self, job_id: str, *, images: int) -> Job:
        """Let a job's labeler annotate so many of its images."""
        job = self.jobs[job_id]
        _require(0 < images <= job.unannotated, f"{images} of {job.unannotated} images cannot be annotated")
        return self._put_job(replace(job, annotated=job.annotated + images))

    def review(self, job_id: str) -> Job:
        """Hand a job that is annotated to its reviewer."""
        job = self.jobs[job_id]
        is_possible = job.status == "assigned" and not job.unannotated
        _require(is_possible, "a job cannot be reviewed before all of it is annotated, nor twice")
        return self._put_job(replace(job, status="review"))

    def approve(self, job_id: str, *, images: int) -> Job:
        """Let a job's reviewer approve so many of its annotated images."""
        job = self.jobs[job_id]
        _require(0 < images <= job.unreviewed, f"{images} of {job.unreviewed} images cannot be approved")
        return self._put_job(replace(job, approved=job.approved + images))

    def reject(self, job_id: str, *, images: int) -> Job:
        """Let a job's reviewer reject so many of its annotated images."""
        job = self.jobs[job_id]
        _require(0 < images <= job.unreviewed, f"{images} of {job.unreviewed} images cannot be rejected")
        return self._put_job(replace(job, rejected=job.rejected + images))

    def complete(self, job_id: str) -> Job:
        """Finish a job: every image annotated, approved and in the dataset."""
        job = self.jobs[job_id]
        _require(job.status != "complete", "the job is complete already")
        self.dataset_images += job.num_images
        done = replace(job, status="complete", annotated=job.num_images, approved=job.num_images, rejected=0)
        return self._put_job(done)

    def merge(self, *batch_ids: str) -> Batch:
        """Merge batches: the one with most images stays and receives the others' images and jobs."""
        _require(len(set(batch_ids)) == len(batch_ids) > 1, "a merge needs two different batches or more")
        merged = [self.batches[batch_id] for batch_id in batch_ids]
        stays = max(merged, key=lambda batch: batch.images)
        self._reassign_jobs(frozenset(batch_ids), stays.id)
        for batch in merged:
            if batch.id != stays.id:
                del self._batches_to_change()[batch.id]
        images = sum(batch.images for batch in merged)
        return self._put(replace(stays, images=images, num_jobs=sum(batch.num_jobs for batch in merged)))

    def split(
        self, batch_id: str, *, images: int, name: str | None = None, at: datetime | None = None
    ) -> Batch:
        """Move images out of a batch into a new one."""
        batch = self.batches[batch_id]
        _require(0 < images < batch.images, f"{images} of {batch.images} images cannot be split off")
        self._put(replace(batch, images=batch.images - images))
        return self.upload(images=images, name=name or f"{batch.name} (2)", at=at)

    def delete(self, batch_id: str) -> Batch:
        """Take a batch off the list; its jobs stay."""
        batch = self._batches_to_change().pop(batch_id)
        self._deleted[batch_id] = batch
        return batch

    def restore(self, batch_id: str) -> Batch:
        """Bring a deleted batch back as it was, at the end of the list."""
        return self._put(self._deleted.pop(batch_id))

    def rename(self, batch_id: str, name: str) -> Batch:
        """Give a batch another name."""
        return self._put(replace(self.batches[batch_id], name=name))

    def _put(self, batch: Batch) -> Batch:
        self._batches_to_change()[batch.id] = batch
        return batch

    def _put_job(self, job: Job) -> Job:
        self._jobs_to_change()[job.id] = job
        return job

    def _reassign_jobs(self, batch_ids: frozenset[str], to_batch_id: str) -> None:
        for job in tuple(self.jobs.values()):
            if job.batch_id in batch_ids:
                self._put_job(replace(job, batch_id=to_batch_id))

    def _batches_to_change(self) -> dict[str, Batch]:
        """The batches as a dictionary of our own; whoever asks for it is about to change the project."""
        self.version += 1
        if self._batches is None:
            self._batches = dict(seeded_batches(self._recipe))
        return self._batches

    def _jobs_to_change(self) -> dict[str, Job]:
        """The jobs, likewise; they are made apart from the batches, because most changes leave them alone."""
        self.version += 1
        if self._jobs is None:
            self._jobs = dict(seeded_jobs(self._recipe))
        return self._jobs

    def _new_id(self) -> str:
        return firestore_ids(self._rng, 1)[0]

    def _tick(self, at: datetime | None) -> int:
        """The given time, or a minute after the latest that this project has seen."""
        now_ms = self.clock_ms + _MINUTE_MS if at is None else to_ms(at)
        self.clock_ms = max(self.clock_ms, now_ms)
        return now_ms


def _require(is_possible: bool, problem: str) -> None:  # noqa: FBT001 - an assertion with a message.
    if not is_possible:
        raise ValueError(problem)
