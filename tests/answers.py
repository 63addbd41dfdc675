"""What a ledger answers, to be compared before and after: nothing may be lost, and no knowledge be gained."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

Rows = list[tuple[Any, ...]]

_STEADY: Final = {
    "the books": "SELECT * FROM analytics.invariant_violation",
    "gaps": "SELECT workspace, project, from_at, to_at, reasons, is_promise_broken FROM analytics.gap",
    "days": "SELECT * FROM analytics.project_daily WHERE day < %(until)s",
    "batches": "SELECT * FROM analytics.batch",
    "history": "SELECT * FROM analytics.batch_history",
    "changes": "SELECT * FROM analytics.batch_change",
    "jobs": "SELECT * FROM analytics.job",
    "history of jobs": "SELECT * FROM analytics.job_history",
    "changes of jobs": "SELECT * FROM analytics.job_change",
    "moves": "SELECT * FROM analytics.batch_move",
    "lead times": "SELECT * FROM analytics.batch_lead_time",
    "what has stalled": "SELECT * FROM analytics.stalled",
    "progress": "SELECT * FROM analytics.batch_progress",
    # By another clock a day begins within one of ours, where folded readings are further apart.
    "days elsewhere": (
        "SELECT to_jsonb(one) - 'last_observed_at' - 'jobs_observed_at' "
        "FROM analytics.project_period('day', 'America/New_York', NULL, %(until)s) AS one"
    ),
    "projects": "SELECT to_jsonb(one) - 'age_s' FROM analytics.project AS one",
    "freshness": "SELECT workspace, project, last_observed_at, max_age_s, is_kept FROM analytics.freshness",
    "how many readings": (
        "SELECT workspace, project, verdict, date_trunc('day', observed_at, 'UTC'), sum(span_count), "
        "sum(requests), sum(images_delta), jobs_verdict, sum(intake), sum(annotated_work) "
        "FROM analytics.observation GROUP BY workspace, project, verdict, 4, jobs_verdict"
    ),
    "the last errors": (
        "SELECT DISTINCT ON (workspace, project) workspace, project, verdict, error, jobs_verdict, "
        "jobs_error FROM analytics.observation ORDER BY workspace, project, observed_at DESC"
    ),
    "what the next run is told": (
        "SELECT project_id, digest, etag, is_settled, loss_suspected_since, jobs_digest, jobs_etag, "
        "jobs_settled, jobs_loss_suspected_since FROM ledger.project"
    ),
    "the last runs": ("SELECT max(run_id), max(run_id) FILTER (WHERE trigger = 'schedule') FROM ledger.run"),
}
_THEN: Final = {
    "batches then": (
        "SELECT at, workspace, project, batch_id, name, images, num_jobs, uploaded_at, first_seen_at, "
        "changed_at, knowledge, observed_before, observed_after "
        "FROM unnest(%(ats)s::timestamptz[]) AS at CROSS JOIN LATERAL analytics.batch_as_of(at)"
    ),
    "projects then": (
        "SELECT at, workspace, project, batches, images, num_jobs, knowledge, observed_before, "
        "observed_after "
        "FROM unnest(%(ats)s::timestamptz[]) AS at CROSS JOIN LATERAL analytics.project_as_of(at)"
    ),
}
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)
_AFTER_ALL: Final = datetime.max.replace(tzinfo=UTC)


class Answers(NamedTuple):
    """What is asked of the whole ledger, and what is asked of instants."""

    steady: dict[str, Rows]
    then: dict[str, Rows]


def answers(connection: psycopg.Connection, instants: Iterable[datetime], until: datetime) -> Answers:
    """Ask everything; of the days those before `until`, since there is one more tomorrow."""
    values = {"until": until, "ats": list(instants)}
    # All is asked at once: to wait for one answer after the other takes longer than the answers do.
    with connection.pipeline():
        asked = {
            name: connection.execute(query.encode(), values) for name, query in (_STEADY | _THEN).items()
        }
        told = {name: sorted(cursor.fetchall(), key=repr) for name, cursor in asked.items()}
    return Answers({name: told[name] for name in _STEADY}, {name: told[name] for name in _THEN})


def moments(observed_ats: Iterable[datetime]) -> list[datetime]:
    """Return every instant at which something was read, those between, and those around all."""
    ordered = sorted(set(observed_ats))
    between = [one + (other - one) / 2 for one, other in pairwise(ordered)]
    hour = timedelta(hours=1)
    return sorted(
        [*ordered, *between, *(at + hour for at in ordered[-1:]), *(at - hour for at in ordered[:1])]
    )


def assert_no_worse(after: Answers, before: Answers) -> None:
    """All is as it was, but that the readings around an instant may be further from it."""
    for name, rows in before.steady.items():
        assert after.steady[name] == rows, name
    assert after.steady["the books"] == []
    for name, rows in before.then.items():
        for now, was in zip(after.then[name], rows, strict=True):
            _assert_no_finer(now, was, name)


def _assert_no_finer(now: Sequence[Any], was: Sequence[Any], where: str) -> None:
    *values, seen_before, seen_after = now
    *values_then, seen_before_then, seen_after_then = was
    assert values == values_then, where
    assert (seen_before is None) == (seen_before_then is None), where
    assert (seen_after is None) == (seen_after_then is None), where
    assert (seen_before or _BEFORE_ALL) <= (seen_before_then or _BEFORE_ALL), where
    assert (seen_after or _AFTER_ALL) >= (seen_after_then or _AFTER_ALL), where
