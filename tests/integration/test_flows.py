"""Where images came from and went, where one observation alone does not tell."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from etl.selection import ReadJobs
from etl.simulator import bodies
from etl.simulator.faults import Fault
from tests.integration.test_jobs import FLOWS, JOBS, PATH, WORK, Scene, place, scene
from tests.integration.test_migrations import migrate_to
from tests.logins import as_owner
from tests.worlds import NOON

if TYPE_CHECKING:
    from datetime import date

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


def test_what_was_told_of_a_suspect_answer_is_not_told_again(scene: Scene) -> None:
    """Images come, move, and go to jobs and back while the number of jobs stays."""
    hidden, split, taken, given = (scene.a_batch(images) for images in (5, 60, 17, 30))
    small, large = scene.project.assign(taken, images=2), scene.project.assign(given, images=10)
    scene.run()
    scene.project.split(split, images=20)
    for job, images in ((small, 10), (large, 4)):
        scene.project.unassign(job.id)
        scene.project.assign(job.batch_id, images=images)
    scene.a_batch(14)
    _suspect(scene, hidden)
    assert scene.last(FLOWS) == (14, 20, 8, 6, 0)
    assert scene.read().verdict.is_trusted
    assert scene.last(FLOWS) == (0, 0, 0, 0, 0)
    scene.project.delete(hidden)
    scene.run()
    assert scene.last(FLOWS) == (0, 0, 0, 0, 5)


def test_what_a_suspect_answer_showed_to_be_removed_and_turns_up_moved(scene: Scene) -> None:
    hidden, split = scene.a_batch(5), scene.a_batch(60)
    scene.run()
    _suspect(scene, hidden, scene.project.split(split, images=20).id)
    assert scene.last(FLOWS) == (0, 0, 0, 0, 20)
    scene.run()
    assert scene.last(FLOWS) == (0, 20, 0, 0, -20)


def _found_out_by_the_jobs(scene: Scene) -> str:
    """See a batch lose images while its jobs cannot be read, so that nobody can tell where these went."""
    hidden, taken = scene.a_batch(5), scene.a_batch(30)
    small = scene.project.assign(taken, images=2)
    scene.run()
    scene.project.unassign(small.id)
    scene.project.assign(taken, images=10)
    scene.source.faults.add(Fault.status(500), path=JOBS, times=None)
    _suspect(scene, hidden)
    assert scene.last(FLOWS) == (0, 0, 0, 0, 8)
    return hidden


def test_what_only_the_jobs_explain_counts_on_its_day_though_no_batch_changed(scene: Scene) -> None:
    hidden = _found_out_by_the_jobs(scene)
    _suspect(scene, hidden)
    assert scene.last(f"batches_changed, {FLOWS}") == (0, 0, 0, 8, 0, -8)
    assert scene.ask("SELECT assigned, removed FROM analytics.project_daily ORDER BY day LIMIT 1") == [(8, 0)]


def test_it_counts_on_its_day_even_if_nothing_else_was_seen_on_it(scene: Scene) -> None:
    _judged_anew_before_midnight(scene)
    query = (
        "SELECT assigned, removed, images_delta, job_images_delta FROM ledger.project_day ORDER BY day DESC"
    )
    assert scene.ask(f"{query} LIMIT 2") == [(0, 0, 0, 8), (8, -8, 0, 0)]


def test_days_that_were_kept_without_it_are_mended_by_the_migration(database: str, scene: Scene) -> None:
    """What is broken here is what an earlier version wrote."""
    before = _judged_anew_before_midnight(scene)
    days = "SELECT * FROM ledger.project_day ORDER BY day"
    right = scene.ask(days)
    migrate_to(as_owner(database), "0008_say_what_is_in_step", back=True)
    with psycopg.connect(as_owner(database)) as connection:
        connection.execute("DELETE FROM ledger.project_day WHERE day = %s", [before])
        connection.execute("UPDATE ledger.project_day SET assigned = 3, removed = 4 WHERE removed = 8")
    assert scene.ask(days) != right
    migrate_to(as_owner(database), "head")
    assert scene.ask(days) == right
    assert scene.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []


def test_what_a_run_counts_while_the_migration_waits_for_it_is_not_written_over(
    database: str, scene: Scene
) -> None:
    before = _judged_anew_before_midnight(scene)
    migrate_to(as_owner(database), "0008_say_what_is_in_step", back=True)
    with psycopg.connect(as_owner(database)) as connection:
        connection.execute("UPDATE ledger.project_day SET assigned = 3 WHERE day = %s", [before])
    with psycopg.connect(as_owner(database)) as run, ThreadPoolExecutor(1) as pool:
        (number,) = scene.last("observation_id")
        run.execute("UPDATE ledger.observation SET intake = 5 WHERE observation_id = %s", [number])
        run.execute("UPDATE ledger.project_day SET intake = 5 WHERE day = %s", [before])
        migration = pool.submit(migrate_to, as_owner(database), "head")
        with pytest.raises(TimeoutError):
            migration.result(timeout=1.5)
        run.commit()
        migration.result(timeout=30)
    assert scene.ask("SELECT intake, assigned FROM ledger.project_day WHERE day = %s", before) == [(5, 8)]


def _judged_anew_before_midnight(scene: Scene) -> date:
    """Let only the jobs explain it, which are read on the day after, and give the day before that."""
    hidden = _found_out_by_the_jobs(scene)
    midnight = NOON.replace(hour=0) + timedelta(days=3)
    scene.clock.at = midnight - timedelta(minutes=10, milliseconds=350)
    _suspect(scene, hidden)
    assert scene.last(f"observed_at < '{midnight}', jobs_at > '{midnight}'") == (True, True)
    return midnight.date() - timedelta(days=1)


def test_jobs_that_were_first_read_with_a_suspect_answer_took_nothing_since(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = Scene(*place)
    hidden, split = scene.a_batch(5), scene.a_batch(60)
    scene.project.assign(split, images=25)
    scene.run(read_jobs=ReadJobs.NEVER)
    _suspect(scene, hidden, scene.project.split(split, images=20).id)
    assert scene.last(f"jobs_verdict, {FLOWS}") == ("changed", 0, 0, 0, 0, 20)
    scene.run()
    assert scene.last(FLOWS) == (0, 20, 0, 0, -20)
    scene.engine.dispose()


def test_a_job_less_counts_against_new_ones(scene: Scene) -> None:
    batch = scene.a_batch(40)
    job = scene.project.assign(batch, images=2)
    scene.run()
    scene.project.unassign(job.id)
    for _ in range(2):
        scene.project.assign(batch, images=10)
    scene.project.split(batch, images=5)
    scene.run()
    assert scene.last(f"num_jobs_delta, images_delta, {FLOWS}") == (1, -18, 2, 3, 20, 0, 0)


def test_a_batch_whose_jobs_came_back_with_a_new_one_is_taken_at_its_word(scene: Scene) -> None:
    """It counts one more, the list shows two: which of them took its images is not known."""
    batch = scene.a_batch(40)
    job = scene.project.assign(batch, images=5)
    scene.run()
    scene.source.faults.add(Fault.status(404), path=f"{JOBS}/{job.id}", times=None)
    assert scene.jobs(Fault.without(job.id)).moves.left == 1
    scene.project.assign(batch, images=3)
    scene.project.split(batch, images=20)
    assert scene.jobs().moves.returned == 1
    assert scene.last(f"num_jobs_delta, images_delta, {FLOWS}") == (1, -3, 20, 0, 23, 0, 0)


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


def test_work_of_one_batch_does_not_make_up_for_that_of_another(scene: Scene) -> None:
    left, entered = scene.a_batch(20), scene.a_batch(20)
    job = scene.project.assign(left)
    scene.project.annotate(job.id, images=5)
    scene.run()
    scene.project.unassign(job.id)
    scene.project.annotate(scene.project.assign(entered).id, images=6)
    scene.run()
    assert scene.last(WORK) == (6, 0, 0)


def _suspect(scene: Scene, *batches: str) -> None:
    """Read once while neither the list nor a look-up tells who these are, one of them known."""
    scene.source.faults.add(Fault.status(500), path=f"{LIST}/*", times=None)
    body = bodies.batches(scene.project).decode()
    for batch in batches:
        body = body.replace(f'"{batch}"', "null")
    assert scene.read(Fault.literal(body), path=LIST).verdict == "suspect"


def _without_an_id(scene: Scene, batch: str) -> str:
    """Give the list with one of whom nobody can tell who it is."""
    return bodies.batches(scene.project).decode().replace(f'"{batch}"', "null")
