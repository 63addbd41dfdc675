"""The story of the demonstration is the same at any hour, and no difference from the truth goes unnoticed."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from etl.commands.story import CARS, Story
from etl.commands.team import Team
from etl.commands.truth import told
from etl.simulator import Faults, Project, World

if TYPE_CHECKING:
    from collections.abc import Callable

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEAM = Team(uploads=10, annotates=20)


def luck() -> Random:
    return Random(3)  # noqa: S311 - a reproducible day, not a secret.


def ended(at: datetime) -> World:
    """The world at the end of the story."""
    story = Story(at)
    for scene in story.scenes(Faults()):
        scene.act()
    return story.world


def state(world: World) -> object:
    """Everything in it but times, and names that tell them."""
    return [
        (
            [replace(batch, uploaded_ms=0, name="") for batch in project.batches.values()],
            [replace(job, created_ms=0, name="") for job in project.jobs.values()],
        )
        for project in world.projects.values()
    ]


def test_the_story_is_the_same_at_any_hour_of_any_day() -> None:
    first = state(ended(AT))
    assert state(ended(AT.replace(hour=0, minute=1))) == first
    assert state(ended(AT.replace(month=2, day=3, hour=23, minute=59))) == first


def test_a_job_is_annotated_then_reviewed_then_complete() -> None:
    project = World.seeded(projects=1, batches_per_project=0).project(CARS)
    batch = project.upload(images=20, at=AT)
    left_alone = project.upload(images=5, at=AT)
    job = project.assign(batch.id, at=AT)
    days = []
    for _ in range(4):
        TEAM.work(project, luck(), AT, {left_alone.id})
        now = project.jobs[job.id]
        days.append((now.status, now.annotated == 20, now.approved + now.rejected))
    assert days == [("assigned", False, 0), ("review", True, 0), ("review", True, 20), ("complete", True, 20)]
    assert project.batches[left_alone.id] == left_alone


def test_jobs_are_made_of_the_latest_upload_first_and_of_no_more_than_a_day_s_work() -> None:
    project = World.seeded(projects=1, batches_per_project=0).project(CARS)
    old, new = project.upload(images=90, at=AT), project.upload(images=3, at=AT)
    TEAM.work(project, luck(), AT, ())
    assert project.batches[new.id].images == 0
    assert 0 < project.batches[old.id].images < 90
    assert sum(job.num_images for job in project.jobs.values()) <= 25


@pytest.mark.parametrize(
    "act",
    [
        lambda cars, _, job: cars.annotate(job, images=1),
        lambda cars, _, job: cars.approve(job, images=1),
        lambda cars, _, job: cars.reject(job, images=1),
        lambda cars, _, job: cars.complete(job),
        lambda cars, _, job: cars.unassign(job),
        lambda cars, batch, _: cars.append(batch, images=1),
        lambda cars, batch, _: cars.assign(batch, images=1),
        lambda cars, batch, _: cars.rename(batch, "another"),
        lambda cars, batch, _: cars.delete(batch),
        lambda cars, *_: cars.upload(images=0),
    ],
)
def test_whatever_happens_makes_an_account_differ(act: Callable[[Project, str, str], object]) -> None:
    world = World.seeded(projects=2, batches_per_project=3)
    cars = world.project(CARS)
    batch = cars.upload(images=9)
    job = cars.assign(batch.id, images=5)
    cars.annotate(job.id, images=3)
    before = told(world)
    assert before.differs_from(told(world)) == []
    act(cars, batch.id, job.id)
    assert before.differs_from(told(world)) == told(world).differs_from(before) == [CARS]
