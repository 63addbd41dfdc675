"""The files of deploy/ do their job as written, with the product installed as a user has it."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
import pytest
from dotenv import dotenv_values
from ruamel.yaml import YAML

from etl.embedded import server
from etl.report import PARTIAL
from etl.simulator import Fault, ServerSettings, Simulator, World
from tests.homes import a_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
CRONTAB: Final = DEPLOY / "cron/batchledger.crontab"
DOCKERFILE: Final = DEPLOY / "container/Dockerfile"
COMPOSE: Final = DEPLOY / "container/compose.yaml"
HOW_TO: Final = ROOT / "docs/how-to/deploy.md"
PREFIX: Final = "/opt/batchledger"
KEY: Final = "canaryKeyThatNobodyMaySee"
PATIENCE_S: Final = 60
WATCHDOG_S: Final = 4
IS_ROOT: Final = os.geteuid() == 0
CONTAINER_USER: Final = 10001


# Installed


@dataclass(frozen=True)
class Installation:
    """The product where nothing of the checkout can be imported."""

    prefix: Path
    wheel: Path

    @property
    def program(self) -> Path:
        return self.prefix / "bin/batchledger"


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """Install by the commands of the Dockerfile, but for the download of what is locked."""
    with tempfile.TemporaryDirectory(prefix="batchledger-test-installed-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        source, prefix = folder / "src", folder / "opt"
        _copy_sources(source)
        make_environment, *_, build, install = _steps()
        for step in (make_environment, build, install):
            _at_a_shell(step.replace(PREFIX, str(prefix)), source)
        _lend_locked_packages(prefix)
        yield Installation(prefix, *(source / "dist").glob("*.whl"))


def _copy_sources(target: Path) -> None:
    for words in map(str.split, _instructions("COPY")):
        for name in () if words[0].startswith("--from") else words[:-1]:
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, place)


def _steps() -> list[str]:
    """List the commands of the first stage."""
    runs = _instructions("RUN")[:2]
    return [step.strip() for run in runs for step in run.split("&&")]


def _instructions(name: str) -> list[str]:
    logical = DOCKERFILE.read_text().replace("\\\n", " ")
    return [line.removeprefix(f"{name} ") for line in logical.splitlines() if line.startswith(f"{name} ")]


def _at_a_shell(command: str, folder: Path) -> None:
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}", "HOME": str(folder)}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**environ, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _lend_locked_packages(prefix: Path) -> None:
    """Make visible what the lock for users names, and no tool of ours."""
    (packages,) = prefix.glob("lib/python3*/site-packages")
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements/embedded.txt").read_text(), re.MULTILINE):
        for distribution in metadata.distributions(name=name):
            _lend(distribution, packages)


def _lend(distribution: metadata.Distribution, packages: Path) -> None:
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for top in tops:
        lent = packages / top
        if not lent.exists():
            lent.symlink_to(Path(str(distribution.locate_file(top))))


# Somebody who runs it


@dataclass(frozen=True)
class Person:
    """Who runs a command, with nothing but a home and these variables."""

    home: Path
    uid: int = os.geteuid()

    def runs(
        self, command: Sequence[str | Path], environ: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.as_they_do(command),
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), **environ},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def as_they_do(self, command: Sequence[str | Path]) -> list[str]:
        words = list(map(str, command))
        return words if self.uid == os.geteuid() else [*_becoming(self.uid), *words]


def _becoming(uid: int) -> list[str]:
    """Keep the right to read, because our interpreter may lie in a folder that is private to root."""
    ids = (f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    return ["setpriv", *ids, f"--inh-caps=+{_right_to_read()}", f"--ambient-caps=+{_right_to_read()}"]


def _right_to_read() -> str:
    """Name the capability; containers often leave root only the wider one."""
    held = int(re.findall(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)[0], 16)
    return "dac_read_search" if held & 0b100 else "dac_override"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that everybody can reach, with a short name, as sockets need it."""
    with a_home() as made:
        yield made


