"""What crosses from module to module: frozen, typed, every time an aware UTC datetime."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec


class Slug(NamedTuple):
    """A project's address at Roboflow, written `workspace/project`."""

    workspace: str
    project: str

    def __str__(self) -> str:
        """Write it the way users do."""
        return f"{self.workspace}/{self.project}"


class Project(msgspec.Struct, frozen=True, gc=False):
    """One project as its workspace lists it. `name` and `type` are None where the source does not say."""

    slug: Slug
    name: str | None = None
    type: str | None = None


class Record(Protocol):
    """What a list is made of: something with an id of its own within its project."""

    @property
    def record_id(self) -> str:
        """Its id."""
        ...


class Batch(msgspec.Struct, frozen=True, gc=False):
    """
    One batch as the source told it.

    `images` counts what is still in the batch, not yet assigned to a job. `extra` is JSON text of all that we
    do not know by name, None where there is nothing of the kind.
    """

    batch_id: str
    images: int
    name: str | None = None
    num_jobs: int | None = None
    uploaded_at: datetime | None = None
    extra: str | None = None

    @property
    def record_id(self) -> str:
        """Its id, by the name that all records have for it."""
        return self.batch_id


class Job(msgspec.Struct, frozen=True, gc=False):
    """
    One annotation job as the source told it, without what the settings do not let be kept of people.

    `images` counts all that is in the job; of these so many are `annotated`, `approved`, `rejected`.
    `batch_id` is the batch that it was made from. A count is None where the source does not say.
    """

    job_id: str
    images: int
    name: str | None = None
    status: str | None = None
    batch_id: str | None = None
    annotated: int | None = None
    unannotated: int | None = None
    approved: int | None = None
    rejected: int | None = None
    labeler: str | None = None
    reviewer: str | None = None
    created_at: datetime | None = None
    extra: str | None = None

    @property
    def record_id(self) -> str:
        """Its id, by the name that all records have for it."""
        return self.job_id


Record_co = TypeVar("Record_co", bound=Record, covariant=True)


class Reject(msgspec.Struct, frozen=True, gc=False):
    """
    A record that could not be used, and why. `record_id` is None where even that could not be read.

    `is_present` is True where the record still proves that what it tells of is there.
    """

    position: int
    reason: str
    raw: str
    record_id: str | None = None

    @property
    def is_present(self) -> bool:
        """Whether the record tells that what it is about exists."""
        return self.record_id is not None


class Snapshot(msgspec.Struct, Generic[Record_co], frozen=True):
    """All that one answer told of one project: every record once, in the order received."""

    records: tuple[Record_co, ...]
    rejects: tuple[Reject, ...] = ()

    @property
    def present(self) -> frozenset[str]:
        """Ids of all that the answer shows to exist, usable or not."""
        return frozenset(record.record_id for record in self.records) | self.present_only

    @property
    def present_only(self) -> frozenset[str]:
        """Ids that are there although no record of theirs can be used."""
        rejected = frozenset(reject.record_id for reject in self.rejects if reject.record_id is not None)
        return rejected - frozenset(record.record_id for record in self.records) if rejected else rejected

    @property
    def has_unreadable(self) -> bool:
        """Whether some record could be any one, so that no absence can be told."""
        return any(not reject.is_present for reject in self.rejects)


class Listing(msgspec.Struct, frozen=True):
    """The projects of a workspace that a key can see, and the rows of the list that could not be used."""

    workspace: str
    projects: tuple[Project, ...]
    rejects: tuple[Reject, ...] = ()


