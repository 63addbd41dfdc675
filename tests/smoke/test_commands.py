"""Every command as a user has it: a process with an empty home, a simulated API, a real Postgres."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString
from urllib.parse import quote

import psutil
import psycopg
import pytest

from etl.simulator import Fault, ServerSettings, Simulator, World
from tests.homes import a_home
from tests.logins import WRITER, as_owner, as_superuser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    NewDatabase = Callable[[], AbstractContextManager[str]]

REPOSITORY: Final = Path(__file__).parents[2]
SCRIPT: Final = Path(sys.executable).with_name("batchledger")
PROGRAM: Final = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "etl"]
KEY: Final = "canaryKeyThatNobodyMaySee"
PASSWORD: Final = "canary/Passw@rd:that nobody may see"
SECRETS: Final = (KEY, PASSWORD, quote(PASSWORD, safe=""))
READ_TIMEOUT_S: Final = 2
SLACK_S: Final = 8
"""What a busy machine may add to a time that is promised."""


class User:
    """Somebody at a shell with nothing but what these lines say."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        self.environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONWARNINGS": "error",
            "BATCHLEDGER_HOME": str(home / "ledger"),
            **environ,
        }

    def having(self, **environ: str) -> User:
        return User(self.home, **{**self.environ, **environ})

    def lacking(self, *names: str) -> User:
        user = User(self.home)
        user.environ = {name: value for name, value in self.environ.items() if name not in names}
        return user

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        return subprocess.Popen([*PROGRAM, *arguments], cwd=self.home, env=self.environ, text=True, **streams)

    def runs(self, *arguments: str, exits: int = 0) -> Said:
        """Run a command to its end, which must come with this exit code and show no secret."""
        done = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = done.communicate(timeout=120)
        assert done.returncode == exits, out + err
        assert not [secret for secret in SECRETS if secret in out + err]
        return Said(out, err)


class Said:
    """What a command said."""

    def __init__(self, out: str, err: str) -> None:
        self.out = out
        self.err = err

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that tells the error; the remedy is the other one."""
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, self.err
        assert "Traceback" not in self.err
        return errors[0]

    @property
    def remedy(self) -> str:
        (remedy,) = [line for line in self.err.splitlines() if line.startswith("remedy: ")]
        return remedy


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    world = World.seeded(7, projects=3, batches_per_project=8)
    with Simulator(world, ServerSettings(keys={"acme": KEY})) as served:
        yield served


@pytest.fixture
def home() -> Iterator[Path]:
    """Give an empty home that the user of an embedded server can reach."""
    with a_home() as folder:
        yield folder


@pytest.fixture
def newcomer(simulator: Simulator, home: Path) -> User:
    """Give somebody with a key and nothing else."""
    return User(
        home,
        ROBOFLOW_API_URL=simulator.url,
        ROBOFLOW_API_KEY=KEY,
        BATCHLEDGER_SOURCE__READ_TIMEOUT_S=str(READ_TIMEOUT_S),
        BATCHLEDGER_SOURCE__ATTEMPTS="1",
    )


@pytest.fixture
def user(newcomer: User, database: str) -> User:
    """Give somebody with a key and a migrated database of their own, reached with a password."""
    return newcomer.having(DATABASE_URL=with_password(database))


@pytest.fixture(scope="module")
def reader(new_database: NewDatabase) -> Iterator[User]:
    """Give somebody whose ledger has one run, for tests that leave it as it is."""
    world = World.seeded(7, projects=3, batches_per_project=8)
    home = Path(tempfile.mkdtemp(prefix="batchledger-test-"))
    with Simulator(world, ServerSettings(keys={"acme": KEY})) as served, new_database() as uri:
        user = User(home, ROBOFLOW_API_URL=served.url, ROBOFLOW_API_KEY=KEY, DATABASE_URL=with_password(uri))
        user.runs("sync")
        yield user
    shutil.rmtree(home)


def with_password(uri: str) -> str:
    """Give a password that the server does not ask for, to see that it shows nowhere."""
    return uri.replace("@", f":{quote(PASSWORD, safe='')}@", 1)


def rows(database: str, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchall()


# The way of a newcomer


def test_with_a_key_and_nothing_else_sync_fills_the_embedded_database(newcomer: User) -> None:
    first = newcomer.runs("sync")
    assert "Run 1: 3 projects (3 changed); batches: 24 new; " in first.out
    assert "Run 2: 3 projects (3 unchanged); batches: no change; " in newcomer.runs("sync").out
    counted = newcomer.runs("psql", "--", "-XAtc", "SELECT count(*) FROM analytics.batch")
    assert counted.out == "24\n"
    status = newcomer.runs("status").out
    assert re.search(r"^acme/cars +\d+ s of 2 h +100% +100% +100% +unchanged +8 +\d+$", status, re.MULTILINE)
    assert "Last run: 2, " in status
    assert not running_in(newcomer.home)


def running_in(folder: Path) -> list[str]:
    """Return the servers that still run there."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    ]


