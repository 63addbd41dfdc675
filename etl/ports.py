"""What a run needs from the outside: a source to read, a ledger to write, a clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol

import msgspec

from etl.guard import Belief, Surroundings
from etl.records import LookedUp, Moves, Record_co, Snapshot, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from etl.guard import GuardRules, Known
    from etl.records import Answer, Batch, Job, Observation, Project, ProjectState, Slug


class Clock(Protocol):
    """Tells the time, as an aware UTC datetime."""

    def __call__(self) -> datetime:
        """Return now."""
        ...


class Source(Protocol):
    """
    What one key can read. Every method is safe to call from several threads.

    `until` is a reading of `time.monotonic()` after which the answer is of no use: no attempt starts and none
    goes on past it.

    Raises (every method):
        SourceError: No usable answer. Which one it is says what to do next.
    """

    def root(self, *, until: float) -> Answer:
        """Ask which workspace the key belongs to."""
        ...

    def workspace(self, workspace: str, *, until: float) -> Answer:
        """Ask for the projects of a workspace."""
        ...

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        """Ask for all batches of a project; with an ETag the answer may be a 304 without a body."""
        ...

    def batch(self, slug: Slug, batch_id: str, *, until: float) -> Answer:
        """Ask for one batch."""
        ...

    def jobs(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        """Ask for all annotation jobs of a project; with an ETag the answer may be a 304 without a body."""
        ...

    def job(self, slug: Slug, job_id: str, *, until: float) -> Answer:
        """Ask for one annotation job."""
        ...


class Examined(msgspec.Struct, Generic[Record_co], frozen=True):
    """
    An answer that was compared with what is believed.

    Args:
        snapshot: What it shows.
        belief: What is believed of its absences.
        body: As received, but for what is not to be kept of people.
        look_ups: What came of asking for single batches or jobs.
        surroundings: What the rest of the workspace said; None where nobody asked.
    """

    snapshot: Snapshot[Record_co]
    belief: Belief
    body: bytes
    look_ups: tuple[LookedUp, ...] = ()
    surroundings: Surroundings | None = None


class Applied(msgspec.Struct, frozen=True):
    """
    What one applied observation came to: its verdict and what moved.

    `jobs_verdict` and `jobs_moves` say the same of the jobs; None and nothing where they were not asked for.
    """

    verdict: Verdict
    moves: Moves
    jobs_verdict: Verdict | None = None
    jobs_moves: Moves = Moves()


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, for its row."""

    ended_at: datetime
    outcome: str
    verdicts: Mapping[Verdict, int]
    moves: Moves
    requests: int


class Ledger(Protocol):
    """
    The only writer of the database.

    Raises (every method):
        DatabaseUnavailableError: The database cannot be reached or went away; what was committed is whole.
    """

    def begin_run(
        self, *, trigger: str, started_at: datetime, rules: GuardRules | None = None, is_whole: bool = True
    ) -> int:
        """
        Open a run and return its id, which is also its claim number.

        Args:
            trigger: What starts it.
            started_at: Now.
            rules: The thresholds that it goes by, kept for a replay.
            is_whole: Whether it was asked for every project and not for named ones.
        """
        ...

    def end_run(self, run_id: int, end: RunEnd) -> None:
        """Close a run, give back what it still claims, and make all that it committed durable."""
        ...

    def register(
        self,
        projects: Sequence[Project],
        *,
        at: datetime,
        max_ages_s: Mapping[Slug, int] = MappingProxyType({}),
        is_whole: bool = True,
    ) -> Mapping[Slug, ProjectState]:
        """
        Make sure that each project has its row and its promise, and return what is held of each.

        Args:
            projects: Those of this run.
            at: Now.
            max_ages_s: The promised maximum age in seconds; nothing is promised of a project without one.
            is_whole: As for `begin_run`. Only then is a paused project followed again.
        """
        ...

    def projects(self) -> Mapping[Slug, ProjectState]:
        """Return what is held of each project that the ledger knows, followed or not."""
        ...

    def untrack(self, project_ids: Collection[int], *, at: datetime) -> None:
        """Pause projects that the settings do not ask for any more; their history stays."""
        ...

    def claim(self, run_id: int, project_ids: Collection[int]) -> Sequence[ProjectState]:
        """Claim the projects that no living run holds, stalest first, and return what is held of each."""
        ...

    def renew(self, run_id: int) -> None:
        """Push the end of the run's lease."""
        ...

    def known(self, project_id: int) -> Known:
        """Return the ids of the project's batches that are not gone."""
        ...

    def known_jobs(self, project_id: int) -> Known:
        """Return the ids of the project's annotation jobs that are not gone."""
        ...

    def apply(
        self,
        run_id: int,
        observation: Observation,
        batches: Examined[Batch] | None,
        jobs: Examined[Job] | None = None,
    ) -> Applied:
        """
        Write one project's answers, with the evidence for what is believed of them, in one transaction.

        Args:
            run_id: The run, which must hold the project.
            observation: What is to be noted of the answers.
            batches: That of the batches; None: it was the last trusted one again.
            jobs: That of the jobs; None: the same, or it failed, or nobody asked.

        Raises:
            ClaimLostError: The project is not ours any more. Nothing was written.
        """
        ...

    def preview(self, observation: Observation, snapshot: Snapshot[Batch], belief: Belief) -> Applied:
        """Say what `apply` would change of the batches, and write nothing."""
        ...

    def preview_jobs(self, observation: Observation, snapshot: Snapshot[Job], belief: Belief) -> Applied:
        """Say what `apply` would change of the jobs, and write nothing."""
        ...

    def record(self, run_id: int, observations: Sequence[Observation]) -> int:
        """Write observations that changed nothing, many at a time; return how many were ours to write."""
        ...

    def note_tick(self, scheduled_at: datetime, reason: str, *, recorded_at: datetime) -> None:
        """Note a scheduled time at which no run started; the same one twice is noted once."""
        ...


class Scheduled(msgspec.Struct, frozen=True):
    """The latest run of a daemon: when it began, and whether it did its work; None while it is at it."""

    started_at: datetime
    is_served: bool | None


class Journal(Protocol):
    """
    What the daemon has to know and to note between runs.

    Raises (every method):
        DatabaseUnavailableError: The database cannot be reached or went away.
    """

    def last_scheduled(self) -> Scheduled | None:
        """Return the latest run of any daemon on this database; None if there was none."""
        ...

    def note_tick(self, scheduled_at: datetime, reason: str, *, recorded_at: datetime) -> None:
        """Note a scheduled time at which no run started; the same one twice is noted once."""
        ...
