"""What is believed of batches that a list leaves out, and what it would mean to believe them gone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from etl.commands.queries import rows
from etl.records import Moves, Totals, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from etl.records import Slug

_ABSENT: Final = """
SELECT
    batch_id,
    name,
    images,
    num_jobs,
    last_seen_at,
    CASE
        WHEN missing_since IS NOT NULL THEN 'missing'
        WHEN batch_id = ANY(:unlisted) THEN 'unlisted'
        ELSE 'lost'
    END AS was
FROM analytics.batch
WHERE workspace = :workspace
    AND project = :project
    AND batch_id = ANY(:batch_ids)
ORDER BY
    images DESC,
    batch_id
"""


class AbsentBatch(msgspec.Struct, frozen=True, kw_only=True):
    """
    A batch that the list leaves out, as last believed.

    `was` says how it stood before: `missing` already; `unlisted`, left out by the list but found when asked
    for, which it is not any more; else `lost` now.
    """

    batch_id: str
    name: str | None
    images: int
    num_jobs: int | None
    last_seen_at: datetime | None
    was: Literal["lost", "missing", "unlisted"]


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """
    What it means to accept that batches are gone. `observed_at` is when the list was read.

    `listed` counts the batches that it shows. `moves` is all that the answer changes, what it shows anew
    included; `before` and `after` are the totals around it. `is_applied` tells whether it was written, in run
    `run_id`, whose `verdict` it is; `trouble` and `remedy` say why not, where it was tried. `absent_jobs` are
    the ids of annotation jobs that their list leaves out, which are accepted with the batches.
    """

    workspace: str
    project: str
    observed_at: datetime
    listed: int
    absent: tuple[AbsentBatch, ...]
    absent_images: int
    before: Totals
    moves: Moves
    after: Totals
    is_applied: bool = False
    run_id: int | None = None
    verdict: Verdict | None = None
    trouble: str = ""
    remedy: str = ""
    absent_jobs: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether anything is absent."""
        return bool(self.absent or self.absent_jobs)


def absent_batches(
    connection: Connection, slug: Slug, batch_ids: Collection[str], unlisted: Collection[str]
) -> tuple[AbsentBatch, ...]:
    """
    Return what is believed of batches, the largest first.

    Args:
        connection: Reads the ledger.
        slug: Their project.
        batch_ids: Which.
        unlisted: Batches that the list was known to leave out.
    """
    return rows(
        connection,
        AbsentBatch,
        _ABSENT,
        workspace=slug.workspace,
        project=slug.project,
        batch_ids=list(batch_ids),
        unlisted=list(unlisted),
    )