def _person(folder: Path, uid: int) -> Person:
    home = folder / "home"
    home.mkdir(mode=0o711)
    if IS_ROOT:
        os.chown(home, uid, uid)
    return Person(home, uid)


ORDINARY: Final = pwd.getpwnam("nobody").pw_uid if IS_ROOT else os.geteuid()


@pytest.fixture(params=sorted({os.geteuid(), ORDINARY}), ids=lambda uid: f"user {uid}")
def person(request: pytest.FixtureRequest, folder: Path) -> Person:
    return _person(folder, request.param)


# A host


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    world = World.seeded(7, projects=2, batches_per_project=3)
    with Simulator(world, ServerSettings(keys={"acme": KEY})) as served:
        yield served


@dataclass(frozen=True)
class Host:
    """Where an installation lies and what it reads, set up as docs/how-to/deploy.md says."""

    folder: Path
    installation: Installation
    simulator: Simulator

    @property
    def environment_file(self) -> Path:
        return self.folder / "batchledger.env"

    @property
    def home(self) -> Path:
        return self.folder / "state/batchledger"

    def has(self, *lines: str, **settings: str) -> None:
        """Copy the example, as it is, and append these settings."""
        example = (DEPLOY / "batchledger.env.example").read_text()
        settings = {"ROBOFLOW_API_URL": self.simulator.url, **settings}
        said = [f"{name}='{value}'" for name, value in settings.items()]
        self.environment_file.write_text("\n".join([example, *map(self.here, lines), *said, ""]))

    def here(self, line: str) -> str:
        """Replace the places, and nothing else."""
        return line.replace(PREFIX, str(self.installation.prefix)).replace(
            "/etc/batchledger", str(self.folder)
        )

    def at_a_shell(self, shell: str, line: str) -> subprocess.CompletedProcess[str]:
        # If the line loses its settings, it must not find the database of whoever runs the tests.
        harmless = {"BATCHLEDGER_HOME": str(self.home)}
        done = Person(self.folder).runs([shell, "-c", self.here(line)], harmless)
        assert KEY not in done.stdout + done.stderr
        return done


@pytest.fixture
def host(folder: Path, installation: Installation, simulator: Simulator) -> Host:
    host = Host(folder, installation, simulator)
    host.home.mkdir(parents=True)
    host.home.parent.chmod(0o711)
    host.home.chmod(0o711)
    (folder / "roboflow-api-key").write_text(f"{KEY}\n")
    return host


def verdicts(database: str) -> list[str]:
    return [row[0] for row in rows(database, "SELECT verdict FROM analytics.observation ORDER BY verdict")]


def rows(database: str, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchall()


# cron


def test_the_crontab_line_syncs_and_says_nothing(host: Host, database: str) -> None:
    host.has(_key_file_line(), DATABASE_URL=database)
    for expected in (["changed"] * 2, ["changed"] * 2 + ["unchanged"] * 2):
        done = host.at_a_shell(*_crontab())
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert verdicts(database) == expected


def test_the_crontab_line_says_what_went_wrong_and_ends_with_the_code_of_the_run(
    host: Host, database: str
) -> None:
    host.has(_key_file_line(), DATABASE_URL=database)
    project = next(iter(host.simulator.world.projects))
    host.simulator.faults.add(Fault.status(400), path=f"/{project}/batches", times=None)
    done = host.at_a_shell(*_crontab())
    assert done.returncode == 4
    assert str(project) in done.stdout
    assert verdicts(database) == ["changed", "failed"]


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"ROBOFLOW_API_KEY_FILE": "/nowhere/key"}, 2, "/nowhere/key"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}, 1, "remedy: "),
    ],
)
def test_the_crontab_line_is_loud_when_the_run_cannot_begin(
    host: Host, database: str, settings: dict[str, str], code: int, words: str
) -> None:
    host.has(_key_file_line(), **{"DATABASE_URL": database, **settings})
    done = host.at_a_shell(*_crontab())
    assert done.returncode == code
    assert words in done.stdout
    assert verdicts(database) == []


