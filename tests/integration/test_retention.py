"""What `prune` folds, drops and leaves alone; beside runs, after a kill, from the daemon, and as whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from etl.cli import main
from etl.database import connect, engine
from etl.errors import SettingsError, StatementFailedError
from etl.ports import RunEnd
from etl.records import Moves, Observation, Verdict
from etl.replay import replaying
from etl.retention import Horizons, Pruned, Upkeep, horizons, preview, prune
from etl.settings import DatabaseSettings, RetentionSettings
from etl.simulator.faults import Fault
from etl.store import PostgresLedger
from tests.answers import answers, assert_no_worse, moments
from tests.logins import as_owner, as_reader
from tests.worlds import NOON, FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.also_on_16

LIMITS: Final = DatabaseSettings()
LIST: Final = "/acme/cars/batches"
JOBS: Final = "/acme/cars/jobs"
QUARTER: Final = timedelta(minutes=15)


class Tale:
    """A project that is read, and its ledger, which is pruned."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.world, self.clock = a_world(batches=3), FakeClock(NOON.replace(hour=0))
        self.source = WorldSource(self.world, self.clock)
        self.project = self.world.project("acme/cars")
        self.engine = engine(uri)
        self.ledger = PostgresLedger(self.engine, host="here", version="test")

    def read(
        self, times: int = 1, *, fault: Fault | None = None, path: str = LIST, every: timedelta = QUARTER
    ) -> None:
        for _ in range(times):
            if fault:
                self.source.faults.add(fault, path=path)
            a_run(self.ledger, [self.source], self.clock)
            self.clock.at += every

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute("SET timezone = 'UTC'")
            return connection.execute(query.encode(), values).fetchall()

    def observations(self) -> list[tuple[Any, ...]]:
        return self.ask(
            "SELECT verdict, gap_reasons, error_class, coalesce(span_count, 1) FROM ledger.observation "
            "ORDER BY observation_id"
        )

    def of_jobs(self) -> list[tuple[Any, ...]]:
        """Say what became of batches and of jobs, and how many observations have been folded into each."""
        return self.ask(
            "SELECT verdict, jobs_verdict, jobs_changes, coalesce(span_count, 1) FROM ledger.observation "
            "ORDER BY observation_id"
        )

    def bodies_of_jobs(self) -> list[bool]:
        """Say of each observation with a body of jobs whether that is still there."""
        found = self.ask(
            "SELECT payload.body IS NOT NULL FROM ledger.observation "
            "JOIN ledger.payload ON payload.digest = jobs_digest ORDER BY observation_id"
        )
        return [is_there for (is_there,) in found]

    def work(self) -> None:
        """Let somebody annotate one image of a job that is not done."""
        job = next(job for job in self.project.jobs.values() if job.unannotated)
        self.project.annotate(job.id, images=1)

    def next_day(self) -> None:
        self.clock.at = (self.clock() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)

    def bodies(self) -> list[bool]:
        """Say of each observation with a body whether that is still there."""
        return [
            is_there
            for (is_there,) in self.ask(
                "SELECT payload.body IS NOT NULL FROM ledger.observation JOIN ledger.payload USING (digest) "
                "ORDER BY observation_id"
            )
        ]

    def prune(self, *, bodies: datetime | None = None, is_over: Callable[[], bool] = lambda: False) -> Pruned:
        with connect(self.uri) as connection:
            old = Horizons(self.clock().replace(hour=0, minute=0), bodies)
            return prune(connection, LIMITS, old, now=self.clock(), is_over=is_over)


@pytest.fixture
def tale(database: str) -> Iterator[Tale]:
    """Give a ledger that nothing has happened to."""
    told = Tale(database)
    yield told
    told.engine.dispose()


# What is folded


