"""The tables of schema `ledger`: names, types, constraints, comments. Users read schema `analytics`."""

from __future__ import annotations

# Each of them adds its tables to the metadata.
from etl.tables import batches, evidence, jobs, observations, projects, runs
from etl.tables.schema import SCHEMA, metadata

__all__ = ["SCHEMA", "batches", "evidence", "jobs", "metadata", "observations", "projects", "runs"]
