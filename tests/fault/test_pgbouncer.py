"""Behind PgBouncer, in its mode `transaction` above all, everything works that works without it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.fault.databases import (
    IMPATIENT,
    LOCK_TIMEOUT_S,
    SLACK_S,
    STALLED,
    TERMINATE,
    begun,
    ends,
    held,
    keeps_quiet,
    waiting,
    with_password,
)
from tests.fault.harness import ALONE, LEASE_S, LISTS, RUN_S
from tests.homes import a_home
from tests.logins import OWNER, READER, WRITER, as_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fault.conftest import NewScene
    from tests.fault.harness import Scene
    from tests.fault.recorder import Faults

# Debian's package puts it where only root looks.
PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
USERS: Final = (OWNER, WRITER, READER, "postgres")

_CONFIGURATION: Final = """
[databases]
* = host={socket} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
logfile = {folder}/log
pool_mode = {mode}
{more}
"""


class PgBouncer:
    """
    A pooler in front of the server of the tests. It refuses to run as root, so it runs as the server does.

    Args:
        database: Address of a database, past the pooler.
        folder: Where it keeps its files.
        settings: Settings of its own; `pool_mode` is `transaction` unless it is given.
    """

    def __init__(self, database: str, folder: Path, **settings: str) -> None:
        self._folder = folder
        self._database = database
        server = {name: values[0] for name, values in parse_qs(urlsplit(database).query).items()}
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        mode = settings.pop("pool_mode", "transaction")
        more = "\n".join(f"{name} = {value}" for name, value in settings.items())
        (folder / "ini").write_text(
            _CONFIGURATION.format(
                socket=server["host"],
                port=server["port"],
                listen=self._port,
                folder=folder,
                mode=mode,
                more=more,
            )
        )
        (folder / "users").write_text("".join(f'"{user}" ""\n' for user in USERS))
        self._owner = Path(server["host"]).stat()
        if os.geteuid() == 0:
            os.chown(folder, self._owner.st_uid, self._owner.st_gid)
        self.start()

    @property
    def uri(self) -> str:
        """Address of the database by way of the pooler."""
        parts = urlsplit(self._database)
        return with_password(f"postgresql://{parts.username}@127.0.0.1:{self._port}{parts.path}")

    def start(self) -> None:
        is_root = os.geteuid() == 0
        assert PROGRAM, "PgBouncer is not installed (Debian, Ubuntu: apt install pgbouncer)"
        self.process = subprocess.Popen(
            [PROGRAM, "-q", str(self._folder / "ini")],
            user=self._owner.st_uid if is_root else None,
            group=self._owner.st_gid if is_root else None,
            extra_groups=[] if is_root else None,
        )
        end = time.monotonic() + RUN_S
        while not self._answers():
            assert self.process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except ConnectionRefusedError:
            return False
        return True

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        self.process.kill()
        self.process.wait(RUN_S)


@pytest.fixture
def new_pooler() -> Iterator[Callable[..., PgBouncer]]:
    """Give a way to start a pooler with settings of its own."""
    poolers = list[PgBouncer]()
    with a_home() as folder:

        def start(database: str, **settings: str) -> PgBouncer:
            own = folder / str(len(poolers))
            own.mkdir()
            poolers.append(PgBouncer(database, own, **settings))
            return poolers[-1]

        yield start
        for pooler in poolers:
            pooler.stop()


@pytest.fixture
def pooled(
    new_scene: NewScene, database: str, new_pooler: Callable[..., PgBouncer]
) -> Iterator[tuple[Scene, PgBouncer]]:
    """Set a scene behind a pooler that has two connections for all, and a ledger with one run."""
    pooler = new_pooler(database, default_pool_size="2")
    with new_scene() as scene:
        scene.database = pooler.uri
        scene.healthy_sync()
        yield scene, pooler


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_runs_and_commands_work_in_either_mode(
    new_scene: NewScene, database: str, new_pooler: Callable[..., PgBouncer], faults: Faults, mode: str
) -> None:
    with faults(f"pgbouncer: mode {mode}") as case, new_scene() as scene:
        # In mode session each connection of a run needs one of the server.
        scene.database = new_pooler(
            database, pool_mode=mode, default_pool_size="2" if mode == "transaction" else "20"
        ).uri
        scene.healthy_sync()
        for _ in range(3):
            scene.evolve()
            case.recovery_s = scene.recovered(time.monotonic(), RUN_S)
        for command in (["status"], ["history", "acme/cars"], ["check"], ["projects"], ["sync", "--dry-run"]):
            process = scene.start(*command)
            assert process.wait(RUN_S) == 0, process.said
            keeps_quiet(process)


def test_a_mode_that_knows_no_transactions_is_refused_in_one_line(
    new_scene: NewScene, database: str, new_pooler: Callable[..., PgBouncer], faults: Faults
) -> None:
    with faults("pgbouncer: mode statement"), new_scene() as scene:
        pooler = new_pooler(database, pool_mode="statement")
        ends(scene.start("sync", DATABASE_URL=pooler.uri), 1, "cannot be used")
        assert scene.rows("SELECT FROM ledger.run") == []


def test_nothing_that_a_run_sets_or_prepares_stays_behind_for_others(
    new_scene: NewScene, database: str, new_pooler: Callable[..., PgBouncer], faults: Faults
) -> None:
    """With a single connection to the server whoever comes next gets the one that the run had."""
    with faults("pgbouncer: what stays behind"), new_scene() as scene:
        scene.database = new_pooler(database, default_pool_size="1").uri
        before = set_and_prepared(scene.database)
        scene.healthy_sync()
        scene.change()
        scene.healthy_sync()
        assert set_and_prepared(scene.database) == before


_SET: Final = """
    SELECT
        name,
        setting
    FROM pg_settings
    WHERE source = 'session'
        -- Which the pooler itself takes from one client to the next.
        AND name <> 'application_name'
