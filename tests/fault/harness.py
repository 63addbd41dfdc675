"""What tests of faults share: a simulated API, a ledger, real processes, and how recovery is shown."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg

from etl.simulator import Simulator, truth_of
from etl.sql import statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REPOSITORY: Final = Path(__file__).parents[2]

LEASE_S: Final = 5
"""The shortest lease there is: so long a run that died keeps others off its projects."""

RUN_S: Final = 10
"""What one run over the worlds of these tests may take on a busy machine."""

READ_TIMEOUT_S: Final = 3
LISTS: Final = "/*/*/batches"
"""The path of every list of batches, as the simulator's faults take it."""

ALONE: Final = {"BATCHLEDGER_SYNC__CONCURRENCY": "1"}
"""One project after the other, so that a fault finds some done and some still to do."""


def drawn(seed: int) -> Random:
    """Return what draws the moments and kinds of faults: the same ones for the same seed."""
    return Random(seed)  # noqa: S311 - reproducible, not secret.


# Processes


class Forker:
    """One process that has imported the program, and the one process at a time that it forks."""

    def __init__(self) -> None:
        self.is_free = True
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.fault.forker"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def fork(self, order: Mapping[str, object]) -> int:
        """Start a process and return its id."""
        self.is_free = False
        self._say(json.dumps(order))
        return self.hear(within_s=60)

    def hear(self, within_s: float) -> int:
        """Return the next answer, or raise TimeoutError."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], within_s)[0]:
            raise TimeoutError(f"the process is still there after {within_s} s")
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self._process.stdout.read(1) or b""
            assert self._process.poll() is None, "the forker has ended"
        return int(line)

    def dismiss(self) -> None:
        """Let the process that has ended go, and be ready for the next one."""
        self._say("")
        self.is_free = True

    def close(self) -> None:
        """End."""
        self._process.communicate(timeout=30)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")


class Forkers:
    """As many as there are processes at once; each stays for the next test."""

    def __init__(self) -> None:
        self._forkers: list[Forker] = []

    def take(self) -> Forker:
        """Return one that is free."""
        for forker in self._forkers:
            if forker.is_free:
                return forker
        self._forkers.append(Forker())
        return self._forkers[-1]

    def close(self) -> None:
        """End them all."""
        for forker in self._forkers:
            forker.close()


class Process:
    """One command of the program in a process of its own; what it says is in files."""

    def __init__(self, forker: Forker, out: Path, err: Path, order: Mapping[str, object]) -> None:
        self.began = time.monotonic()
        self._out, self._err = out, err
        self._forker = forker
        self._code: int | None = None
        # One that is killed at once does not come to open them itself.
        for file in (out, err):
            file.touch(mode=0o600)
        self.pid = forker.fork({**order, "out": str(out), "err": str(err)})

    @property
    def said(self) -> str:
        """What it has said on standard error so far."""
        return self._err.read_text()

    @property
    def printed(self) -> str:
        """What it has printed on standard output so far."""
        return self._out.read_text()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet; one that is stopped is."""
        try:
            self.wait(0)
        except TimeoutError:
            return True
        return False

    def send(self, number: int) -> None:
        """Send it a signal; after its end that does nothing."""
        if self._code is None:
            os.kill(self.pid, number)

    def wait(self, within_s: float = 60) -> int:
        """Wait for its end and return its exit code; minus the signal that ended it."""
        if self._code is None:
            self._code = self._forker.hear(within_s)
            self._forker.dismiss()
        return self._code

    def end(self) -> None:
        """Kill it if it is still there."""
        self.send(signal.SIGKILL)
        self.wait(30)

    def until_it_says(self, pattern: str, within_s: float = RUN_S) -> None:
        """Wait until its standard error matches."""
        self.until(lambda: re.search(pattern, self.said), within_s)

    def until(self, is_so: Callable[[], object], within_s: float = RUN_S) -> None:
        """Wait until something is so while it runs."""
        end = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < end, f"it did not come to pass in {within_s} s:\n{self.said}"
            assert self.is_running, f"it ended:\n{self.said}"
            time.sleep(0.005)


# The ledger and the truth

State = dict[tuple[str, str], tuple[Any, ...]]
"""Name, images, jobs and time of upload of each batch, by project and id."""


@dataclass(frozen=True)
class Mark:
    """A moment: what the ledger believed, and the observation by which it had come to that."""

    believed: State
    observation_id: int


