"""The simulated world keeps its own books: what happens in it is possible and reproducible."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from etl.simulator import Job, Project, World, job_truth, project_truth, truth_of
from etl.simulator.rows import from_ms, to_ms, upload_name

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MOVES = frozenset(
    {"assign", "annotate", "review", "approve", "reject", "complete", "unassign", "merge", "split", "rename"}
)


def a_project(**images: int) -> tuple[Project, dict[str, str]]:
    """An empty project with one batch for each name, and the ids by name."""
    project = World.seeded(projects=1, batches_per_project=0).project("acme/cars")
    return project, {name: project.upload(name=name, images=count).id for name, count in images.items()}


def assert_books_balance(project: Project) -> None:
    made = Counter(job.batch_id for job in project.jobs.values())
    for batch in project.batches.values():
        assert batch.images >= 0
        assert batch.num_jobs == made[batch.id]
    for job in project.jobs.values():
        assert job.annotated + job.unannotated == job.num_images
        assert 0 <= job.approved + job.rejected <= job.annotated <= job.num_images
        assert job.status != "complete" or job.approved == job.num_images
        assert job.status != "review" or job.unannotated == 0


def state(world: World) -> object:
    return [(path, dict(one.batches), dict(one.jobs)) for path, one in world.projects.items()]


# A seed is a world.


def test_two_worlds_of_one_seed_stay_equal_through_the_same_steps() -> None:
    one, other = World.seeded(7), World.seeded(7)
    for hour in range(50):
        assert one.step(AT + timedelta(hours=hour)) == other.step(AT + timedelta(hours=hour))
    assert state(one) == state(other)


def test_worlds_of_different_seeds_differ() -> None:
    assert state(World.seeded(7)) != state(World.seeded(8))


def test_projects_of_one_world_differ_and_every_id_is_unique_and_of_firestores_form() -> None:
    world = World.seeded(7, workspaces=2, projects=21, batches_per_project=50)
    ids = [row for one in world.projects.values() for row in (*one.batches, *one.jobs)]
    assert len(world.projects) == 42
    assert len(set(ids)) == len(ids) > 42 * 50
    assert all(len(row_id) == 20 and row_id.isalnum() and row_id.isascii() for row_id in ids)


def test_a_seeded_world_has_the_sizes_that_were_asked_for() -> None:
    world = World.seeded(workspaces=2, projects=3, batches_per_project=4)
    assert world.workspaces == ("acme", "globex")
    assert [one.path for one in world.of_workspace("globex")] == [
        "globex/cars",
        "globex/drones",
        "globex/helmets",
    ]
    assert {len(one.batches) for one in world.projects.values()} == {4}


def test_no_seeded_row_is_younger_than_the_start() -> None:
    project = World.seeded(projects=1, batches_per_project=200, start=AT).project("acme/cars")
    assert max(batch.uploaded_ms for batch in project.batches.values()) <= to_ms(AT)
    assert max(job.created_ms for job in project.jobs.values()) <= to_ms(AT)


def test_seeded_books_balance() -> None:
    project = World.seeded(projects=1, batches_per_project=300).project("acme/cars")
    assert_books_balance(project)
    assert len(project.jobs) > 100


def test_several_people_work_in_a_workspace_and_not_the_same_in_all() -> None:
    world = World.seeded(workspaces=2, projects=1, batches_per_project=100)
    teams = [
        (
            {job.labeler for job in world.project(path).jobs.values()},
            {job.reviewer for job in world.project(path).jobs.values()},
        )
        for path in ("acme/cars", "globex/cars")
    ]
    assert [(len(labelers), len(reviewers)) for labelers, reviewers in teams] == [(4, 2), (4, 2)]
    assert teams[0] != teams[1]
    assert all(one.endswith("@example.com") for team in teams for group in team for one in group)


def test_a_million_batches_cost_nothing_until_they_are_read() -> None:
    before = time.process_time()
    world = World.seeded(projects=2000, batches_per_project=500)
    assert len(world.project("acme/shelves-100").batches) == 500
    assert time.process_time() - before < 1


def test_reading_a_project_does_not_keep_what_was_read() -> None:
    world = World.seeded(projects=100, batches_per_project=100)
    tracemalloc.start()
    assert truth_of(world).batches == 10_000
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 1_000_000


def test_a_change_of_one_project_touches_no_other_and_no_other_world() -> None:
    world = World.seeded(projects=2, batches_per_project=5)
    before = state(world)
    world.project("acme/cars").upload(images=1)
    assert world.project("acme/cars").version > 0
    assert world.project("acme/drones").version == 0
    assert state(World.seeded(projects=2, batches_per_project=5)) == before


# Verbs.


def test_an_upload_is_a_new_batch_also_under_a_name_that_is_taken() -> None:
    project, ids = a_project(night=10)
    again = project.upload(name="night", images=5, at=AT)
    assert again.id != ids["night"]
    assert list(project.batches) == [ids["night"], again.id]
    assert again.uploaded_ms == to_ms(AT)


def test_an_append_raises_images_and_nothing_else() -> None:
    project, ids = a_project(night=10)
    before = project.batches[ids["night"]]
    assert project.append(ids["night"], images=5) == msgspec.structs.replace(before, images=15)


def test_an_assignment_moves_images_into_a_new_job() -> None:
    project, ids = a_project(night=10)
    job = project.assign(ids["night"], images=4, at=AT)
    assert (project.batches[ids["night"]].images, project.batches[ids["night"]].num_jobs) == (6, 1)
    assert (job.num_images, job.annotated, job.status, job.batch_id) == (4, 0, "assigned", ids["night"])
    assert job.created_ms == to_ms(AT)


def test_a_batch_that_is_assigned_whole_stays_with_no_images() -> None:
    project, ids = a_project(night=10)
    project.assign(ids["night"])
    assert project.batches[ids["night"]].images == 0


def test_a_job_progresses_and_is_completed_into_the_dataset() -> None:
    project, ids = a_project(night=10)
    in_dataset = project.dataset_images
    job = project.assign(ids["night"])
    assert project.annotate(job.id, images=3).unannotated == 7
    done = project.complete(job.id)
    assert (done.status, done.annotated, done.unannotated, done.approved) == ("complete", 10, 0, 10)
    assert project.dataset_images == in_dataset + 10


def test_a_job_stays_with_its_labeler_and_reviewer() -> None:
    project, ids = a_project(night=10)
    job = project.assign(ids["night"])
    assert job.labeler.endswith("@example.com")
    assert job.reviewer.endswith("@example.com")
    done = project.complete(job.id)
    assert (done.labeler, done.reviewer) == (job.labeler, job.reviewer)


def test_a_reviewer_approves_and_rejects_what_is_annotated() -> None:
    project, ids = a_project(night=10)
    job = project.assign(ids["night"])
    project.annotate(job.id, images=6)
    assert project.approve(job.id, images=2).approved == 2
    judged = project.reject(job.id, images=3)
    assert (judged.annotated, judged.approved, judged.rejected, judged.unreviewed) == (6, 2, 3, 1)
    assert judged.status == "assigned"


def test_a_job_that_is_annotated_goes_to_review_with_all_its_counts() -> None:
    project, ids = a_project(night=10)
    job = project.assign(ids["night"])
    annotated = project.annotate(job.id, images=10)
    assert project.review(job.id) == msgspec.structs.replace(annotated, status="review")
    project.reject(job.id, images=4)
    done = project.complete(job.id)
    assert (done.status, done.approved, done.rejected) == ("complete", 10, 0)


def test_an_unassigned_job_gives_its_images_back() -> None:
    project, ids = a_project(night=10)
    before = project.batches[ids["night"]]
    job = project.assign(ids["night"], images=4)
    assert project.unassign(job.id) == before
    assert job.id not in project.jobs


def test_a_merge_keeps_the_largest_with_the_images_and_jobs_of_all() -> None:
    project, ids = a_project(small=10, large=30, middle=20)
    job = project.assign(ids["small"], images=4)
    stays = project.merge(*ids.values())
    assert stays.id == ids["large"]
    assert (stays.images, stays.num_jobs) == (56, 1)
    assert list(project.batches) == [ids["large"]]
    assert project.jobs[job.id].batch_id == ids["large"]


def test_a_split_moves_images_into_a_new_batch() -> None:
    project, ids = a_project(night=10)
    new = project.split(ids["night"], images=4)
    assert new.images == 4
    assert project.batches[ids["night"]].images == 6


def test_a_deleted_batch_can_come_back_as_it_was() -> None:
    project, ids = a_project(night=10, day=5)
    before = project.delete(ids["night"])
    assert list(project.batches) == [ids["day"]]
    assert project.restore(ids["night"]) == before
    assert list(project.batches) == [ids["day"], ids["night"]]


def test_a_renamed_batch_is_the_same_batch() -> None:
    project, ids = a_project(night=10)
    assert project.rename(ids["night"], "day").id == ids["night"]
    assert project.batches[ids["night"]].name == "day"


def test_a_project_in_the_trash_is_not_listed_and_returns_as_it_was() -> None:
    world = World.seeded(projects=2)
    before = dict(world.project("acme/cars").batches)
    world.trash("acme/cars")
    assert [one.path for one in world.of_workspace("acme")] == ["acme/drones"]
    world.restore("acme/cars")
    assert dict(world.project("acme/cars").batches) == before


def test_what_is_not_possible_is_refused_and_changes_nothing() -> None:
    project, ids = a_project(night=10, day=5)
    job = project.assign(ids["day"])
    before = dict(project.batches), dict(project.jobs)
    for refused in (
        lambda: project.upload(images=-1),
        lambda: project.append(ids["night"], images=0),
        lambda: project.assign(ids["night"], images=11),
        lambda: project.assign(ids["day"]),
        lambda: project.annotate(job.id, images=6),
        lambda: project.review(job.id),
        lambda: project.approve(job.id, images=1),
        lambda: project.reject(job.id, images=1),
        lambda: project.reject(job.id, images=0),
        lambda: project.merge(ids["night"]),
        lambda: project.merge(ids["night"], ids["night"]),
        lambda: project.split(ids["night"], images=10),
    ):
        with pytest.raises(ValueError, match=r"cannot|needs"):
            refused()
    with pytest.raises(KeyError):
        project.append("no such batch", images=1)
    assert (dict(project.batches), dict(project.jobs)) == before


def test_a_complete_job_is_final() -> None:
    project, ids = a_project(night=10)
    job = project.complete(project.assign(ids["night"]).id)
    with pytest.raises(ValueError, match="complete already"):
        project.complete(job.id)
    with pytest.raises(ValueError, match="complete job"):
        project.unassign(job.id)
    with pytest.raises(ValueError, match="nor twice"):
        project.review(job.id)


def test_a_job_of_a_batch_that_is_gone_cannot_be_unassigned() -> None:
    project, ids = a_project(night=10)
    job = project.assign(ids["night"], images=4)
    project.delete(ids["night"])
    with pytest.raises(KeyError):
        project.unassign(job.id)
    assert job.id in project.jobs


# Steps.


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_the_books_balance_and_moves_conserve_images(seed: int) -> None:
    world = World.seeded(seed, projects=1, batches_per_project=6)
    project = world.project("acme/cars")
    happened: Counter[str] = Counter()
    for hour in range(400):
        before = project.total_images()
        (event,) = world.step(AT + timedelta(hours=hour), events=1)
        happened[event.kind] += 1
        assert_books_balance(project)
        if event.kind in MOVES:
            assert project.total_images() == before
    assert set(happened) == MOVES | {"upload", "append", "delete", "restore"}


def test_every_step_changes_the_version_of_its_project_and_of_no_other() -> None:
    world = World.seeded(3, projects=4)
    for hour in range(100):
        before = {path: one.version for path, one in world.projects.items()}
        (event,) = world.step(AT + timedelta(hours=hour), events=1)
        changed = {path for path, one in world.projects.items() if one.version != before[path]}
        assert changed == {event.project}


def test_a_step_is_one_to_three_events_unless_told() -> None:
    world = World.seeded(3)
    assert {len(world.step(AT)) for _ in range(50)} == {1, 2, 3}
    assert len(world.step(AT, events=9)) == 9


def test_in_a_world_without_projects_nothing_happens() -> None:
    assert World.seeded(projects=0).step(AT) == ()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.34, 1.0])
def test_a_share_of_changes_hits_exactly_so_many_batches_evenly(share: float) -> None:
    world = World.seeded(3, projects=7, batches_per_project=30)
    before = truth_of(world)
    assert world.change(share) == round(210 * share)
    after = truth_of(world)
    changed = [
        sum(after.projects[path].batches[one] != was for one, was in project.batches.items())
        for path, project in before.projects.items()
    ]
    assert sum(changed) == round(210 * share)
    assert max(changed) - min(changed) <= 1


# The truth, and time.


def test_the_truth_is_what_the_verbs_made() -> None:
    project, ids = a_project(night=10, day=5)
    project.assign(ids["night"], images=4, at=AT)
    truth = project_truth(project)
    assert (truth.images, truth.num_jobs) == (11, 1)
    assert truth.batches[ids["night"]].images == 6
    assert truth.batches[ids["night"]].uploaded_at.tzinfo is UTC
    (job,) = job_truth(project).values()
    assert (job.batch_id, job.unannotated, job.created_at) == (ids["night"], 4, AT)
    assert job.labeler.endswith("@example.com")


def test_the_truth_does_not_follow_the_world() -> None:
    project, ids = a_project(night=10)
    before = project_truth(project)
    project.append(ids["night"], images=1)
    assert before.batches[ids["night"]].images == 10


def test_the_truth_of_a_world_adds_up() -> None:
    world = World.seeded(3, workspaces=2, projects=2, batches_per_project=5)
    truth = truth_of(world)
    assert truth.batches == 20
    assert truth.images == sum(one.images for one in truth.projects.values()) > 0
    assert truth.num_jobs == sum(len(one.jobs) for one in world.projects.values()) > 0


def test_time_is_kept_to_the_millisecond_and_floored() -> None:
    at = datetime(2022, 11, 22, 13, 39, 24, 818_999, tzinfo=UTC)
    assert from_ms(to_ms(at)) == at.replace(microsecond=818_000)
    assert upload_name(to_ms(at)) == "Uploaded on 11/22/22 at 1:39 pm"
    assert upload_name(to_ms(at.replace(hour=0))) == "Uploaded on 11/22/22 at 12:39 am"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_ms(AT.replace(tzinfo=None))


def test_a_verb_without_a_time_is_a_minute_after_the_last() -> None:
    project, _ = a_project()
    first = project.upload(images=1, at=AT)
    second = project.upload(images=1)
    assert second.uploaded_ms - first.uploaded_ms == 60_000


def test_a_row_cannot_be_changed_from_outside() -> None:
    project, ids = a_project(night=10)
    with pytest.raises(AttributeError):
        project.batches[ids["night"]].images = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        project.batches["x"] = project.batches[ids["night"]]  # type: ignore[index]
    assert isinstance(project.assign(ids["night"]), Job)