def test_the_crontab_line_is_loud_when_its_settings_are_not_there(host: Host) -> None:
    done = host.at_a_shell(*_crontab())
    assert done.returncode != 0
    assert "batchledger.env" in done.stderr


def test_the_documented_line_migrates_before_there_is_a_key(host: Host, empty_database: str) -> None:
    host.has(DATABASE_URL=empty_database)
    (line,) = re.findall(r"^sudo (sh -c '.* migrate')$", HOW_TO.read_text(), re.MULTILINE)
    done = host.at_a_shell("/bin/sh", line)
    assert done.returncode == 0, done.stderr
    assert verdicts(empty_database) == []


def _crontab() -> tuple[str, str]:
    """Read the shell and the command, which follows the five fields of the time."""
    text = CRONTAB.read_text()
    (shell,) = re.findall(r"^SHELL=(.+)$", text, re.MULTILINE)
    (command,) = re.findall(r"^[\d*](?:\S* +\S+){4} +(.+)$", text, re.MULTILINE)
    return shell, command


def _key_file_line() -> str:
    """Do as the example says: remove the # before ROBOFLOW_API_KEY_FILE."""
    example = (DEPLOY / "batchledger.env.example").read_text()
    (line,) = re.findall(r"^#(ROBOFLOW_API_KEY_FILE=.+)$", example, re.MULTILINE)
    return str(line)


# systemd


class Unit:
    """A service as systemd starts it, but for the sandbox."""

    def __init__(self, name: str, host: Host) -> None:
        self._lines = (DEPLOY / "systemd" / name).read_text().splitlines()
        self._host = host

    @property
    def command(self) -> list[str]:
        return shlex.split(self._host.here(self.setting("ExecStart")))

    @property
    def folder(self) -> Path:
        return Path(self._expand(self.setting("WorkingDirectory")))

    @property
    def environ(self) -> dict[str, str]:
        """The file comes after the lines of the unit and wins, as with systemd."""
        lines = [line.split("=", 2)[1:] for line in self._lines if line.startswith("Environment=")]
        file = dotenv_values(
            self._host.here(self.setting("EnvironmentFile").removeprefix("-")), interpolate=False
        )
        environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/",
            **{name: self._expand(value) for name, value in lines},
            **{name: value for name, value in file.items() if value is not None},
        }
        # A unit that forgets its folder must not find the database of whoever runs the tests.
        assert environ["BATCHLEDGER_HOME"] == str(self._host.home)
        return environ

    @property
    def seconds_to_stop(self) -> int:
        return int(self.setting("TimeoutStopSec"))

    def setting(self, name: str) -> str:
        (value,) = [line.split("=", 1)[1] for line in self._lines if line.startswith(f"{name}=")]
        return value

    def has_credentials(self) -> None:
        """Lay out the credentials that the unit asks for, in a folder of their own."""
        name, source = self.setting("LoadCredential").split(":")
        place = self._host.folder / "credentials"
        place.mkdir()
        shutil.move(self._host.here(source), place / name)

    def _expand(self, value: str) -> str:
        places = {"%S": self._host.home.parent, "%d": self._host.folder / "credentials"}
        for specifier, place in places.items():
            value = value.replace(specifier, str(place))
        assert "%" not in value
        return value


