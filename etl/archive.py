"""The archive as a source: each observation of a project, with the answers that it received."""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from etl.errors import NotVisibleError, RefusedError, TransientError
from etl.guard import GuardRules, Surroundings
from etl.records import Answer, LookedUp, Slug, Verdict
from etl.sql import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, CursorResult, Row

    from etl.guard import Control, Known

_MOST_ROWS: Final = 500
"""Observations fetched at once; bodies come one by one."""


class DamagedError(Exception):
    """The archive lacks a body, or holds another one than was received; the text says which."""


class KeptJobs(msgspec.Struct, frozen=True):
    """What an observation says of the jobs; what is named alike is as for the observation."""

    verdict: Verdict
    observed_at: datetime
    http_status: int | None
    digest: bytes | None
    surroundings: Surroundings
    is_applied: bool


class Kept(msgspec.Struct, frozen=True):
    """
    One observation as the ledger has it.

    `rules` are the thresholds of its run, `surroundings` what the rest of the workspace said. `is_applied`
    tells whether its answer was compared with what was believed; others only said that nothing was new, or
    failed. `jobs` is None where the jobs were not asked for.
    """

    observation_id: int
    run_id: int
    verdict: Verdict
    started_at: datetime
    observed_at: datetime
    http_status: int | None
    requests: int
    fetch_ms: float | None
    digest: bytes | None
    rules: GuardRules
    surroundings: Surroundings
    is_applied: bool
    jobs: KeptJobs | None = None


class Told(msgspec.Struct, frozen=True):
    """What was told of batches, or of jobs: the list, None if it was as before, and the look-ups."""

    body: bytes | None = None
    look_ups: tuple[LookedUp, ...] = ()

    @property
    def accepted(self) -> frozenset[str]:
        """Those whose absence an operator accepted."""
        return frozenset(one.record_id for one in self.look_ups if one.outcome == "accepted")


class Received(msgspec.Struct, frozen=True):
    """What an observation received of batches and of jobs."""

    batches: Told
    jobs: Told

    @property
    def accepted(self) -> frozenset[str]:
        """The batches whose absence an operator accepted."""
        return self.batches.accepted

    @property
    def accepted_jobs(self) -> frozenset[str]:
        """The same of jobs."""
        return self.jobs.accepted


class Base(msgspec.Struct, frozen=True):
    """
    From where on a project can be rebuilt, where that is not its beginning.

    `observation_id` is None if there is nothing to begin with, `lacking_at` the last observation that cannot
    be taken again, `is_pruned` whether that is because its body was dropped, and not for want of thresholds.
    `jobs_at` is the last trusted reading of the jobs by then, `jobs_digest` what it received.
    """

    lacking_at: datetime
    is_pruned: bool
    observation_id: int | None
    jobs_at: datetime | None = None
    jobs_digest: bytes | None = None


def base_of(connection: Connection, project_id: int) -> Base | None:
    """Find where to begin; None: with the first observation."""
    row = _ask(connection, "archived_base", project_id=project_id).first()
    if row is None:
        return None
    jobs_at = None if row.jobs_at is None else row.jobs_at.astimezone(UTC)
    return Base(row.lacking_at.astimezone(UTC), row.is_pruned, row.observation_id, jobs_at, row.jobs_digest)


def observations(connection: Connection, project_id: int, after: int) -> Iterator[Kept]:
    """Yield what was observed of a project after an observation, in order; few rows are held at a time."""
    values = {"project_id": project_id, "after": after}
    streaming = {"stream_results": True, "max_row_buffer": _MOST_ROWS}
    with connection.exec_driver_sql(text_of("archived"), values, execution_options=streaming) as rows:
        for row in rows:
            yield Kept(
                row.observation_id,
                row.run_id,
                Verdict(row.verdict),
                row.started_at.astimezone(UTC),
                row.observed_at.astimezone(UTC),
                row.http_status,
                row.requests,
                row.fetch_ms,
                row.digest,
                msgspec.convert(row.guard or {}, GuardRules),
                msgspec.convert(row.surroundings or {}, Surroundings),
                row.is_applied,
                _jobs(row),
            )


def _jobs(row: Row[Any]) -> KeptJobs | None:
    if row.jobs_verdict is None:
        return None
    return KeptJobs(
        Verdict(row.jobs_verdict),
        row.jobs_at.astimezone(UTC),
        row.jobs_http_status,
        row.jobs_digest,
        msgspec.convert(row.jobs_surroundings or {}, Surroundings),
        row.is_jobs_applied,
    )


def received(connection: Connection, kept: Kept) -> Received:
    """
    Take the answers to an observation out of the archive.

    Raises:
        DamagedError: One is not there, or is not what was received.
    """
    answers = _answers(connection, kept)
    return Received(_told(answers, "batch"), _told(answers, "job"))


def _told(answers: Sequence[Row[Any]], subject: str) -> Told:
    ours = [one for one in answers if one.subject == subject]
    lists = [_unpacked(one.digest, one.body) for one in ours if one.outcome == "listed"]
    look_ups = tuple(
        LookedUp(one.record_id, one.outcome, None if one.digest is None else _unpacked(one.digest, one.body))
        for one in ours
        if one.outcome != "listed"
    )
    return Told(lists[0] if lists else None, look_ups)


