"""`confirm`: what it shows is what it does, and it does nothing that was not shown."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.cli import main
from etl.database import engine
from etl.simulator import Fault, Simulator
from etl.store import PostgresLedger
from tests.logins import as_superuser
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.report import RunReport
    from etl.simulator.project import Project

PATH: Final = "acme/cars"
LIST: Final = f"/{PATH}/batches"
HELD: Final = ("project", "batch", "batch_change", "project_day", "observation", "run", "look_up")
REPOSITORY: Final = Path(__file__).parents[2]


class Desk:
    """A project of eight batches that was read an hour ago, and an operator with a shell."""

    def __init__(self, uri: str, connection: psycopg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
        self.connection = connection
        self.world = a_world(batches=8)
        self.simulator = Simulator(self.world)
        self.clock = FakeClock(datetime.now(UTC) - timedelta(hours=9))
        self.engine = engine(uri)
        self.ledger = PostgresLedger(self.engine, host="here", version="test")
        self.source = WorldSource(self.world, self.clock, faults=self.simulator.faults)
        self.capsys = capsys
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "PYTHONPATH": str(REPOSITORY),
            "DATABASE_URL": uri,
            "ROBOFLOW_API_URL": self.simulator.url,
            "ROBOFLOW_API_KEY": self.simulator.keys["acme"],
            "BATCHLEDGER_SOURCE__ATTEMPTS": "1",
        }
        self.out = self.err = ""

    @property
    def project(self) -> Project:
        return self.world.project(PATH)

    def reads(self) -> RunReport:
        self.clock.move(hours=1)
        return a_run(self.ledger, [self.source], self.clock)

    def types(self, *arguments: str) -> int:
        """Run a command in this process; keep what it says."""
        self.capsys.readouterr()
        exit_code = main(arguments, self.environ)
        self.out, self.err = self.capsys.readouterr()
        return exit_code

    def loses(self, count: int) -> list[str]:
        """Delete so many batches at the source, and read the project."""
        lost = list(self.project.batches)[:count]
        for batch_id in lost:
            self.project.delete(batch_id)
        assert self.reads().projects[0].rule in ("empty_list", "large_loss")
        return lost

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode()).fetchall()

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: self.ask(f"SELECT ctid, xmin, one FROM ledger.{name} AS one ORDER BY 1") for name in HELD
        }

    def there(self) -> set[str]:
        return {
            batch_id for (batch_id,) in self.ask("SELECT batch_id FROM ledger.batch WHERE gone_at IS NULL")
        }


@pytest.fixture
def desk(database: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    with psycopg.connect(database, autocommit=True) as connection:
        opened = Desk(database, connection, capsys)
        opened.reads()
        with opened.simulator:
            yield opened
        opened.engine.dispose()
        assert opened.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []


# What it shows


def test_each_absent_batch_is_shown_with_what_would_leave_and_nothing_is_written(desk: Desk) -> None:
    lost = desk.loses(6)
    before = desk.contents()
    assert desk.types("confirm", PATH) == 4
    images = dict(desk.ask("SELECT batch_id, images FROM ledger.batch"))
    rows = {line.split()[0]: line.split() for line in desk.out.splitlines()[1:7]}
    assert {batch_id: row[1:3] for batch_id, row in rows.items()} == {
        batch_id: ["lost", str(images[batch_id])] for batch_id in lost
    }
    leaving = sum(images[batch_id] for batch_id in lost)
    assert f"Believed now:   8 batches, {sum(images.values())} images," in desk.out
    assert f"Once accepted:  2 batches, {sum(images.values()) - leaving} images," in desk.out
    assert f"; {leaving} images leave." in desk.out
    assert f"Nothing was written. To accept it: batchledger confirm {PATH} --yes" in desk.err
    assert desk.contents() == before


def test_a_script_gets_the_same_as_json(desk: Desk) -> None:
    lost = desk.loses(8)
    before = desk.contents()
    assert desk.types("confirm", PATH, "--json") == 4
    told = json.loads(desk.out)
    assert {batch["batch_id"] for batch in told["absent"]} == set(lost)
    assert all(batch["name"] and batch["last_seen_at"] for batch in told["absent"])
    assert told["absent_images"] == told["before"]["images"] == -told["moves"]["images_delta"]
    assert (told["after"], told["listed"]) == ({"batches": 0, "images": 0, "num_jobs": 0}, 0)
    assert (told["is_applied"], told["run_id"], told["verdict"]) == (False, None, None)
    assert desk.contents() == before


def test_what_the_list_shows_anew_is_in_the_totals_after(desk: Desk) -> None:
    desk.loses(6)
    desk.project.upload(images=1000)
    desk.types("confirm", PATH, "--json")
    told = json.loads(desk.out)
    assert told["moves"]["entered"] == 1
    assert told["after"]["batches"] == 3
    assert told["after"]["images"] == told["before"]["images"] - told["absent_images"] + 1000


# What it does


def test_what_was_shown_is_gone_after_a_yes_by_a_run_that_says_so(desk: Desk) -> None:
    lost = desk.loses(8)
    assert desk.types("confirm", PATH, "--yes") == 0
    assert "Accepted in run 3; gone: 8 batches. Believed now: 0 batches, 0 images, 0 jobs." in desk.out
    assert desk.there() == set()
    assert desk.ask("SELECT trigger, is_whole FROM ledger.run ORDER BY run_id DESC LIMIT 1") == [
        ("confirm", False)
    ]
    assert set(desk.ask("SELECT record_id, outcome, digest FROM ledger.look_up")) == {
        (batch_id, "accepted", None) for batch_id in lost
    }
    observed = desk.ask("SELECT verdict, rule, is_settled FROM ledger.observation ORDER BY observation_id")
    assert observed[-1] == ("changed", None, True)
    assert desk.ask("SELECT loss_suspected_since FROM ledger.project") == [(None,)]


def test_a_script_is_told_what_was_done(desk: Desk) -> None:
    desk.loses(6)
    assert desk.types("confirm", PATH, "--yes", "--json") == 0
    told = json.loads(desk.out)
    assert (told["is_applied"], told["verdict"], told["run_id"]) == (True, "changed", 3)
    assert (told["moves"]["left"], told["after"]["batches"], told["trouble"]) == (6, 2, "")


@pytest.mark.parametrize(
    ("typed", "options", "is_asked", "is_gone"),
    [
        ("yes", (), True, True),
        ("no", (), True, False),
        ("", (), True, False),
        ("yes", ("--json",), False, False),
    ],
)
def test_on_a_terminal_it_asks_who_reads_words(
    desk: Desk, typed: str, options: tuple[str, ...], *, is_asked: bool, is_gone: bool
) -> None:
    desk.loses(8)
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "etl", "confirm", PATH, *options]
    with subprocess.Popen(
        command, env=desk.environ, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True
    ) as process:
        os.write(controller, f"{typed}\n".encode())
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait() == (0 if is_gone else 4)
    os.close(controller)
    os.close(terminal)
    assert ("Type yes to accept these absences:" in said) is is_asked
    assert (desk.there() == set()) is is_gone


def test_an_absence_that_was_not_shown_goes_by_the_ordinary_rules(desk: Desk) -> None:
    desk.loses(6)
    (other, _) = desk.project.batches
    desk.simulator.faults.add(Fault.without(other), path=LIST, skip=1)
    desk.simulator.faults.add(Fault.status(503), path=f"{LIST}/{other}")
    assert desk.types("confirm", PATH, "--yes") == 0
    assert "Accepted in run 3; gone: 6 batches." in desk.out
    assert desk.ask(
        "SELECT batch_id FROM ledger.batch WHERE missing_since IS NOT NULL AND gone_at IS NULL"
    ) == [(other,)]


def test_nothing_is_accepted_of_a_list_that_has_lost_more_since(desk: Desk) -> None:
    desk.loses(6)
    desk.simulator.faults.add(Fault.empty_list(), path=LIST, skip=1)
    assert desk.types("confirm", PATH, "--yes") == 4
    assert f"suspect {PATH}: nothing was accepted, for the list is not what it was: " in desk.out
    assert f"remedy: look again with `batchledger confirm {PATH}`" in desk.out
    assert len(desk.there()) == 8
    assert desk.ask("SELECT kind FROM ledger.batch_change WHERE kind = 'left'") == []


def test_what_is_in_the_list_again_stays(desk: Desk) -> None:
    lost = desk.loses(6)
    desk.project.restore(lost[0])
    desk.simulator.faults.add(Fault.without(*lost), path=LIST)
    assert desk.types("confirm", PATH, "--yes", "--json") == 0
    told = json.loads(desk.out)
    assert (len(told["absent"]), told["moves"]["left"], told["after"]["batches"]) == (6, 5, 3)
    assert desk.there() == set(desk.project.batches)


def test_a_batch_that_the_list_leaves_out_is_absent_only_if_a_look_up_denies_it(desk: Desk) -> None:
    hidden, deleted = list(desk.project.batches)[:2]
    short = Fault.without(hidden, deleted)
    desk.simulator.faults.add(short, path=LIST, times=None)
    assert desk.reads().projects[0].rule == "short_list"
    assert desk.reads().projects[0].verdict.is_trusted  # From now on the same list is looked at no more.
    desk.project.delete(deleted)
    assert desk.reads().projects[0].requests == 2  # The lists of batches and of jobs.
    desk.types("confirm", PATH, "--json")
    (absent,) = json.loads(desk.out)["absent"]
    assert (absent["batch_id"], absent["was"]) == (deleted, "unlisted")
    assert desk.types("confirm", PATH, "--yes") == 0
    assert "lacks 1 batch." in desk.out
    assert desk.there() == set(desk.project.batches)


def test_a_batch_that_is_missing_already_is_shown_and_accepted_as_well(desk: Desk) -> None:
    missing = next(iter(desk.project.batches))
    desk.project.delete(missing)
    desk.simulator.faults.add(Fault.status(503), path=f"{LIST}/*", times=None)
    assert desk.reads().projects[0].rule is None
    assert desk.types("confirm", PATH, "--yes", "--json") == 0
    told = json.loads(desk.out)
    assert [(batch["batch_id"], batch["was"]) for batch in told["absent"]] == [(missing, "missing")]
    assert desk.there() == set(desk.project.batches)


# When there is nothing to do


def test_nothing_to_confirm_is_said_and_is_no_fault(desk: Desk) -> None:
    before = desk.contents()
    assert desk.types("confirm", PATH, "--yes") == 0
    assert desk.out == f"{PATH}: nothing to confirm; each batch is listed, or no look-up denies it.\n"
    assert desk.types("confirm", PATH, "--json") == 0
    assert json.loads(desk.out)["absent"] == []
    assert desk.contents() == before


def test_an_answer_with_records_that_could_be_any_batch_cannot_be_confirmed(desk: Desk) -> None:
    desk.loses(6)
    desk.simulator.faults.add(Fault.with_fields(id=None), path=LIST)
    before = desk.contents()
    assert desk.types("confirm", PATH, "--yes") == 4
    assert desk.err.startswith(f"error: {PATH}: 2 records of the list have no readable id")
    assert "remedy: wait until the list can be read" in desk.err
    assert desk.contents() == before


def test_a_project_that_nobody_knows_is_no_project(desk: Desk) -> None:
    assert desk.types("confirm", "acme/nothing") == 3
    assert "no such project: acme/nothing" in desk.err


def test_a_project_that_cannot_be_read_cannot_be_confirmed(desk: Desk) -> None:
    desk.loses(6)
    desk.simulator.faults.add(Fault.status(403), path=LIST)
    assert desk.types("confirm", PATH, "--yes") == 2
    desk.world.trash(PATH)
    assert desk.types("confirm", PATH, "--yes") == 3
    assert "trash" in desk.err
    assert len(desk.there()) == 8


# Clocks


@pytest.fixture
def _wrong_clock(database: str, minutes: int) -> None:
    """Let the server of the database be so far ahead of us, in all sessions that begin from now on."""
    with psycopg.connect(as_superuser(database), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA wrong")
        connection.execute("GRANT USAGE ON SCHEMA wrong TO PUBLIC")
        connection.execute(
            "CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
            f"RETURN pg_catalog.clock_timestamp() + interval '{minutes:d} min'".encode()
        )
        connection.execute(
            "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = wrong, pg_catalog', "
            "current_database()); END$$"
        )


@pytest.mark.usefixtures("_wrong_clock")
@pytest.mark.parametrize(
    ("command", "minutes"), [("sync", 6), ("sync", -6), ("run", 6), ("check", 6), ("confirm", 6)]
)
def test_a_clock_that_disagrees_with_the_database_is_refused(desk: Desk, command: str, minutes: int) -> None:
    before = desk.contents()
    arguments = [command, PATH] if command == "confirm" else [command]
    assert desk.types(*arguments) == 1
    said = desk.out + desk.err
    direction = "behind" if minutes > 0 else "ahead of"
    assert re.search(
        f"the clock of this host is 3[0-9]{{2}} s {direction} that of the database's server", said
    )
    assert "set the wrong one right" in said
    assert desk.contents() == before


@pytest.mark.usefixtures("_wrong_clock")
@pytest.mark.parametrize(("command", "minutes"), [("status", 6), ("history", 6)])
def test_a_clock_that_disagrees_hinders_nobody_who_reads(desk: Desk, command: str) -> None:
    assert desk.types(*([command, PATH] if command == "history" else [command])) == 0


# Jobs


def test_annotation_jobs_that_are_absent_are_accepted_as_batches_are(desk: Desk) -> None:
    jobs, empty = f"/{PATH}/jobs", Fault.empty_list()
    desk.source.faults.add(empty, path=jobs, times=None)
    (report,) = desk.reads().projects
    assert report.jobs is not None
    assert report.jobs.rule == "empty_list"
    believed = {job_id for (job_id,) in desk.ask("SELECT job_id FROM ledger.job WHERE gone_at IS NULL")}
    assert believed
    assert desk.types("confirm", PATH) == 4
    assert all(job_id in desk.out for job_id in believed)
    assert desk.types("confirm", PATH, "--yes") == 0
    assert desk.ask("SELECT count(*) FROM ledger.job WHERE gone_at IS NULL") == [(0,)]
    told = desk.ask("SELECT record_id FROM ledger.look_up WHERE subject = 'job' AND outcome = 'accepted'")
    assert {job_id for (job_id,) in told} == believed
