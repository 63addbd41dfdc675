"""Postgres ends a connection, crashes, is full, locked or read-only: what a run says, and what is then."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final, LiteralString
from urllib.parse import quote

import psycopg
import pytest

from etl.database import connect, engine, head, migrate
from etl.embedded import server
from etl.errors import ClaimLostError, DatabaseUnavailableError
from etl.guard import Belief
from etl.ports import Examined
from etl.records import Observation, Project, Slug, Snapshot, Verdict
from etl.simulator import Simulator, World
from etl.store import PostgresLedger
from tests.fault.databases import (
    IMPATIENT,
    LOCK_TIMEOUT_S,
    PASSWORD,
    SLACK_S,
    STALLED,
    TERMINATE,
    begun,
    ends,
    held,
    keeps_quiet,
    lists_asked_for,
    waiting,
    with_password,
)
from tests.fault.harness import ALONE, LEASE_S, LISTS, REPOSITORY, RUN_S, Scene, ended
from tests.homes import a_home
from tests.logins import as_owner, as_superuser
from tests.worlds import NOON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fault.conftest import NewScene
    from tests.fault.harness import Forkers
    from tests.fault.recorder import Faults

MIGRATION_WAIT_S: Final = 10


# A server of the tests' own, to be stopped, filled and crowded


class Server:
    """
    A Postgres that nobody else uses.

    Args:
        home: Its folder.
        settings: Its settings.
    """

    def __init__(self, home: Path, **settings: str) -> None:
        self._home, self._settings = home, settings
        self._uses = ExitStack()
        self.data = home / "postgres/data"
        self.uri = self.start()

    def start(self) -> str:
        return self._uses.enter_context(server(self._home, settings=self._settings))

    def stop(self, how: signal.Signals) -> None:
        """Stop it as `pg_ctl stop` does: SIGINT is its mode fast; SIGQUIT immediate, without a flush."""
        pid_file = self.data / "postmaster.pid"
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), how)
        end = time.monotonic() + RUN_S
        while pid_file.exists():
            assert time.monotonic() < end
            time.sleep(0.02)

    def new_database(self) -> str:
        """Make a database with the ledger's schema and nothing in it, and return its address."""
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self.uri, autocommit=True) as connection:
            # The other strategy leaves unlogged indexes empty after a crash where wal_level is minimal.
            connection.execute(f"CREATE DATABASE {name} TEMPLATE batchledger STRATEGY file_copy".encode())
        return with_password(self.uri.replace("/batchledger?", f"/{name}?", 1))

    def close(self) -> None:
        self._uses.close()


_numbers: Final = count()

ROOM: Final = 30
"""Connections that the server takes."""


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """Start a server that writes its log only when it must, so that a crash loses what nobody insisted on."""
    with ExitStack() as stack:
        home = stack.enter_context(a_home())
        own = Server(home / "own", max_connections=str(ROOM), wal_writer_delay="10s", autovacuum="off")
        stack.callback(own.close)
        with connect(own.uri) as connection:
            migrate(connection)
        yield own


@pytest.fixture
def new_own_scene(own: Server, tmp_path: Path, forkers: Forkers) -> Iterator[Callable[..., Scene]]:
    """Give a way to set a scene on that server."""
    with ExitStack() as stack:

        def scene(**environ: str) -> Scene:
            simulator = stack.enter_context(Simulator(World.seeded(7, projects=4, batches_per_project=12)))
            return stack.enter_context(
                ended(Scene(simulator, own.new_database(), tmp_path, forkers, environ))
            )

        yield scene


@pytest.fixture
def own_scene(new_own_scene: Callable[..., Scene]) -> Scene:
    """Set a scene on that server whose ledger has one run, and whose source has moved on since."""
    scene = new_own_scene()
    scene.healthy_sync()
    scene.change()
    return scene


@pytest.fixture
def shown(new_scene: NewScene, database: str) -> Iterator[Scene]:
    """Set a scene whose ledger has one run, and whose source has moved on since."""
    with new_scene() as scene:
        scene.database = with_password(database)
        scene.healthy_sync()
        scene.change()
        yield scene


# A connection that ends