def test_a_day_of_uneventful_readings_becomes_one_row_that_tells_how_many_and_since_when(tale: Tale) -> None:
    tale.read(96)
    tale.read(2)

    pruned = tale.prune()

    assert pruned.observations.rows == pruned.runs.rows == 94
    assert tale.observations() == [("changed", None, None, 1), ("unchanged", None, None, 95)] + 2 * [
        ("unchanged", None, None, 1)
    ]
    ((since, until),) = tale.ask(
        "SELECT span_from, observed_at FROM analytics.observation WHERE span_count > 1"
    )
    assert until - since > 94 * QUARTER


def test_only_like_neighbours_of_one_day_are_folded(tale: Tale) -> None:
    tale.read(5)
    tale.read(2, fault=Fault.status(500))
    tale.read(3, fault=Fault.html(200))
    tale.read(4)
    tale.project.upload(images=3)
    tale.read(4)
    tale.clock.at = NOON + timedelta(days=1)
    tale.read(2)
    tale.clock.at = NOON + timedelta(days=2)

    tale.prune()

    assert [(verdict, reasons, count) for verdict, reasons, _, count in tale.observations()] == [
        ("changed", None, 1),
        ("unchanged", None, 4),
        ("failed", None, 2),
        ("failed", None, 3),
        ("unchanged", ["failed: TransientError", "failed: PayloadError"], 1),
        ("unchanged", None, 3),
        ("changed", None, 1),
        ("unchanged", None, 3),
        ("unchanged", None, 2),
    ]


def test_each_prune_goes_on_where_the_one_before_ended(tale: Tale) -> None:
    for _ in range(3):
        tale.read(4, every=timedelta(hours=6))
        tale.clock.at = tale.clock().replace(hour=0, minute=0, second=0, microsecond=0)
        tale.prune()

    assert [count for *_, count in tale.observations()] == [1, 3, 4, 4]


def test_what_another_host_skipped_comes_between_no_neighbours(tale: Tale) -> None:
    tale.read(2)
    (project_id,) = (state.project_id for state in tale.ledger.projects().values())
    for _ in range(3):
        run_id = tale.ledger.begin_run(trigger="sync", started_at=tale.clock())
        at = tale.clock.move(seconds=1)
        held = Observation(
            project_id=project_id, verdict=Verdict.SKIPPED, started_at=at, observed_at=at, rule="held"
        )
        tale.ledger.record(run_id, [held])
        end = RunEnd(ended_at=at, outcome="partial", verdicts={}, moves=Moves(), requests=0)
        tale.ledger.end_run(run_id, end)
        tale.read()
    tale.clock.at += timedelta(days=1)

    tale.prune()

    assert tale.observations() == [
        ("changed", None, None, 1),
        ("skipped", None, None, 3),
        ("unchanged", None, None, 4),
    ]


def test_an_answer_that_was_compared_is_not_folded_since_a_replay_needs_it(tale: Tale) -> None:
    tale.read(3, fault=Fault.literal('{"batches": []}'))
    tale.project.delete(next(iter(tale.project.batches)))
    tale.source.faults.add(Fault.status(503), path=f"{LIST}/*", times=None)
    tale.read(3)
    tale.clock.at += timedelta(days=1)
    before = tale.ask("SELECT * FROM ledger.observation WHERE parse_ms IS NOT NULL ORDER BY 1")

    tale.prune()

    assert tale.ask("SELECT * FROM ledger.observation WHERE parse_ms IS NOT NULL ORDER BY 1") == before


def test_what_time_did_not_suffice_for_is_done_the_next_time(tale: Tale) -> None:
    tale.read(30, every=timedelta(days=2, hours=12))
    tale.read(30, every=timedelta(hours=8))
    tale.clock.at += timedelta(days=2)
    asked = iter([False, False])

    first = tale.prune(is_over=lambda: next(asked, True))

    assert not first.is_whole
    second = tale.prune()
    assert second.is_whole
    assert second.observations.rows
    assert tale.prune() == Pruned()


def test_the_settings_say_what_is_old() -> None:
    now = datetime(2026, 3, 10, 17, 30, tzinfo=UTC)

    assert horizons(RetentionSettings(), now) == Horizons(datetime(2026, 2, 3, tzinfo=UTC), None)
    assert horizons(RetentionSettings(payloads="90d"), now).payloads == now - timedelta(days=90)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unchanged"):
        RetentionSettings(unchanged="30d")  # type: ignore[arg-type]


