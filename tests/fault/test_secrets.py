"""A key and a password that nobody may see go through every command and every trouble, and leave no trace."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

import psutil
import psycopg
import pytest
from psycopg import sql
from typer.main import get_command

from etl.cli import app
from etl.embedded import psql, server
from etl.simulator import Fault, ServerSettings, Simulator, World
from tests.fault.harness import Scene, ended
from tests.logins import OWNER, WRITER, as_superuser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.fault.harness import Forkers, Process

REPOSITORY: Final = Path(__file__).parents[2]
PROGRAM: Final = (sys.executable, "-m", "etl")

# Each begins with a word that stays the same however it is escaped, so that no way to write it is missed.
KEY_WORD: Final = "CanaryKey7Q"
PASSWORD_WORD: Final = "CanaryWord9Z"
KEY: Final = KEY_WORD + "/\"%41+&<\\'end"
PASSWORD: Final = PASSWORD_WORD + " @:/?#%40\"'\\end"
SECRETS: Final = (KEY, PASSWORD)


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield from (json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.encode().hex())


def _in_base64(word: str) -> Iterator[str]:
    """Yield what is the same in base64 wherever the word begins: without letters that neighbours share."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + word.encode()).decode().rstrip("=")
        yield text[(0, 2, 3)[before] : len(text) - 1]


WORDS: Final = (KEY_WORD, PASSWORD_WORD)
TRACES: Final = sorted(
    trace.lower().encode()
    for trace in {
        *(spelling for secret in SECRETS for spelling in _spellings(secret)),
        *(trace for word in WORDS for trace in (word, word.encode().hex(), *_in_base64(word))),
    }
)


def traces(text: str | bytes) -> list[bytes]:
    """Return what shows a secret, however it is written, with what stands around it."""
    said = (text.encode() if isinstance(text, str) else text).lower()
    places = [said.find(trace) for trace in TRACES]
    return [said[max(0, place - 60) : place + 40] for place in places if place >= 0]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_trace_is_found_however_it_is_written(secret: str) -> None:
    for before in ("", "a", "ab", "abc"):
        written = (
            *_spellings(before + secret),
            base64.b64encode((before + secret).encode()).decode(),
            base64.urlsafe_b64encode((before + secret).encode()).decode(),
            f"<p>{before}{secret}".upper(),
        )
        assert all(map(traces, written))
    assert not traces("a canary may sing")


# A server that asks for passwords, and a ledger on it


def _verifier(connection: psycopg.Connection, role: str) -> str:
    """Return what Postgres keeps of the password, as psql's \\password would: the server never hears it."""
    return connection.pgconn.encrypt_password(PASSWORD.encode(), role.encode(), b"scram-sha-256").decode()


def _let_in(connection: psycopg.Connection, role: str, options: str) -> None:
    statement = sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(
        sql.Identifier(role), sql.SQL(options), sql.Literal(_verifier(connection, role))
    )
    connection.execute(statement)


@pytest.fixture(scope="module")
def strict() -> Iterator[str]:
    """Give the URI of a server that lets in nobody but the superuser without a password, and logs all."""
    folder = _home()
    rules = folder / "hba.conf"
    rules.write_text("local all postgres trust\nlocal all all scram-sha-256\n", encoding="utf-8")
    rules.chmod(0o644)
    chosen = {"hba_file": str(rules), "log_statement": "all", "log_connections": "on", "fsync": "off"}
    with server(folder / "home", settings=chosen) as uri:
        with psycopg.connect(uri, autocommit=True) as connection:
            _let_in(connection, OWNER, "CREATEROLE")
            _let_in(connection, WRITER, "")
            _let_in(connection, "stranger", "")
            connection.execute(f"ALTER DATABASE batchledger OWNER TO {OWNER}".encode())
        yield uri
        log = (folder / "home/postgres/server.log").read_bytes()
        assert b"ledger.observation" in log
        assert not traces(log)


