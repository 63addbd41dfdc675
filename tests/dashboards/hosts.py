"""A real Superset in processes of its own: set up, given the bundle, served on loopback."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parents[2]
IMPORT: Final = ROOT / "deploy/superset/import_bundle.py"
ADMIN: Final = "admin"
_CONFIG: Final = Path(__file__).with_name("superset_config.py")
_PATIENCE_S: Final = 300


@dataclass(frozen=True, slots=True)
class Superset:
    """
    An installation with a home of its own.

    Args:
        programs: Where its commands are.
        home: Where it keeps what it knows.
        password: The administrator's, for these tests alone.
        secret: What it signs with.
    """

    programs: Path
    home: Path
    password: str
    secret: str

    def run(self, program: str, *arguments: str, **environ: str) -> str:
        """Run one of its commands to its end, and return what it said."""
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            env={**self._environ(), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout[-4_000:]
        return done.stdout

    def import_bundle(self, uri: str) -> str:
        """Import the dashboards as a user would, with the address of the database in the environment."""
        uri = uri.replace("postgresql://", "postgresql+psycopg2://")
        return self.run("python", str(IMPORT), SUPERSET_BATCHLEDGER_URI=uri)

    def charts(self) -> dict[int, str]:
        """Every chart that it has: its number and its id."""
        return {number: str(UUID(bytes=one)) for number, one in self._ask("SELECT id, uuid FROM slices")}

    def titles(self) -> list[str]:
        """The titles of all charts."""
        return [title for (title,) in self._ask("SELECT slice_name FROM slices ORDER BY id")]

    def retitle(self, title: str) -> None:
        """Give every chart another title."""
        self._ask("UPDATE slices SET slice_name = ?", title)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve it on loopback, and give its address."""
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        options = ["--threads", "8", "--timeout", "120", "--bind", f"127.0.0.1:{port}"]
        command = [str(self.programs / "gunicorn"), *options, "superset.app:create_app()"]
        with (self.home / "server.log").open("w") as log:
            process = subprocess.Popen(command, env=self._environ(), stdout=log, stderr=log, cwd=self.home)
        try:
            _wait_for(f"{url}/health", process)
            yield url
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)

    def _ask(self, statement: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(self.home / "superset.db", timeout=30)) as database, database:
            return database.execute(statement, values).fetchall()

    def _environ(self) -> Mapping[str, str]:
        return {
            "PATH": os.defpath,
            "TZ": "UTC",
            "HOME": str(self.home),
            "SUPERSET_HOME": str(self.home),
            "SUPERSET_CONFIG_PATH": str(_CONFIG),
            "SUPERSET_TEST_SECRET": self.secret,
            "FLASK_APP": "superset",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def set_up(programs: Path, home: Path) -> Superset:
    """Make a new installation, with an administrator."""
    superset = Superset(programs, home, secrets.token_urlsafe(), secrets.token_urlsafe(48))
    superset.run("superset", "db", "upgrade")
    name = ("--firstname", "Ada", "--lastname", "Admin", "--email", "ada@example.org")
    superset.run(
        "superset", "fab", "create-admin", "--username", ADMIN, *name, "--password", superset.password
    )
    superset.run("superset", "init")
    return superset


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        assert process.poll() is None, "the server has ended: see server.log"
        try:
            if requests.get(url, timeout=5).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.5)
    raise AssertionError(f"nothing answers at {url}")