@dataclass
class Scene:
    """
    A simulated API, a database of its own and the processes between them.

    Args:
        simulator: The API; change its world with `evolve`, or with its lock held.
        database: URI of the migrated database.
        folder: Working folder and home of the processes.
        forkers: Where processes come from.
        environ: Environment of the processes, beside what they always have.
    """

    simulator: Simulator
    database: str
    folder: Path
    forkers: Forkers
    environ: Mapping[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def start(self, *argv: str, **environ: str) -> Process:
        """Start a command."""
        number = next(self._numbers)
        order = {"argv": argv, "environ": self._environ() | environ, "folder": str(self.folder)}
        out, err = self.folder / f"{number}.out", self.folder / f"{number}.err"
        self.processes.append(Process(self.forkers.take(), out, err, order))
        return self.processes[-1]

    def sync(self, *options: str, **environ: str) -> tuple[int, Process]:
        """Run once, to its end; give the exit code, and what it said."""
        process = self.start("sync", *options, **environ)
        return process.wait(), process

    def healthy_sync(self, **environ: str) -> dict[str, Any]:
        """Run once without any fault, and return its document; nothing failed and the ledger is the truth."""
        exit_code, process = self.sync("--json", **environ)
        assert exit_code == 0, process.said
        self.is_the_truth()
        document: dict[str, Any] = json.loads(process.printed)
        return document

    def evolve(self, events: int = 12) -> None:
        """Let something happen at the source, of whatever kind."""
        with self.simulator.lock:
            self.simulator.world.step(datetime.now(UTC), events=events)

    def change(self, share: float = 0.5) -> None:
        """Let so many of the batches grow, and nothing come or go."""
        with self.simulator.lock:
            self.simulator.world.change(share)

    @property
    def truth(self) -> State:
        """What the source has."""
        with self.simulator.lock:
            projects = truth_of(self.simulator.world).projects
        return {
            (path, batch_id): (batch.name, batch.images, batch.num_jobs, batch.uploaded_at)
            for path, project in projects.items()
            for batch_id, batch in project.batches.items()
        }

    @property
    def believed(self) -> State:
        """What the ledger says there is."""
        rows = self.rows(
            "SELECT workspace || '/' || project, batch_id, name, images, num_jobs, uploaded_at "
            "FROM analytics.batch WHERE gone_at IS NULL"
        )
        return {(path, batch_id): tuple(values) for path, batch_id, *values in rows}

    def rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.database) as connection:
            return connection.execute(query, values or None).fetchall()

    def waits_in(self, file: str) -> bool:
        """Whether a statement of the program, by the name of its file, waits for a lock."""
        beginning = statement(file).text.splitlines()[0]
        return any(waiting.startswith(beginning) for (waiting,) in self.rows(_WAITING))

    # What must hold

    def mark(self) -> Mark:
        """Remember this moment, when the ledger is the truth; let the source move once after it."""
        newest = self.rows("SELECT coalesce(max(observation_id), 0) FROM analytics.observation")
        return Mark(self.believed, newest[0][0])

    def has_each_change_once(self, since: Mark) -> None:
        """Whatever the source did in one go is there: one change of each batch that differs, no other."""
        seen = [
            (path, batch_id)
            for observation_id, path, batch_id in self.rows(_CHANGED)
            if observation_id > since.observation_id
        ]
        now, before = self.truth, since.believed
        differing = {key for key in now.keys() | before.keys() if now.get(key) != before.get(key)}
        assert sorted(seen) == sorted(differing)

    def holds(self) -> None:
        """The invariants hold, and no observed change is there twice, at any moment."""
        assert self.rows("SELECT * FROM analytics.invariant_violation") == []
        assert self.rows(_DOUBLED) == []
        assert self.rows(_TWICE) == []

    def is_the_truth(self) -> None:
        """Besides, the ledger says what the source has, and the deltas add up to it."""
        self.holds()
        assert self.believed == self.truth
        sums = {(path, batch_id): (images, jobs) for path, batch_id, images, jobs in self.rows(_SUMS)}
        present = {key: value[1:3] for key, value in self.truth.items()}
        assert sums == {key: present.get(key, (0, 0)) for key in sums.keys() | present.keys()}

    def recovered(self, since: float, within_s: float) -> float:
        """
        Show that nothing stays behind of a fault, and return how long the way back to the truth took.

        At once the invariants hold; the next healthy run brings the ledger to the truth, with nothing lost
        and nothing doubled; a run after that finds nothing to do.

        Args:
            since: When the fault was over, by the monotonic clock.
            within_s: How long the way back may take from then on.
        """
        self.holds()
        self.wait_for_leases(since + within_s)
        self._is_whole(self.healthy_sync())
        recovery_s = time.monotonic() - since
        assert recovery_s <= within_s
        before = self.rows(_CHANGED)
        self._is_whole(self.healthy_sync())
        assert self.rows(_CHANGED) == before
        self._has_leaked_nothing()
        return recovery_s

    def wait_for_leases(self, until: float) -> None:
        """Wait for the runs that live, or that died and whose leases are not over."""
        while self.rows(_LEASED):
            assert time.monotonic() < until, "a lease is not over in time"
            time.sleep(0.02)

    def _is_whole(self, document: Mapping[str, Any]) -> None:
        verdicts = {project["verdict"] for project in document["projects"]}
        assert verdicts <= {"changed", "unchanged"}, document
        assert len(document["projects"]) == len(self.simulator.world.projects)

    def _has_leaked_nothing(self) -> None:
        secrets = [*self.simulator.keys.values()]
        for process in self.processes:
            talk = process.said + process.printed
            assert "Traceback" not in talk, talk
            assert not [secret for secret in secrets if secret in talk]

    def _environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DATABASE_URL": self.database,
            "ROBOFLOW_API_URL": self.simulator.url,
            "ROBOFLOW_API_KEY": next(iter(self.simulator.keys.values())),
            "BATCHLEDGER_SYNC__LEASE_S": str(LEASE_S),
            "BATCHLEDGER_SOURCE__READ_TIMEOUT_S": str(READ_TIMEOUT_S),
            "BATCHLEDGER_SOURCE__ATTEMPTS": "2",
            "BATCHLEDGER_SOURCE__WAIT_INITIAL_S": "0.05",
            "BATCHLEDGER_SCHEDULE__JITTER_S": "0",
            # Whatever else runs on this machine, a daemon's status page finds a port of its own.
            "BATCHLEDGER_WEB__PORT": "0",
            **self.environ,
        }


