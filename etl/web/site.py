"""What the pages are made from: the ledger, the clock, the metrics, and the scheduler if there is one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from prometheus_client import CollectorRegistry

from etl.ports import Clock
from etl.web.reader import Reader


class Scheduler(msgspec.Struct, frozen=True):
    """
    What is asked of a scheduler.

    Args:
        is_going: Whether it takes its turns.
        next_tick_at: When the next run is due.
    """

    is_going: Callable[[], bool]
    next_tick_at: Callable[[], datetime]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the pages are made from.

    `scheduler` is None where somebody else makes the runs.
    """

    reader: Reader
    clock: Clock
    registry: CollectorRegistry
    scheduler: Scheduler | None = None
