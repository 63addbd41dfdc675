"""The days of a project, as charts and tables show them."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Final

import msgspec


class Seen(StrEnum):
    """What was seen on a day, in the words of the pages."""

    TRUSTED = "yes"
    IN_PART = "not trusted, but for what was new"
    NOTHING = "no, carried from before"


class DayRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    One project and UTC day, as at its end; not `is_observed`: nothing that was seen on it is trusted.

    Such a day is carried from the day before, and what came in and went out is None, unless a suspect answer
    showed something: that is believed in part, and has moved the numbers. `annotated_work` is None where the
    jobs were not read.
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

    @property
    def seen(self) -> Seen:
        """What was seen on the day."""
        if self.is_observed:
            return Seen.TRUSTED
        return Seen.NOTHING if self.intake is None else Seen.IN_PART

    @property
    def is_known(self) -> bool:
        """Whether the numbers are those of the day itself, and not of one before."""
        return self.seen is not Seen.NOTHING


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