# Jobs


@pytest.fixture
def at_work(tale: Tale) -> Tale:
    """Give a project with a job that is done and one on which somebody works."""
    tale.project.assign(tale.project.upload(images=40).id, images=30)
    return tale


@contextmanager
def unforgotten(tale: Tale) -> Iterator[None]:
    """See that everything is answered after the block as it was before."""
    with psycopg.connect(tale.uri, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        ats = connection.execute("SELECT observed_at FROM ledger.observation").fetchall()
        instants, until = moments(at for (at,) in ats), tale.clock() + timedelta(days=2)
        before = answers(connection, instants, until)
        yield
        assert_no_worse(answers(connection, instants, until), before)


def test_a_day_on_which_jobs_were_read_and_did_not_change_becomes_one_row(at_work: Tale) -> None:
    at_work.read(10)
    at_work.next_day()
    before = at_work.ask("SELECT jobs_at, jobs_digest, jobs FROM ledger.observation ORDER BY jobs_at DESC")[0]

    with unforgotten(at_work):
        assert at_work.prune().observations.rows == 8

    assert at_work.of_jobs() == [
        ("changed", "changed", len(at_work.project.jobs), 1),
        ("unchanged", "unchanged", None, 9),
    ]
    (last,) = at_work.ask("SELECT jobs_at, jobs_digest, jobs FROM ledger.observation WHERE span_count = 9")
    assert last == before
    ((jobs_previous_at,),) = at_work.ask(
        "SELECT jobs_previous_at FROM ledger.observation WHERE span_count = 9"
    )
    assert [(jobs_previous_at,)] == at_work.ask("SELECT min(jobs_at) FROM ledger.observation")


def test_a_reading_in_which_only_a_job_changed_stays_and_so_does_its_change(at_work: Tale) -> None:
    at_work.read(4)
    at_work.work()
    at_work.read(4)
    at_work.next_day()
    changes = at_work.ask("SELECT * FROM ledger.job_change ORDER BY observation_id, job_id")

    with unforgotten(at_work):
        at_work.prune()

    assert at_work.of_jobs()[1:] == [
        ("unchanged", "unchanged", None, 3),
        ("unchanged", "changed", 1, 1),
        ("unchanged", "unchanged", None, 3),
    ]
    assert at_work.ask("SELECT * FROM ledger.job_change ORDER BY observation_id, job_id") == changes
    assert at_work.ask("SELECT annotated_work FROM ledger.project_day") == [(1,)]


def test_readings_are_alike_only_if_the_same_became_of_their_jobs(at_work: Tale) -> None:
    at_work.read(3)
    at_work.read(2, fault=Fault.status(500), path=JOBS)
    at_work.read(2, fault=Fault.html(200), path=JOBS)
    at_work.read(2)
    at_work.read(2, fault=Fault.empty_list(), path=JOBS)
    at_work.next_day()

    with unforgotten(at_work):
        at_work.prune()

    assert at_work.of_jobs()[1:] == [
        ("unchanged", "unchanged", None, 2),
        ("unchanged", "failed", None, 2),
        ("unchanged", "failed", None, 2),
        ("unchanged", "unchanged", None, 2),
        ("unchanged", "suspect", 0, 1),
        ("unchanged", "suspect", 0, 1),
    ]


def test_a_reading_of_which_the_jobs_were_read_after_midnight_leaves_the_day_its_own(at_work: Tale) -> None:
    at_work.read()
    at_work.next_day()
    at_work.clock.move(hours=23)
    at_work.read(2)
    # The list of batches is the third answer, that of jobs the fourth.
    at_work.next_day()
    at_work.clock.move(seconds=-0.35)
    at_work.read()
    assert at_work.ask("SELECT max(jobs_at)::date - max(observed_at)::date FROM ledger.observation") == [(1,)]
    at_work.next_day()

    with unforgotten(at_work):
        at_work.prune()

    assert [count for *_, count in at_work.of_jobs()] == [1, 2, 1]


def test_bodies_of_jobs_are_dropped_with_those_of_batches_and_kept_as_long(at_work: Tale) -> None:
    for _ in range(4):
        at_work.work()
        at_work.read(2)

    with unforgotten(at_work):
        at_work.prune(bodies=at_work.clock() - 5 * QUARTER)

    assert at_work.bodies_of_jobs() == [False, False, True, True, True, True, True, True]
    assert all(at_work.bodies())


def test_the_answer_to_a_look_up_of_a_job_is_dropped_once_its_reading_is(at_work: Tale) -> None:
    at_work.read()
    at_work.read(fault=Fault.without(min(at_work.project.jobs)), path=JOBS)
    kept = (
        "SELECT subject, body IS NOT NULL FROM ledger.look_up JOIN ledger.payload USING (digest) "
        "WHERE outcome = 'found' AND record_id = (SELECT min(job_id) FROM ledger.job)"
    )
    assert at_work.prune(bodies=at_work.clock()).payloads.rows == 0
    assert at_work.ask(kept) == [("job", True)]
    at_work.read()

    assert at_work.prune(bodies=at_work.clock()).payloads.rows > 0
    assert at_work.ask(kept) == [("job", False)]


def test_bodies_stay_until_a_reading_settles_what_is_open_of_the_jobs(at_work: Tale) -> None:
    at_work.read()
    at_work.project.upload(images=2)
    at_work.read(fault=Fault.with_fields(numImages="many"), path=JOBS)
    at_work.project.upload(images=3)
    at_work.read(fault=Fault.status(500), path=JOBS)

    assert at_work.prune(bodies=at_work.clock()).payloads.rows == 0
    at_work.read()
    assert at_work.prune(bodies=at_work.clock()).payloads.rows == 3
    assert at_work.ask("SELECT count(*) FROM ledger.reject") == [(0,)]


def test_after_bodies_of_jobs_were_dropped_the_rest_is_replayed_and_the_books_balance(at_work: Tale) -> None:
    for _ in range(3):
        at_work.work()
        at_work.read(2)
    at_work.next_day()
    with unforgotten(at_work):
        at_work.prune(bodies=at_work.clock() - timedelta(hours=23))
    for _ in range(2):
        at_work.work()
        at_work.read()

    with replaying(as_owner(at_work.uri), LIMITS) as replayer:
        (found,) = (replayer.replay(slug, number) for slug, number in replayer.projects().items())
    assert (found.cause, found.differing, found.obstacle, found.observations) == (None, {}, None, 3)
    assert found.since is not None


# Bodies


def test_bodies_are_dropped_but_for_those_from_the_last_settled_answer_on(tale: Tale) -> None:
    for _ in range(4):
        tale.project.upload(images=2)
        tale.read(2)

    tale.prune(bodies=tale.clock() - 5 * QUARTER)

    assert tale.bodies() == [False, False, True, True, True, True, True, True]
    ((dropped_at,),) = tale.ask("SELECT DISTINCT pruned_at FROM ledger.payload WHERE body IS NULL")
    assert dropped_at == tale.clock()


def test_bodies_stay_until_an_answer_settles_what_they_left_open(tale: Tale) -> None:
    """A batch that is shown without usable values is carried; a replay must begin before that."""
    row = '{"id": "b1", "images": %d}'
    for images in (3, -1, -2, -3):
        tale.read(fault=Fault.literal('{"batches": [%s]}' % (row % images)))

    assert tale.prune(bodies=tale.clock()).payloads.rows == 0
    assert tale.ask("SELECT count(*) FROM ledger.reject") == [(3,)]

    tale.read(fault=Fault.literal('{"batches": [%s]}' % (row % 4)))

    assert tale.prune(bodies=tale.clock()).payloads.rows == 4
    assert tale.ask("SELECT count(*) FROM ledger.reject") == [(0,)]


def test_a_body_that_comes_again_while_it_is_dropped_is_kept_again(tale: Tale) -> None:
    tale.read()
    first = tale.project.upload(images=2).id
    tale.read()
    tale.project.delete(first)
    tale.read(2, every=timedelta(hours=2))
    tale.project.restore(first)
    with psycopg.connect(tale.uri) as pruner:
        # As prune does: no run that found the body in its place is still to say so.
        pruner.execute("LOCK TABLE ledger.payload IN SHARE ROW EXCLUSIVE MODE")
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(tale.read)
            _wait_until(lambda: _waits(pruner))
            pruner.execute("UPDATE ledger.payload SET body = NULL, pruned_at = now()")
            pruner.commit()
            reading.result(timeout=30)

    assert tale.bodies()[-1]


def test_a_body_that_came_again_before_it_could_be_dropped_stays(tale: Tale) -> None:
    tale.read()
    first = tale.project.upload(images=2).id
    tale.read()
    tale.project.delete(first)
    tale.read(2, every=timedelta(hours=2))

    # What is dropped is the answer to a look-up.
    assert _pruned_while_it_comes_again(tale, nth=1).payloads.rows == 1
    assert all(tale.bodies())


def test_a_body_of_jobs_that_came_again_before_it_could_be_dropped_stays(at_work: Tale) -> None:
    at_work.read()
    at_work.work()
    at_work.read()

    assert _pruned_while_it_comes_again(at_work, nth=0).payloads.rows == 0
    assert at_work.bodies_of_jobs() == [True, True, True]


def _pruned_while_it_comes_again(tale: Tale, *, nth: int) -> Pruned:
    """Prune bodies, and let another run be about to say that it has received what the nth reading did."""
    with connect(tale.uri) as connection, psycopg.connect(tale.uri) as other:
        other.execute("LOCK TABLE ledger.payload IN ROW EXCLUSIVE MODE")
        with ThreadPoolExecutor(1) as pool:
            old = Horizons(tale.clock(), tale.clock())
            pruning = pool.submit(prune, connection, LIMITS, old, now=tale.clock())
            _wait_until(lambda: _waits(other))
            _come_again(other, nth)
            other.commit()
            return pruning.result(timeout=30)


def _come_again(connection: psycopg.Connection, nth: int) -> None:
    """Write what a run writes of answers whose bodies are there already: those of the nth reading."""
    connection.execute(
        "WITH run AS ("
        "  INSERT INTO ledger.run (trigger, started_at, leased_until, host, version)"
        "  VALUES ('sync', now(), now(), 'there', 'test') RETURNING run_id"
        ") "
        "INSERT INTO ledger.observation (run_id, project_id, verdict, started_at, observed_at, requests, "
        "batches_entered, batches_changed, batches_renamed, batches_left, batches_returned, images_delta, "
        "num_jobs_delta, digest, jobs_verdict, jobs_at, jobs_digest) "
        "SELECT run.run_id, project_id, 'unchanged', now(), now(), 1, 0, 0, 0, 0, 0, 0, 0, digest, "
        "'unchanged', now(), jobs_digest "
        "FROM run CROSS JOIN ledger.observation ORDER BY observation_id OFFSET %s LIMIT 1",
        (nth,),
    )


def _wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.02)


