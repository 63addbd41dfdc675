"""What `explain` reads: where a number comes from, down to the bytes that said so."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec

from etl.commands.queries import require_batch, rows
from etl.commands.queries.bodies import Body, Record, body_with_record
from etl.commands.queries.gaps import Gap
from etl.commands.queries.past import BatchThen, batches_then, stand
from etl.guard import GuardRules

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.records import Slug

Evidence = Literal["look_up", "second_absence", "accepted", "not_kept"]


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is not settled about a batch: since when, each None where it is settled.

    It is absent and not confirmed so; the list leaves it out and a look-up finds it; it is shown without
    usable values, and `reason` says what is wrong with them.
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
    The observation that saw the change. `digest` is SHA-256 of the list that it read.

    `look_up` is what a look-up of this batch came to: found, not_found, inconclusive or accepted; None: there
    was none. `look_up_digest` is that of its body.
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


_PENDING: Final = """
SELECT
    batch.missing_since,
    batch.unlisted_since,
    batch.carried_since,
    (
        SELECT reject.reason
        FROM ledger.reject
        INNER JOIN ledger.observation
            ON observation.observation_id = reject.observation_id
        WHERE observation.project_id = batch.project_id
            AND observation.observed_at >= batch.carried_since
            AND observation.observed_at <= :at
            AND reject.subject = 'batch'
            AND reject.record_id = batch.batch_id
        ORDER BY reject.observation_id DESC
        LIMIT 1
    ) AS reason
FROM ledger.batch
INNER JOIN ledger.project
    ON project.project_id = batch.project_id
WHERE project.workspace = :workspace
    AND project.project = :project
    AND batch.batch_id = :batch_id
    AND batch.gone_at IS NULL
    AND least(batch.missing_since, batch.unlisted_since, batch.carried_since) <= :at
"""

_CHANGE: Final = """
SELECT
    kind,
    changed_after,
    observed_at,
    name,
    images,
    images_delta,
    num_jobs,
    num_jobs_delta,
    observation_id
FROM analytics.batch_change
WHERE workspace = :workspace
    AND project = :project
    AND batch_id = :batch_id
    AND observed_at <= :at
ORDER BY observation_id DESC
LIMIT 1
"""

_ORIGIN: Final = """
SELECT
    observation.observation_id,
    observation.run_id,
    observation.verdict,
    observation.rule,
    observation.started_at,
    observation.observed_at,
    observation.previous_at,
    observation.http_status,
    observation.requests,
    observation.fetch_ms,
    encode(observation.digest, 'hex') AS digest,
    look_up.outcome AS look_up,
    encode(look_up.digest, 'hex') AS look_up_digest
FROM ledger.observation
LEFT JOIN ledger.look_up
    ON look_up.observation_id = observation.observation_id
    AND look_up.subject = 'batch'
    AND look_up.record_id = :batch_id
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
SELECT min(observed_at) AS at
FROM analytics.observation
WHERE workspace = :workspace
    AND project = :project
    AND verdict IN ('changed', 'unchanged')
    AND observed_at > :seen_at
    AND observed_at <= :gone_at
"""

_CONFIRMED: Final = """
SELECT
    coalesce(sum(CASE WHEN observed_at <= :at THEN span_count ELSE 1 END), 0) AS observations,
    -- Of folded observations that go on beyond the instant the first one is before it.
    max(CASE WHEN observed_at <= :at THEN observed_at ELSE span_from END) AS last_at
FROM analytics.observation
WHERE workspace = :workspace
    AND project = :project
    AND verdict IN ('changed', 'unchanged')
    AND is_settled
    AND observed_at > :since
    AND coalesce(span_from, observed_at) <= :at
"""


def explain(connection: Connection, slug: Slug, batch_id: str, at: datetime) -> Explanation:
    """
    Trace what is believed of a batch at an instant to where it comes from.

    Raises:
        UnknownProjectError: The ledger does not know the project, or not the batch.
    """
    require_batch(connection, slug, batch_id)
    key = {"workspace": slug.workspace, "project": slug.project, "batch_id": batch_id, "at": at}
    then = batches_then(connection, slug, batch_id, at)
    change = _first(rows(connection, Change, _CHANGE, **key))
    origin = _origin(connection, change, batch_id)
    body, record = _bytes(connection, origin, batch_id)
    return Explanation(
        at=at,
        workspace=slug.workspace,
        project=slug.project,
        batch_id=batch_id,
        believed=_first(then),
        gap=stand(connection, slug, at).gap,
        pending=_first(rows(connection, Pending, _PENDING, **key)),
        change=change,
        departure=_departure(connection, slug, change, origin),
        observation=origin,
        run=_first(rows(connection, RunThen, _RUN, run_id=origin.run_id)) if origin else None,
        body=body,
        record=record,
        confirmed=_confirmed(connection, slug, change, at),
    )


_One = TypeVar("_One")


def _first(found: tuple[_One, ...]) -> _One | None:
    return found[0] if found else None


def _origin(connection: Connection, change: Change | None, batch_id: str) -> Origin | None:
    if change is None:
        return None
    key = {"observation_id": change.observation_id, "batch_id": batch_id}
    return _first(rows(connection, Origin, _ORIGIN, **key))


def _departure(
    connection: Connection, slug: Slug, change: Change | None, origin: Origin | None
) -> Departure | None:
    if change is None or origin is None or change.kind != "left":
        return None
    key = {"workspace": slug.workspace, "project": slug.project}
    (first,) = rows(
        connection, _Moment, _FIRST_ABSENT, seen_at=change.changed_after, gone_at=change.observed_at, **key
    )
    return Departure(evidence=_evidence(change, origin, first.at), first_absent_at=first.at)


class _Moment(msgspec.Struct, frozen=True):
    at: datetime | None


def _evidence(change: Change, origin: Origin, first_absent_at: datetime | None) -> Evidence:
    if origin.look_up == "accepted":
        return "accepted"
    if origin.look_up == "not_found":
        return "look_up"
    return "second_absence" if first_absent_at != change.observed_at else "not_kept"


def _confirmed(connection: Connection, slug: Slug, change: Change | None, at: datetime) -> Confirmed | None:
    if change is None:
        return None
    key = {"workspace": slug.workspace, "project": slug.project, "since": change.observed_at, "at": at}
    return _first(rows(connection, Confirmed, _CONFIRMED, **key))


def _bytes(connection: Connection, origin: Origin | None, batch_id: str) -> tuple[Body | None, Record | None]:
    """Find the record in the list, or else in the answer of the look-up."""
    if origin is None or origin.digest is None:
        return None, None
    listed = body_with_record(connection, "list", origin.digest, batch_id)
    # A control has a look-up, too, and its values are those of the list.
    if listed[1] is None and origin.look_up_digest is not None:
        return body_with_record(connection, "look_up", origin.look_up_digest, batch_id)
    return listed
