"""The source in memory that tests of the ledger read answers as the real client before the simulated API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl.client import ApiKey, RoboflowSource, SourceOptions
from etl.errors import SourceError
from etl.records import Answer, Slug
from etl.simulator.faults import Fault
from etl.simulator.server import ServerSettings, Simulator
from etl.simulator.world import World
from tests.worlds import FakeClock, WorldSource, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.ports import Source

SLUG = Slug("acme", "cars")
FIRST = next(iter(World.seeded().project("acme/cars").batches))
FIRST_JOB = next(iter(World.seeded().project("acme/cars").jobs))

CALLS: dict[str, Callable[[Source], Answer]] = {
    "root": lambda source: source.root(until=soon()),
    "workspace": lambda source: source.workspace("acme", until=soon()),
    "another workspace": lambda source: source.workspace("globex", until=soon()),
    "batches": lambda source: source.batches(SLUG, etag=None, until=soon()),
    "batches again": lambda source: source.batches(
        SLUG, etag=source.batches(SLUG, etag=None, until=soon()).etag, until=soon()
    ),
    "batches of nothing": lambda source: source.batches(Slug("acme", "none"), etag=None, until=soon()),
    "batch": lambda source: source.batch(SLUG, FIRST, until=soon()),
    "no batch": lambda source: source.batch(SLUG, "none", until=soon()),
    "jobs": lambda source: source.jobs(SLUG, etag=None, until=soon()),
    "jobs again": lambda source: source.jobs(
        SLUG, etag=source.jobs(SLUG, etag=None, until=soon()).etag, until=soon()
    ),
    "jobs of nothing": lambda source: source.jobs(Slug("acme", "none"), etag=None, until=soon()),
    "job": lambda source: source.job(SLUG, FIRST_JOB, until=soon()),
    "no job": lambda source: source.job(SLUG, "none", until=soon()),
}
FAULTS = {
    "none": None,
    "server error": Fault.status(500),
    "wrong key": Fault.status(401),
    "paused": Fault.status(402),
    "missing scope": Fault.status(403, '{"error": {"message": "no", "type": "GraphMethodException"}}'),
    "html": Fault.html(200),
    "empty": Fault.empty_list(),
    "without": Fault.without(FIRST),
    "reset": Fault.reset(),
    "truncated": Fault.truncated(),
}


def outcome(call: Callable[[Source], Answer], source: Source) -> object:
    try:
        answer = call(source)
    except SourceError as error:
        return (type(error).__name__, error.http_status, error.requests)
    return (answer.http_status, answer.body, answer.etag, answer.requests)


@pytest.mark.parametrize("has_etags", [False, True], ids=["plain", "etags"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_source_in_memory_answers_as_the_client_does(fault: str, *, has_etags: bool) -> None:
    here = WorldSource(World.seeded(), FakeClock(), has_etags=has_etags)
    with Simulator(World.seeded(), ServerSettings(has_etags=has_etags)) as sim:
        there = RoboflowSource(
            SourceOptions(base_url=sim.url, attempts=1, requests_per_s=0), ApiKey(sim.keys["acme"])
        )
        for name, call in CALLS.items():
            for faults in (here.faults, sim.faults):
                faults.clear()
                if chosen := FAULTS[fault]:
                    faults.add(chosen, times=None)
            assert outcome(call, here) == outcome(call, there), name
        there.close()