def _waits(holder: psycopg.Connection) -> bool:
    """Say whether somebody waits for a lock that this connection holds."""
    with psycopg.connect(holder.info.dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
            (holder.info.backend_pid,),
        ).fetchone()
    return row is not None and row[0] > 0


# Beside runs, and when it ends before its time


def test_no_run_waits_for_long_and_bodies_in_use_are_left_for_the_next_time(tale: Tale) -> None:
    for _ in range(3):
        tale.project.upload(images=2)
        tale.read(2)
    with connect(tale.uri) as connection, psycopg.connect(tale.uri) as writing:
        writing.execute("LOCK TABLE ledger.payload IN ROW EXCLUSIVE MODE")
        began = time.monotonic()
        pruned = prune(connection, LIMITS, Horizons(tale.clock(), tale.clock()), now=tale.clock())
        took_s = time.monotonic() - began

    assert (pruned.payloads.rows, pruned.is_whole) == (0, False)
    assert pruned.observations.rows == 0
    assert took_s < 10
    assert tale.prune(bodies=tale.clock()).payloads.rows == 2


def test_a_run_beside_a_prune_reads_every_project_and_the_books_balance(tale: Tale) -> None:
    tale.read(50, every=timedelta(hours=5))
    with ThreadPoolExecutor(1) as pool:
        pruning = pool.submit(tale.prune, bodies=tale.clock())
        tale.project.upload(images=2)
        tale.read(3)
        pruning.result(timeout=60)

    assert [row[0] for row in tale.observations()[-3:]] == ["changed", "unchanged", "unchanged"]
    assert tale.ask("SELECT * FROM analytics.invariant_violation") == []


