"""The days of a project, as charts and tables show them."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec


class DayRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    One project and UTC day, as at its end; not `is_observed`: carried from the day before.

    What came in and went out is None on such a day, `annotated_work` also where the jobs were not read.
    """

    workspace: str
    project: str
    day: date
    batches: int
    images: int
    intake: int | None
    assigned: int | None
    annotated_work: int | None
    is_observed: bool


DAY_COLUMNS: Final = """
    workspace,
    project,
    day,
    batches,
    images,
    intake,
    assigned,
    annotated_work,
    is_observed
"""
"""The columns of such a row."""
