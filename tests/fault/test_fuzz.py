"""Any body at all: an error of ours, or every record accounted for and storable; and a ledger that holds."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg

from etl.errors import PayloadError
from etl.parse import (
    error_text,
    error_type,
    locate_batch,
    parse_batch,
    parse_batches,
    parse_job,
    parse_jobs,
    parse_root,
    parse_workspace,
)
from etl.parse.people import People, PeoplePolicy, scrubbed
from etl.simulator.faults import Fault
from tests.fault.bodies import ADDRESS, a_body, a_body_of_jobs
from tests.fault.harness import drawn
from tests.property.test_parse import (
    assert_accounts_for,
    assert_batch_is_storable,
    assert_reject_is_storable,
    is_storable,
)
from tests.property.test_parse_jobs import assert_job_is_storable
from tests.worlds import FakeClock, WorldSource, a_run, a_world

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from etl.store import PostgresLedger
    from tests.fault.recorder import Faults

BODIES: Final = 500
"""Bodies of one seed: six seeds make thousands, two hundred a hundred thousand."""

RUNS: Final = 10
"""Runs of one seed over a real ledger, each of which meets another body."""

SHALLOW: Final = 400
"""Brackets that every parser gets through; two may give up at different depths beyond."""

LEVELS: Final = 101
"""Deepest nesting that is stored: that of a field, and the object around it."""

DIGITS: Final = 100
"""Longest number that the comparison reads as one."""

OTHERS: Final = 1_000_000
"""Where the seeds of the other parsers' bodies begin."""

JOBS: Final = 2_000_000
"""Where those of bodies of jobs begin."""

LIST: Final = "/acme/cars/batches"
LIST_OF_JOBS: Final = "/acme/cars/jobs"
PSEUDONYMS: Final = People(PeoplePolicy.PSEUDONYM, b"secret")


def every_body(
    random: Random, check: Callable[[bytes], str], make: Callable[[Random], bytes] = a_body
) -> Counter[str]:
    """Check so many bodies; one that fails is shown, and the seed of its test makes it again."""
    outcomes = Counter[str]()
    for number in range(BODIES):
        body = make(random)
        try:
            outcomes[check(body)] += 1
        except Exception as error:
            raise AssertionError(f"body {number}: {body[:2_000]!r}") from error
    return outcomes