def test_two_prunes_at_once_do_not_do_the_same_work(tale: Tale) -> None:
    tale.read(5)
    with connect(tale.uri) as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(4150212893700316882)"))

        with pytest.raises(StatementFailedError, match="another prune"):
            tale.prune()


_GROWN: Final = """
INSERT INTO ledger.run (trigger, started_at, leased_until, ended_at, outcome, host, version)
SELECT 'sync', at, at, at, 'completed', 'box', '1'
FROM generate_series(TIMESTAMPTZ '2024-03-01 00:00Z', '2024-05-30 00:00Z', '1 hour') AS at;
INSERT INTO ledger.observation (
    run_id, project_id, verdict, started_at, observed_at, previous_at, requests, batches, images, num_jobs,
    digest, is_settled, batches_entered, batches_changed, batches_renamed, batches_left, batches_returned,
    images_delta, num_jobs_delta, jobs_verdict, jobs_at, jobs_previous_at, jobs_digest, jobs_settled, jobs,
    job_images, annotated, approved, rejected
)
SELECT
    run.run_id, project.project_id, 'unchanged', at, at, greatest(first.observed_at, at - INTERVAL '1 hour'),
    2, project.batches, project.images, project.num_jobs, project.digest, TRUE, 0, 0, 0, 0, 0, 0, 0,
    'unchanged', at + INTERVAL '1 second', greatest(first.jobs_at, at - INTERVAL '3599 s'),
    project.jobs_digest, TRUE, project.jobs, project.job_images, project.annotated, project.approved,
    project.rejected
FROM ledger.run CROSS JOIN LATERAL (SELECT run.started_at AS at) AS one
CROSS JOIN ledger.project INNER JOIN ledger.observation AS first USING (project_id)
WHERE at >= '2024-03-01 00:00Z'
ORDER BY run.run_id
"""


