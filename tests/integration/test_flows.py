"""Where images came from and went, where one observation alone does not tell."""

from __future__ import annotations

from typing import Final

from etl.simulator import bodies
from etl.simulator.faults import Fault
from tests.integration.test_jobs import FLOWS, PATH, WORK, Scene, place, scene

__all__ = ["place", "scene"]

LIST: Final = f"/{PATH}/batches"


def flows(scene: Scene) -> list[tuple[int, ...]]:
    """What the observations since the first one tell, those that were judged."""
    return scene.ask(
        f"SELECT {FLOWS} FROM ledger.observation WHERE intake IS NOT NULL ORDER BY observation_id"
    )


def sums(scene: Scene) -> tuple[int, ...]:
    return tuple(map(sum, zip(*flows(scene), strict=True)))


def moves(scene: Scene) -> list[tuple[str, str, int, str]]:
    return scene.ask(
        "SELECT from_batch_id, to_batch_id, images, kind FROM analytics.batch_move "
        "ORDER BY images DESC, from_batch_id"
    )


def test_a_merge_of_most_batches_moves_images_once_it_is_believed(scene: Scene) -> None:
    batches = [scene.a_batch(images) for images in (500, *range(31, 47))]
    scene.run()
    before = sums(scene)
    scene.project.merge(*batches)
    assert scene.read().verdict == "suspect"
    merged = sum(range(31, 47))
    assert flows(scene)[-1] == (merged, 0, 0, 0, 0)
    assert scene.read(minutes=61).verdict == "changed"
    assert flows(scene)[-1] == (-merged, merged, 0, 0, 0)
    assert sums(scene) == (before[0], before[1] + merged, *before[2:])
    assert [one[1:] for one in moves(scene)] == [
        (batches[0], images, "merged into") for images in reversed(range(31, 47))
    ]


def test_what_a_suspect_answer_showed_to_have_moved_is_told_once(scene: Scene) -> None:
    first, second, lost = (scene.a_batch(images) for images in (60, 5, 7))
    scene.run()
    scene.source.faults.add(Fault.status(500), path=f"{LIST}/*", times=None)
    scene.project.split(first, images=20)
    scene.project.delete(lost)
    body = _without_an_id(scene, second)
    assert scene.read(Fault.literal(body), path=LIST).verdict == "suspect"
    assert flows(scene)[-1][1] == 20
    scene.project.restore(lost)
    assert scene.read().verdict.is_trusted
    assert [(one[0], one[2], one[3]) for one in moves(scene)] == [(first, 20, "split from")]


def test_a_new_job_takes_what_it_holds_and_no_more(scene: Scene) -> None:
    batch = scene.a_batch(100)
    scene.run()
    scene.project.split(batch, images=50)
    scene.project.assign(batch, images=10)
    scene.run()
    assert scene.last(FLOWS) == (0, 50, 10, 0, 0)
    assert [one[2] for one in moves(scene)] == [50]


def test_a_job_gives_back_what_it_held_and_no_more(scene: Scene) -> None:
    batch = scene.a_batch(100)
    job = scene.project.assign(batch, images=30)
    scene.run()
    scene.project.unassign(job.id)
    scene.project.append(batch, images=5)
    scene.run()
    assert scene.last(FLOWS) == (5, 0, 0, 30, 0)


def test_what_comes_back_is_no_intake_and_was_not_removed(scene: Scene) -> None:
    batch = scene.a_batch(77)
    scene.run()
    scene.project.delete(batch)
    scene.run()
    assert scene.last(FLOWS) == (0, 0, 0, 0, 77)
    scene.project.restore(batch)
    scene.run()
    assert scene.last(FLOWS) == (0, 0, 0, 0, -77)


def test_a_job_that_is_made_anew_does_not_count_its_work_again(scene: Scene) -> None:
    batch = scene.a_batch(20)
    job = scene.project.assign(batch)
    scene.project.annotate(job.id, images=5)
    scene.run()
    scene.project.unassign(job.id)
    again = scene.project.assign(batch)
    scene.project.annotate(again.id, images=6)
    scene.run()
    assert scene.last(WORK) == (1, 0, 0)


def _without_an_id(scene: Scene, batch: str) -> str:
    """Give the list with one of whom nobody can tell who it is."""
    return bodies.batches(scene.project).decode().replace(f'"{batch}"', "null")