def records_of(body: bytes, many: str = "batches") -> list[Any] | None:
    """Read the records of a list with a parser that lets anything pass; None where there is no list."""
    try:
        text = body.decode("utf-8-sig", "surrogateescape")
        whole = json.loads(text, strict=False, parse_int=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return None
    records = whole.get(many) if isinstance(whole, dict) else whole
    return records if isinstance(records, list) else None


def _number(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() and len(text) <= DIGITS else text


def has_records(body: bytes, many: str = "batches") -> bool:
    """Say whether a body is a list of records by a parser that lets nothing pass."""
    try:
        whole = json.loads(body.decode("utf-8-sig"), parse_float=str, parse_constant=int)
    except (ValueError, RecursionError):
        return False
    is_refused = isinstance(whole, dict) and ("error" in whole or not isinstance(whole.get(many), list))
    return (
        isinstance(whole, (list, dict)) and not is_refused and body.count(b"[") + body.count(b"{") < SHALLOW
    )


def assert_holds(body: bytes) -> str:
    """See that a body is read wholly or not at all; return what became of it."""
    try:
        snapshot = parse_batches(body)
    except PayloadError:
        assert not has_records(body)
        return "refused"
    records = records_of(body) or []
    assert_accounts_for(snapshot, len(records))
    for batch in snapshot.records:
        assert_batch_is_storable(batch)
        assert depth_of(json.loads(batch.extra or "{}")) <= LEVELS
    for reject in snapshot.rejects:
        assert_reject_is_storable(reject)
    rejected = {reject.position for reject in snapshot.rejects}
    kept = [record for at, record in enumerate(records) if at not in rejected]
    sent = [(one["id"], one["images"], one.get("name"), one.get("numJobs")) for one in kept]
    told = [(one.batch_id, one.images, one.name, one.num_jobs) for one in snapshot.records]
    assert sent == told
    for batch_id in snapshot.present:
        assert_is_located(body, batch_id)
    return "rejects" if snapshot.rejects else "read"


def assert_jobs_hold(body: bytes) -> str:
    """See that a body of jobs loses its people and nothing else, and is then read wholly or not at all."""
    pseudonymous, left = scrubbed(body, PSEUDONYMS), scrubbed(body, People())
    assert ADDRESS not in left
    assert ADDRESS not in pseudonymous
    assert scrubbed(left, People()) == left
    with suppress(PayloadError):
        assert_job_is_storable(parse_job(left, "a"))
    try:
        snapshot = parse_jobs(left)
    except PayloadError:
        assert not has_records(body, "jobs")
        return "refused"
    records = records_of(left, "jobs") or []
    assert_accounts_for(snapshot, len(records))
    assert not has_records(body, "jobs") or len(records) == len(records_of(body, "jobs") or [])
    for job in snapshot.records:
        assert_job_is_storable(job)
    for reject in snapshot.rejects:
        assert_reject_is_storable(reject)
    rejected = {reject.position for reject in snapshot.rejects}
    kept = [record for at, record in enumerate(records) if at not in rejected]
    sent = [(one["id"], one["numImages"], one.get("annotated"), one.get("status")) for one in kept]
    assert sent == [(one.job_id, one.images, one.annotated, one.status) for one in snapshot.records]
    return "rejects" if snapshot.rejects else "read"


def assert_is_located(body: bytes, batch_id: str) -> None:
    located = locate_batch(body, batch_id)
    assert located is not None
    assert body[located.offset :].startswith(located.raw)
    assert located.position is not None
    assert 0 <= located.position < (located.count or 0)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def assert_the_others_hold(body: bytes) -> str:
    """See that the other parsers give what can be stored, or an error of ours."""
    with suppress(PayloadError):
        parse_root(body)
    with suppress(PayloadError):
        parse_workspace(body, "acme")
    with suppress(PayloadError):
        locate_batch(body, "a")
    assert is_storable(error_text(body))
    assert is_storable(error_type(body))
    try:
        assert_batch_is_storable(parse_batch(body, "a"))
    except PayloadError:
        return "refused"
    return "read"


def test_no_body_brings_the_parser_down_or_lets_a_record_vanish(faults: Faults, fault_seed: int) -> None:
    with faults(f"source: {BODIES} mutated bodies"):
        outcomes = every_body(drawn(fault_seed), assert_holds)
    assert min(outcomes[one] for one in ("refused", "rejects", "read")) > BODIES // 20


def test_no_body_brings_the_other_parsers_down(faults: Faults, fault_seed: int) -> None:
    with faults(f"source: {BODIES} mutated answers of other kinds"):
        assert every_body(drawn(OTHERS + fault_seed), assert_the_others_hold)["read"] > 0


def test_no_body_of_jobs_brings_the_parser_down_or_tells_of_a_person(faults: Faults, fault_seed: int) -> None:
    with faults(f"source: {BODIES} mutated bodies of jobs"):
        outcomes = every_body(drawn(JOBS + fault_seed), assert_jobs_hold, a_body_of_jobs)
    assert min(outcomes[one] for one in ("refused", "rejects", "read")) > BODIES // 25


def test_no_body_brings_a_ledger_out_of_the_truth(
    ledger: PostgresLedger, database: str, faults: Faults, fault_seed: int
) -> None:
    random, world, clock = drawn(fault_seed), a_world(), FakeClock()
    project = world.project("acme/cars")
    source = WorldSource(world, clock)
    with faults(f"source: a run, {RUNS} mutated bodies"):
        a_run(ledger, [source], clock)
        for _ in range(RUNS):
            world.change(0.3)
            project.annotate(next(job.id for job in project.jobs.values() if job.unannotated), images=1)
            source.faults.add(Fault.literal(a_body(random, list(project.batches))), path=LIST)
            source.faults.add(Fault.literal(a_body_of_jobs(random, list(project.jobs))), path=LIST_OF_JOBS)
            a_run(ledger, [source], clock)
            clock.move(minutes=20)
        source.faults.clear()
        assert {report.verdict.is_trusted for report in a_run(ledger, [source], clock).projects} == {True}
        with psycopg.connect(database) as connection:
            assert rows(connection, "SELECT * FROM analytics.invariant_violation") == []
            errors = rows(connection, "SELECT error_class FROM ledger.observation")
            errors += rows(connection, "SELECT jobs_error_class FROM ledger.observation")
            there = rows(connection, "SELECT batch_id, images FROM analytics.batch WHERE gone_at IS NULL")
            jobs = rows(connection, "SELECT job_id, annotated FROM analytics.job WHERE gone_at IS NULL")
    assert {error for (error,) in errors} <= {None, "PayloadError"}
    assert dict(there) == {batch.id: batch.images for batch in project.batches.values()}
    assert dict(jobs) == {job.id: job.annotated for job in project.jobs.values()}


def rows(connection: psycopg.Connection, query: LiteralString) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
