"""What `explain` reads: where a number comes from, down to the bytes that said so."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from etl.commands.queries import require_batch, require_job, rows
from etl.commands.queries.bodies import Body, Record, body_with_record
from etl.commands.queries.gaps import Gap
from etl.commands.queries.past import BatchThen, JobThen, batches_then, job_then, stand
from etl.guard import GuardRules
from etl.parse import locate_batch, locate_job
from etl.sql import BATCH, JOB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from etl.commands.queries.bodies import Locate
    from etl.records import Slug
    from etl.sql import Subject

Evidence = Literal["look_up", "second_absence", "accepted", "not_kept"]


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is not settled about a batch or job: since when, each None where it is settled.

    It is absent and not confirmed so; the list leaves it out and a look-up finds it; it is not shown
    with usable values, and `reason` says what is wrong with them.
    """

    missing_since: datetime | None
    unlisted_since: datetime | None
    carried_since: datetime | None
    reason: str | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The change that made the number: it fell in (`changed_after`, `observed_at`]."""

    kind: str
    changed_after: datetime | None
    observed_at: datetime
    name: str | None
    images: int
    images_delta: int
    num_jobs: int | None
    num_jobs_delta: int
    observation_id: int


class JobChange(msgspec.Struct, frozen=True, kw_only=True):
    """The same of a job. `batch_id` is the batch that it was made from."""

    kind: str
    changed_after: datetime | None
    observed_at: datetime
    name: str | None
    status: str | None
    batch_id: str | None
    images: int
    images_delta: int
    annotated: int | None
    annotated_delta: int
    approved: int | None
    approved_delta: int
    rejected: int | None
    rejected_delta: int
    observation_id: int


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """
    Why a departure is believed.

    `evidence` is look_up (asked for on its own it was not found), second_absence (a second trusted answer
    lacked it, the first one at `first_absent_at`), accepted (an operator said so) or not_kept (it was
    believed by a version that kept no evidence).
    """

    evidence: Evidence
    first_absent_at: datetime | None


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """
    The observation that saw the change. `digest` is SHA-256 of the list that it read, as it was kept.

    What is told of a job is that of the reading of the jobs, but for `requests`, which are all of the
    observation's, and `fetch_ms`, which is None: it is measured for the batches alone.

    `look_up` is what a look-up of this very record came to: found, not_found, inconclusive or accepted; None:
    there was none. `look_up_digest` is that of its body.
    """

    observation_id: int
    run_id: int
    verdict: str
    rule: str | None
    started_at: datetime
    observed_at: datetime
    previous_at: datetime | None
    http_status: int | None
    requests: int
    fetch_ms: float | None
    digest: str | None
    look_up: str | None
    look_up_digest: str | None


class RunThen(msgspec.Struct, frozen=True, kw_only=True):
    """The run that made the observation. `guard` are the thresholds in force; None: they were not noted."""

    run_id: int
    trigger: str
    started_at: datetime
    host: str
    version: str
    guard: GuardRules | None


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """How often it was seen again since: trusted observations with nothing pending, and the last of them."""

    observations: int
    last_at: datetime | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a number comes from, as believed at an instant.

    `believed` is None where the batch was not known of then; then `change` and what follows from it are, too.
    `body` is None where the archive lacks it, `record` also where the body has no record of the batch.
    """

    at: datetime
    workspace: str
    project: str
    batch_id: str
    believed: BatchThen | None
    gap: Gap | None
    pending: Pending | None
    change: Change | None
    departure: Departure | None
    observation: Origin | None
    run: RunThen | None
    body: Body | None
    record: Record | None
    confirmed: Confirmed | None


class JobExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The same of an annotation job."""

    at: datetime
    workspace: str
    project: str
    job_id: str
    believed: JobThen | None
    gap: Gap | None
    pending: Pending | None
    change: JobChange | None
    departure: Departure | None
    observation: Origin | None
    run: RunThen | None
    body: Body | None
    record: Record | None
    confirmed: Confirmed | None


# Each is asked of batches or of jobs, by the names that `etl.sql` has for them.

_PENDING: Final = """
SELECT
    {name}.missing_since,
    {name}.unlisted_since,
    {name}.carried_since,
    (
        SELECT reject.reason
        FROM ledger.reject
        INNER JOIN ledger.observation
            ON observation.observation_id = reject.observation_id
        WHERE observation.project_id = {name}.project_id
            AND observation.{at} >= {name}.carried_since
            AND observation.{at} <= :at
            AND reject.subject = '{name}'
            AND reject.record_id = {name}.{key}
        ORDER BY reject.observation_id DESC
        LIMIT 1
    ) AS reason
FROM ledger.{name}
INNER JOIN ledger.project
    ON project.project_id = {name}.project_id
WHERE project.workspace = :workspace
    AND project.project = :project
    AND {name}.{key} = :record_id
    AND {name}.gone_at IS NULL
    AND least({name}.missing_since, {name}.unlisted_since, {name}.carried_since) <= :at
"""

_CHANGE: Final = """
SELECT {columns}
FROM analytics.{name}_change
WHERE workspace = :workspace
    AND project = :project
    AND {key} = :record_id
    AND observed_at <= :at
ORDER BY observation_id DESC
LIMIT 1
"""

_ORIGIN: Final = """
SELECT
    observation.observation_id,
    observation.run_id,
    observation.{p}verdict AS verdict,
    observation.{p}rule AS rule,
    observation.started_at,
    observation.{at} AS observed_at,
    observation.{previous_at} AS previous_at,
    observation.{p}http_status AS http_status,
    observation.requests,
    {fetch_ms} AS fetch_ms,
    encode(observation.{p}digest, 'hex') AS digest,
    look_up.outcome AS look_up,
    encode(look_up.digest, 'hex') AS look_up_digest
FROM ledger.observation
LEFT JOIN ledger.look_up
    ON look_up.observation_id = observation.observation_id
    AND look_up.subject = '{name}'
    AND look_up.record_id = :record_id
WHERE observation.observation_id = :observation_id
"""

_RUN: Final = """
SELECT
    run_id,
    trigger,
    started_at,
    host,
    version,
    guard
FROM ledger.run
WHERE run_id = :run_id
"""

_FIRST_ABSENT: Final = """
SELECT min(observation.{at}) AS at
FROM ledger.observation
INNER JOIN ledger.project
    ON project.project_id = observation.project_id
WHERE project.workspace = :workspace
    AND project.project = :project
    AND observation.{p}verdict IN ('changed', 'unchanged')
    AND observation.{at} > :seen_at
    AND observation.{at} <= :gone_at
"""

_CONFIRMED: Final = """
SELECT
    coalesce(
        sum(CASE WHEN observation.{at} <= :at THEN coalesce(observation.span_count, 1) ELSE 1 END),
        0
    ) AS observations,
    -- Of folded observations that go on beyond the instant the first one is before it.
    max(CASE WHEN observation.{at} <= :at THEN observation.{at} ELSE observation.span_from END) AS last_at
FROM ledger.observation
INNER JOIN ledger.project
    ON project.project_id = observation.project_id
WHERE project.workspace = :workspace
    AND project.project = :project
    AND observation.{p}verdict IN ('changed', 'unchanged')
    AND observation.{settled}
    AND observation.{at} > :since
    AND coalesce(observation.span_from, observation.{at}) <= :at
