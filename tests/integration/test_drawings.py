"""What the terminal draws comes from the ledger: backlogs by day, what came new, the jobs of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from etl.commands.queries import reading
from etl.commands.queries.history import batch_history, project_history
from etl.commands.queries.status import backlogs
from tests.integration.test_queries import CARS, Life, life
from tests.logins import as_owner, as_reader

if TYPE_CHECKING:
    from etl.commands.queries.status import Backlog

__all__ = ["life"]


def test_a_batch_is_told_with_the_jobs_that_were_made_from_it_and_no_others(life: Life) -> None:
    one, other = (life.project.upload(images=5).id for _ in range(2))
    first, second = life.project.assign(one, images=2), life.project.assign(other, images=1)
    life.hour(1)

    with reading(life.uri) as connection:
        told = {batch: batch_history(connection, CARS, batch).jobs for batch in (one, other)}

    assert {batch: [(job.job_id, job.images) for job in jobs] for batch, jobs in told.items()} == {
        one: [(first.id, 2)],
        other: [(second.id, 1)],
    }


def test_a_day_is_told_with_what_came_new_and_what_was_assigned_and_nothing_where_nobody_looked(
    life: Life,
) -> None:
    life.hour(1)
    life.project.upload(images=9)
    life.project.assign(next(iter(life.project.batches)), images=2)
    life.hour(25)
    life.hour(73)

    with reading(life.uri) as connection:
        days = project_history(connection, CARS).days[:4]

    assert [(day.is_observed, day.intake, day.assigned) for day in days] == [
        (True, 0, 0),
        (True, 9, 2),
        (False, None, None),
        (True, 0, 0),
    ]


def test_a_backlog_is_drawn_from_the_last_thirty_days_at_most(life: Life) -> None:
    life.hour(1)
    with reading(life.uri) as connection:
        (backlog,) = backlogs(connection).values()
        (images,) = {day.images for day in project_history(connection, CARS).days}

    assert _length(backlog) <= 30
    assert set(backlog.images) <= {images}


def test_backlogs_are_drawn_from_the_days_that_are_rolled_up(life: Life) -> None:
    """To have them counted anew for a time zone takes ten times as long."""
    life.hour(1)
    with psycopg.connect(as_owner(life.uri), autocommit=True) as owner:
        owner.execute("DROP FUNCTION analytics.project_period CASCADE")
    with reading(as_reader(life.uri)) as connection:
        (backlog,) = backlogs(connection).values()
        days = project_history(connection, CARS).days[-30:]

    assert backlog.images == tuple(day.images for day in days)
    assert backlog.is_observed == tuple(day.is_observed for day in days)
    assert len(days) == 30


def _length(backlog: Backlog) -> int:
    assert len(backlog.images) == len(backlog.is_observed)
    return len(backlog.images)