def test_the_demonstration_shows_everything_and_leaves_nothing_behind(home: Path) -> None:
    scratch = home / "scratch"
    scratch.mkdir(mode=0o711)
    begin = time.monotonic()
    said = User(home, TMPDIR=str(scratch)).runs("demo")
    assert time.monotonic() - begin < 60
    lines = said.out.splitlines()
    assert "SIMULATED" in lines[0]
    assert "SIMULATED" in said.out[said.out.index("Done in") :]
    for part in (
        "acme/drones is failed: the answer is not JSON",
        "acme/helmets is suspect: the list lacks a large share",
        "the job list of acme/helmets is failed: the answer is not JSON",
        "missed",
        "two batches are merged",
        "1 gone",
        "░░",
        "nothing trusted: missed",
        "the numbers of",
        "came and went",
        "observed: the same before and after",
        "in the list, bytes",
        "The books balance",
        "The ledger equals the simulator's own account",
        "And of all 90 annotation jobs",
    ):
        assert part in said.out, part
    assert said.err == ""
    assert not list(scratch.iterdir())
    assert not running_in(scratch)


def test_an_interrupted_demonstration_takes_its_server_and_its_folder_with_it(home: Path) -> None:
    scratch = home / "scratch"
    scratch.mkdir(mode=0o711)
    demo = User(home, TMPDIR=str(scratch)).start("demo", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert demo.stdout
    while "run" not in demo.stdout.readline().lower() or not running_in(scratch):
        assert demo.poll() is None
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=30)
    assert demo.returncode == 143
    assert not running_in(scratch)
    assert not list(scratch.iterdir())


