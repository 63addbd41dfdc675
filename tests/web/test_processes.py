"""The pages as a user has them: beside the daemon, and by the command on its own; as real processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pytest
import requests

from etl.simulator import Simulator, World
from etl.simulator.api import default_key
from tests.logins import as_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY: Final = Path(__file__).parents[2]
SERVED: Final = re.compile(r"http://127\.0\.0\.1:\d+/")
WITHIN_S: Final = 60


class Command:
    """A command of the program that goes on until it is told to end."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    @property
    def said(self) -> str:
        return self._log.read_text()

    def url(self) -> str:
        return until(lambda: SERVED.search(self.said), self)[0]

    def end(self) -> int:
        """Tell it to end, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        return self._process.wait(WITHIN_S)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None


_Found = TypeVar("_Found")


def until(found: Callable[[], _Found | None], command: Command) -> _Found:
    end = time.monotonic() + WITHIN_S
    while not (answer := found()):
        assert time.monotonic() < end, command.said
        time.sleep(0.05)
    return answer


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(World.seeded(7, projects=2, batches_per_project=3)) as served:
        yield served


@contextmanager
def running(folder: Path, *arguments: str, **environ: str) -> Iterator[Command]:
    log = folder / "said.log"
    chosen = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONWARNINGS": "error",
        "BATCHLEDGER_WEB__PORT": "0",
        **environ,
    }
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "etl", *arguments],
            env=chosen,
            cwd=folder,
            stdout=said,
            stderr=said,
            text=True,
        )
    try:
        yield Command(process, log)
    finally:
        process.kill()
        process.wait()


def daemon_environ(simulator: Simulator, uri: str) -> dict[str, str]:
    return {
        "DATABASE_URL": uri,
        "ROBOFLOW_API_URL": simulator.url,
        "ROBOFLOW_API_KEY": default_key("acme"),
        "BATCHLEDGER_SCHEDULE__EVERY": "1h",
    }


def test_the_daemon_serves_its_page_and_counts_its_runs(
    simulator: Simulator, database: str, tmp_path: Path
) -> None:
    with running(tmp_path, "run", **daemon_environ(simulator, database)) as daemon:
        url = daemon.url()
        until(lambda: 'batchledger_observations_total{verdict="changed"} 2.0' in measured(url), daemon)
        ready = requests.get(f"{url}readyz", timeout=30)
        page = requests.get(url, timeout=30).text
        told = measured(url)
        assert daemon.end() == 0

    assert (ready.status_code, ready.json()) == (200, {"database": "ok", "schema": "ok", "scheduler": "ok"})
    assert "acme/cars" in page
    assert "batchledger_scheduler_up 1.0" in told
    assert re.search(r"batchledger_http_requests_total [1-9]", told)
    assert 'batchledger_run_duration_seconds_count{outcome="completed"} 1.0' in told
    assert "batchledger_scheduler_lag_seconds 0.0" in told


def measured(url: str) -> str:
    return requests.get(f"{url}metrics", timeout=30).text


def test_a_daemon_whose_port_is_taken_makes_its_runs_all_the_same(
    simulator: Simulator, database: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        environ = {**daemon_environ(simulator, database), "BATCHLEDGER_WEB__PORT": port}
        with running(tmp_path, "run", **environ) as daemon:
            until(lambda: "run ended" in daemon.said, daemon)
            assert daemon.end() == 0

    assert "there is no status page" in daemon.said
    assert f"port {port}" in daemon.said


def test_a_daemon_that_is_told_not_to_opens_no_port(
    simulator: Simulator, database: str, tmp_path: Path
) -> None:
    environ = {**daemon_environ(simulator, database), "BATCHLEDGER_WEB__ENABLED": "false"}
    with running(tmp_path, "run", **environ) as daemon:
        until(lambda: "run ended" in daemon.said, daemon)
        assert daemon.end() == 0

    assert "status page" not in daemon.said


def test_the_page_on_its_own_needs_no_key_and_no_more_than_the_reader(database: str, tmp_path: Path) -> None:
    with running(tmp_path, "web", DATABASE_URL=as_reader(database)) as command:
        url = command.url()
        ready = requests.get(f"{url}readyz", timeout=30)
        page = requests.get(url, timeout=30)
        assert command.end() == 0

    assert (ready.status_code, ready.json()["scheduler"]) == (200, None)
    assert page.status_code == 200


def test_the_page_on_its_own_waits_for_a_database_that_is_away(tmp_path: Path) -> None:
    with running(tmp_path, "web", DATABASE_URL="postgresql://one:secret-word@127.0.0.1:1/none") as command:
        url = command.url()
        assert requests.get(f"{url}readyz", timeout=30).status_code == 503
        assert command.end() == 0

    assert "secret-word" not in command.said


def test_the_page_on_its_own_says_that_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with running(
            tmp_path, "web", "--port", port, DATABASE_URL="postgresql://127.0.0.1:1/none"
        ) as command:
            assert command.ended() == 2

    assert f"the status page cannot listen on 127.0.0.1 port {port}" in command.said
    assert "remedy: " in command.said
