"""A whole run over a simulated world: what it believes, what it costs, and what a death leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from msgspec.structs import replace

from etl.database import engine
from etl.guard import GuardRules
from etl.plan import Account
from etl.records import Moves, Slug, Verdict
from etl.settings import DatabaseSettings
from etl.simulator.api import default_key
from etl.simulator.faults import Fault
from etl.simulator.truth import project_truth
from etl.store import PostgresLedger
from tests.logins import as_superuser
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.records import Answer
    from etl.report import ProjectReport, RunReport
    from etl.simulator.project import Project
    from etl.simulator.world import World

PATH: Final = "acme/cars"
LIST: Final = f"/{PATH}/batches"
LOOK_UPS: Final = f"/{PATH}/batches/*"
REPOSITORY: Final = Path(__file__).parents[2]
HELD: Final = (
    *("project", "batch", "batch_change", "project_day", "payload"),
    *("reject", "tick"),
)
"""The tables of which a run that finds nothing new touches no row."""


class Scene:
    """A world with its source, a ledger, and a connection that looks at what a run wrote."""

    def __init__(self, world: World, uri: str, connection: psycopg.Connection, **options: Any) -> None:
        self.world = world
        self.uri = uri
        self.connection = connection
        self.clock = FakeClock()
        self.engine = engine(uri)
        self.ledger = PostgresLedger(self.engine, host="here", version="test")
        self.source = WorldSource(world, self.clock, **options)

    @property
    def project(self) -> Project:
        return self.world.project(PATH)

    def ids(self, *positions: int) -> list[str]:
        every = list(self.project.batches)
        return [every[position] for position in positions]

    def run(self, fault: Fault | None = None, *, path: str = LIST, **options: Any) -> RunReport:
        """Run once, ten minutes later than before, with a fault that holds for the whole run."""
        self.clock.move(minutes=options.pop("minutes", 10))
        self.source.replies.clear()
        if fault:
            self.source.faults.add(fault, path=path, times=None)
        report = a_run(self.ledger, [self.source], self.clock, **options)
        self.source.faults.clear()
        assert self.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []
        return report

    def read(self, *args: Any, **options: Any) -> ProjectReport:
        """Run over the one project and return how it came out."""
        (report,) = self.run(*args, **options).projects
        return report

    def asked(self, path: str) -> int:
        return sum(1 for _, one, _ in self.source.replies if one == path)

    def looked_up(self) -> set[str]:
        return {one.rpartition("/")[2] for _, one, _ in self.source.replies if one.startswith(f"{LIST}/")}

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def there(self) -> dict[str, int]:
        """The images of each batch that is believed to be there."""
        return dict(self.ask("SELECT batch_id, images FROM ledger.batch WHERE gone_at IS NULL"))

    def is_the_truth(self) -> bool:
        truth = project_truth(self.project).batches
        return self.there() == {batch_id: batch.images for batch_id, batch in truth.items()}

    def contents(self, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
        """Every row with its place and version, so that a row written anew differs."""
        return {
            name: self.ask(f"SELECT ctid, xmin, one FROM ledger.{name} AS one ORDER BY ctid")
            for name in tables
        }


@pytest.fixture
def place(database: str) -> Iterator[tuple[str, psycopg.Connection]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield database, connection


def a_scene(place: tuple[str, psycopg.Connection], world: World | None = None, **options: Any) -> Scene:
    return Scene(world or a_world(batches=8), *place, **options)


@pytest.fixture
def scene(place: tuple[str, psycopg.Connection]) -> Iterator[Scene]:
    """Give a project of eight batches that was read once."""
    made = a_scene(place)
    assert made.read().verdict is Verdict.CHANGED
    yield made
    made.engine.dispose()


# Nothing changed


@pytest.mark.parametrize("has_etags", [False, True], ids=["same body", "304"])
def test_a_run_over_what_has_not_changed_writes_one_observation_a_project_and_nothing_else(
    place: tuple[str, psycopg.Connection], *, has_etags: bool
) -> None:
    scene = a_scene(place, a_world(projects=20), has_etags=has_etags)
    scene.run()
    before, observed = scene.contents(*HELD), scene.ask("SELECT count(*) FROM ledger.observation")[0][0]
    assert scene.run().verdicts == {Verdict.UNCHANGED: 20}
    assert scene.contents(*HELD) == before
    assert scene.ask("SELECT count(*) FROM ledger.observation") == [(observed + 20,)]
    status = scene.ask("SELECT DISTINCT http_status FROM ledger.observation WHERE verdict = 'unchanged'")
    assert status == [(304 if has_etags else 200,)]
    assert scene.ask("SELECT count(*) FROM ledger.claim") == [(0,)]
    scene.engine.dispose()


def test_a_run_over_what_has_not_changed_writes_hardly_any_log(quiet_database: str) -> None:
    """Between two checkpoints: after one, the first change of a page logs the whole page."""
    with psycopg.connect(quiet_database, autocommit=True) as connection:
        scene = a_scene((quiet_database, connection), a_world(projects=200, batches=20))
        scene.run(concurrency=2)
        scene.run(concurrency=2)  # The server's own catalogue has settled, too.
        began = scene.ask("SELECT pg_current_wal_insert_lsn()")[0][0]
        assert scene.run(concurrency=2).verdicts == {Verdict.UNCHANGED: 200}
        ((written,),) = scene.ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::pg_lsn)", began)
        assert written < 200 * 1000
        scene.engine.dispose()


def test_the_server_itself_counts_no_other_row_as_written(scene: Scene) -> None:
    counted = (
        "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables "
        "WHERE schemaname = 'ledger' AND n_tup_ins + n_tup_upd + n_tup_del > 0"
    )
    with psycopg.connect(as_superuser(scene.uri), autocommit=True) as other:
        scene.engine.dispose()
        other.execute("SELECT pg_stat_reset()")
        scene.read()
        scene.engine.dispose()
        other.execute("SELECT pg_stat_force_next_flush()")
        _await(lambda: len(other.execute(counted.encode()).fetchall()) >= 3)
        assert {row[0]: row[1:] for row in other.execute(counted.encode())} == {
            "run": (1, 1, 0),
            "claim": (1, 0, 1),
            "observation": (1, 0, 0),
        }


def test_an_answer_that_differs_only_in_its_bytes_changes_nothing(scene: Scene) -> None:
    before = scene.contents("batch", "batch_change", "project_day")
    body = b" " + next(reply.body for _, path, reply in scene.source.replies if path == LIST and reply)
    assert scene.read(Fault.literal(body)).verdict is Verdict.UNCHANGED
    assert scene.contents("batch", "batch_change", "project_day") == before


# A dry run


def test_a_dry_run_writes_nothing_and_says_what_the_real_one_does_after_it(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = a_scene(place, a_world(projects=3))
    tables = (*HELD, "run", "observation", "claim")
    sequences = "SELECT sequencename, last_value FROM pg_sequences ORDER BY sequencename"

    def rehearse() -> RunReport:
        before, numbers = scene.contents(*tables), scene.ask(sequences)
        report = scene.run(is_dry=True)
        assert (scene.contents(*tables), scene.ask(sequences)) == (before, numbers)
        assert report.run_id is None
        return report

    for _ in range(4):
        rehearsed, real = rehearse(), scene.run()
        assert rehearsed.projects == real.projects
        assert (rehearsed.outcome, rehearsed.exit_code) == (real.outcome, real.exit_code)
        scene.world.step(scene.clock(), events=5)
        scene.project.delete(scene.ids(0)[0])
    scene.engine.dispose()


def test_a_dry_run_of_a_large_loss_is_as_suspicious(scene: Scene) -> None:
    assert scene.read(Fault.empty_list(), is_dry=True).rule == "empty_list"
    assert scene.read(Fault.empty_list()).rule == "empty_list"


# Answers that cannot be used


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.status(500), "TransientError"),
        (Fault.status(429), "TransientError"),
        (Fault.reset(), "TransientError"),
        (Fault.truncated(), "TransientError"),
        (Fault.status(401), "UnauthorizedError"),
        (Fault.status(402), "PausedError"),
        (Fault.status(404), "NotVisibleError"),
        (Fault.status(404, '{"error": {"type": "GraphMethodException"}}'), "MissingScopeError"),
        (Fault.html(200), "PayloadError"),
        (Fault.error_key(), "PayloadError"),
        (Fault.missing_key(), "PayloadError"),
        (Fault.literal("null"), "PayloadError"),
        (Fault.literal(""), "PayloadError"),
        (Fault.literal('{"batches": null}'), "PayloadError"),
        (Fault.literal('{"batches": [{"id": "x", "images": 1}'), "PayloadError"),
    ],
)
def test_an_answer_that_cannot_be_used_changes_nothing(scene: Scene, fault: Fault, error: str) -> None:
    before = scene.contents(*HELD)
    report = scene.run(fault)
    assert [project.verdict for project in report.projects] == [Verdict.FAILED]
    assert report.exit_code == report.projects[0].exit_code != 0
    assert scene.contents(*HELD) == before
    assert scene.ask(
        "SELECT verdict, error_class, batches FROM ledger.observation ORDER BY observation_id DESC LIMIT 1"
    ) == [("failed", error, 8)]
    assert scene.read().verdict is Verdict.UNCHANGED
    ((from_at, to_at),) = scene.ask("SELECT from_at, to_at FROM analytics.gap")
    observed = [at for (at,) in scene.ask("SELECT observed_at FROM ledger.observation ORDER BY 1")]
    assert (from_at, to_at) == (observed[0], observed[2])


def test_a_project_whose_first_reading_fails_is_known_and_nothing_is_said_of_its_numbers(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = a_scene(place)
    assert scene.read(Fault.html(200)).verdict is Verdict.FAILED
    assert scene.ask("SELECT batches, images FROM ledger.observation") == [(None, None)]
    assert scene.ask("SELECT last_observed_at, last_verdict FROM analytics.project") == [(None, "failed")]
    assert scene.ask("SELECT count(*) FROM analytics.project_daily") == [(0,)]
    assert scene.read().moves.entered == 8
    scene.engine.dispose()


class TurnedBack(WorldSource):
    """While it waits for an answer, the clock is put back by an hour."""

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        answer = super().batches(slug, etag=etag, until=until)
        return replace(answer, observed_at=answer.started_at - timedelta(hours=1))


def test_a_clock_that_is_put_back_puts_no_observation_out_of_order(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = a_scene(place)
    scene.source = TurnedBack(scene.world, scene.clock)
    for _ in range(3):
        assert scene.read(minutes=-60).verdict.is_trusted
        scene.project.upload(images=1)
    times = scene.ask("SELECT started_at, observed_at FROM ledger.observation ORDER BY observation_id")
    assert [at for _, at in times] == sorted({at for _, at in times})
    assert all(started_at <= observed_at for started_at, observed_at in times)
    scene.engine.dispose()


# Absences


def test_an_empty_list_after_a_full_one_is_not_believed(scene: Scene) -> None:
    before = scene.contents("batch", "batch_change", "project_day")
    for _ in range(3):
        report = scene.read(Fault.empty_list())
        assert (report.verdict, report.rule, report.moves) == (Verdict.SUSPECT, "empty_list", Moves())
        assert scene.looked_up() == set()
    assert scene.contents("batch", "batch_change", "project_day") == before
    assert scene.read().verdict is Verdict.UNCHANGED


def test_a_loss_of_most_is_not_believed_at_once_and_what_is_there_is_applied(scene: Scene) -> None:
    scene.project.append(scene.ids(7)[0], images=5)
    report = scene.read(Fault.without(*scene.ids(0, 1, 2, 3, 4)))
    assert (report.verdict, report.rule) == (Verdict.SUSPECT, "large_loss")
    assert report.moves == Moves(changed=1, images_delta=5)
    assert len(scene.there()) == 8


def test_a_loss_of_few_is_believed_once_each_is_denied(scene: Scene) -> None:
    for batch_id in scene.ids(0, 1):
        scene.project.delete(batch_id)
    report = scene.read()
    assert (report.verdict, report.moves.left) == (Verdict.CHANGED, 2)
    assert report.requests == 4 + 1  # The last is that of the jobs.
    assert scene.is_the_truth()


def test_a_missing_batch_is_gone_when_it_is_absent_again(scene: Scene) -> None:
    (deleted,) = scene.ids(0)
    scene.project.delete(deleted)
    scene.source.faults.add(Fault.status(503), path=LOOK_UPS, times=None)
    assert scene.read().verdict is Verdict.UNCHANGED
    assert scene.ask("SELECT batch_id FROM ledger.batch WHERE missing_since IS NOT NULL") == [(deleted,)]
    assert deleted in scene.there()
    assert scene.read().moves.left == 1
    assert scene.is_the_truth()
    assert scene.read().verdict is Verdict.UNCHANGED


def test_more_absences_than_may_be_looked_up_wait_for_a_second_answer(scene: Scene) -> None:
    rules = GuardRules(max_lookups=1)
    for batch_id in scene.ids(0, 1, 2):
        scene.project.delete(batch_id)
    assert scene.read(rules=rules).moves.left == 1
    assert len(scene.looked_up() - scene.project.batches.keys()) == 1
    assert scene.read(rules=rules).moves.left == 2
    assert scene.is_the_truth()


def test_a_batch_that_comes_back_has_returned_with_its_images(scene: Scene) -> None:
    (batch_id,) = scene.ids(2)
    scene.project.delete(batch_id)
    assert scene.read().moves.left == 1
    scene.project.restore(batch_id)
    assert scene.read().moves.returned == 1
    assert scene.is_the_truth()
    kinds = scene.ask(
        "SELECT kind FROM ledger.batch_change WHERE batch_id = %s ORDER BY observed_at", batch_id
    )
    assert kinds == [("entered",), ("left",), ("returned",)]


def test_a_short_list_is_found_out_and_the_values_of_the_look_up_count(scene: Scene) -> None:
    (hidden,) = scene.ids(3)
    scene.project.append(hidden, images=7)
    report = scene.read(Fault.without(hidden))
    assert (report.verdict, report.rule) == (Verdict.SUSPECT, "short_list")
    assert report.moves == Moves(changed=1, images_delta=7)
    assert scene.is_the_truth()
    assert scene.ask("SELECT batch_id FROM ledger.batch WHERE unlisted_since IS NOT NULL") == [(hidden,)]


def test_a_list_that_stays_short_costs_nothing_while_it_stays_the_same(scene: Scene) -> None:
    (hidden,) = scene.ids(3)
    short = Fault.without(hidden)
    assert scene.read(short).rule == "short_list"
    assert scene.read(short).verdict is Verdict.UNCHANGED
    assert len(scene.looked_up()) == 2
    assert hidden in scene.looked_up()
    before = scene.contents(*HELD)
    report = scene.read(short)
    assert (report.verdict, report.requests) == (Verdict.UNCHANGED, 2)  # Of batches and of jobs.
    assert scene.contents(*HELD) == before


def test_a_batch_left_out_of_the_list_is_gone_once_its_look_up_denies_it(scene: Scene) -> None:
    hidden, other = scene.ids(3, 4)
    scene.read(Fault.without(hidden))
    scene.project.delete(hidden)
    scene.project.append(other, images=1)
    moves = scene.read().moves
    assert (moves.left, moves.changed, moves.count) == (1, 1, 2)
    assert scene.is_the_truth()


def test_a_record_that_cannot_be_used_keeps_its_batch(scene: Scene) -> None:
    report = scene.read(Fault.with_fields(images=-1))
    assert (report.verdict, report.rejects, report.moves) == (Verdict.UNCHANGED, 8, Moves())
    assert scene.ask(
        "SELECT count(*) FROM ledger.batch WHERE carried_since IS NOT NULL AND missing_since IS NULL"
    ) == [(8,)]
    assert scene.read().verdict is Verdict.UNCHANGED
    assert scene.ask("SELECT count(*) FROM ledger.batch WHERE carried_since IS NOT NULL") == [(0,)]


def test_a_record_without_an_id_could_be_any_so_no_absence_is_believed(scene: Scene) -> None:
    report = scene.read(Fault.with_fields(id=None))
    assert (report.verdict, report.rule, report.rejects) == (Verdict.SUSPECT, "unreadable_record", 8)
    assert scene.looked_up() == set()
    assert len(scene.there()) == 8


# Projects that come and go


def test_a_project_that_vanishes_from_its_workspace_fails_and_changes_nothing(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = a_scene(place, a_world(projects=2))
    scene.run()
    before = scene.contents(*HELD)
    scene.world.trash("acme/drones")
    report = scene.run()
    verdicts = {str(project.slug): project.verdict for project in report.projects}
    assert verdicts == {PATH: Verdict.UNCHANGED, "acme/drones": Verdict.FAILED}
    assert report.exit_code == 4
    assert "trash" in report.projects[1].remedy
    assert scene.asked("/acme/drones/batches") == 0
    assert scene.contents(*HELD) == before
    scene.world.restore("acme/drones")
    assert scene.run().verdicts == {Verdict.UNCHANGED: 2}
    scene.engine.dispose()


def test_a_workspace_that_cannot_be_listed_leaves_its_projects_readable(scene: Scene) -> None:
    report = scene.run(Fault.status(500), path="/acme")
    assert [project.verdict for project in report.projects] == [Verdict.UNCHANGED]
    assert report.outcome == "partial"
    assert scene.ask("SELECT is_tracked FROM ledger.project") == [(True,)]


def test_a_project_that_is_excluded_is_not_read_and_not_followed_any_more(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = a_scene(place, a_world(projects=3))
    scene.run()
    report = scene.run(projects=["acme/*", "!acme/d*"])
    assert [project.slug.project for project in report.projects] == ["cars", "helmets"]
    assert scene.asked("/acme/drones/batches") == 0
    assert dict(scene.ask("SELECT project, is_tracked FROM ledger.project")) == {
        "cars": True,
        "drones": False,
        "helmets": True,
    }
    assert scene.ask("SELECT count(*) FROM analytics.batch WHERE project = 'drones'") == [(6,)]
    scene.engine.dispose()


def test_a_run_over_one_project_leaves_the_others_followed(place: tuple[str, psycopg.Connection]) -> None:
    scene = a_scene(place, a_world(projects=2))
    scene.run()
    report = scene.run(only=(Slug("acme", "drones"),))
    assert [project.slug.project for project in report.projects] == ["drones"]
    assert scene.ask("SELECT bool_and(is_tracked) FROM ledger.project") == [(True,)]
    scene.engine.dispose()


def test_several_workspaces_are_read_with_a_key_each_and_one_bad_key_stops_no_other(
    place: tuple[str, psycopg.Connection],
) -> None:
    world = a_world(workspaces=3, projects=2)
    scene = a_scene(place, world)
    sources = {
        workspace: WorldSource(world, scene.clock, key=default_key(workspace))
        for workspace in world.workspaces
    }
    accounts = [Account(source, workspace) for workspace, source in sources.items()]
    report = a_run(scene.ledger, accounts, scene.clock)
    assert report.verdicts == {Verdict.CHANGED: 6}
    assert scene.ask("SELECT workspace, count(*) FROM ledger.project GROUP BY 1 ORDER BY 1") == [
        ("acme", 2),
        ("globex", 2),
        ("initech", 2),
    ]
    for workspace, source in sources.items():
        assert {path.split("/")[1] for _, path, _ in source.replies} == {workspace}
    sources["globex"].faults.add(Fault.status(401), times=None)
    report = a_run(scene.ledger, accounts, scene.clock)
    assert report.verdicts == {Verdict.UNCHANGED: 4, Verdict.FAILED: 2}
    assert (report.exit_code, len(report.problems)) == (4, 1)
    scene.engine.dispose()


# Two at once, and one that dies


class Overtaken(WorldSource):
    """While it reads the list of a project, its lease lapses and another run reads the same project."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.world, scene.clock)
        self._scene = scene
        self.successor: RunReport | None = None

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        answer = super().batches(slug, etag=etag, until=until)
        scene = self._scene
        scene.connection.execute("UPDATE ledger.run SET leased_until = now() - interval '1 s'")
        scene.project.append(scene.ids(0)[0], images=1)
        self.successor = a_run(scene.ledger, [scene.source], scene.clock)
        return answer