def bodies(connection: Connection, kept: Kept) -> tuple[bytes, bytes | None]:
    """
    Take the lists of batches and of jobs out of the archive, whatever became of the look-ups.

    Raises:
        DamagedError: One is not there, or is not what was received.
    """
    values = {
        "digest": kept.digest,
        "jobs_digest": kept.jobs.digest if kept.jobs else None,
        "observation_id": kept.observation_id,
    }
    answers = _ask(connection, "archived_bodies", **values).all()
    lists = {one.subject: one for one in answers if one.outcome == "listed"}
    unpacked = {subject: _unpacked(one.digest, one.body) for subject, one in lists.items()}
    if "batch" not in unpacked:
        raise DamagedError("it does not say which body it received")
    return unpacked["batch"], unpacked.get("job")


def _answers(connection: Connection, kept: Kept) -> Sequence[Row[Any]]:
    """Return what was received and compared: the lists, and the look-ups."""
    if kept.is_applied and kept.digest is None:
        raise DamagedError("it does not say which body it received")
    jobs = kept.jobs
    if jobs is not None and jobs.is_applied and jobs.digest is None:
        raise DamagedError("it does not say which body of jobs it received")
    values = {
        "digest": kept.digest if kept.is_applied else None,
        "jobs_digest": jobs.digest if jobs is not None and jobs.is_applied else None,
        "observation_id": kept.observation_id,
    }
    return _ask(connection, "archived_bodies", **values).all()


def _unpacked(digest: bytes, packed: bytes | None) -> bytes:
    if packed is None:
        raise DamagedError(f"the archive lacks the body {digest.hex()}")
    try:
        unpacked = zlib.decompress(packed)
    except zlib.error:
        raise DamagedError(f"what the archive has as body {digest.hex()} cannot be unpacked") from None
    found = hashlib.sha256(unpacked).digest()
    if found != digest:
        raise DamagedError(f"what the archive has as body {digest.hex()} is another one, {found.hex()}")
    return unpacked


def _ask(connection: Connection, file: str, **values: object) -> CursorResult[Any]:
    return connection.exec_driver_sql(text_of(file), values)


class ArchiveSource:
    """
    Implements `etl.ports.Source` for one observation: it answers what was answered then.

    Args:
        kept: The observation.
        told: What it received.
    """

    def __init__(self, kept: Kept, told: Received) -> None:
        self._kept = kept
        self._told = told

    def root(self, *, until: float) -> Answer:  # noqa: ARG002 - as the port has it; also below.
        """Refuse: no observation asks for it."""
        raise RefusedError("the archive holds no answer of the root")

    def workspace(self, workspace: str, *, until: float) -> Answer:  # noqa: ARG002
        """Refuse: no observation asks for it."""
        raise RefusedError(f"the archive does not hold the list of {workspace}")

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:  # noqa: ARG002
        """Answer with the list; without one it was as before."""
        return self._answer(self._told.batches.body)

    def batch(self, slug: Slug, batch_id: str, *, until: float) -> Answer:  # noqa: ARG002
        """Answer with what the look-up of one batch came to; what nobody looked up tells nothing."""
        return self._look_up(self._told.batches, batch_id)

    def jobs(self, slug: Slug, *, etag: str | None, until: float) -> Answer:  # noqa: ARG002
        """Answer with the list of jobs, or fail as it failed."""
        jobs = self._kept.jobs
        if jobs is None or jobs.verdict is Verdict.FAILED:
            raise TransientError("the jobs could not be read")
        answer = self._answer(self._told.jobs.body)
        return replace(answer, http_status=jobs.http_status or 0, observed_at=jobs.observed_at, requests=0)

    def job(self, slug: Slug, job_id: str, *, until: float) -> Answer:  # noqa: ARG002
        """Answer with what the look-up of one job came to; what nobody looked up tells nothing."""
        return self._look_up(self._told.jobs, job_id)

    def _look_up(self, told: Told, record_id: str) -> Answer:
        one = next((one for one in told.look_ups if one.record_id == record_id), None)
        if one is not None and one.body is not None:
            return self._answer(one.body)
        if one is not None and one.outcome == "not_found":
            raise NotVisibleError(f"{record_id} was not found")
        raise TransientError(f"the look-up of {record_id} told nothing")

    def _answer(self, body: bytes | None) -> Answer:
        kept = self._kept
        return Answer(
            http_status=kept.http_status or 0,
            body=body,
            etag=None,
            started_at=kept.started_at,
            observed_at=kept.observed_at,
            requests=kept.requests,
            fetch_ms=kept.fetch_ms or 0.0,
        )


class ArchivedVicinity:
    """
    Implements `etl.neighbours.Vicinity` for one observation: it says what was said then.

    Args:
        surroundings: As the observation has them.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def is_listed(self, slug: Slug) -> bool:  # noqa: ARG002 - as the protocol has it; also below.
        """Say whether the workspace listed the project."""
        return self._surroundings.is_listed

    def is_whole(self, slug: Slug) -> bool:  # noqa: ARG002
        """Say whether every other project was suspected of a loss as well."""
        return self._surroundings.is_whole

    def witness(self, slug: Slug, at: datetime, known: Callable[[int], Known]) -> Control | None:  # noqa: ARG002
        """Return the batch that bore witness."""
        return self._surroundings.witness
