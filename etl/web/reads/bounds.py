"""How much pages show: so many rows of each table, and so many characters of what the source says."""

from __future__ import annotations

from typing import Final

PROJECTS: Final = 50
BATCHES: Final = 100
CHANGES: Final = 200
JOBS: Final = 100
RUNS: Final = 15
GAPS: Final = 20
ATTENTION: Final = 50
HOLES: Final = 500
"""Rows of each table at most. What is more has a page of its own, or is said to be left out."""

TREND_DAYS: Final = 30
"""Days of the small charts beside each project."""

NAME: Final = 160
"""Characters of a name that are shown. The source sets no limit to it, and a page must stay one."""

LONGEST: Final = 300
"""Characters that are read of what else is told of a project, such as an error."""