def _home() -> Path:
    """Make a folder that the user of a server can reach."""
    folder = Path(tempfile.mkdtemp(dir=os.environ["BATCHLEDGER_TEST_HOMES"]))
    folder.chmod(0o711)
    return folder


def by(role: str, uri: str, password: str = PASSWORD) -> str:
    return re.sub(r"//\w+@", f"//{role}:{quote(password, safe='')}@", uri)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets")


@pytest.fixture(scope="module")
def stage(strict: str, folder: Path, forkers: Forkers) -> Iterator[Scene]:
    """Set up the ledger by the commands themselves, and run twice; tests leave it as they like."""
    world = World.seeded(7, projects=3, batches_per_project=4)
    with (
        Simulator(world, ServerSettings(keys={"acme": KEY})) as simulator,
        ended(Scene(simulator, by(WRITER, strict), folder, forkers)) as scene,
    ):
        assert told(scene, "migrate", "--roles", DATABASE_URL=by(OWNER, strict)) == 0
        with psycopg.connect(as_superuser(strict), autocommit=True) as connection:
            connection.execute(f"GRANT batchledger_writer TO {WRITER}".encode())
        assert told(scene, "sync") == 0
        with simulator.lock:
            simulator.world.project("acme/cars").append(batch_of(scene), images=5)
        assert told(scene, "sync") == 0
        _break_a_copy(strict)
        yield scene


def _break_a_copy(strict: str) -> None:
    """Make a database beside it whose schema is not what its revision says, so that statements fail."""
    with psycopg.connect(as_superuser(strict).replace("/batchledger?", "/postgres?"), autocommit=True) as one:
        one.execute("CREATE DATABASE broken TEMPLATE batchledger")
    with psycopg.connect(as_superuser(strict).replace("/batchledger?", "/broken?"), autocommit=True) as one:
        one.execute("ALTER TABLE ledger.run RENAME COLUMN started_at TO began_at")
        one.execute("ALTER TABLE ledger.observation RENAME TO reading")
        one.execute("ALTER TABLE ledger.project RENAME TO subject")


@pytest.fixture
def scene(stage: Scene) -> Iterator[Scene]:
    yield stage
    stage.simulator.faults.clear()


def batch_of(scene: Scene) -> str:
    return next(iter(scene.simulator.world.project("acme/cars").batches))


STARTED: Final = r"daemon started|serves workspace|serves the status page"


def told(scene: Scene, *argv: str, **environ: str) -> int:
    """Run a command to its end, look for traces in all that it said, and return how it ended."""
    process = scene.start("--debug", *argv, BATCHLEDGER_LOG__LEVEL="debug", **environ)
    if argv[0] in ENDLESS:
        _until(lambda: not process.is_running or re.search(STARTED, process.said + _printed(process)))
        process.send(signal.SIGTERM)
    exit_code = process.wait()
    assert not traces(process.said + process.printed), argv
    return exit_code


def _printed(process: Process) -> str:
    """Return what it has printed, if it has come so far as to have a standard output."""
    try:
        return process.printed
    except FileNotFoundError:
        return ""


def _until(is_so: Callable[[], object], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


# Every command, in every trouble

COMMANDS: Final = sorted(get_command(app).commands)  # type: ignore[attr-defined]
ENDLESS: Final = ("run", "simulate", "web")
SQL: Final = ("psql", "--", "-Xc")
CASES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "check": (("check",), ("check", "--json")),
    "confirm": (("confirm", "acme/cars"), ("confirm", "acme/cars", "--yes")),
    "demo": (),
    "dictionary": (("dictionary",), ("dictionary", "--markdown")),
    "diff": (("diff", "acme/cars", "2024-01-01", "now"),),
    "explain": (("explain", "acme/cars/BATCH"),),
    "export": (("export", "observation"), ("export", "run", "--format", "jsonl")),
    "forget": (("forget",), ("forget", "--yes")),
    "history": (("history", "acme/cars"), ("history", "acme/cars/BATCH", "--json")),
    "migrate": (("migrate",), ("migrate", "--roles"), ("migrate", "--sql")),
    "projects": (("projects",), ("projects", "--json")),
    "prune": (("prune", "--dry-run"), ("prune",)),
    "psql": ((*SQL, "TABLE ledger.observation"), (*SQL, "\\conninfo")),
    "replay": (("replay",),),
    "run": (("run",),),
    "simulate": (("simulate", "--step-every", "0"),),
    "status": (("status",), ("status", "--json")),
    "sync": (("sync",), ("sync", "--json"), ("sync", "--dry-run")),
    "verify": (("verify",),),
    "web": (("web", "--port", "0"),),
}
"""What each command is told; `demo` takes ten seconds, and has a test of its own."""