"""


def set_and_prepared(uri: str) -> tuple[int, set[tuple[object, ...]]]:
    with psycopg.connect(uri) as connection:
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        set_ones = connection.execute(_SET)
        prepared = connection.execute("SELECT name, statement FROM pg_prepared_statements")
        return pid, {*set_ones, *prepared}


def test_a_lock_is_waited_for_no_longer_than_without_it(
    pooled: tuple[Scene, PgBouncer], database: str, faults: Faults
) -> None:
    scene, _ = pooled
    scene.change()
    with faults("pgbouncer: rows of one project locked by an analyst") as case:
        with held(database, "SELECT FROM ledger.project WHERE project = 'cars' FOR UPDATE"):
            process = scene.start("sync", **IMPATIENT)
            # Its own write, that of all that failed, and that of it alone.
            assert process.wait(3 * LOCK_TIMEOUT_S + SLACK_S) == 4, process.said
        over = time.monotonic()
        assert "canceling statement due to lock timeout" in process.said
        keeps_quiet(process)
        case.recovery_s = scene.recovered(over, RUN_S)


def test_two_runs_at_once_read_each_project_once(
    pooled: tuple[Scene, PgBouncer], database: str, faults: Faults
) -> None:
    scene, _ = pooled
    scene.change()
    scene.simulator.requests.clear()
    with faults("pgbouncer: two runs at once") as case:
        with held(database, "SELECT FROM ledger.project FOR NO KEY UPDATE"):
            one = scene.start("sync", **ALONE, BATCHLEDGER_DATABASE__LOCK_TIMEOUT_S="60")
            one.until(lambda: waiting(database))
            other = scene.start("sync")
            assert other.wait() == 0, other.said
        assert one.wait() == 0, one.said
        counts = dict(scene.simulator.requests.counts)
        assert [count for path, count in counts.items() if path.endswith("/batches")] == [1] * 4
        case.recovery_s = scene.recovered(time.monotonic(), RUN_S)


def test_a_pooler_that_is_killed_ends_the_run_in_one_line(
    pooled: tuple[Scene, PgBouncer], faults: Faults
) -> None:
    scene, pooler = pooled
    scene.change()
    scene.simulator.faults.add(STALLED, path=LISTS, times=4)
    with faults("pgbouncer: killed in a run") as case:
        process = begun(scene)
        pooler.stop()
        ends(process, 1, "cannot be used")
        ends(scene.start("sync"), 1, "cannot be used")
        pooler.start()
        case.recovery_s = scene.recovered(time.monotonic(), LEASE_S + RUN_S)


def test_a_backend_that_is_terminated_behind_it_leaves_nothing_half_written(
    pooled: tuple[Scene, PgBouncer], database: str, faults: Faults
) -> None:
    scene, _ = pooled
    scene.change()
    with faults("pgbouncer: backends terminated mid-transaction") as case:
        with held(database, "SELECT FROM ledger.project FOR UPDATE") as administrator:
            process = scene.start("sync")
            process.until(lambda: waiting(database))
            administrator.execute(TERMINATE)
        over = time.monotonic()
        ends(process, 1, "cannot be used")
        case.recovery_s = scene.recovered(over, LEASE_S + RUN_S)


def test_a_pooler_that_has_no_room(
    new_scene: NewScene, database: str, new_pooler: Callable[..., PgBouncer], faults: Faults
) -> None:
    with faults("pgbouncer: out of connections"), new_scene() as scene:
        scene.database = new_pooler(database, max_client_conn="1").uri
        with psycopg.connect(scene.database):
            ends(scene.start("sync"), 1, "no more connections allowed", SLACK_S)
        scene.healthy_sync(BATCHLEDGER_DATABASE__POOL_SIZE="1")


def test_migrations_go_by_way_of_it_and_wait_for_each_other(
    new_scene: NewScene, empty_database: str, new_pooler: Callable[..., PgBouncer], faults: Faults
) -> None:
    pooler = new_pooler(as_owner(empty_database))
    with faults("pgbouncer: two migrations at once"), new_scene() as scene:
        scene.database = pooler.uri
        processes = [scene.start("migrate") for _ in range(2)]
        with ThreadPoolExecutor() as pool:
            codes = list(pool.map(lambda process: process.wait(), processes))
        assert codes == [0, 0], [process.said for process in processes]
        scene.healthy_sync()


def test_a_daemon_runs_behind_it(pooled: tuple[Scene, PgBouncer], faults: Faults) -> None:
    scene, _ = pooled
    with faults("pgbouncer: a daemon"):
        scene.change()
        daemon = scene.start("run", BATCHLEDGER_SCHEDULE__EVERY="10s")
        daemon.until_it_says("run ended .*outcome=completed", 10 + RUN_S)
        daemon.send(signal.SIGTERM)
        assert daemon.wait(SLACK_S) == 0
        keeps_quiet(daemon)
        assert not re.search("warning|error", daemon.said), daemon.said
        scene.is_the_truth()
