"""A thousand ticks in a storm of sleeps, hangs, deaths and losses: each is run, or noted with its reason."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest
from structlog.testing import capture_logs

from etl.settings import ScheduleSettings
from tests.fault.harness import drawn
from tests.fault.hosts import Host, MemoryBook, PostgresBook, Storm, account, doubled, lost

if TYPE_CHECKING:
    from tests.fault.hosts import Book
    from tests.fault.recorder import Case, Faults

NOON: Final = datetime(2024, 2, 3, 12, 0, tzinfo=UTC)
EVERY: Final = timedelta(minutes=15)
TICKS: Final = 1000
CALM: Final = 12


@pytest.mark.parametrize("hosts", [1, 2])
def test_no_tick_is_lost_and_none_is_run_twice(faults: Faults, fault_seed: int, hosts: int) -> None:
    with faults(f"scheduler: tick in a storm, {hosts} daemon{'s' * (hosts - 1)}") as case:
        weather(case, MemoryBook(), fault_seed, hosts)


@pytest.mark.long
@pytest.mark.parametrize("hosts", [1, 2])
def test_the_ledger_keeps_the_same_account(database: str, faults: Faults, hosts: int) -> None:
    names = [f"host-{number}" for number in range(hosts)]
    with (
        faults("scheduler: tick in a storm, on a real ledger") as case,
        closing(PostgresBook(database, names)) as book,
    ):
        weather(case, book, 1, hosts)


def weather(case: Case, book: Book, seed: int, hosts: int) -> None:
    settings = ScheduleSettings(every=EVERY, jitter_s=60)
    storm = Storm(NOON, book, drawn(seed))
    for number in range(hosts):
        Host(storm, f"host-{number}", settings)
    with capture_logs():
        storm.until(NOON + TICKS * EVERY)
        storm.rng = None  # Who sleeps or is down wakes up, and notes what was missed.
        storm.until(NOON + (TICKS + CALM) * EVERY)
    ticks = account(storm, settings, NOON)
    case.tried = len(ticks)
    assert len(ticks) >= TICKS
    assert lost(storm, ticks) == []
    assert doubled(ticks) == []