@pytest.mark.parametrize("has_news", [True, False], ids=["with news", "without"])
def test_a_run_that_was_overtaken_writes_nothing_of_what_it_read(scene: Scene, *, has_news: bool) -> None:
    if has_news:
        scene.project.append(scene.ids(1)[0], images=1)
    zombie = Overtaken(scene)
    report = a_run(scene.ledger, [zombie], scene.clock)
    assert zombie.successor
    assert [project.verdict for project in zombie.successor.projects] == [Verdict.CHANGED]
    assert scene.is_the_truth()
    told = scene.ask("SELECT verdict FROM ledger.observation ORDER BY observation_id")
    assert told[:2] == [("changed",), ("changed",)]
    assert set(told[2:]) <= {("skipped",)}
    if has_news:
        assert [project.verdict for project in report.projects] == [Verdict.SKIPPED]
    assert scene.ask("SELECT invariant FROM analytics.invariant_violation") == []


def test_two_runs_at_once_ask_for_each_project_once(place: tuple[str, psycopg.Connection]) -> None:
    world = a_world(projects=20)
    scenes = [a_scene(place, world) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        reports = list(
            pool.map(lambda scene: a_run(scene.ledger, [scene.source], scene.clock, concurrency=2), scenes)
        )
    for project in world.projects:
        assert sum(scene.asked(f"/{project}/batches") for scene in scenes) == 1
    verdicts = [project.verdict for report in reports for project in report.projects]
    assert sorted(verdicts) == [Verdict.CHANGED] * 20 + [Verdict.SKIPPED] * 20
    for scene in scenes:
        scene.engine.dispose()


_DIES: Final = """
import sys, time
from etl.database import engine
from etl.store import PostgresLedger
from tests.worlds import FakeClock, WorldSource, a_run, a_world

class Slow(WorldSource):
    def batches(self, slug, *, etag, until):
        if sum(1 for _, path, _ in self.replies if path.endswith("/batches")) == 7:
            print("now", flush=True)
            time.sleep(600)
        return super().batches(slug, etag=etag, until=until)

clock = FakeClock()
ledger = PostgresLedger(engine(sys.argv[1]), host="there", version="test")
a_run(ledger, [Slow(a_world(projects=20), clock)], clock)
"""


def test_a_run_that_is_killed_leaves_whole_projects_and_the_next_one_carries_on(
    place: tuple[str, psycopg.Connection],
) -> None:
    scene = a_scene(place, a_world(projects=20))
    command = [sys.executable, "-c", _DIES, scene.uri]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, env=environ) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != b"now":
            assert process.poll() is None
        process.kill()
    assert scene.ask("SELECT invariant FROM analytics.invariant_violation") == []
    assert scene.ask("SELECT count(*), sum(batches) FROM ledger.observation") == [(7, 42)]
    held = scene.run(concurrency=2)
    assert held.verdicts == {Verdict.SKIPPED: 20}
    tried = "SELECT last_verdict, count(*) FROM analytics.project GROUP BY last_verdict ORDER BY last_verdict"
    assert scene.ask(tried) == [("changed", 7), (None, 13)]
    scene.connection.execute("UPDATE ledger.run SET leased_until = now() WHERE ended_at IS NULL")
    report = scene.run(concurrency=2)
    assert report.verdicts == {Verdict.CHANGED: 13, Verdict.UNCHANGED: 7}
    assert report.exit_code == 0
    scene.engine.dispose()


def _await(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_project_that_the_database_gives_up_is_set_aside_and_the_others_go_on(
    place: tuple[str, psycopg.Connection],
) -> None:
    uri, _ = place
    scene = a_scene(place, a_world(projects=3))
    impatient = engine(uri, DatabaseSettings(lock_timeout_s=0.5))
    scene.ledger = PostgresLedger(impatient, host="here", version="test")
    scene.run()
    for project in scene.world.projects.values():
        project.upload(images=5)
    with psycopg.connect(uri) as other:
        other.execute("SELECT FROM ledger.project WHERE project = 'cars' FOR NO KEY UPDATE")
        report = scene.run()
    verdicts = {project.slug.project: project.verdict for project in report.projects}
    assert verdicts.pop("cars") is Verdict.FAILED
    assert set(verdicts.values()) == {Verdict.CHANGED}
    assert (report.outcome, report.exit_code) == ("partial", 4)
    ((error,),) = scene.ask("SELECT error FROM analytics.observation WHERE verdict = 'failed'")
    assert error == "the database gave up a statement: canceling statement due to lock timeout"
    assert all(project.verdict.is_trusted for project in scene.run().projects)
    impatient.dispose()