"""


def explain(connection: Connection, slug: Slug, batch_id: str, at: datetime) -> Explanation:
    """
    Trace what is believed of a batch at an instant to where it comes from.

    Raises:
        UnknownProjectError: The ledger does not know the project, or not the batch.
    """
    require_batch(connection, slug, batch_id)
    asked = _Asked(connection, slug, BATCH, batch_id, at)
    change = asked.first(Change, _CHANGE)
    then = batches_then(connection, slug, batch_id, at)
    return Explanation(
        batch_id=batch_id, believed=then[0] if then else None, change=change, **asked.what_follows(change)
    )


def explain_job(connection: Connection, slug: Slug, job_id: str, at: datetime) -> JobExplanation:
    """
    Trace what is believed of an annotation job in the same way.

    Raises:
        UnknownProjectError: The ledger does not know the project, or not the job.
    """
    require_job(connection, slug, job_id)
    asked = _Asked(connection, slug, JOB, job_id, at)
    change = asked.first(JobChange, _CHANGE)
    then = job_then(connection, slug, job_id, at)
    return JobExplanation(job_id=job_id, believed=then, change=change, **asked.what_follows(change))


_One = TypeVar("_One", bound=msgspec.Struct)


class _Asked(NamedTuple):
    """Whose number it is, and when: what every one of the queries is about."""

    connection: Connection
    slug: Slug
    subject: Subject
    record_id: str
    at: datetime

    def what_follows(self, change: Change | JobChange | None) -> dict[str, Any]:
        """Give all that is told alike of batches and jobs, by the names of the explanations."""
        origin = self.first(Origin, _ORIGIN, observation_id=change.observation_id) if change else None
        body, record = self._bytes(origin)
        return {
            "at": self.at,
            "workspace": self.slug.workspace,
            "project": self.slug.project,
            "gap": stand(self.connection, self.slug, self.at).gap,
            "pending": self.first(Pending, _PENDING),
            "departure": self._departure(change, origin),
            "observation": origin,
            "run": self.first(RunThen, _RUN, run_id=origin.run_id) if origin else None,
            "body": body,
            "record": record,
            "confirmed": self.first(Confirmed, _CONFIRMED, since=change.observed_at) if change else None,
        }

    def first(self, kind: type[_One], sql: str, **values: Any) -> _One | None:  # noqa: ANN401 - as SQL takes them.
        """Ask a query by the names of the subject; None if it has no answer."""
        subject = self.subject
        query = sql.format(
            name=subject.name,
            key=subject.key,
            p=subject.prefix,
            at=subject.at,
            previous_at=subject.previous_at,
            settled=subject.settled,
            columns=", ".join(kind.__struct_fields__),
            fetch_ms="observation.fetch_ms" if subject is BATCH else "NULL",
        )
        key = {"workspace": self.slug.workspace, "project": self.slug.project, "at": self.at}
        found = rows(self.connection, kind, query, **{**key, "record_id": self.record_id, **values})
        return found[0] if found else None

    def _departure(self, change: Change | JobChange | None, origin: Origin | None) -> Departure | None:
        if change is None or origin is None or change.kind != "left":
            return None
        seen = {"seen_at": change.changed_after, "gone_at": change.observed_at}
        first = self.first(_Moment, _FIRST_ABSENT, **seen)
        at = first.at if first else None
        return Departure(evidence=_evidence(change, origin, at), first_absent_at=at)

    def _bytes(self, origin: Origin | None) -> tuple[Body | None, Record | None]:
        """Find the record in the list, or else in the answer of the look-up."""
        if origin is None or origin.digest is None:
            return None, None
        connection, locate = self.connection, _LOCATES[self.subject.name]
        listed = body_with_record(connection, "list", origin.digest, locate, self.record_id)
        # A control has a look-up, too, and its values are those of the list.
        if listed[1] is None and origin.look_up_digest is not None:
            return body_with_record(connection, "look_up", origin.look_up_digest, locate, self.record_id)
        return listed


_LOCATES: Final[Mapping[str, Locate]] = {"batch": locate_batch, "job": locate_job}


class _Moment(msgspec.Struct, frozen=True):
    at: datetime | None


def _evidence(change: Change | JobChange, origin: Origin, first_absent_at: datetime | None) -> Evidence:
    if origin.look_up == "accepted":
        return "accepted"
    if origin.look_up == "not_found":
        return "look_up"
    return "second_absence" if first_absent_at != change.observed_at else "not_kept"
