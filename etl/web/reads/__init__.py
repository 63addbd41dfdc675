"""What the pages read: views of schema `analytics`, in pages of a bounded size, long names cut."""

from __future__ import annotations

from etl.web.reads.batch import BatchPage, batch_page
from etl.web.reads.bounds import ATTENTION, BATCHES, GAPS, JOBS, NAME, PROJECTS, RUNS, TREND_DAYS
from etl.web.reads.days import DayRow, Seen
from etl.web.reads.first import overview
from etl.web.reads.project import project_page
from etl.web.reads.schema import revision

__all__ = [
    "ATTENTION",
    "BATCHES",
    "GAPS",
    "JOBS",
    "NAME",
    "PROJECTS",
    "RUNS",
    "TREND_DAYS",
    "BatchPage",
    "DayRow",
    "Seen",
    "batch_page",
    "overview",
    "project_page",
    "revision",
]
