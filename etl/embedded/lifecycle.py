"""Coming and going: the server is started by whoever comes first, and stopped by the last one who leaves."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from etl.embedded.account import PATIENCE_S, execute
from etl.embedded.cluster import DATABASE, Cluster, cluster_of, postgres
from etl.embedded.home import HOME_REMEDY
from etl.embedded.programs import NEWEST
from etl.embedded.sockets import PORT, make_socket_folder
from etl.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SETTINGS: Final = MappingProxyType(
    {
        "listen_addresses": "",
        "port": str(PORT),
        "timezone": "UTC",
        "log_timezone": "UTC",
        "max_connections": "50",
        "shared_buffers": "64MB",
        # What the planner supposes otherwise is a disk that turns.
        "random_page_cost": "1.1",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "log_checkpoints": "off",
        # Containers give /dev/shm 64 MB, and logging out can take its files away from a server that stays.
        "dynamic_shared_memory_type": "mmap",
    }
)
_NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})

_WAIT: Final = ("-w", "-t", f"{PATIENCE_S:.0f}")
_POLL_S: Final = 0.05
_PING_S: Final = 3

_ACCEPTS, _ANSWERS_NOT_YET = 0, 1  # Exit codes of pg_isready.


@contextmanager
def server(home: Path, *, version: int = NEWEST, settings: Mapping[str, str] = _NO_SETTINGS) -> Iterator[str]:
    """
    Use the Postgres of this home, with every other process that uses it.

    Entering once more, in any process, revives a server that was killed since.

    Args:
        home: The folder of the database; made if it does not exist.
        version: Major version for a new database, 16 or 18. One that exists keeps its own.
        settings: Settings of Postgres for the case that the server has to be started.

    Yields:
        A libpq URI with all rights. Valid until the block ends.

    Raises:
        SettingsError: The extra is not installed, or the home cannot be used by whom it must be.
        DatabaseUnavailableError: Postgres could not be set up or started; the message ends with its words.
    """
    home = home.absolute()
    with _explained(home):
        cluster = cluster_of(home, version)
        presence = _open_lock(home / "in-use.lock")
    try:
        with _explained(home):
            _enter(cluster, presence, settings)
        yield cluster.uri
    finally:
        with _explained(home):
            _leave(cluster, presence)


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = f" at {error.filename}" if error.filename else ""
        raise DatabaseUnavailableError(
            f"The embedded database in {home} cannot be used: {error.strerror or error}{place}.",
            remedy=f"Make room and access there, or {HOME_REMEDY}.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DatabaseUnavailableError(
            f"The embedded database in {home} was not ready after {error.timeout:.0f} s.",
            remedy="Try again when the machine is less busy.",
        ) from error


def _enter(cluster: Cluster, presence: int, settings: Mapping[str, str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not _try_lock(presence, fcntl.LOCK_SH):
        _pause(end)  # Somebody is stopping the server.
    alive = _open_lock(cluster.home / "alive.lock")
    try:
        while _ping(cluster) != _ACCEPTS:
            if _try_lock(alive, fcntl.LOCK_EX):
                _initialise(cluster, alive)
                _start(cluster, settings, alive)
                break
            _pause(end)  # It is just starting, or ending, or too busy to answer.
    finally:
        os.close(alive)


def _leave(cluster: Cluster, presence: int) -> None:
    try:
        if _try_lock(presence, fcntl.LOCK_EX) and _ping(cluster) in {_ACCEPTS, _ANSWERS_NOT_YET}:
            _stop(cluster)
    finally:
        os.close(presence)


def _stop(cluster: Cluster) -> None:
    """If it will not stop, the next one finds it running; what was written is safe either way."""
    postgres(cluster, "pg_ctl", "stop", "-D", "data", "-m", "fast", *_WAIT)
    if cluster.socket_folder != cluster.folder:
        with suppress(OSError):
            cluster.socket_folder.rmdir()


def _ping(cluster: Cluster) -> int:
    where = ("-h", str(cluster.socket_folder), "-p", str(PORT), "-d", DATABASE, "-U", "postgres")
    return postgres(cluster, "pg_isready", "-q", "-t", str(_PING_S), *where).returncode


def _initialise(cluster: Cluster, alive: int) -> None:
    """Make the database whole or not at all: it has its name only when it is finished."""
    if cluster.data.exists():
        return
    shutil.rmtree(cluster.folder / "new", ignore_errors=True)
    for program, arguments, words in (
        ("initdb", ("-D", "new", *_initdb_options(cluster.version)), None),
        ("postgres", ("--single", "-D", "new", "postgres"), f"CREATE DATABASE {DATABASE}\n"),
    ):
        result = postgres(cluster, program, *arguments, words=words, keep_open=alive)
        if result.returncode or "ERROR:" in result.stderr:  # A single-user server survives its errors.
            raise _failure(cluster, "could not be set up", result.stderr)
    (cluster.folder / "new").rename(cluster.data)


def _initdb_options(version: int) -> tuple[str, ...]:
    options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions")
    if version < NEWEST:
        return options
    return (*options, "--locale-provider=builtin", "--builtin-locale=C.UTF-8")


def _start(cluster: Cluster, settings: Mapping[str, str], alive: int) -> None:
    make_socket_folder(cluster.folder, cluster.account)
    _clear_traces(cluster)
    sockets = str(cluster.socket_folder).replace('"', '""')
    every_setting = {**_SETTINGS, "unix_socket_directories": f'"{sockets}"', **settings}
    options = shlex.join(f"--{name}={value}" for name, value in every_setting.items())
    # The paths are relative, because pg_ctl hands them to a shell.
    arguments = ("start", "-D", "data", "-l", "server.log", *_WAIT, "-o", options)
    result = postgres(cluster, "pg_ctl", *arguments, keep_open=alive)
    if result.returncode:
        raise _failure(cluster, "did not start", _text(cluster.log) or result.stderr)


def _clear_traces(cluster: Cluster) -> None:
    """
    Remove what a killed server left. Nothing of it is alive, since we hold its lock.

    Postgres refuses to start while the process id in its file is anybody's. Ours it knows to be no server's,
    and it still checks, by the rest of the file, that nobody uses the shared memory. It is written as the
    server's user, because root must not follow a link that another user could have put there.
    """
    script = 'test ! -e "$1" || { rest=$(tail -n +2 "$1") && printf "%s\\n" "$2" "$rest" >"$1"; }'
    command = ["/bin/sh", "-c", script, "sh", "data/postmaster.pid", str(os.getpid())]
    execute(command, account=cluster.account, cwd=cluster.folder)
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (cluster.socket_folder / name).unlink(missing_ok=True)
    if cluster.log.exists():
        cluster.log.replace(cluster.log.with_suffix(".log.1"))


def _failure(cluster: Cluster, what: str, words: str) -> DatabaseUnavailableError:
    said = " | ".join(line.strip() for line in words.splitlines()[-3:] if line.strip())
    return DatabaseUnavailableError(
        f"The embedded Postgres in {cluster.home} {what}: {said or 'it said nothing'}",
        remedy=f"See {cluster.log}, or set BATCHLEDGER_HOME to another folder.",
    )


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pause(end: float) -> None:
    if time.monotonic() > end:
        raise subprocess.TimeoutExpired("the server", PATIENCE_S)
    time.sleep(_POLL_S)
