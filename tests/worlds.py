"""A run over a simulated world without a socket: the clock stands still, and the source answers in memory."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Event, RLock
from typing import TYPE_CHECKING, Any, Final

from etl.errors import (
    MissingScopeError,
    NotVisibleError,
    PausedError,
    RefusedError,
    SourceError,
    TransientError,
    UnauthorizedError,
)
from etl.parse import error_type
from etl.plan import Account
from etl.records import Answer
from etl.selection import ProjectFilter
from etl.simulator.answer import Request, conditional
from etl.simulator.api import Api, default_key
from etl.simulator.faults import Delivery, Faults
from etl.simulator.world import World
from etl.sync import Run, RunOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.ports import Ledger
    from etl.records import Slug
    from etl.report import RunReport
    from etl.simulator.answer import Answer as Reply

START: Final = datetime(2024, 1, 5, 9, 0, tzinfo=UTC)
NOON: Final = datetime(2024, 2, 3, 12, 0, tzinfo=UTC)
"""When worlds and tests begin: long past, so that the views, which end today, know every day of theirs."""

_ERRORS: Final = {
    401: UnauthorizedError,
    402: PausedError,
    403: UnauthorizedError,
    404: NotVisibleError,
    423: PausedError,
}


class FakeClock:
    """A clock that moves only when it is told to."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at
        self._lock = RLock()

    def __call__(self) -> datetime:
        return self.at

    def move(self, **ahead: float) -> datetime:
        with self._lock:
            self.at += timedelta(**ahead)
            return self.at


def a_world(projects: int = 1, batches: int = 6, *, seed: int = 1, workspaces: int = 1) -> World:
    """Make a seeded world of the time of the tests."""
    return World.seeded(
        seed, workspaces=workspaces, projects=projects, batches_per_project=batches, start=START
    )


class WorldSource:
    """
    Answers as `RoboflowSource` does before a simulator, in memory; a contract test compares the two.

    Each request takes 100 ms of the clock. `replies` has them in order: when it was complete, the path, the
    answer or None for a broken connection.
    """

    def __init__(
        self,
        world: World,
        clock: FakeClock,
        *,
        key: str | None = None,
        faults: Faults | None = None,
        has_etags: bool = False,
    ) -> None:
        self._keys = {workspace: default_key(workspace) for workspace in world.workspaces}
        self._api = Api(world, self._keys, has_etags=has_etags)
        self._key = key or self._keys[world.workspaces[0]]
        self._clock = clock
        self._lock = RLock()
        self.faults = faults or Faults()
        self.replies: list[tuple[datetime, str, Reply | None]] = []

    def root(self, *, until: float) -> Answer:
        return self._get("/", until)

    def workspace(self, workspace: str, *, until: float) -> Answer:
        return self._get(f"/{workspace}", until)

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        return self._get(f"/{slug}/batches", until, etag)

    def batch(self, slug: Slug, batch_id: str, *, until: float) -> Answer:
        return self._get(f"/{slug}/batches/{batch_id}", until)

    def jobs(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        return self._get(f"/{slug}/jobs", until, etag)

    def job(self, slug: Slug, job_id: str, *, until: float) -> Answer:
        return self._get(f"/{slug}/jobs/{job_id}", until)

    def _get(self, path: str, _until: float, etag: str | None = None) -> Answer:
        with self._lock:
            started_at = self._clock()
            reply = self._reply(path, etag)
            observed_at = self._clock.move(milliseconds=100)
            self.replies.append((observed_at, path, reply))
        if reply is None:
            raise TransientError(f"{path}: the connection failed", requests=1)
        if reply.status not in (200, 304):
            raise _error(path, reply)
        return Answer(
            http_status=reply.status,
            body=reply.body if reply.status == 200 else None,
            etag=reply.etag or None,
            started_at=started_at,
            observed_at=observed_at,
            requests=1,
            fetch_ms=100.0,
        )

    def _reply(self, path: str, etag: str | None) -> Reply | None:
        headers = {"authorization": f"Bearer {self._key}"} | ({"if-none-match": etag} if etag else {})
        request = Request("GET", path, headers=headers)
        fault = self.faults.take(path)
        answer = self._api.answer(request)
        if fault is None:
            return conditional(answer, request)
        return conditional(fault.apply(answer), request) if fault.delivery is Delivery.PLAIN else None


def _error(path: str, reply: Reply) -> SourceError:
    message = f"{path}: status {reply.status}"
    if reply.status >= 500 or reply.status in (408, 429):
        return TransientError(message, http_status=reply.status, requests=1)
    is_scope = reply.status in (403, 404) and error_type(reply.body) == "GraphMethodException"
    kind = MissingScopeError if is_scope else _ERRORS.get(reply.status, RefusedError)
    return kind(message, http_status=reply.status, requests=1)


def a_run(
    ledger: Ledger,
    sources: Sequence[WorldSource | Account],
    clock: FakeClock,
    *,
    projects: Sequence[str] = (),
    stop: Event | None = None,
    **options: Any,
) -> RunReport:
    """Run once, reading one project after the other."""
    accounts = [one if isinstance(one, Account) else Account(one) for one in sources]
    chosen = {"trigger": "sync", "concurrency": 1, "deadline_s": 60.0, **options}
    wanted = RunOptions(projects=ProjectFilter(projects), **chosen)
    return Run(accounts, ledger, wanted, clock=clock, stop=stop or Event())()


def soon() -> float:
    """Give a deadline that will not be met, for calls of a source."""
    return time.monotonic() + 60