def test_a_backend_that_is_terminated_in_the_middle_of_a_transaction_leaves_nothing_of_it(
    shown: Scene, faults: Faults
) -> None:
    """Four of them write at once; the other three come to their ends."""
    with faults("postgres: backend terminated mid-transaction") as case:
        with held(shown.database, "SELECT FROM ledger.project FOR UPDATE") as administrator:
            process = shown.start("sync")
            process.until(lambda: len(waiting(shown.database)) == 4)
            administrator.execute("SELECT pg_terminate_backend(%s)", waiting(shown.database)[:1])
            process.until(lambda: len(waiting(shown.database)) == 3)
        over = time.monotonic()
        ends(process, 1, "terminating connection due to administrator command")
        assert list(verdicts(shown).values()) == ["changed"] * 3
        case.recovery_s = shown.recovered(over, LEASE_S + RUN_S)


def test_backends_that_are_terminated_while_the_api_is_waited_for_end_the_run_in_one_line(
    shown: Scene, faults: Faults
) -> None:
    shown.simulator.faults.add(STALLED, path=LISTS, times=4)
    with faults("postgres: backends terminated between transactions") as case:
        process = begun(shown)
        with psycopg.connect(as_superuser(shown.database), autocommit=True) as administrator:
            administrator.execute(TERMINATE)
        over = time.monotonic()
        ends(process, 1, "cannot be used")
        case.recovery_s = shown.recovered(over, LEASE_S + RUN_S)


# A server that ends


STOPS: Final = [
    pytest.param(signal.SIGQUIT, id="immediate"),
    pytest.param(signal.SIGINT, id="fast", marks=pytest.mark.long),
]


@pytest.mark.parametrize("how", STOPS)
def test_a_restart_while_a_run_reads(
    own: Server, own_scene: Scene, faults: Faults, how: signal.Signals
) -> None:
    own_scene.simulator.faults.add(STALLED, path=LISTS, times=4)
    with faults(f"postgres: restart ({how.name}) while reading") as case:
        process = begun(own_scene)
        own.stop(how)
        own.start()
        over = time.monotonic()
        ends(process, 1, "cannot be used")
        case.recovery_s = own_scene.recovered(over, LEASE_S + RUN_S)


@pytest.mark.parametrize("how", STOPS)
def test_a_restart_while_a_run_writes(
    own: Server, own_scene: Scene, faults: Faults, how: signal.Signals
) -> None:
    with faults(f"postgres: restart ({how.name}) while writing") as case:
        with psycopg.connect(own_scene.database) as analyst:
            analyst.execute("SELECT FROM ledger.project ORDER BY project_id LIMIT 1 FOR UPDATE")
            process = own_scene.start("sync")
            process.until(lambda: waiting(own_scene.database))
            own.stop(how)
            analyst.close()
        own.start()
        over = time.monotonic()
        ends(process, 1, "cannot be used")
        case.recovery_s = own_scene.recovered(over, LEASE_S + RUN_S)


def test_who_goes_on_after_a_crash_writes_nothing_and_gets_no_number_twice(
    own: Server, faults: Faults
) -> None:
    uri = own.new_database()
    with faults("postgres: crash under a run that goes on"), ExitStack() as stack:
        zombie = a_ledger(uri, stack)
        run_id = zombie.begin_run(trigger="sync", started_at=NOON)
        project_id = only_project(zombie)
        assert zombie.claim(run_id, [project_id])
        own.stop(signal.SIGQUIT)
        own.start()
        with pytest.raises(DatabaseUnavailableError):
            zombie.renew(run_id)
        assert not zombie.projects(), "a commit that nobody insisted on was not lost: this shows nothing"
        other = a_ledger(uri, stack)
        later_id = other.begin_run(trigger="sync", started_at=NOON)
        assert later_id > run_id
        assert other.claim(later_id, [only_project(other)])
        with pytest.raises(ClaimLostError):
            zombie.apply(run_id, an_observation(project_id), Examined(Snapshot(()), Belief(), b"{}"))
        assert zombie.record(run_id, [an_observation(project_id)]) == 0
        with psycopg.connect(uri) as connection:
            assert connection.execute("SELECT count(*) FROM ledger.observation").fetchone() == (0,)


def a_ledger(uri: str, stack: ExitStack) -> PostgresLedger:
    """Make a ledger with several connections, as a run has them."""
    connections = engine(uri)
    stack.callback(connections.dispose)
    for connection in [connections.raw_connection() for _ in range(3)]:
        connection.close()
    return PostgresLedger(connections, host=socket.gethostname(), version="test")


def only_project(ledger: PostgresLedger) -> int:
    (state,) = ledger.register([Project(Slug("acme", "cars"))], at=NOON).values()
    return state.project_id