@contextmanager
def ended(scene: Scene) -> Iterator[Scene]:
    """Lend a scene, and end what is still running at the end of the block."""
    try:
        yield scene
    finally:
        for process in scene.processes:
            process.end()


_LEASED: Final = "SELECT FROM ledger.run WHERE ended_at IS NULL AND leased_until > clock_timestamp()"

_DOUBLED: Final = """
    SELECT
        change.*
    FROM (
        SELECT
            workspace,
            project,
            batch_id,
            kind,
            (name, images, num_jobs, uploaded_at) AS state,
            lag((name, images, num_jobs, uploaded_at)) OVER life AS state_before,
            lag(kind) OVER life AS kind_before
        FROM analytics.batch_change
        WINDOW life AS (PARTITION BY workspace, project, batch_id ORDER BY observation_id)
    ) AS change
    WHERE kind IN ('changed', 'renamed') AND state IS NOT DISTINCT FROM state_before
        OR kind = 'entered' AND kind_before IS NOT NULL
        OR kind = 'left' AND kind_before IS NOT DISTINCT FROM 'left'
        OR kind = 'returned' AND kind_before IS DISTINCT FROM 'left'
"""
"""A change that says again what the one before it said."""

_TWICE: Final = """
    SELECT
        run_id,
        workspace,
        project
    FROM analytics.observation
    GROUP BY 1, 2, 3
    HAVING count(*) > 1
"""
"""More than one observation of a project in one run."""

_WAITING: Final = """
    SELECT query FROM pg_stat_activity
    WHERE wait_event_type = 'Lock'
        AND application_name = 'batchledger'
        AND datname = current_database()
"""

_CHANGED: Final = """
    SELECT
        observation_id,
        workspace || '/' || project,
        batch_id
    FROM analytics.batch_change
    ORDER BY 1, 2, 3
"""

_SUMS: Final = """
    SELECT
        workspace || '/' || project,
        batch_id,
        sum(images_delta)::bigint,
        sum(num_jobs_delta)::bigint
    FROM analytics.batch_change
    GROUP BY 1, 2
"""