LISTS: Final = "/*/*/batches"
ECHO: Final = json.dumps({"error": {"message": f"the key {KEY} is bad", "hint": KEY, "type": KEY}})
ANSWERS: Final = {
    "nothing": None,
    "refuses and repeats the key": Fault.status(401, ECHO, headers={"X-Key": quote(KEY)}),
    "fails and repeats the key": Fault.status(500, ECHO),
    "says so with 200": Fault.literal(ECHO),
    "sends elsewhere with the key": Fault.redirect(f"http://127.0.0.1:1/?api_key={quote(KEY)}"),
    "hangs up": Fault.reset(),
}
"""What the API does."""

IN_QUERY_TOO: Final = ("sends elsewhere with the key", "hangs up")
"""Answers at which the key is sent in the address, which libraries put in their errors."""

NOWHERE: Final = "http://127.0.0.1:1"
IN_QUERY: Final = {"BATCHLEDGER_SOURCE__AUTH": "query"}
ENCODED: Final = quote(PASSWORD, safe="")
DOWN: Final = f"postgresql://{WRITER}:{ENCODED}@127.0.0.1:1/ledger"


def _troubles(strict: str) -> dict[str, dict[str, str]]:
    """Return the troubles that come from the environment."""
    return {
        "no API": {"ROBOFLOW_API_URL": NOWHERE, **IN_QUERY},
        "no such host": {"ROBOFLOW_API_URL": "http://nowhere.invalid", **IN_QUERY},
        "wrong key": {"ROBOFLOW_API_KEY": KEY + "x"},
        "settings at fault": {
            "ROBOFLOW_API_KEY": f"{KEY} x",
            "ROBOFLOW_API_URL": f"{NOWHERE}/?api_key={quote(KEY)}",
            "DATABASE_URL": f"postgresql://{WRITER}:{PASSWORD}@127.0.0.1:1/ledger",
            "BATCHLEDGER_SYNC__CONCURRENCY": KEY,
            "BATCHLEDGER_LOG__FORMAT": KEY,
            "BATCHLEDGER_SCHEDULE__EVERY": KEY,
            "BATCHLEDGER_PROJECTS": KEY,
        },
        "no database": {"DATABASE_URL": DOWN},
        "no such host of a database": {"DATABASE_URL": DOWN.replace("127.0.0.1", "nowhere.invalid")},
        "no TLS": {"DATABASE_URL": f"{DOWN}?sslmode=require&sslpassword={PASSWORD_WORD}"},
        "wrong password": {"DATABASE_URL": by(WRITER, strict, PASSWORD + "x")},
        "wrong password from the environment": {
            "DATABASE_URL": by(WRITER, strict).replace(f":{ENCODED}@", "@"),
            "PGPASSWORD": PASSWORD + "x",
        },
        "no rights": {"DATABASE_URL": by("stranger", strict)},
        "broken schema": {"DATABASE_URL": by(WRITER, strict).replace("/batchledger?", "/broken?")},
        "no schema": {"DATABASE_URL": by(OWNER, strict).replace("/batchledger?", "/postgres?")},
    }


TROUBLES: Final = sorted(_troubles("postgresql://x@/batchledger?"))


def test_every_command_has_a_case() -> None:
    assert set(COMMANDS) <= set(CASES)


