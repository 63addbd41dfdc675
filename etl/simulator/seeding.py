"""
Make the first state of a project from a seed, the same one at every call.

A project that nobody has changed is therefore not kept in memory: its rows are made when they are asked
for. That is what lets a world of a million batches exist at once and cost nothing until it is read.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from etl.simulator.people import labeler_of, reviewer_of
from etl.simulator.rows import Batch, Job, upload_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# One C call folds a whole project's bytes onto the alphabet; that some letters are likelier is harmless.
_FOLD = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))
_ID_LENGTH = 20

_SPAN_MS = 120 * 24 * 3600 * 1000
_MEAN_IMAGES = 60
_NAMES = ("Upload via API", "night shift", "camera 4", "field trial", "relabel", "customer samples")


class Recipe(msgspec.Struct, frozen=True):
    """All that makes a project's first state: whose it is, its size, and when its rows are made before."""

    workspace: str
    seed: str
    batches: int
    start_ms: int


def firestore_ids(rng: Random, count: int) -> list[str]:
    """As many ids as asked for, of the form that Firestore makes."""
    text = rng.randbytes(_ID_LENGTH * count).translate(_FOLD).decode("ascii")
    return [text[at : at + _ID_LENGTH] for at in range(0, len(text), _ID_LENGTH)]


# A verb reads a project before it changes it: the few last made are kept so that it is made once.
@lru_cache(maxsize=8)
def seeded_batches(recipe: Recipe) -> Mapping[str, Batch]:
    """The first batches of a project, oldest first."""
    rng = Random(f"{recipe.seed}/batches")  # noqa: S311 - a reproducible world, not a secret.
    pace_ms = _SPAN_MS // (recipe.batches + 1)
    first_ms = recipe.start_ms - _SPAN_MS
    ids = enumerate(firestore_ids(rng, recipe.batches))
    return MappingProxyType({one: _batch(rng, one, first_ms + nth * pace_ms) for nth, one in ids})


def _batch(rng: Random, batch_id: str, near_ms: int) -> Batch:
    uploaded_ms = near_ms + int(rng.random() * 3_600_000)
    num_jobs = int(rng.random() * 5) - 1
    # Two in five have no job, so they still hold what was uploaded; of the others some are fully assigned.
    images = int(rng.expovariate(1 / _MEAN_IMAGES)) + (num_jobs < 1)
    pick = int(rng.random() * 2 * len(_NAMES))
    name = _NAMES[pick] if pick < len(_NAMES) else upload_name(uploaded_ms)
    return Batch(batch_id, name, images, max(0, num_jobs), uploaded_ms)


@lru_cache(maxsize=8)
def seeded_jobs(recipe: Recipe) -> Mapping[str, Job]:
    """The first jobs of a project: as many for each batch as the batch says."""
    rng = Random(f"{recipe.seed}/jobs")  # noqa: S311 - a reproducible world, not a secret.
    batches = seeded_batches(recipe).values()
    workspace = recipe.workspace
    return MappingProxyType({job.id: job for batch in batches for job in _jobs_of(rng, batch, workspace)})


def _jobs_of(rng: Random, batch: Batch, workspace: str) -> list[Job]:
    ids = firestore_ids(rng, batch.num_jobs)
    return [_job(rng, job_id, batch, nth, workspace) for nth, job_id in enumerate(ids, start=1)]


def _job(rng: Random, job_id: str, batch: Batch, nth: int, workspace: str) -> Job:
    num_images = rng.randint(1, _MEAN_IMAGES)
    is_complete = rng.random() < 0.5  # noqa: PLR2004 - as often as not.
    annotated = num_images if is_complete else rng.randint(0, num_images)
    approved = annotated if is_complete else rng.randint(0, annotated)
    return Job(
        id=job_id,
        name=f"{batch.name}: Job {nth}",
        batch_id=batch.id,
        status="complete" if is_complete else "assigned",
        num_images=num_images,
        annotated=annotated,
        approved=approved,
        rejected=rng.randint(0, annotated - approved),
        labeler=labeler_of(workspace, job_id),
        reviewer=reviewer_of(workspace, job_id),
        created_ms=batch.uploaded_ms + nth * 3_600_000,
    )
