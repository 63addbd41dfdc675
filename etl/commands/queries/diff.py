"""What `diff` reads: how the batches of a project differ between two instants, and whether that adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands.queries import require_project, rows
from etl.commands.queries.gaps import Gap
from etl.commands.queries.past import Stand, stand

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from etl.records import Slug


class BatchDifference(msgspec.Struct, frozen=True, kw_only=True):
    """
    One batch that differs.

    `change` is entered, returned (it had left before), grown, shrunk, changed (by its jobs alone), renamed or
    left. The counts are None where it was not there, and jobs where the source does not say.
    """

    batch_id: str
    name: str | None
    change: str
    images_before: int | None
    images_after: int | None
    images_delta: int
    num_jobs_before: int | None
    num_jobs_after: int | None
    num_jobs_delta: int
    knowledge_before: str
    knowledge_after: str


class Deltas(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group of batches moves the totals; `count` is how many they are."""

    count: int
    batches: int
    images: int
    num_jobs: int


class Between(msgspec.Struct, frozen=True, kw_only=True):
    """
    What happened between the two instants without a trace at their ends.

    `came_and_went` counts the batches that entered after the first and left before the second, `undone` those
    that changed and are as they were.
    """

    came_and_went: int
    undone: int


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """
    What changed in a project between two instants, `before` and `after`, and how its totals moved.

    `deltas` sum the batches up by their change. `gaps` are those that one of the instants falls into. `amiss`
    says what does not add up; None: all does.
    """

    workspace: str
    project: str
    before: Stand
    after: Stand
    batches: tuple[BatchDifference, ...]
    deltas: dict[str, Deltas]
    between: Between
    gaps: tuple[Gap, ...]
    amiss: str | None


CHANGES: Final = ("entered", "returned", "grown", "shrunk", "changed", "renamed", "left")
"""The groups, in the order in which they are told."""

_DIFFERENCES: Final = """
SELECT
    batch_id,
    name,
    change,
    images_before,
    images_after,
    images_delta,
    num_jobs_before,
    num_jobs_after,
    num_jobs_delta,
    knowledge_before,
    knowledge_after
FROM analytics.batch_diff(:from_at, :to_at, :workspace, :project)
ORDER BY
    abs(images_delta) DESC,
    abs(num_jobs_delta) DESC,
    batch_id
"""

_BETWEEN: Final = """
SELECT
    count(*) FILTER (WHERE passed.last_kind = 'left') AS came_and_went,
    count(*) FILTER (WHERE passed.last_kind <> 'left') AS undone
FROM (
    SELECT DISTINCT ON (batch_id)
        batch_id,
        kind AS last_kind
    FROM analytics.batch_change
    WHERE workspace = :workspace
        AND project = :project
        AND observed_at > :from_at
        AND observed_at <= :to_at
    ORDER BY
        batch_id,
        observation_id DESC
) AS passed
WHERE passed.batch_id <> ALL(:differing)
"""


def diff(connection: Connection, slug: Slug, from_at: datetime, to_at: datetime) -> Diff:
    """
    Read how a project differs between two instants.

    Raises:
        UnknownProjectError: The ledger does not know it.
    """
    require_project(connection, slug)
    key = {"workspace": slug.workspace, "project": slug.project, "from_at": from_at, "to_at": to_at}
    found = rows(connection, BatchDifference, _DIFFERENCES, **key)
    (between,) = rows(connection, Between, _BETWEEN, differing=[one.batch_id for one in found], **key)
    before, after = stand(connection, slug, from_at), stand(connection, slug, to_at)
    deltas = {change: _sum(found, change) for change in CHANGES}
    return Diff(
        workspace=slug.workspace,
        project=slug.project,
        before=before,
        after=after,
        batches=tuple(sorted(found, key=lambda one: CHANGES.index(one.change))),
        deltas=deltas,
        between=between,
        gaps=tuple(dict.fromkeys(gap for gap in (before.gap, after.gap) if gap)),
        amiss=_amiss(before, after, deltas.values()),
    )


def _sum(found: tuple[BatchDifference, ...], change: str) -> Deltas:
    group = [one for one in found if one.change == change]
    sign = {"entered": 1, "returned": 1, "left": -1}.get(change, 0)
    return Deltas(
        count=len(group),
        batches=sign * len(group),
        images=sum(one.images_delta for one in group),
        num_jobs=sum(one.num_jobs_delta for one in group),
    )


def _amiss(before: Stand, after: Stand, deltas: Iterable[Deltas]) -> str | None:
    """Say where the totals at the second instant are not those at the first one and all that moved them."""
    moved = list(deltas)
    for what in ("batches", "images", "num_jobs"):
        was, is_now = getattr(before, what) or 0, getattr(after, what) or 0
        by = sum(getattr(group, what) for group in moved)
        if was + by != is_now:
            return f"{was} {what} {by:+d} are not {is_now}"
    return None