def an_observation(project_id: int) -> Observation:
    return Observation(
        project_id=project_id, verdict=Verdict.UNCHANGED, started_at=NOON, observed_at=NOON, previous_at=None
    )


def test_a_server_that_is_down_is_told_at_once_and_read_into_when_it_is_back(
    own: Server, own_scene: Scene, faults: Faults
) -> None:
    with faults("postgres: down, one run") as case:
        own.stop(signal.SIGINT)
        ends(own_scene.start("sync"), 1, "cannot be used", SLACK_S)
        own.start()
        case.recovery_s = own_scene.recovered(time.monotonic(), RUN_S)


@pytest.mark.long
@pytest.mark.parametrize("down_s", [3, 60])
def test_a_server_that_goes_down_under_a_daemon_is_waited_for(
    own: Server, new_own_scene: Callable[..., Scene], faults: Faults, down_s: int
) -> None:
    """It goes down in the middle of a run, and stays away; the ticks in between are noted."""
    scene = new_own_scene(BATCHLEDGER_SCHEDULE__EVERY="10s")
    scene.simulator.faults.add(STALLED, path=LISTS, times=4)
    with faults(f"postgres: down for {down_s} s under a daemon") as case:
        daemon = scene.start("run")
        daemon.until(lambda: lists_asked_for(scene))
        own.stop(signal.SIGQUIT)
        daemon.until_it_says("the turn failed; the next tick tries again .*remedy=")
        time.sleep(down_s)
        own.start()
        over = time.monotonic()
        daemon.until_it_says("run ended .*outcome=completed", 10 + RUN_S)
        case.recovery_s = time.monotonic() - over
        scene.is_the_truth()
        daemon.send(signal.SIGTERM)
        assert daemon.wait(SLACK_S) == 0
        keeps_quiet(daemon)
        ticks = scene.rows("SELECT count(*) FROM ledger.tick")[0][0]
        assert down_s // 10 - 1 <= ticks <= down_s // 10 + 2


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up_in_time(
    new_scene: NewScene, faults: Faults
) -> None:
    with faults("postgres: silent"), new_scene() as scene, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        silently = {
            "DATABASE_URL": f"postgresql://somebody:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/ledger",
            "BATCHLEDGER_DATABASE__CONNECT_TIMEOUT_S": "2",
        }
        ends(scene.start("sync", **silently), 1, "cannot be used", 2 + SLACK_S)


# A server that refuses


def test_a_server_that_has_no_room_for_a_connection(own_scene: Scene, faults: Faults) -> None:
    with faults("postgres: out of connections before a run") as case:
        with crowd(own_scene.database):
            ends(own_scene.start("sync"), 1, "too many clients", SLACK_S)
        case.recovery_s = own_scene.recovered(time.monotonic(), RUN_S)
    with faults("postgres: out of connections in a run") as case:
        own_scene.change()
        own_scene.simulator.faults.add(STALLED, path=LISTS, times=4)
        process = begun(own_scene, with_lists=4)
        with crowd(own_scene.database):
            ends(process, 1, "too many clients")
        case.recovery_s = own_scene.recovered(time.monotonic(), LEASE_S + RUN_S)


@contextmanager
def crowd(uri: str) -> Iterator[None]:
    """Take all connections that there are."""
    with ExitStack() as stack:
        try:
            while True:
                stack.enter_context(psycopg.connect(uri))
        except psycopg.OperationalError:
            yield


def test_a_server_that_takes_no_writes(own_scene: Scene, faults: Faults) -> None:
    """As a standby does, or a primary that was made one in the middle of a run."""
    with faults("postgres: read-only before a run") as case:
        is_read_only(own_scene.database, "on")
        ends(own_scene.start("sync"), 1, "read-only transaction", SLACK_S)
        is_read_only(own_scene.database, "off")
        case.recovery_s = own_scene.recovered(time.monotonic(), RUN_S)
    with faults("postgres: read-only in a run") as case:
        own_scene.change()
        own_scene.simulator.faults.add(STALLED, path=LISTS, times=4)
        process = begun(own_scene)
        is_read_only(own_scene.database, "on")
        ends(process, 1, "read-only transaction")
        is_read_only(own_scene.database, "off")
        case.recovery_s = own_scene.recovered(time.monotonic(), LEASE_S + RUN_S)