def _lines(scene: Scene, command: str) -> list[list[str]]:
    return [[word.replace("BATCH", batch_of(scene)) for word in argv] for argv in CASES[command]]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_a_secret_whatever_the_api_answers(scene: Scene, command: str) -> None:
    for answer, fault in ANSWERS.items():
        scene.simulator.faults.clear()
        if fault is not None:
            scene.simulator.faults.add(fault, times=None)
        lines = _lines(scene, command)
        for argv in lines if answer == "nothing" else lines[:1]:
            told(scene, *argv, **(IN_QUERY if answer in IN_QUERY_TOO else {}))


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_command_shows_a_secret_in_any_trouble(scene: Scene, strict: str, trouble: str) -> None:
    environ = _troubles(strict)[trouble]
    codes = {told(scene, *argv, **environ) for command in COMMANDS for argv in _lines(scene, command)[:1]}
    assert codes - {0}


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://{WRITER}:{PASSWORD}@127.0.0.1:1/ledger",
        f"postgresql://127.0.0.1:{PASSWORD_WORD}/ledger",
        f"postgresql://127.0.0.1:1/ledger?nonsense={PASSWORD_WORD}",
        f"postgresql+psycopg://{WRITER}:{ENCODED}@127.0.0.1:1/ledger",
        f"host=127.0.0.1 password='{PASSWORD_WORD}'",
        f"{DOWN}?connect_timeout={PASSWORD_WORD}",
    ],
)
def test_an_address_that_is_none_is_not_repeated(scene: Scene, uri: str) -> None:
    assert told(scene, "status", DATABASE_URL=uri) in (1, 2)
    assert told(scene, "check", DATABASE_URL=uri) in (1, 2)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_level_of_the_log_shows_a_secret(scene: Scene, level: str, format_: str) -> None:
    scene.simulator.faults.add(Fault.status(500, ECHO), path=LISTS, times=None)
    chosen = {"BATCHLEDGER_LOG__LEVEL": level, "BATCHLEDGER_LOG__FORMAT": format_}
    for argv in (("sync",), ("check",), ("run",)):
        process = scene.start(*argv, **chosen, **IN_QUERY)
        if argv[0] in ENDLESS:
            time.sleep(1)
            process.send(signal.SIGTERM)
        process.wait()
        assert not traces(process.said + process.printed)


def test_what_would_be_said_with_a_secret_in_it_is_said_without(stage: Scene, tmp_path: Path) -> None:
    """Nothing of ours has a secret to say; who takes the key for a project's name makes it say one."""
    scene = replace(stage, folder=tmp_path)  # What it prints is what was asked for, and stays out of the way.
    world = World.seeded(7, projects=1, batches_per_project=1)
    with Simulator(world, ServerSettings(keys={"acme": KEY_WORD})) as simulator:
        environ = {"ROBOFLOW_API_URL": simulator.url, "ROBOFLOW_API_KEY": KEY_WORD}
        assert told(scene, "sync", "--dry-run", "--project", f"acme/{KEY_WORD}", **environ) == 3
        process = scene.start("sync", "--dry-run", BATCHLEDGER_PROJECTS=f"acme/*,acme/{KEY_WORD}", **environ)
        assert process.wait() == 4
    assert "acme/***" in process.said
    assert not traces(process.said)


def test_completion_in_the_shell_shows_no_secret(scene: Scene, strict: str) -> None:
    asked = {
        "_BATCHLEDGER_COMPLETE": "complete_bash",
        "COMP_WORDS": "batchledger history acme/",
        "COMP_CWORD": "2",
    }
    for environ in ({}, *_troubles(strict).values()):
        process = scene.start(**{**asked, **environ})
        process.wait()
        assert not traces(process.said + process.printed)


# What stays


