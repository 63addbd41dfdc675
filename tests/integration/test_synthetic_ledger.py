"""The synthetic ledger of the benchmark is one that runs could have written."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

from benchmarks.questions import Place, questions
from benchmarks.synthetic_ledger import Size, Writer
from tests.logins import as_owner, as_reader

UNTIL = datetime(2024, 2, 3, 12, 40, tzinfo=UTC)


def test_the_books_of_a_synthetic_ledger_balance_and_every_question_has_an_answer(
    database: str,
) -> None:
    size = Size(projects=2, changes=400, growths=7, jobs=2, parts=4, strides=6, batches=10)
    writer = Writer(as_owner(database), size, seed=7, until=UNTIL)
    written = writer.write(lambda what, done, total: None)  # noqa: ARG005 - The names say what is told.
    writer.close()
    assert written.rows["batch"] == 20
    assert written.changes > 300
    with psycopg.connect(as_reader(database)) as connection:
        assert connection.execute("SELECT * FROM analytics.invariant_violation").fetchall() == []
        for project in ("project-001", ""):
            for question in questions(Place("workspace-001", project, "", UNTIL)):
                connection.execute(question.sql)