def test_a_prune_that_is_killed_leaves_all_answers_as_they_were(database: str) -> None:
    world, clock = a_world(projects=6, batches=2), FakeClock()
    connections = engine(database)
    a_run(PostgresLedger(connections, host="here", version="test"), [WorldSource(world, clock)], clock)
    connections.dispose()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_GROWN)
        start = datetime(2024, 4, 30, tzinfo=UTC)
        instants, until = moments(start + nth * timedelta(hours=7) for nth in range(4)), start
        before = answers(connection, instants, until)
        kills = 0
        for wait_s in (0.0, 0.03):
            kills += _killed_while_it_folds(database, connection, wait_s)
            assert_no_worse(answers(connection, instants, until), before)
        with connect(database) as pruner:
            old = horizons(RetentionSettings(), datetime.now(UTC))
            rest = preview(pruner, old)
            pruned = prune(pruner, LIMITS, old, now=datetime.now(UTC))
            assert (pruned.observations.rows, pruned.runs.rows) == (rest.observations.rows, rest.runs.rows)

        assert_no_worse(answers(connection, instants, until), before)
        # A day at its start is one reading, but for the day of the first run.
        rows = connection.execute("SELECT count(*) FROM ledger.observation").fetchone()
    assert kills
    assert rows == (6 * (1 + 91),)