def test_the_service_of_one_run_syncs_once(host: Host, database: str) -> None:
    host.has(DATABASE_URL=database)
    unit = Unit("batchledger-sync.service", host)
    unit.has_credentials()
    done = subprocess.run(
        unit.command, env=unit.environ, cwd=unit.folder, check=False, timeout=PATIENCE_S, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert verdicts(database) == ["changed", "changed"]
    assert KEY.encode() not in done.stdout + done.stderr


def test_the_daemon_tells_systemd_that_it_is_ready_and_well_and_ends_in_time(host: Host) -> None:
    """It has no settings of its own, so that its database is the embedded one in its state folder."""
    host.has()
    unit = Unit("batchledger.service", host)
    unit.has_credentials()
    assert unit.setting("Type") == "notify"
    assert int(unit.setting("WatchdogSec")) >= WATCHDOG_S
    with _manager(host.folder / "notify") as manager, _started(unit, manager) as daemon:
        manager.until("READY=1", int(unit.setting("TimeoutStartSec")))
        manager.until("STATUS=last run at .* completed", PATIENCE_S)
        beats = [manager.until("WATCHDOG=1", WATCHDOG_S) for _ in range(3)]
        assert max(later - earlier for earlier, later in pairwise(beats)) < WATCHDOG_S
        asked_at = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(unit.seconds_to_stop) == 0
        assert manager.until("STOPPING=1", 1) - asked_at < unit.seconds_to_stop
    assert not (host.home / "postgres/data/postmaster.pid").exists()
    with server(host.home) as uri:
        assert verdicts(uri) == ["changed", "changed"]


def test_the_daemon_of_systemd_is_not_started_again_with_settings_that_stay_wrong(host: Host) -> None:
    host.has()
    unit = Unit("batchledger.service", host)
    done = subprocess.run(
        unit.command, env=unit.environ, cwd=unit.folder, check=False, timeout=PATIENCE_S, capture_output=True
    )
    assert str(done.returncode) in unit.setting("RestartPreventExitStatus").split()
    assert b"roboflow-api-key" in done.stderr


class Manager:
    """What systemd hears on its socket."""

    def __init__(self, heard: socket.socket) -> None:
        self._heard = heard
        self.address: str = heard.getsockname()

    def until(self, pattern: str, within_s: float) -> float:
        """Wait for a line of a message, and return when it came."""
        end = time.monotonic() + within_s
        while True:
            self._heard.settimeout(max(end - time.monotonic(), 0.001))
            lines = self._heard.recv(65536).decode().splitlines()
            assert KEY not in "".join(lines)
            if any(re.fullmatch(f"{pattern}.*", line) for line in lines):
                return time.monotonic()


@contextmanager
def _manager(path: Path) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        yield Manager(heard)


@contextmanager
def _started(unit: Unit, manager: Manager) -> Iterator[subprocess.Popen[bytes]]:
    environ = {
        **unit.environ,
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000),
    }
    daemon = subprocess.Popen(unit.command, env=environ, cwd=unit.folder, stderr=subprocess.DEVNULL)
    try:
        yield daemon
    finally:
        daemon.kill()
        daemon.wait()


# As a user has it