def is_read_only(uri: str, value: LiteralString) -> None:
    """Let every session, those that are open too, begin its transactions so."""
    with psycopg.connect(uri, autocommit=True) as administrator:
        administrator.execute("SET default_transaction_read_only = off")
        administrator.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        administrator.execute("SELECT pg_reload_conf()")
    end = time.monotonic() + SLACK_S
    while not _says_read_only(uri, value):
        assert time.monotonic() < end
        time.sleep(0.02)


def _says_read_only(uri: str, value: str) -> bool:
    with psycopg.connect(uri) as connection:
        return connection.execute("SHOW default_transaction_read_only").fetchone() == (value,)


@pytest.mark.parametrize(
    "table", ["batch", *(pytest.param(one, marks=pytest.mark.long) for one in ("payload", "observation"))]
)
def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(
    own: Server, new_own_scene: Callable[..., Scene], faults: Faults, table: str
) -> None:
    """The file of an empty table is a link to /dev/full, so that the kernel says that there is no room."""
    scene = new_own_scene()
    with faults("postgres: disk full") as case:
        file = own.data / path_of(scene.database, f"ledger.{table}")
        own.stop(signal.SIGINT)
        aside = file.with_name(f"{file.name}.aside")
        file.rename(aside)
        file.symlink_to("/dev/full")
        own.start()
        process = scene.start("sync")
        ends(process, 1, "No space left on device")
        assert "make room" in process.said
        assert scene.believed == {}
        own.stop(signal.SIGINT)
        aside.replace(file)
        own.start()
        case.recovery_s = scene.recovered(time.monotonic(), LEASE_S + RUN_S)


def path_of(uri: str, table: str) -> str:
    with psycopg.connect(uri) as connection:
        row = connection.execute("SELECT pg_relation_filepath(%s::regclass)", (table,)).fetchone()
    assert row is not None
    return str(row[0])


# An analyst who forgot to commit

CARS: Final = "WITH cars AS (SELECT project_id FROM ledger.project WHERE project = 'cars') "


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM ledger.project JOIN cars USING (project_id) FOR UPDATE OF project",
        "SELECT FROM ledger.batch JOIN cars USING (project_id) FOR UPDATE OF batch",
    ],
    ids=["project", "batches"],
)
def test_a_lock_on_one_project_fails_that_project_alone(
    shown: Scene, faults: Faults, statement: LiteralString
) -> None:
    assert shown.simulator.world.project("acme/cars")
    shown.simulator.faults.add(STALLED, path=LISTS, times=4)
    with faults("postgres: rows of one project locked by an analyst") as case:
        process = begun(shown, IMPATIENT)
        with held(shown.database, CARS + statement):
            assert process.wait(1 + LOCK_TIMEOUT_S + SLACK_S) == 4, process.said
        over = time.monotonic()
        assert "canceling statement due to lock timeout" in process.said
        keeps_quiet(process)
        assert "1 failed" in process.printed
        found = verdicts(shown)
        assert found.pop("cars", "failed") == "failed"
        assert found == dict.fromkeys(others(shown), "changed")
        case.recovery_s = shown.recovered(over, RUN_S)


def test_a_lock_on_a_project_of_which_nothing_changed_fails_that_project_alone(
    shown: Scene, faults: Faults
) -> None:
    shown.healthy_sync()
    with faults("postgres: an unchanged project locked by an analyst") as case:
        with held(
            shown.database, CARS + "SELECT FROM ledger.project JOIN cars USING (project_id) FOR UPDATE"
        ):
            process = shown.start("sync", **IMPATIENT)
            assert process.wait(LOCK_TIMEOUT_S + RUN_S) == 4, process.said
        over = time.monotonic()
        keeps_quiet(process)
        found = verdicts(shown)
        assert {found[project] for project in others(shown)} == {"unchanged"}
        assert "cars" not in found
        case.recovery_s = shown.recovered(over, RUN_S)


@pytest.mark.parametrize(
    "table", ["observation", *(pytest.param(one, marks=pytest.mark.long) for one in ("project", "batch"))]
)
def test_a_lock_on_a_whole_table_ends_in_time_and_says_why(
    shown: Scene, faults: Faults, table: LiteralString
) -> None:
    shown.simulator.faults.add(STALLED, path=LISTS, times=4)
    with faults("postgres: a whole table locked by an analyst") as case:
        process = begun(shown, IMPATIENT)
        with held(shown.database, f"LOCK TABLE ledger.{table} IN SHARE MODE"):
            # Each project at once, then what all that failed have to say, then each of the four alone.
            code = process.wait(1 + 6 * LOCK_TIMEOUT_S + SLACK_S)
        over = time.monotonic()
        assert code in {1, 4}, process.said
        assert "canceling statement due to lock timeout" in process.said
        keeps_quiet(process)
        case.recovery_s = shown.recovered(over, LEASE_S + RUN_S)