def _killed_while_it_folds(uri: str, connection: psycopg.Connection, wait_s: float) -> bool:
    """Start the command, kill it while it is at work, and say whether it was."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BATCHLEDGER_")}
    environ = {**ours, "DATABASE_URL": uri, "BATCHLEDGER_RETENTION__PAYLOADS": "31d"}
    spans = _spans(connection)
    process = subprocess.Popen([sys.executable, "-m", "etl", "prune"], env=environ, stdout=subprocess.DEVNULL)
    try:
        _wait_until(lambda: _spans(connection) > spans or process.poll() is not None)
        time.sleep(wait_s)
    finally:
        process.send_signal(signal.SIGKILL)
    return process.wait(30) == -signal.SIGKILL


def _spans(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM ledger.observation WHERE span_from IS NOT NULL").fetchone()
    return row[0] if row else 0


# The command, the daemon, and the roles


def test_the_command_says_what_it_would_do_and_then_does_it(
    tale: Tale, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        tale.project.upload(images=2)
        tale.read(4)
    environ = {"DATABASE_URL": tale.uri, "BATCHLEDGER_RETENTION__PAYLOADS": "100d"}

    capsys.readouterr()
    said = {}
    for arguments in (["prune", "--dry-run", "--json"], ["prune", "--json"]):
        assert main(arguments, environ) == 0
        said[arguments[1]] = json.loads(capsys.readouterr().out)
    assert main(["prune"], environ) == 0

    would, did = said["--dry-run"], said["--json"]
    assert (would["is_dry"], did["is_dry"], did["is_whole"]) == (True, False, True)
    whats = ("observations", "runs", "ticks", "payloads", "rejects")
    for told in (would, did):
        assert [told[what]["rows"] for what in whats] == [6, 6, 0, 2, 0]
    assert did["payloads"]["bytes"] > 0
    assert "observations folded" in capsys.readouterr().out


def test_a_reader_is_told_that_it_may_not(tale: Tale) -> None:
    with pytest.raises(SettingsError, match="permission denied"), connect(as_reader(tale.uri)) as connection:
        prune(connection, LIMITS, Horizons(tale.clock(), None), now=tale.clock())


def test_a_daemon_prunes_when_it_is_time_and_no_sooner(tale: Tale) -> None:
    now_s = [100.0]
    settings = RetentionSettings(every="1d")  # type: ignore[arg-type]
    upkeep = Upkeep(tale.uri, LIMITS, settings, clock=tale.clock, monotonic=lambda: now_s[0])
    folded = []
    for later_s in (0, 60, 86_400):
        tale.read(3)
        tale.clock.at += timedelta(days=40)
        now_s[0] += later_s
        upkeep(lambda: False)
        folded.append(tale.ask("SELECT count(*) FROM ledger.observation WHERE span_count > 1")[0][0])

    assert folded == [1, 1, 3]


def test_a_daemon_goes_on_with_what_it_had_no_time_for(tale: Tale) -> None:
    tale.read(3)
    tale.clock.at += timedelta(days=40)
    upkeep = Upkeep(tale.uri, LIMITS, RetentionSettings(), clock=tale.clock)

    upkeep(lambda: True)
    assert len(tale.observations()) == 3
    upkeep(lambda: False)

    assert len(tale.observations()) == 2


def test_a_daemon_that_is_not_to_prune_does_not(tale: Tale) -> None:
    tale.read(3)
    tale.clock.at += timedelta(days=40)

    Upkeep(tale.uri, LIMITS, RetentionSettings(every="0s"), clock=tale.clock)(lambda: False)  # type: ignore[arg-type]

    assert len(tale.observations()) == 3


def test_a_prune_that_fails_is_said_and_harms_nobody(tale: Tale) -> None:
    nowhere = Upkeep("postgresql://nobody@127.0.0.1:1/none", LIMITS, RetentionSettings(), clock=tale.clock)

    with capture_logs() as logs:
        nowhere(lambda: False)

    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("prune failed; it is tried again", "warning")
    ]
