"""What analysts rely on: the views of schema `analytics`, their columns and types. Columns may be added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from tests.logins import as_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import NewDatabase

pytestmark = pytest.mark.also_on_16

AT: Final = "timestamp with time zone"
PROMISED: Final = {
    "batch": {
        "workspace": "text",
        "project": "text",
        "batch_id": "text",
        "name": "text",
        "images": "integer",
        "num_jobs": "integer",
        "uploaded_at": AT,
        "first_seen_at": AT,
        "changed_at": AT,
        "last_seen_at": AT,
        "missing_since": AT,
        "gone_at": AT,
    },
    "batch_history": {
        "workspace": "text",
        "project": "text",
        "batch_id": "text",
        "name": "text",
        "images": "integer",
        "num_jobs": "integer",
        "valid_from": AT,
        "valid_to": AT,
        "changed_after": AT,
    },
    "batch_change": {
        "workspace": "text",
        "project": "text",
        "batch_id": "text",
        "kind": "text",
        "observed_at": AT,
        "changed_after": AT,
        "images": "integer",
        "images_delta": "integer",
        "num_jobs": "integer",
        "num_jobs_delta": "integer",
        "run_id": "bigint",
    },
    "project": {
        "workspace": "text",
        "project": "text",
        "name": "text",
        "type": "text",
        "batches": "integer",
        "images": "bigint",
        "num_jobs": "bigint",
        "last_observed_at": AT,
    },
    "project_daily": {
        "workspace": "text",
        "project": "text",
        "day": "date",
        "batches": "integer",
        "images": "bigint",
        "num_jobs": "bigint",
        "images_delta": "bigint",
        "num_jobs_delta": "bigint",
        "is_observed": "boolean",
    },
    "observation": {
        "run_id": "bigint",
        "workspace": "text",
        "project": "text",
        "observed_at": AT,
        "verdict": "text",
        "batches": "integer",
        "images": "bigint",
        "num_jobs": "bigint",
        "error": "text",
    },
    "gap": {
        "workspace": "text",
        "project": "text",
        "from_at": AT,
        "to_at": AT,
        "reason": "text",
        "reasons": "text[]",
        "is_promise_broken": "boolean",
    },
    "freshness": {
        "workspace": "text",
        "project": "text",
        "last_observed_at": AT,
        "age_s": "double precision",
        "max_age_s": "integer",
        "is_kept": "boolean",
        "kept_1d": "double precision",
        "kept_7d": "double precision",
        "kept_30d": "double precision",
    },
    "invariant_violation": {
        "invariant": "text",
        "workspace": "text",
        "project": "text",
        "detail": "text",
    },
}
AS_OF: Final = {
    "workspace": "text",
    "project": "text",
    "batch_id": "text",
    "name": "text",
    "images": "integer",
    "num_jobs": "integer",
    "uploaded_at": AT,
    "first_seen_at": AT,
    "changed_at": AT,
    "knowledge": "text",
    "observed_before": AT,
    "observed_after": AT,
}
CALLS: Final = {
    "batch_as_of(now())": AS_OF,
    "batch_as_of(now(), 'acme', 'cars')": AS_OF,
    "project_as_of(now())": {
        "workspace": "text",
        "project": "text",
        "batches": "integer",
        "images": "bigint",
        "num_jobs": "bigint",
        "knowledge": "text",
        "observed_before": AT,
        "observed_after": AT,
    },
    "batch_diff(now(), now(), NULL, NULL)": {
        "workspace": "text",
        "project": "text",
        "batch_id": "text",
        "name": "text",
        "change": "text",
        "images_before": "integer",
        "images_after": "integer",
        "images_delta": "integer",
        "num_jobs_before": "integer",
        "num_jobs_after": "integer",
        "num_jobs_delta": "integer",
        "knowledge_before": "text",
        "knowledge_after": "text",
    },
}
_COLUMNS: Final = """
    SELECT attname, format_type(atttypid, NULL)
    FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0
"""


@pytest.fixture(scope="module")
def connection(new_database: NewDatabase) -> Iterator[psycopg.Connection]:
    with new_database() as uri, psycopg.connect(as_reader(uri)) as opened:
        yield opened


@pytest.mark.parametrize("view", PROMISED)
def test_a_view_has_the_columns_that_are_promised(connection: psycopg.Connection, view: str) -> None:
    columns: dict[str, str] = dict(connection.execute(_COLUMNS, (f"analytics.{view}",)))
    assert PROMISED[view].items() <= columns.items()


@pytest.mark.parametrize("call", CALLS)
def test_the_past_has_the_columns_that_are_promised(connection: psycopg.Connection, call: str) -> None:
    connection.execute(f"CREATE TEMPORARY VIEW past AS SELECT * FROM analytics.{call}".encode())
    columns: dict[str, str] = dict(connection.execute(_COLUMNS, ("past",)))
    connection.rollback()
    assert CALLS[call].items() <= columns.items()


def test_nothing_else_is_in_the_schema(connection: psycopg.Connection) -> None:
    """What is there is promised, so that nobody comes to rely on what is not."""
    names = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'analytics'::regnamespace "
        "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'analytics'::regnamespace"
    )
    functions = {call.partition("(")[0] for call in CALLS}
    assert {name for (name,) in names} == {*PROMISED, *functions}