def test_an_analyst_who_reads_for_long_neither_disturbs_nor_is_disturbed(
    shown: Scene, faults: Faults
) -> None:
    with faults("postgres: a long transaction that reads"), psycopg.connect(shown.database) as analyst:
        analyst.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = totals(analyst)
        shown.healthy_sync(**IMPATIENT)
        assert totals(analyst) == before
        analyst.rollback()
        assert totals(analyst) != before


def totals(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT project, images FROM analytics.project ORDER BY project").fetchall()


def others(scene: Scene) -> set[str]:
    return {path.partition("/")[2] for path in scene.simulator.world.projects} - {"cars"}


def verdicts(scene: Scene) -> dict[str, str]:
    """Return the verdicts of the latest run."""
    return {
        project: verdict
        for project, verdict, run_id, latest in scene.rows(
            "SELECT project, verdict, run_id, max(run_id) OVER () FROM analytics.observation"
        )
        if run_id == latest
    }


# A migration beside a run


def test_a_migration_goes_through_beside_a_run(shown: Scene, faults: Faults, tmp_path: Path) -> None:
    """The next version of the program migrates while a run of this one reads and writes."""
    later = the_next_version(tmp_path)
    shown.simulator.faults.add(STALLED, path=LISTS, times=2)
    patiently = {**ALONE, "BATCHLEDGER_SOURCE__READ_TIMEOUT_S": "60"}
    with faults("postgres: a migration beside a run"):
        process = begun(shown, patiently, with_lists=2)
        # One project is written; nothing more is answered until the migration has ended.
        with shown.simulator.lock:
            done = migrate_to(later, shown.database)
            assert process.is_running, process.said
        assert done.returncode == 0, done.stderr
        assert process.wait() == 0, process.said
        keeps_quiet(process)
        shown.is_the_truth()
        refused = shown.start("sync")
        ends(refused, 1, "newer than this program's")


@pytest.mark.long
def test_a_migration_behind_a_long_transaction_gives_up_in_time_and_the_run_goes_on(
    shown: Scene, faults: Faults, tmp_path: Path
) -> None:
    later = the_next_version(tmp_path)
    shown.simulator.faults.add(STALLED, path=LISTS, times=4)
    with faults("postgres: a migration behind a long transaction") as case:
        with held(shown.database, "SELECT FROM analytics.batch"):
            process = begun(shown, ALONE)
            began = time.monotonic()
            done = migrate_to(later, shown.database)
            # An interpreter has to start, too.
            assert MIGRATION_WAIT_S <= time.monotonic() - began <= MIGRATION_WAIT_S + 2 * SLACK_S
            assert process.wait(MIGRATION_WAIT_S + RUN_S) == 0, process.said
            keeps_quiet(process)
        assert done.returncode == 1
        assert re.fullmatch(r"error: .*lock timeout; nothing was changed\nremedy: .*\n", done.stderr), (
            done.stderr
        )
        case.recovery_s = shown.recovered(time.monotonic(), RUN_S)


_REVISION: Final = '''
"""Add remarks."""

import sqlalchemy as sa
from alembic import op

revision = "9999_add_remarks"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("project", "batch", "observation"):
        op.add_column(table, sa.Column("remark", sa.Text()), schema="ledger")
'''


def the_next_version(folder: Path) -> Path:
    """Copy the program, and give it one more migration, of the tables that a run writes."""
    copy = folder / "next"
    for part in ("etl", "migrations"):
        shutil.copytree(REPOSITORY / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "migrations/versions/9999_add_remarks.py").write_text(_REVISION.format(head=head()))
    return copy


def migrate_to(version: Path, database: str) -> subprocess.CompletedProcess[str]:
    """Migrate as the owner, with that version of the program."""
    return subprocess.run(
        [sys.executable, "-m", "etl", "migrate"],
        cwd=version,
        env={"PATH": os.environ["PATH"], "HOME": str(version), "DATABASE_URL": as_owner(database)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