def test_what_the_simulation_prints_is_all_that_sync_needs(home: Path, database: str) -> None:
    simulation = User(home).start(
        "simulate", "--step-every", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert simulation.stdout
    said = "".join(simulation.stdout.readline() for _ in range(4))
    exported = dict(re.findall(r"(ROBOFLOW_API_\w+)=(\S+)", said))
    said = User(home, DATABASE_URL=database, **exported).runs("sync").out
    assert "3 projects (3 changed)" in said
    simulation.send_signal(signal.SIGTERM)
    _, err = simulation.communicate(timeout=30)
    assert (simulation.returncode, err) == (0, "The simulation has ended.\n")


# sync


def test_a_run_says_as_json_what_it_says_in_words(user: User) -> None:
    document = user.runs("sync", "--json").document
    assert document["exit_code"] == 0
    assert document["is_dry_run"] is False
    assert document["verdicts"]["changed"] == 3
    assert document["moves"]["entered"] == 24
    assert [project["project"] for project in document["projects"]] == ["cars", "drones", "helmets"]
    assert document["started_at"].endswith("Z")


def test_a_dry_run_says_what_the_run_then_does_and_writes_nothing(user: User, database: str) -> None:
    dry = user.runs("sync", "--dry-run")
    assert "Dry run, nothing was written" in dry.out
    assert rows(database, "SELECT * FROM ledger.run") == []
    assert rows(database, "SELECT * FROM ledger.project") == []
    would = user.runs("sync", "--dry-run", "--json").document
    does = user.runs("sync", "--json").document
    assert would["run_id"] is None
    assert would["moves"] == does["moves"]
    assert would["verdicts"] == does["verdicts"]


def test_only_the_named_projects_are_read(user: User, simulator: Simulator) -> None:
    said = user.runs("sync", "--project", "acme/cars", "--project", "acme/drones")
    assert "Run 1: 2 projects" in said.out
    assert simulator.requests.count("/acme/helmets/batches") == 0


def test_a_failed_project_is_told_with_its_remedy_and_the_others_are_done(
    user: User, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.truncated(), path="/acme/cars/batches", times=None)
    said = user.runs("sync", exits=4)
    assert re.search(r"^failed acme/cars: .*incomplete|^failed acme/cars: ", said.out, re.MULTILINE)
    assert "(2 changed, 1 failed)" in said.out


def test_an_empty_list_after_a_full_one_is_suspect_and_changes_nothing(
    user: User, simulator: Simulator
) -> None:
    user.runs("sync")
    simulator.faults.add(Fault.empty_list(), path="/acme/cars/batches")
    said = user.runs("sync", exits=4)
    assert "suspect acme/cars: the list is empty, and was not before" in said.out
    assert "batches: no change" in said.out


def test_a_wrong_key_is_told_once_however_many_projects_suffer_from_it(user: User) -> None:
    user.runs("sync")
    said = user.having(ROBOFLOW_API_KEY="wrong").runs("sync", exits=2)
    assert said.out.count("status 401") == 1
    assert "failed a key, acme/cars, acme/drones, acme/helmets: " in said.out


def test_the_log_tells_each_project_that_the_key_does_not_see_and_a_wrong_key_once(user: User) -> None:
    absent = user.having(BATCHLEDGER_PROJECTS="acme/*, acme/nothing").runs("sync", exits=4)
    wrong = user.having(ROBOFLOW_API_KEY="another").runs("sync", exits=2)

    assert [line for line in absent.err.splitlines() if "project=acme/nothing" in line and "remedy=" in line]
    assert len(wrong.err.splitlines()) == 1


def test_the_crontab_line_of_the_quickstart_speaks_of_a_run_that_did_not_end_well_and_of_no_other(
    user: User, simulator: Simulator
) -> None:
    program = user.home / "batchledger/.venv/bin/batchledger"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (user.home / ".roboflow-key").write_text(KEY, encoding="utf-8")
    keyless = user.lacking("ROBOFLOW_API_KEY")

    quiet = by_cron(keyless)
    simulator.faults.add(Fault.empty_list(), path="/acme/cars/batches")

    assert quiet == ""
    assert "acme/cars: the list is empty" in by_cron(keyless)


def by_cron(user: User) -> str:
    """Run the line as cron would; return what cron would mail."""
    page = (REPOSITORY / "docs/quickstart.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```crontab\n\d+ \* \* \* \* (.+)$", page, re.MULTILINE)
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=user.environ, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(("number", "exits"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_the_projects_in_hand(
    user: User, simulator: Simulator, database: str, number: int, exits: int
) -> None:
    simulator.faults.add(Fault.stall(), path="/acme/cars/batches", times=None)
    sync = user.having(BATCHLEDGER_SYNC__CONCURRENCY="1").start(
        "sync", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: simulator.requests.count("/acme/cars/batches"))
    begin = time.monotonic()
    sync.send_signal(number)
    out, err = sync.communicate(timeout=60)
    assert time.monotonic() - begin < READ_TIMEOUT_S + SLACK_S
    assert sync.returncode == exits
    assert "stopping after the projects in hand" in err
    assert "(1 failed, 2 skipped)" in out
    assert "Stopped before the end." in out
    assert rows(database, "SELECT outcome FROM ledger.run") == [("stopped",)]


def test_a_wait_between_two_attempts_ends_with_the_run(user: User, simulator: Simulator) -> None:
    busy = Fault.status(429, headers={"Retry-After": "50"})
    simulator.faults.add(busy, path="/acme/cars/batches", times=None)
    sync = user.having(BATCHLEDGER_SOURCE__ATTEMPTS="5").start(
        "sync", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: simulator.requests.count("/acme/cars/batches"))
    time.sleep(0.3)
    begin = time.monotonic()
    sync.send_signal(signal.SIGINT)
    out, _ = sync.communicate(timeout=60)
    assert time.monotonic() - begin < SLACK_S
    assert sync.returncode == 130
    assert re.search(r"^failed acme/cars\b.*the run was asked to stop$", out, re.MULTILINE)


def test_the_second_signal_ends_at_once(user: User, simulator: Simulator) -> None:
    simulator.faults.add(Fault.stall(), path="/acme/cars/batches", times=None)
    sync = user.having(BATCHLEDGER_SOURCE__READ_TIMEOUT_S="60").start("sync", stderr=subprocess.PIPE)
    until(lambda: simulator.requests.count("/acme/cars/batches"))
    sync.send_signal(signal.SIGINT)
    assert sync.stderr
    while "once more" not in sync.stderr.readline():
        assert sync.poll() is None
    begin = time.monotonic()
    sync.send_signal(signal.SIGINT)
    sync.communicate(timeout=60)
    assert time.monotonic() - begin < SLACK_S
    assert sync.returncode == 130


def until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_run_needs_little_memory_and_none_of_the_heavy_libraries(user: User) -> None:
    code = (
        "import pathlib, sys\n"
        "from etl.cli import main\n"
        "code = main(['sync'])\n"
        "heavy = {'alembic', 'plotext', 'apscheduler', 'etl.simulator', 'rich.progress'} & set(sys.modules)\n"
        # The peak that getrusage tells is that of whoever started the process, if it was higher.
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "peak = int(status.partition('VmHWM:')[2].split()[0])\n"
        "print(code, sorted(heavy), peak // 1024, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=user.home,
        env=user.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    exit_code, heavy, peak_mb = done.stderr.splitlines()[-1].split()
    assert (exit_code, heavy) == ("0", "[]")
    assert int(peak_mb) < 100


# Errors


@pytest.mark.parametrize(
    ("arguments", "exits", "error", "remedy"),
    [
        (("sync", "--project", "cars"), 2, "'cars' does not name a project", "workspace/project"),
        (("sync", "--project", "acme/"), 2, "does not name a project", "workspace/project"),
        (("sync", "--projects"), 2, "No such option", "batchledger sync --help"),
        (("snyc",), 2, "No such command 'snyc'", "batchledger --help"),
        (("sync", "--project", "acme/cers"), 3, "no such project: acme/cers", "batchledger projects"),
        (("history", "acme/cers"), 3, "did you mean acme/cars?", "batchledger status"),
        (("history", "acme/two words"), 3, "no project acme/two words", "batchledger status"),
        (("history", "--at", "now", "--", "-x/cars"), 3, "no project -x/cars", "batchledger status"),
        (("history", "acme/cars/nope"), 3, "no batch nope in acme/cars", "--at now"),
        (("history", "acme/cars/nope", "--at", "now"), 3, "no batch nope in acme/cars", "--at now"),
        (("history", "acme/cars", "--at", "soon"), 2, "'soon' is not an instant", "2026-11-20"),
        (("history", "acme"), 2, "'acme' does not name a project", "workspace/project"),
        (("history", "acme/cars", "--at", "now", "--from", "-1d"), 2, "--at asks for one", "leave out --at"),
        (("history", "acme/cars", "--from", "now", "--to", "-1d"), 2, "now is not before now-1d", "earlier"),
        (("diff", "acme/cars", "now", "-1d"), 2, "now is not before now-1d", "earlier"),
        (("diff", "acme/cars", "soon", "now"), 2, "'soon' is not an instant", "yesterday"),
        (("diff", "acme/cers", "-1d"), 3, "did you mean acme/cars?", "batchledger status"),
        (("migrate", "--sql", "--writer", "nightly"), 2, "name the roles of --roles", "give --roles"),
        (("explain", "acme/cars"), 2, "'acme/cars' does not name a batch", "acme/cars --at now"),
        (("explain", "acme/cars/nope"), 3, "no batch nope in acme/cars", "--at now"),
        (("explain", "acme/cars/nope", "--job"), 3, "no job nope in acme/cars", "export job --project"),
    ],
)
def test_an_error_is_one_line_and_its_remedy_another(
    reader: User, arguments: tuple[str, ...], exits: int, error: str, remedy: str
) -> None:
    said = reader.runs(*arguments, exits=exits)
    assert error in said.error
    assert remedy in said.remedy
    assert said.out == ""


def test_without_a_key_there_is_nothing_to_run_with(user: User) -> None:
    said = user.lacking("ROBOFLOW_API_KEY").runs("sync", exits=2)
    assert "There is no Roboflow API key" in said.error
    assert "ROBOFLOW_API_KEY_FILE" in said.remedy


@pytest.mark.parametrize("arguments", [("sync",), ("status",), ("migrate",), ("history", "acme/cars")])
def test_a_database_that_is_down_is_named_without_its_password(
    user: User, arguments: tuple[str, ...]
) -> None:
    down = user.having(DATABASE_URL=f"postgresql://reader:{quote(PASSWORD, safe='')}@127.0.0.1:1/ledger")
    said = down.runs(*arguments, exits=1)
    assert "the database at 127.0.0.1/ledger cannot be used" in said.error
    assert "DATABASE_URL" in said.remedy


@pytest.mark.parametrize("arguments", [("sync",), ("status",), ("history", "acme/cars")])
def test_a_database_of_ones_own_is_not_migrated_in_passing(
    newcomer: User, empty_database: str, arguments: tuple[str, ...]
) -> None:
    said = newcomer.having(DATABASE_URL=empty_database).runs(*arguments, exits=1)
    assert "the database has no schema yet" in said.error
    assert "batchledger migrate" in said.remedy
    assert rows(empty_database, "SELECT nspname FROM pg_namespace WHERE nspname = 'ledger'") == []


def test_a_role_without_rights_is_told_what_the_database_refuses(user: User, database: str) -> None:
    role: LiteralString = "DROP ROLE IF EXISTS newcomer; CREATE ROLE newcomer LOGIN"
    with psycopg.connect(as_superuser(database)) as connection:
        connection.execute(role)
    said = user.having(DATABASE_URL=database.replace(f"{WRITER}@", "newcomer@", 1)).runs("sync", exits=2)
    assert "the database refuses: permission denied for schema ledger" in said.error
    assert "grant it" in said.remedy


def test_a_traceback_is_shown_for_debug_alone_wherever_that_stands(reader: User) -> None:
    for arguments in (("--debug", "history", "acme/nope"), ("history", "acme/nope", "--debug")):
        assert "Traceback" in reader.runs(*arguments, exits=3).err


def test_every_fault_of_the_settings_is_told_at_once(user: User) -> None:
    said = user.having(BATCHLEDGER_SYNC__CONCURRENCY="none", BATCHLEDGER_NOPE="1").runs("status", exits=2)
    assert "BATCHLEDGER_SYNC__CONCURRENCY" in said.err
    assert "BATCHLEDGER_NOPE" in said.err


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("--help",)])
def test_who_has_read_enough_is_not_told_of_a_broken_pipe(reader: User, arguments: tuple[str, ...]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = reader.start(*arguments, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    _, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (141, "")


# The other commands


def test_check_finds_everything_as_it_should_be(reader: User) -> None:
    findings = reader.runs("check", "--json").document
    assert [finding["subject"] for finding in findings] == ["settings", "key", "key", "database", "database"]
    assert {finding["verdict"] for finding in findings} == {"ok"}
    said = reader.runs("check").out
    assert "ROBOFLOW_API_KEY" in said
    assert "workspace acme: 3 projects visible, 3 of them followed" in said
    assert "batches can be read (tried acme/cars)" in said
    assert re.search(r"Postgres 18\.\d+, ", said)


@pytest.mark.parametrize(
    ("environ", "exits", "told"),
    [
        ({"ROBOFLOW_API_KEY": "wrong"}, 2, r"^fault +key +.*401(.|\n)*^ok +database +schema at revision"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, 1, r"^ok +key +.*(.|\n)*^fault +database +"),
        ({"BATCHLEDGER_PROJECTS": "acme/nope"}, 1, r"^fault +key +acme/nope is configured, and the key does"),
        ({"BATCHLEDGER_PROJECTS": "acme/c?rs"}, 0, r"3 projects visible, 1 of them followed$"),
        ({"BATCHLEDGER_PROJECTS": "acme/x*"}, 0, r"^warning +key +.*, 0 of them followed\n +remedy: loosen"),
        ({"ROBOFLOW_API_URL": "nowhere"}, 2, r"^fault +settings +ROBOFLOW_API_URL: must be an address"),
    ],
)
def test_check_tells_each_fault_and_goes_on(
    reader: User, environ: dict[str, str], exits: int, told: str
) -> None:
    said = reader.having(**environ).runs("check", exits=exits).out
    assert re.search(told, said, re.MULTILINE), said


def test_check_tells_a_key_that_may_list_projects_and_not_their_batches(
    user: User, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.missing_scope(), path="/acme/cars/batches")
    assert re.search(r"^fault +key .*\n +remedy: .*scope", user.runs("check", exits=2).out, re.MULTILINE)


def test_check_says_that_a_database_is_not_migrated(newcomer: User, empty_database: str) -> None:
    said = newcomer.having(DATABASE_URL=empty_database).runs("check", exits=1).out
    assert "no schema yet" in said
    assert "remedy: run `batchledger migrate`" in said


def test_migrate_says_from_where_to_where(newcomer: User, empty_database: str) -> None:
    user = newcomer.having(DATABASE_URL=empty_database)
    assert re.fullmatch(r"The schema is at \d{4}_\w+; it was not there\.\n", user.runs("migrate").out)
    assert re.fullmatch(r"The schema is at \d{4}_\w+, as it should be\.\n", user.runs("migrate").out)
    user.runs("sync")


def test_a_newer_database_is_refused_and_left_alone(user: User, database: str) -> None:
    with psycopg.connect(as_owner(database)) as connection:
        connection.execute("UPDATE ledger.alembic_version SET version_num = '9999_from_the_future'")
    for command in ("sync", "status", "migrate"):
        said = user.runs(command, exits=1)
        assert "9999_from_the_future, newer than" in said.error
        assert "upgrade batchledger" in said.remedy


def test_the_printed_sql_is_the_migration(newcomer: User, home: Path, empty_database: str) -> None:
    printed = User(home).runs("migrate", "--sql").out
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(printed.encode())
    newcomer.having(DATABASE_URL=empty_database).runs("sync")


def test_projects_are_listed_before_there_is_any_database(newcomer: User, home: Path) -> None:
    said = newcomer.runs("projects")
    assert said.out.count("from the next run") == 3
    assert said.err == ""
    assert list(home.iterdir()) == []


def test_projects_tell_what_is_followed_and_what_is_not(user: User) -> None:
    chosen = user.having(BATCHLEDGER_PROJECTS="acme/c*,acme/nope")
    chosen.runs("sync", exits=4)
    listed = {one["project"]: one for one in chosen.runs("projects", "--json").document}
    assert [listed[name]["is_tracked"] for name in ("cars", "drones", "nope")] == [True, False, True]
    assert [listed[name]["is_visible"] for name in ("cars", "drones", "nope")] == [True, True, False]
    assert listed["cars"]["batches"] == 8
    assert listed["drones"]["batches"] is None
    assert re.search(r"^acme/nope +not visible", chosen.runs("projects").out, re.MULTILINE)


def test_projects_are_listed_although_the_database_is_down(reader: User) -> None:
    said = reader.having(DATABASE_URL="postgresql://127.0.0.1:1/x").runs("projects")
    assert "acme/cars" in said.out
    assert "warning: the database at 127.0.0.1/x cannot be used" in said.err


def test_status_tells_an_open_gap_and_why(user: User, simulator: Simulator) -> None:
    user.runs("sync")
    simulator.faults.add(Fault.html(), path="/acme/cars/batches")
    user.runs("sync", exits=4)
    said = user.runs("status").out
    assert re.search(r"^warning acme/cars: nothing trusted since .*not JSON", said, re.MULTILINE)
    assert said.count("warning") == 1
    cars = user.runs("status", "--json").document["projects"][0]
    assert (cars["last_verdict"], cars["gap_since"] == cars["last_observed_at"]) == ("failed", True)
    user.runs("sync")
    assert "warning" not in user.runs("status").out


def test_status_of_an_empty_ledger_says_what_to_do(user: User) -> None:
    assert "The ledger is empty: run `batchledger sync`." in user.runs("status").out


def test_histories_tell_the_life_of_a_project_and_of_a_batch(user: User, simulator: Simulator) -> None:
    user.runs("sync")
    cars = simulator.world.project("acme/cars")
    batch = max(cars.batches.values(), key=lambda one: one.images)
    with simulator.lock:
        cars.append(batch.id, images=5)
    user.runs("sync")
    days = user.runs("history", "acme/cars", "--json").document["days"]
    assert days[-1]["images"] == sum(one.images for one in cars.batches.values())
    states = user.runs("history", f"acme/cars/{batch.id}", "--json").document["states"]
    assert [(state["kind"], state["images_delta"]) for state in states] == [
        ("entered", batch.images),
        ("changed", 5),
    ]
    assert states[1]["changed_after"] == states[0]["observed_at"]
    said = user.runs("history", f"acme/cars/{batch.id}").out
    assert re.search(rf"^changed .* {batch.images + 5} +\+5 ", said, re.MULTILINE)


def test_the_past_is_told_with_how_well_it_is_known(reader: User) -> None:
    before = reader.runs("history", "acme/cars", "--at", "2020-01-01", "--json").document
    assert before["at"] == "2020-01-01T00:00:00Z"
    assert before["batches"] == []
    now = reader.runs("history", "acme/cars", "--at", "now", "--json").document
    assert len(now["batches"]) == 8
    assert {batch["knowledge"] for batch in now["batches"]} == {"carried"}
    batch_id = now["batches"][0]["batch_id"]
    said = reader.runs("history", f"acme/cars/{batch_id}", "--at", "now").out
    assert said.count("carried") == 1


def test_a_broken_promise_is_told_with_its_own_exit_code(user: User, database: str) -> None:
    user.runs("sync")
    assert user.runs("status", "--json").document["is_kept"] is True
    with psycopg.connect(as_owner(database)) as connection:
        connection.execute("UPDATE ledger.project SET max_age_s = 1 WHERE project = 'cars'")
    time.sleep(1)
    said = user.runs("status", exits=4).out
    assert re.search(
        r"^broken acme/cars: nothing trusted since .*no run.*1 s is promised$", said, re.MULTILINE
    )
    assert "  remedy: see that the daemon or cron runs" in said
    found = user.runs("status", "--json", exits=4).document
    assert found["is_kept"] is False
    assert [project["is_kept"] for project in found["projects"]] == [False, True, True]
    user.having(BATCHLEDGER_PROJECTS="acme/drones").runs("sync")
    assert "paused" in user.runs("status").out


def test_a_suspect_project_is_told_with_the_command_that_resolves_it(
    user: User, simulator: Simulator
) -> None:
    user.runs("sync")
    simulator.faults.add(Fault.empty_list(), path="/acme/cars/batches")
    user.runs("sync", exits=4)
    said = user.runs("status").out
    assert re.search(r"^suspect acme/cars: .*suspect: empty_list.*was not before$", said, re.MULTILINE)
    assert "; `batchledger confirm acme/cars` shows" in said


def test_a_difference_says_what_changed_and_adds_up(user: User, simulator: Simulator) -> None:
    user.runs("sync")
    cars = simulator.world.project("acme/cars")
    grown, deleted = list(cars.batches)[:2]
    name = cars.batches[deleted].name
    with simulator.lock:
        cars.append(grown, images=5)
        cars.delete(deleted)
    before = user.runs("status", "--json").document["at"]
    user.runs("sync")
    said = user.runs("diff", "acme/cars", before).out
    assert re.search(rf"^grown +{grown} +\d+ +\d+ +\+5 ", said, re.MULTILINE)
    assert re.search(rf"^left +{deleted} +\d+ +- +-\d+ .*{re.escape(name)}$", said, re.MULTILINE)
    found = user.runs("diff", "acme/cars", before, "now", "--json").document
    assert [one["change"] for one in found["batches"]] == ["grown", "left"]
    moved = sum(group["images"] for group in found["deltas"].values())
    assert found["before"]["images"] + moved == found["after"]["images"] == cars_images(simulator)
    assert (found["amiss"], found["before"]["at"]) == (None, before)
    everything = user.runs("diff", "acme/cars", "-1d", "--json").document
    assert everything["before"]["knowledge"] == "unknown"
    assert everything["deltas"]["entered"]["images"] == everything["after"]["images"]


def cars_images(simulator: Simulator) -> int:
    return sum(batch.images for batch in simulator.world.project("acme/cars").batches.values())


def test_a_number_is_explained_down_to_its_bytes(user: User, simulator: Simulator) -> None:
    user.runs("sync")
    batch_id = next(iter(simulator.world.project("acme/cars").batches))
    user.runs("sync")
    said = user.runs("explain", f"acme/cars/{batch_id}").out
    for part in (
        "made by   entered: ",
        "in 1 trusted observation, ",
        "seen in   observation ",
        "by        run 1 ",
    ):
        assert part in said
    assert re.search(r"^record    number 1 of 8 in the list, bytes \d+ to \d+:$", said, re.MULTILINE)
    assert json.loads(said.splitlines()[-1])["id"] == batch_id
    found = user.runs("explain", f"acme/cars/{batch_id}", "--json").document
    assert json.loads(found["record"]["raw"])["images"] == found["believed"]["images"]
    assert found["run"]["guard"]["hold"] == "PT3600S"
    assert found["at"].endswith("Z")
    job_id = next(iter(simulator.world.project("acme/cars").jobs))
    said = user.runs("explain", f"acme/cars/{job_id}", "--job").out
    assert said.startswith(f"Job {job_id} of acme/cars as believed at ")
    assert json.loads(said.splitlines()[-1])["id"] == job_id
    found = user.runs("explain", f"acme/cars/{job_id}", "--job", "--json").document
    assert (found["job_id"], found["believed"]["job_id"]) == (job_id, job_id)
    before = user.runs("explain", f"acme/cars/{batch_id}", "--at", "-1d").out
    assert "made by" not in before


def test_books_that_balance_are_one_line_and_those_that_do_not_name_the_rows(
    user: User, database: str
) -> None:
    user.runs("sync")
    assert re.fullmatch(
        r"The books balance: \d+ invariants over 3 projects, 24 batches, 24 changes and 3 observations "
        r"in \d+\.\d s; all hold\.\n",
        user.runs("verify").out,
    )
    assert user.runs("verify", "--json").document["is_sound"] is True
    with psycopg.connect(as_owner(database)) as connection:
        connection.execute("UPDATE ledger.observation SET images = images + 1")
    said = user.runs("verify", exits=1)
    assert re.search(r"^broken last_observation_balances: .*\n  acme/cars: .*\n", said.out, re.MULTILINE)
    assert "  remedy: `batchledger replay" in said.out
    assert said.err == ""
    assert user.runs("verify", "--json", exits=1).document["broken"][0]["rows"][0]["project"] == "cars"
    unequal = user.runs("diff", "acme/cars", "-1d", exits=1)
    assert "does not add up: 0 images" in unequal.error
    assert "batchledger verify" in unequal.remedy
    assert "8 entered" in unequal.out


def test_psql_gets_the_password_without_showing_it(user: User, database: str) -> None:
    psql = user.start("psql", "--", "-XAtc", "SELECT pg_sleep(20)", stdout=subprocess.PIPE)
    until(lambda: rows(database, "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)'"))
    children = psutil.Process(psql.pid).children(recursive=True)
    lines = [" ".join(process.cmdline()) for process in children]
    assert any("psql" in line for line in lines)
    assert not [line for line in lines if any(secret in line for secret in SECRETS)]
    assert [process.environ()["PGPASSWORD"] for process in children] == [PASSWORD]
    psql.send_signal(signal.SIGTERM)
    psql.communicate(timeout=30)
    assert psql.returncode == 143


def test_psql_passes_on_what_it_is_told_and_how_it_ended(reader: User) -> None:
    assert reader.runs("psql", "--", "-XAtc", "SELECT 40 + 2").out == "42\n"
    assert "no_such_table" in reader.runs("psql", "--", "-Xc", "TABLE no_such_table", exits=1).err


# The shell


def test_the_shell_completes_commands_and_projects(reader: User) -> None:
    assert completed(reader, "batchledger s", 1) == ["simulate", "status", "sync"]
    assert completed(reader, "batchledger sync --project acme/d", 3) == ["acme/drones"]
    assert completed(reader, "batchledger history acme/", 2) == ["acme/cars", "acme/drones", "acme/helmets"]
    down = reader.having(DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert completed(down, "batchledger history acme/d", 2) == []


def completed(user: User, words: str, place: int) -> list[str]:
    asked = {"_BATCHLEDGER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    return sorted(user.having(**asked).runs().out.split())


# On a terminal

COLOUR: Final = re.compile(r"\x1b\[[0-9;]*3[0-9]")


def on_a_terminal(user: User, *arguments: str, **environ: str) -> str:
    """Run a command on a terminal of 100 columns and return all that it shows."""
    ours, theirs = pty.openpty()
    done = user.having(TERM="xterm-256color", COLUMNS="100", **environ).start(
        *arguments, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:
            # Linux says so when the other side of a terminal is closed.
            break
        said += part
    os.close(ours)
    assert done.wait(60) == 0, said
    return said.decode()


def test_a_terminal_gets_a_bar_colours_and_plots(user: User) -> None:
    said = on_a_terminal(user, "sync")
    assert "asking for projects" in said
    assert COLOUR.search(said)
    assert "[info" not in said
    assert "███" in on_a_terminal(user, "history", "acme/cars")


def test_colours_can_be_refused(reader: User) -> None:
    said = on_a_terminal(reader, "check", NO_COLOR="1")
    assert "ok" in said
    assert not COLOUR.search(said)


def test_elsewhere_there_is_neither_colour_nor_bar_nor_box(reader: User) -> None:
    query = "SELECT batch_id FROM analytics.batch WHERE project = 'cars'"
    ((batch_id,), *_) = rows(reader.environ["DATABASE_URL"], query)
    for command in (
        ("sync", "--dry-run"),
        ("status",),
        ("history", "acme/cars"),
        ("history", "acme/cars", "--at", "now"),
        ("history", "acme/cars", "--from", "-1d"),
        ("projects",),
        ("diff", "acme/cars", "-1h"),
        ("verify",),
        ("explain", f"acme/cars/{batch_id}"),
    ):
        said = reader.runs(*command)
        assert said.err == ""
        assert not re.search("[\x1b─━█]", said.out)
        assert not re.search(r"[ \t]$", said.out, re.MULTILINE)
