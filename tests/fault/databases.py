"""What the tests of databases share: how a run ends well or badly, and who stands in its way."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, LiteralString
from urllib.parse import quote

import psycopg

from etl.simulator import Fault
from tests.fault.harness import RUN_S
from tests.logins import as_superuser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.fault.harness import Process, Scene

PASSWORD: Final = "canary/Passw@rd:that nobody may see"
SLACK_S: Final = 5
"""What a busy machine may add to a time that is promised."""

LOCK_TIMEOUT_S: Final = 1
IMPATIENT: Final = {"BATCHLEDGER_DATABASE__LOCK_TIMEOUT_S": str(LOCK_TIMEOUT_S)}
STALLED: Final = Fault.stall(1.0)
"""An answer that leaves time to do something to the database while it is waited for."""


def with_password(uri: str) -> str:
    """Give a password that the server does not ask for, to see that it shows nowhere."""
    return uri.replace("@", f":{quote(PASSWORD, safe='')}@", 1)


def ends(process: Process, code: int, says: str, within_s: float = RUN_S) -> None:
    """It ends with this code and in that time, and says why in one line, and what to do in another."""
    assert process.wait(within_s) == code, process.said
    errors = [line for line in process.said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, process.said
    assert says in errors[0]
    assert [line for line in process.said.splitlines() if line.startswith("remedy: ")], process.said
    keeps_quiet(process)


def keeps_quiet(process: Process) -> None:
    talk = process.said + process.printed
    assert "Traceback" not in talk, talk
    assert PASSWORD not in talk
    assert quote(PASSWORD, safe="") not in talk


@contextmanager
def held(database: str, statement: LiteralString) -> Iterator[psycopg.Connection]:
    """Hold what a statement takes until the block ends, as an analyst's forgotten transaction does."""
    with psycopg.connect(as_superuser(database)) as analyst:
        analyst.execute(statement)
        yield analyst
        analyst.rollback()


WAITING: Final = """
    SELECT pid
    FROM pg_stat_activity
    WHERE datname = current_database()
        AND application_name = 'batchledger'
        AND wait_event_type = 'Lock'
"""

TERMINATE: Final = """
    SELECT pg_terminate_backend(pid)
    FROM pg_stat_activity
    WHERE datname = current_database()
        AND application_name = 'batchledger'
"""


def waiting(database: str) -> list[int]:
    """Return the backends of ours that wait for a lock."""
    with psycopg.connect(as_superuser(database), autocommit=True) as watcher:
        return [pid for (pid,) in watcher.execute(WAITING)]


NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def lists_asked_for(scene: Scene) -> int:
    counts = dict(scene.simulator.requests.counts)
    return sum(count for path, count in counts.items() if path.endswith("/batches"))


def begun(scene: Scene, environ: Mapping[str, str] = NOTHING, *, with_lists: int = 1) -> Process:
    """Start a run, and return when it waits for so many lists at least."""
    before = lists_asked_for(scene)
    process = scene.start("sync", **environ)
    process.until(lambda: lists_asked_for(scene) >= before + with_lists)
    return process