class Verdict(StrEnum):
    """How an observation ended. The first two are trusted."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    SUSPECT = "suspect"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_trusted(self) -> bool:
        """Whether the ledger takes the observation as what was true."""
        return self in (Verdict.CHANGED, Verdict.UNCHANGED)


class Totals(msgspec.Struct, frozen=True, gc=False):
    """What a project holds, as believed: batches that are not gone, their images, their jobs."""

    batches: int = 0
    images: int = 0
    num_jobs: int = 0


class Answer(msgspec.Struct, frozen=True):
    """
    One usable answer of the source.

    `body` is None when the source says that nothing changed (304). `started_at` is when the attempt that
    succeeded began, `observed_at` when its last byte was here; the answer may be as old as the former.
    """

    http_status: int
    body: bytes | None
    etag: str | None
    started_at: datetime
    observed_at: datetime
    requests: int
    fetch_ms: float


class JobsState(msgspec.Struct, frozen=True, gc=False):
    """
    What the ledger holds of the jobs of a project when its run begins; each as in `ProjectState`.

    `count` are the jobs that are not gone, as believed. `last_trusted_at` is when the last trusted reading of
    them was complete, None before the first.
    """

    count: int = 0
    digest: bytes | None = None
    etag: str | None = None
    last_trusted_at: datetime | None = None
    loss_suspected_since: datetime | None = None


class ProjectState(msgspec.Struct, frozen=True):
    """
    What the ledger holds of a claimed project when its run begins.

    `digest` and `etag` are those of the last trusted answer with nothing pending, else None: then the same
    answer again is evidence and must be looked at. `last_trusted_at` is None before the first trusted
    observation, `last_at` is the latest observation but for skipped ones, `loss_suspected_since` when the
    guard began to disbelieve a loss. `is_tracked` tells whether the last full run asked for it.
    """

    project_id: int
    slug: Slug
    totals: Totals = Totals()
    jobs: JobsState = JobsState()
    digest: bytes | None = None
    etag: str | None = None
    last_trusted_at: datetime | None = None
    last_at: datetime | None = None
    loss_suspected_since: datetime | None = None
    is_tracked: bool = True


class JobsObservation(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of the list of jobs in one observation; what is named alike is as for the observation.

    `at` is when its answer, or its failure, was complete.
    """

    verdict: Verdict
    at: datetime
    previous_at: datetime | None = None
    http_status: int | None = None
    body_bytes: int | None = None
    digest: bytes | None = None
    etag: str | None = None
    is_settled: bool | None = None
    error_class: str | None = None
    error: str | None = None


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """
    One attempt, in one run, to read one project. `error` is redacted; `*_ms` are milliseconds.

    `rule` says why a skipped one was: `held` (another run has the project, or has just read it) or `stopped`.
    `is_settled` tells of an applied one whether the ledger then shows exactly what the answer shows: no batch
    is missing, unlisted or carried. `jobs` is None where the jobs were not asked for.
    """

    project_id: int
    verdict: Verdict
    started_at: datetime
    observed_at: datetime
    previous_at: datetime | None = None
    http_status: int | None = None
    requests: int = 0
    body_bytes: int | None = None
    fetch_ms: float | None = None
    parse_ms: float | None = None
    totals: Totals | None = None
    digest: bytes | None = None
    etag: str | None = None
    rule: str | None = None
    is_settled: bool | None = None
    error_class: str | None = None
    error: str | None = None
    jobs: JobsObservation | None = None


class LookedUp(msgspec.Struct, frozen=True):
    """
    Evidence on one batch or job beside the list.

    `outcome` is `found`, `not_found` or `inconclusive`, as its look-up came out; `accepted` is the word of an
    operator that it is gone. `body` is what a look-up that found it answered; None for every other outcome.
    """

    record_id: str
    outcome: str
    body: bytes | None = None


class Moves(msgspec.Struct, frozen=True):
    """What applying an observation changed, or would change: batches or jobs by kind, and the totals."""

    entered: int = 0
    changed: int = 0
    renamed: int = 0
    left: int = 0
    returned: int = 0
    images_delta: int = 0
    num_jobs_delta: int = 0

    @property
    def count(self) -> int:
        """Rows of history that it appends."""
        return self.entered + self.changed + self.renamed + self.left + self.returned
