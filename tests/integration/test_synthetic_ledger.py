"""The synthetic ledger of the benchmark is one that runs could have written."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from benchmarks.pages import asked_by_pages
from benchmarks.questions import Place, questions
from benchmarks.synthetic_ledger import OtherLedgerError, Size, Writer, is_unfinished
from tests.integration.test_migrations import catalogue
from tests.logins import as_owner, as_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.questions import Question
    from benchmarks.synthetic_ledger import Written
    from tests.conftest import NewDatabase

UNTIL = datetime(2024, 2, 3, 12, 40, tzinfo=UTC)
PROJECTS = ["workspace-001/project-001", "workspace-001/project-002"]
PROJECT = Place("workspace-001", "project-001", "", UNTIL)
WORKSPACE = Place("workspace-001", "", "", UNTIL)
EVERYTHING = Place("", "", "", UNTIL)
CONTENTS = (
    "SELECT * FROM ledger.project ORDER BY project_id",
    "SELECT * FROM ledger.project_day ORDER BY project_id, day",
    "SELECT project_id, observed_at, verdict, images, intake FROM ledger.observation ORDER BY 1, 2",
    "SELECT project_id, batch_id, observed_at, kind, images FROM ledger.batch_change ORDER BY 1, 2, 3",
    "SELECT project_id, job_id, observed_at, kind, annotated FROM ledger.job_change ORDER BY 1, 2, 3",
)
"""Without the numbers that are given to rows, which are those of who came first."""

LEFT_AS_IT_WAS = ("columns", "constraints", "indexes", "views")


def test_the_books_of_a_synthetic_ledger_balance_and_every_question_has_an_answer(
    database: str,
) -> None:
    written = _write(database)
    assert written.rows["batch"] == 20
    assert written.changes > 300
    with psycopg.connect(as_reader(database)) as connection:
        assert connection.execute("SELECT * FROM analytics.invariant_violation").fetchall() == []
        for place in (PROJECT, WORKSPACE, EVERYTHING):
            for question in questions(place):
                connection.execute(question.sql)


class _BrokenOffError(Exception):
    """What writes was told to end."""


def test_who_goes_on_with_one_that_was_broken_off_gets_the_same(
    database: str, new_database: NewDatabase
) -> None:
    before = _catalogue(database)
    with new_database() as other:
        whole = _write(other)
        for more in (1, 4, 20):
            with pytest.raises(_BrokenOffError):
                _write(database, more=more)
            assert is_unfinished(as_owner(database))
        with pytest.raises(OtherLedgerError):
            _write(database, seed=8)
        assert _write(database).rows == whole.rows
        assert not is_unfinished(as_owner(database))
        assert _catalogue(database) == before
        with psycopg.connect(database) as mine, psycopg.connect(other) as theirs:
            for query in CONTENTS:
                assert mine.execute(query).fetchall() == theirs.execute(query).fetchall()


def test_what_superset_asks_is_about_what_is_chosen(database: str) -> None:
    _write(database)
    with psycopg.connect(as_reader(database)) as connection:
        for place, count in ((PROJECT, 1), (WORKSPACE, 2), (EVERYTHING, 2)):
            asked = {question.title: question.sql for question in questions(place)}
            promises = connection.execute(asked["Freshness and trust: Promise kept"]).fetchall()
            days = connection.execute(asked["Labelling pipeline: Images left to annotate"]).fetchall()
            assert [row[0] for row in promises] == PROJECTS[:count]
            assert {row[0].date() for row in days} <= {UNTIL.date() - timedelta(n) for n in range(-2, 90)}
            assert days


def test_what_the_pages_ask_is_recorded_with_its_values(database: str) -> None:
    place = _filled(database)
    uri = as_reader(database)
    asked = [question for of in (EVERYTHING, WORKSPACE, place) for question in _asked(uri, of, 60)]
    assert {question.title.split()[0] for question in asked} == {"overview", "project", "batch"}
    with psycopg.connect(uri) as connection:
        found = {question.title: connection.execute(question.sql).fetchall() for question in asked}
    assert [row[:2] for row in found["overview 1: project, freshness, batch, observation, gap"]] == [
        ("workspace-001", "project-001"),
        ("workspace-001", "project-002"),
    ]
    assert [row[2] for row in found["batch 1: batch"]] == [place.batch_id]


def test_of_a_page_that_takes_too_long_all_is_told_that_is_known(database: str) -> None:
    place = _filled(database)
    with psycopg.connect(as_owner(database)) as other:
        other.execute("LOCK TABLE ledger.batch_change")
        asked = list(_asked(as_reader(database), place, 3))
    assert asked[-1].title == "batch 2: batch_progress, batch_lead_time"


def _write(database: str, *, seed: int = 7, more: int | None = None) -> Written:
    """Write it, or so many slices of it and keys more than were there."""
    size = Size(projects=2, changes=400, growths=7, jobs=2, parts=4, strides=6, batches=10)
    told = count()

    def tell(what: str, done: int, total: int) -> None:  # noqa: ARG001 - The names say what is told.
        if next(told) == more:
            raise _BrokenOffError

    with closing(Writer(as_owner(database), size, seed=seed, until=UNTIL)) as writer:
        return writer.write(tell)


def _catalogue(database: str) -> dict[str, list[Any]]:
    found = catalogue(database)
    return {kind: found[kind] for kind in LEFT_AS_IT_WAS}


def _filled(database: str) -> Place:
    """Fill a ledger, and give one of its batches."""
    _write(database)
    with psycopg.connect(as_reader(database)) as connection:
        row = connection.execute(
            "SELECT batch_id FROM analytics.batch WHERE (workspace, project) = (%s, %s) LIMIT 1", PROJECT[:2]
        ).fetchone()
    assert row
    return PROJECT._replace(batch_id=row[0])


def _asked(uri: str, place: Place, limit_s: int) -> Iterator[Question]:
    return asked_by_pages(uri, place, limit_s=limit_s)
