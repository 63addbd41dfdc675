"""What tests of the status page share: a ledger with a story, its pages as the reader, a real browser."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from playwright.sync_api import sync_playwright

from etl.commands.assembly import utc_now
from etl.database import engine
from etl.selection import Promise
from etl.settings import DatabaseSettings, WebSettings
from etl.simulator.faults import Fault
from etl.simulator.world import World
from etl.store import PostgresLedger
from etl.web.metrics import LedgerMetrics, registry
from etl.web.reader import Reader
from etl.web.serving import address, listen, serving
from etl.web.site import Scheduler, Site
from tests.logins import as_reader
from tests.worlds import FakeClock, WorldSource, a_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.conftest import NewDatabase

HOSTILE: Final = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "\"><svg onload=document.title='owned'> {{ 7*7 }} {% raw %}",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe \N{ARABIC LETTER ALEF}\N{ARABIC LETTER BEH} \N{RIGHT-TO-LEFT ISOLATE}",
    "\N{FAMILY}\N{VARIATION SELECTOR-16} \N{WAVING WHITE FLAG} e" + "\N{COMBINING ACUTE ACCENT}" * 90,
    "https://example.org/\u2028\u0007 tab\there",
    "m" * 1_000_000,
)
"""Names that a batch may have, since the source sets no limits to them."""


class Pages:
    """Pages that are being served, and the ledger under them."""

    def __init__(self, url: str, uri: str) -> None:
        self.url = url
        self.uri = uri

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the ledger itself, as the reader."""
        with psycopg.connect(as_reader(self.uri)) as connection:
            return connection.execute(query.encode(), values).fetchall()


@contextmanager
def pages_of(
    uri: str,
    *,
    settings: WebSettings | None = None,
    scheduler: Scheduler | None = None,
    connect_timeout_s: int = 2,
) -> Iterator[Pages]:
    """Serve the pages over a database, for the role that may only read."""
    chosen = settings or WebSettings(port=0)
    reader = Reader(as_reader(uri), DatabaseSettings(connect_timeout_s=connect_timeout_s))
    site = Site(reader=reader, clock=utc_now, registry=registry(), scheduler=scheduler)
    site.registry.register(LedgerMetrics(reader))
    listener = listen(chosen)
    with serving(site, chosen, listener):
        yield Pages(address(listener), uri)


@pytest.fixture(scope="module")
def pages(new_database: NewDatabase) -> Iterator[Pages]:
    """
    Serve a ledger of three projects and twenty days, six of them unobserved.

    Project cars has batches of hostile names, and its last list was empty; drones could not be read the last
    time; helmets is well.
    """
    with new_database() as uri:
        _tell(uri)
        with pages_of(uri) as served:
            yield served


def _tell(uri: str) -> None:
    start = datetime.now(UTC) - timedelta(days=20)
    world, clock = World.seeded(5, projects=3, batches_per_project=8, start=start), FakeClock(start)
    source, connections = WorldSource(world, clock), engine(uri)
    ledger = PostgresLedger(connections, host="here", version="test")
    promise = Promise(3 * 3600)
    for name in HOSTILE:
        world.project("acme/cars").upload(images=7, name=name, at=start)
    for day in range(20):
        clock.at = start + timedelta(days=day, hours=3)
        world.step(clock.at, events=6)
        if day not in range(8, 14):
            a_run(ledger, [source], clock, promise=promise)
    clock.at = datetime.now(UTC) - timedelta(minutes=20)
    source.faults.add(Fault.status(500), path="/acme/drones/batches")
    source.faults.add(Fault.literal('{"batches": []}'), path="/acme/cars/batches")
    a_run(ledger, [source], clock, promise=promise)
    connections.dispose()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium, Debian's or whoever's is there."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "these tests need Chromium: apt install chromium"
    with sync_playwright() as playwright:
        # CI and containers are root, for whom its sandbox is not to be had; it sees pages of ours alone.
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()
