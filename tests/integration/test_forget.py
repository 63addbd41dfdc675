"""To forget people: nothing of them is left in any table, and everything else is as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from etl.database import engine
from etl.parse.people import MARK, People, PeoplePolicy, scrubbed
from etl.simulator.faults import Fault
from etl.store import PostgresLedger
from tests.logins import as_superuser, as_writer
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from tests.conftest import NewDatabase

REPOSITORY: Final = Path(__file__).parents[2]
ADDRESS: Final = "@example.com"
KEEP: Final = People(PeoplePolicy.KEEP)
BROKEN: Final = "SELECT invariant, detail FROM analytics.invariant_violation"
COUNTS: Final = (
    "SELECT job_id, kind, images, annotated, approved, rejected, observed_at FROM ledger.job_change "
    "ORDER BY observation_id, job_id"
)


def rows(connection: psycopg.Connection) -> str:
    """Return all that any table holds, as one text, bodies unpacked."""
    tables = connection.execute("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'ledger'")
    told = [
        str(row)
        for (table,) in tables.fetchall()
        if table != "payload"
        for row in connection.execute(f"SELECT * FROM ledger.{table}".encode())
    ]
    bodies = connection.execute("SELECT body FROM ledger.payload WHERE body IS NOT NULL")
    return "\n".join(told + [zlib.decompress(body).decode() for (body,) in bodies])


def forget(uri: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": uri, "HOME": "/nonexistent"}
    command = [sys.executable, "-m", "etl", "forget", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def test_to_forget_leaves_no_person_anywhere_and_all_counts_as_they_were(new_database: NewDatabase) -> None:
    with new_database() as uri, psycopg.connect(as_superuser(uri), autocommit=True) as connection:
        world, clock = a_world(batches=6), FakeClock()
        source, writer = WorldSource(world, clock), engine(as_writer(uri))
        ledger = PostgresLedger(writer, host="here", version="test")

        def run(people: People) -> None:
            clock.move(minutes=10)
            a_run(ledger, [source], clock, scrub=lambda body: scrubbed(body, people))

        run(KEEP)
        project = world.project("acme/cars")
        project.annotate(next(job.id for job in project.jobs.values() if job.unannotated), images=1)
        run(KEEP)
        assert ADDRESS in rows(connection)
        counts = connection.execute(COUNTS).fetchall()

        refused = forget(as_writer(uri))
        assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
        assert ADDRESS in rows(connection)

        done = forget(as_writer(uri), "--yes", "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        assert told["jobs"] == len(project.jobs)
        assert told["bodies"] == 2
        assert told["errors"] == 0
        assert ADDRESS not in rows(connection)
        assert connection.execute(COUNTS).fetchall() == counts
        assert connection.execute(BROKEN).fetchall() == []

        run(People())
        assert ADDRESS not in rows(connection)
        assert connection.execute(COUNTS).fetchall() == counts
        assert connection.execute(BROKEN).fetchall() == []
        writer.dispose()


NAMES: Final = (
    "jane@acme.com",
    "jane%40acme.com",
    "jane@[10.0.0.1]",
    '"jane doe"@acme.com',
    "jane&#64;acme.com",
    "person-0123456789abcdef",
)
"""Ways to name Jane that only the recogniser of people knows."""

ERROR: Final = "acme/cars/jobs: status 403: User {} may not see jobs"


def test_to_forget_knows_every_address_that_is_known_when_jobs_are_read(new_database: NewDatabase) -> None:
    with new_database() as uri, psycopg.connect(as_superuser(uri), autocommit=True) as connection:
        clock, writer = FakeClock(), engine(as_writer(uri))
        source, ledger = WorldSource(a_world(batches=6), clock), PostgresLedger(writer, host="h", version="t")

        def run(fault: Fault) -> None:
            clock.move(minutes=10)
            source.faults.add(fault, path="/acme/cars/jobs", times=None)
            a_run(ledger, [source], clock)
            source.faults.clear()

        jobs = [
            {
                "id": f"j{place}",
                "name": f"by {name}.",
                "status": name,
                "numImages": 1,
            }
            for place, name in enumerate(NAMES)
        ]
        run(Fault.literal(json.dumps({"jobs": jobs})))
        for name in NAMES:
            run(Fault.status(403))
            # So it was written before errors were without addresses.
            connection.execute(
                "UPDATE ledger.observation SET jobs_error = %s WHERE observation_id = "
                "(SELECT max(observation_id) FROM ledger.observation)",
                [ERROR.format(name)],
            )

        done = forget(as_writer(uri), "--yes", "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        count = len(NAMES)
        assert (told["jobs"], told["changes"], told["errors"]) == (count, count, count)
        left = rows(connection)
        assert [name for name in ("jane", "person-") if name in left] == []
        mark = MARK.decode()
        for table in ("job", "job_change"):
            query = f"SELECT DISTINCT name, status FROM ledger.{table}"
            assert connection.execute(query.encode()).fetchall() == [(f"by {mark}.", mark)]
        errors = connection.execute("SELECT DISTINCT jobs_error FROM analytics.observation").fetchall()
        assert {error for (error,) in errors if error} == {ERROR.format(mark)}
        writer.dispose()