def test_no_table_and_no_file_keeps_a_secret(scene: Scene, strict: str) -> None:
    for fault in filter(None, ANSWERS.values()):
        scene.simulator.faults.clear()
        scene.simulator.faults.add(fault, path=LISTS, times=None)
        assert told(scene, "sync", **IN_QUERY) != 0

    dump = subprocess.run(
        [psql().with_name("pg_dump"), as_superuser(strict)], capture_output=True, text=True, check=True
    ).stdout
    with psycopg.connect(as_superuser(strict)) as connection:
        bodies = connection.execute("SELECT body FROM ledger.payload WHERE body IS NOT NULL").fetchall()

    assert "COPY ledger.observation" in dump
    assert "SourceError" in dump or "UnauthorizedError" in dump
    assert not traces(dump)
    assert bodies
    assert not any(traces(zlib.decompress(body)) for (body,) in bodies)
    assert not {str(file): found for file in _files(scene.folder) if (found := traces(file.read_bytes()))}


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())


def test_the_embedded_database_and_its_processes_know_no_secret(scene: Scene) -> None:
    home = _home()
    scene.simulator.faults.add(Fault.stall(), path="/acme/cars/batches")
    scene.simulator.faults.add(Fault.status(500, ECHO), path="/acme/drones/batches", times=None)
    environ = {"DATABASE_URL": "", "BATCHLEDGER_HOME": str(home)}
    process = scene.start("sync", **environ)
    _until(lambda: scene.simulator.requests.count("/acme/cars/batches") and _of_server(home))
    servers = _of_server(home)
    assert not traces("".join(map(_known_to, servers)))
    assert process.wait() == 4
    assert not traces(process.said + process.printed)
    assert not {
        str(file): found for file in _files(home / "postgres") if (found := traces(file.read_bytes()))
    }


def _of_server(home: Path) -> list[psutil.Process]:
    return [one for one in psutil.process_iter() if _has(one, str(home))]


def _has(process: psutil.Process, word: str) -> bool:
    try:
        return word in process.cwd() or word in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _known_to(process: psutil.Process) -> str:
    """Return what the list of processes shows of one, and its environment."""
    try:
        return " ".join([*process.cmdline(), *map("=".join, process.environ().items())])
    except psutil.Error:
        return ""


# What others see meanwhile


def test_no_process_shows_a_secret_and_psql_is_given_the_password_alone(scene: Scene, strict: str) -> None:
    environ = _environ(scene)
    sleeping = [*PROGRAM, "psql", "--", "-Xc", "SELECT pg_sleep(20)"]
    process = subprocess.Popen(sleeping, env=environ, cwd=scene.folder, stdout=subprocess.DEVNULL)
    scene.simulator.faults.add(Fault.stall(), path=LISTS, times=None)
    reading = subprocess.Popen([*PROGRAM, "sync"], env=environ, cwd=scene.folder, stdout=subprocess.DEVNULL)
    try:
        _until(lambda: _is_asleep(strict) and scene.simulator.requests.count("/acme/cars/batches"))
        assert not traces(" ".join(word for one in psutil.process_iter() for word in _command_of(one)))
        (child,) = psutil.Process(process.pid).children()
        shown = child.environ()
        assert shown.pop("PGPASSWORD") == PASSWORD
        assert not traces(str(shown))
        assert not psutil.Process(reading.pid).children()
    finally:
        for one in (process, reading):
            one.terminate()
            one.wait(30)


def _environ(scene: Scene) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(scene.folder),
        "PYTHONPATH": str(REPOSITORY),
        "DATABASE_URL": scene.database,
        "ROBOFLOW_API_URL": scene.simulator.url,
        "ROBOFLOW_API_KEY": KEY,
        "BATCHLEDGER_SOURCE__ATTEMPTS": "1",
        "BATCHLEDGER_SOURCE__READ_TIMEOUT_S": "3",
    }


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_asleep(strict: str) -> bool:
    with psycopg.connect(as_superuser(strict)) as connection:
        query = "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)'"
        return bool(connection.execute(query).fetchall())


