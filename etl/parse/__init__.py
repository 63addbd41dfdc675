"""
Response bytes → records. Strict on what we use, tolerant of what we do not know.

Every record of a list is either parsed or rejected with a reason; a body that is not a documented shape
raises `PayloadError` and nothing of it is believed. Pure: no I/O, no clock.
"""

from __future__ import annotations

from etl.parse.batches import parse_batch, parse_batches
from etl.parse.directory import parse_root, parse_workspace
from etl.parse.failure import error_text, error_type
from etl.parse.jobs import parse_job, parse_jobs
from etl.parse.located import Located, locate_batch, locate_job
from etl.parse.record import MAX_COUNT
from etl.parse.times import parse_time

__all__ = [
    "MAX_COUNT",
    "Located",
    "error_text",
    "error_type",
    "locate_batch",
    "locate_job",
    "parse_batch",
    "parse_batches",
    "parse_job",
    "parse_jobs",
    "parse_root",
    "parse_time",
    "parse_workspace",
]
