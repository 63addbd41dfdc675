"""What a kept demonstration shows: every question of the cookbook has a telling answer on it."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple

import psycopg
import pytest

from etl.embedded import server
from tests.homes import a_home
from tests.integration.test_questions import QUERIES
from tests.smoke.test_commands import Said, User

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EMPTY: Final = {"labeler", "images_before"}
"""People are left out of a ledger unless the settings ask for them, and before all time there was nothing."""


class Kept(NamedTuple):
    """A demonstration that was kept: where, what it said, and its database."""

    folder: Path
    said: Said
    connection: psycopg.Connection

    def ask(self, query: LiteralString) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    with a_home() as home:
        folder = home / "kept"
        said = User(home).runs("demo", "--keep", str(folder))
        with server(folder) as uri, psycopg.connect(uri) as connection:
            yield Kept(folder, said, connection)


def test_a_kept_demonstration_can_be_looked_at_with_the_lines_that_it_prints(kept: Kept) -> None:
    visitor = User(kept.folder.parent, BATCHLEDGER_HOME=str(kept.folder))
    (line,) = re.findall(r"batchledger (history acme/cars/\w{20})$", kept.said.out, re.MULTILINE)
    assert "renamed" in visitor.runs(*line.split()).out
    assert "Last run: 14" in visitor.runs("status").out
    again = User(kept.folder.parent).runs("demo", "--keep", str(kept.folder), exits=2)
    assert "there is a database in" in again.error


def test_every_query_of_the_cookbook_has_an_answer_with_a_value_in_every_column(kept: Kept) -> None:
    silent = []
    for query in QUERIES:
        answer = kept.connection.execute(query.encode())
        assert answer.description
        names = [column.name for column in answer.description]
        rows = answer.fetchall()
        told = {name for row in rows for name, value in zip(names, row, strict=True) if value is not None}
        silent += [(query, name) for name in names if name not in told | _EMPTY]
    assert silent == []


def test_one_project_gets_done_one_never_will_and_one_nearly_keeps_pace(kept: Kept) -> None:
    found = kept.ask(
        "SELECT project, end_early, end_likely, end_late FROM analytics.forecast ORDER BY project"
    )
    (_, *cars), (_, *drones), (_, *helmets) = found
    assert all(isinstance(end, date) for end in cars)
    assert cars == sorted(cars)
    assert [end is None for end in drones] == [True, True, True]
    assert [end is None for end in helmets] == [False, False, True]


def test_one_batch_and_one_job_of_the_first_project_stand_still(kept: Kept) -> None:
    found = kept.ask("SELECT kind FROM analytics.stalled WHERE project = 'cars' AND is_stalled ORDER BY kind")
    assert found == [("batch",), ("job",)]


def test_batches_are_followed_from_their_upload_to_their_last_job(kept: Kept) -> None:
    lengths = kept.ask(
        "SELECT to_first_job_s, to_assigned_s, to_completed_s FROM analytics.batch_lead_time "
        "WHERE to_completed_s IS NOT NULL"
    )
    assert len(lengths) >= 5
    assert [one for one in lengths if sorted(one) != list(one)] == []
    assert kept.ask("SELECT name FROM analytics.batch_lead_time WHERE to_first_job_s < 0") == []


def test_images_are_seen_to_come_move_and_go_and_work_to_be_done_and_refused(kept: Kept) -> None:
    ((intake, moved, assigned, removed, annotated, approved, rejected),) = kept.ask(
        "SELECT sum(intake), sum(moved), sum(assigned), sum(removed), sum(annotated_work), "
        "sum(approved_work), sum(rejected_work) FILTER (WHERE rejected_work > 0) "
        "FROM analytics.project_daily"
    )
    assert min(intake, moved, assigned, removed, annotated, approved, rejected) > 0
    moves = kept.ask("SELECT kind, likelihood FROM analytics.batch_move ORDER BY kind")
    assert moves == [("merged into", "likely"), ("merged into", "likely"), ("split from", "likely")]