def test_the_wheel_has_every_file_of_the_product_and_no_other(installation: Installation) -> None:
    names = zipfile.ZipFile(installation.wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    migrations = {f"etl/_{name}" for name in _files("migrations")}
    assert packed == _files("etl") | migrations
    assert {"etl/py.typed", "etl/sql/apply.sql", "etl/_migrations/env.py"} <= packed


def _files(folder: str) -> set[str]:
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


@pytest.fixture
def ordinary(folder: Path) -> Person:
    return _person(folder, ORDINARY)


def test_the_commands_work_where_only_the_product_is_installed(
    installation: Installation, simulator: Simulator, ordinary: Person
) -> None:
    """The folders are empty, there is no database, and nothing is set but the key."""
    environ = {"ROBOFLOW_API_URL": simulator.url, "ROBOFLOW_API_KEY": KEY}
    project = next(iter(simulator.world.projects))
    for arguments, words in (
        (["migrate"], "The schema is at 0"),
        (["sync"], "2 projects (2 changed)"),
        (["check"], "ok       database"),
        (["status", "--json"], '"workspace": "acme"'),
        (["history", str(project)], "yes"),
    ):
        done = ordinary.runs([installation.program, *arguments], environ)
        assert done.returncode == 0, done.stdout + done.stderr
        assert words in done.stdout
        assert KEY not in done.stdout + done.stderr
    assert (ordinary.home / ".local/share/batchledger/postgres").exists()


def test_the_demonstration_needs_nothing_and_leaves_nothing(
    installation: Installation, person: Person
) -> None:
    done = person.runs([installation.program, "demo"], {})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIMULATED" in done.stdout
    assert list(person.home.iterdir()) == []


def test_nothing_is_imported_from_the_checkout_or_from_our_tools(
    installation: Installation, ordinary: Person
) -> None:
    script = (
        "import importlib.util, json, etl;"
        "found = [name for name in ('pytest', 'hypothesis', 'ruff') if importlib.util.find_spec(name)];"
        "print(json.dumps([etl.__file__, found]))"
    )
    done = ordinary.runs([installation.prefix / "bin/python", "-c", script], {})
    file, found = json.loads(done.stdout)
    assert Path(file).is_relative_to(installation.prefix)
    assert found == []


# The container


def test_the_commands_of_the_containers_do_their_job_as_their_numbered_user(
    installation: Installation, simulator: Simulator, folder: Path, empty_database: str
) -> None:
    """No user has that number on the host, as in the image."""
    person = _person(folder, CONTAINER_USER if IS_ROOT else os.geteuid())
    (folder / "key").write_text(KEY)
    environ = {
        "PATH": f"{installation.prefix}/bin:/usr/bin:/bin",
        "HOME": "/",
        "DATABASE_URL": empty_database,
        "ROBOFLOW_API_URL": simulator.url,
        "ROBOFLOW_API_KEY_FILE": str(folder / "key"),
    }
    healthy, unhealthy = 0, 1
    assert person.runs(_health_command(), environ).returncode == unhealthy
    migrate = [*_exec_form("ENTRYPOINT"), *_compose()["services"]["migrate"]["command"]]
    assert person.runs(migrate, environ).returncode == 0
    assert person.runs(_health_command(), environ).returncode == healthy
    _break_a_promise(empty_database)
    assert person.runs([*_exec_form("ENTRYPOINT"), "status"], environ).returncode == PARTIAL
    assert person.runs(_health_command(), environ).returncode == healthy


def _break_a_promise(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO ledger.project"
            " (workspace, project, is_tracked, first_seen_at, batches, images, num_jobs, max_age_s)"
            " VALUES ('acme', 'cars', TRUE, now() - INTERVAL '1 hour', 0, 0, 0, 60)"
        )


def test_the_container_is_unhealthy_without_its_database_and_says_so_in_time(
    installation: Installation, folder: Path
) -> None:
    environ = {
        "PATH": f"{installation.prefix}/bin:/usr/bin:/bin",
        "DATABASE_URL": "postgresql://batchledger@127.0.0.1:1/batchledger",
    }
    (timeout_s,) = re.findall(r"--timeout=(\d+)s", _instructions("HEALTHCHECK")[0])
    began_at = time.monotonic()
    assert Person(folder).runs(_health_command(), environ).returncode == 1
    assert time.monotonic() - began_at < int(timeout_s)


def test_the_numbered_user_of_the_image_is_the_one_that_the_key_is_handed_to() -> None:
    assert _instructions("USER") == [f"{CONTAINER_USER}:{CONTAINER_USER}"]
    assert f"-o {CONTAINER_USER} /dev/stdin roboflow-api-key" in HOW_TO.read_text()
    assert f"-o {CONTAINER_USER} /dev/stdin roboflow-api-key" in COMPOSE.read_text()


def _health_command() -> list[str]:
    (instruction,) = _instructions("HEALTHCHECK")
    command: list[str] = json.loads(instruction.partition("CMD ")[2])
    return command


def _exec_form(name: str) -> list[str]:
    words: list[str] = json.loads(_instructions(name)[0])
    return words


def _compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(COMPOSE)
    return loaded