def test_systemd_is_told_no_secret(scene: Scene, strict: str, tmp_path: Path) -> None:
    """Its status holds the last error, which comes from the API, from the database, or from a bad setting."""
    path = str(tmp_path / "notify")
    often = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000", "BATCHLEDGER_SCHEDULE__EVERY": "10s"}
    scene.simulator.faults.add(Fault.status(500, ECHO), path=LISTS, times=None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(30)
        daemons = [
            scene.start("run", **often, **IN_QUERY),
            scene.start("run", **often, DATABASE_URL=DOWN),
            scene.start("run", **often, DATABASE_URL=by(WRITER, strict).replace("/batchledger?", "/broken?")),
        ]
        heard = list[bytes]()
        while len(set(filter(_TELLS_ERROR.search, heard))) < len(daemons):
            heard.append(systemd.recv(65536))
        for daemon in daemons:
            daemon.send(signal.SIGTERM)
    for daemon in daemons:
        daemon.wait()
        assert not traces(daemon.said)
    assert not traces(b"\n".join(heard))


_TELLS_ERROR: Final = re.compile(rb"STATUS=.*(error|failed|cannot)")


def test_a_terminal_shows_no_secret_while_projects_are_read(scene: Scene) -> None:
    scene.simulator.faults.add(Fault.status(500, ECHO), path="/acme/cars/batches", times=None)
    scene.simulator.faults.add(Fault.reset(), path="/acme/drones/batches", times=None)
    environ = {**_environ(scene), **IN_QUERY, "TERM": "xterm"}
    for argv in (("sync", "--debug"), ("status",)):
        said = _on_a_terminal([*PROGRAM, *argv], environ, scene.folder)
        assert "acme" in said
        assert not traces(said)


def _on_a_terminal(command: Sequence[str], environ: dict[str, str], folder: Path) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=environ, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            said += os.read(ours, 65536)
        except OSError:  # Linux says so when the other side of a terminal is closed.
            break
    os.close(ours)
    process.wait(60)
    return said.decode()


def test_the_demonstration_knows_nothing_of_the_secrets_around_it(scene: Scene) -> None:
    assert told(scene, "demo") == 0


# Where keys come from


@pytest.mark.parametrize("place", ["variable", "file", "login", "settings", "named variable", "workspace"])
def test_a_key_is_taken_from_each_place_and_shown_from_none(scene: Scene, tmp_path: Path, place: str) -> None:
    environ = {"ROBOFLOW_API_KEY": "", "HOME": str(tmp_path), **_placed(place, tmp_path)}
    scene.simulator.faults.add(Fault.status(500, ECHO), path="/acme/cars/batches", times=None)
    assert told(scene, "check", **environ) != 0
    scene.simulator.faults.clear()
    for argv in (("check",), ("sync",), ("projects",)):
        assert told(scene, *argv, **environ) == 0
    assert scene.simulator.requests.latest[-1].headers["authorization"] == f"Bearer {KEY}"


def _placed(place: str, folder: Path) -> dict[str, str]:
    """Put the key there, and return the environment that leads to it."""
    file, config = folder / "key", folder / "batchledger.toml"
    file.write_text(f"{KEY}\n", encoding="utf-8")
    login = {"workspaces": {"1": {"url": "acme", "apiKey": KEY}}, "RF_WORKSPACE": "acme"}
    (folder / "login.json").write_text(json.dumps(login), encoding="utf-8")
    settings = {
        "settings": f"[source]\napi_key = {json.dumps(KEY)}",
        "workspace": f"[workspaces.acme]\napi_key_file = {json.dumps(str(file))}",
    }
    config.write_text(settings.get(place, ""), encoding="utf-8")
    return {
        "variable": {"ROBOFLOW_API_KEY": KEY},
        "file": {"ROBOFLOW_API_KEY_FILE": str(file)},
        "login": {"ROBOFLOW_CONFIG_DIR": str(folder / "login.json")},
        "named variable": {"BATCHLEDGER_WORKSPACES__ACME__API_KEY_ENV": "OF_MY_OWN", "OF_MY_OWN": KEY},
    }.get(place, {"BATCHLEDGER_CONFIG": str(config)})
