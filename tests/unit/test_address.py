"""Which addresses of a database are accepted, and what libpq gets of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine

from etl.address import engine_url
from etl.config import load
from tests.unit.written import CANARY, faults

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("uri", "params"),
    [
        (
            "postgresql://u:p%40ss@h:5433/d",
            {"user": "u", "password": "p@ss", "host": "h", "port": "5433", "dbname": "d"},
        ),
        ("postgres://h/d?sslmode=require", {"host": "h", "dbname": "d", "sslmode": "require"}),
        ("postgresql:///d?host=/run/postgresql", {"host": "/run/postgresql", "dbname": "d"}),
        ("postgresql://%2Frun%2Fpostgresql/d", {"host": "/run/postgresql", "dbname": "d"}),
        ("postgresql://[::1]:5433/d", {"host": "::1", "port": "5433", "dbname": "d"}),
        ("postgresql://a:1,b:2/d", {"host": "a,b", "port": "1,2", "dbname": "d"}),
        ("postgresql:///d?host=a,b&port=5433", {"host": "a,b", "port": "5433,5433", "dbname": "d"}),
        ("postgresql://", {}),
    ],
)
def test_libpq_gets_the_address_as_it_was_written(tmp_path: Path, uri: str, params: dict[str, str]) -> None:
    url = load({"DATABASE_URL": uri}, tmp_path).database.url
    assert url is not None
    engine = create_engine(engine_url(url.get_secret_value()))
    _, arguments = engine.dialect.create_connect_args(engine.url)
    del arguments["context"]
    assert arguments == params


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("mysql://h/d", "must begin with postgresql:// or postgres://"),
        ("postgresql+psycopg://h/d", "must begin with postgresql:// or postgres://"),
        ("host=h dbname=d", "must begin with postgresql:// or postgres://"),
        ("postgresql://u:hunter2-canary%zz@h/d", "percent-encode"),
        ("postgresql://h/d?sslmod=require", "check the names of the parameters"),
        ("postgresql://u:p@h:hunter2-canary/d", "must have a number as its port"),
    ],
)
def test_an_address_that_is_none_of_postgres_is_a_fault(tmp_path: Path, uri: str, fault: str) -> None:
    (said,) = faults({"DATABASE_URL": uri}, tmp_path)
    assert said.startswith("DATABASE_URL: ")
    assert fault in said
    assert CANARY not in said
