"""What commands read of gaps: the stretches of time in which nobody trusted was looking."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands.queries import rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.records import Slug


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """
    A stretch of time between two trusted observations in which one was due.

    `to_at` is None while it is open. `reasons` say why, in the order of time.
    """

    from_at: datetime
    to_at: datetime | None
    reasons: tuple[str, ...]
    is_promise_broken: bool


_BETWEEN: Final = """
SELECT
    from_at,
    to_at,
    reasons,
    is_promise_broken
FROM analytics.gap
WHERE workspace = :workspace
    AND project = :project
    AND (CAST(:to_at AS timestamptz) IS NULL OR from_at < :to_at)
    AND (CAST(:from_at AS timestamptz) IS NULL OR coalesce(to_at, 'infinity') > :from_at)
"""

_GAPS: Final = f"""{_BETWEEN}
ORDER BY from_at
"""

_LAST: Final = f"""{_BETWEEN}
ORDER BY from_at DESC
LIMIT :limit
"""


def gaps(
    connection: Connection, slug: Slug, from_at: datetime | None = None, to_at: datetime | None = None
) -> tuple[Gap, ...]:
    """
    Return the gaps of a project, by time; with instants, those that have a part between them.

    Between an instant and itself there is the gap that it falls into; at the ends of one somebody looked.
    """
    key = {"workspace": slug.workspace, "project": slug.project}
    return rows(connection, Gap, _GAPS, from_at=from_at, to_at=to_at, **key)


def last_gaps(
    connection: Connection,
    slug: Slug,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    *,
    limit: int,
) -> tuple[Gap, ...]:
    """Return so many of the same at most, the last one first."""
    key = {"workspace": slug.workspace, "project": slug.project}
    return rows(connection, Gap, _LAST, from_at=from_at, to_at=to_at, limit=limit, **key)
