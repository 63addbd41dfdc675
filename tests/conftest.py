"""What every test shares: a Postgres with a migrated database for each test, and how hard properties try."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from psycopg import sql

from etl.database import connect, engine, migrate
from etl.embedded import server
from etl.roles import Roles, grant
from etl.store import PostgresLedger
from tests.logins import LOGINS, OWNER, as_owner, as_superuser, as_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    NewDatabase = Callable[[], AbstractContextManager[str]]

# A shell that starts us in the background has us ignore an interrupt, and so would all that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ("tests.fault.recorder", "tests.web.recorder")

# Properties try as many examples as HYPOTHESIS_PROFILE says: quick, many, mutants.

settings.register_profile("quick", max_examples=40, deadline=None, database=None, derandomize=True)
settings.register_profile(
    "many",
    max_examples=5_000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# A mutant is as dead by a long counterexample as by the shortest one.
settings.register_profile(
    "mutants", settings.get_profile("quick"), phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


# Postgres. One server a version, shared by all workers; a migrated template; a copy of it for each test.
# The owner migrates, and all else is done as the writer, as it should be in earnest. A test that needs more
# says so, with `tests.logins`.

HOMES: Final = "BATCHLEDGER_TEST_HOMES"
TEMPLATE: Final = "migrated"
_LOCK: Final = 1
SETTINGS: Final = {
    "fsync": "off",
    "max_connections": "200",
    # A test that counts what was written must not count what a worker of the server did meanwhile.
    "autovacuum": "off",
}
_numbers = count()


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the servers once, before the workers, who inherit its name."""
    config.addinivalue_line("markers", "also_on_16: run on Postgres 16 as well as on 18.")
    if HOMES not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="batchledger-test-postgres-"))
        folder.chmod(0o711)
        os.environ[HOMES] = str(folder)
        config.add_cleanup(lambda: _forget(folder))


def _forget(folder: Path) -> None:
    del os.environ[HOMES]
    shutil.rmtree(folder)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on Postgres 18, and on 16 as well where its marker says so."""
    if "postgres_version" in metafunc.fixturenames:
        is_also_on_16 = metafunc.definition.get_closest_marker("also_on_16") is not None
        metafunc.parametrize("postgres_version", (18, 16) if is_also_on_16 else (18,), scope="session")


@pytest.fixture(scope="session")
def postgres(postgres_version: int) -> Iterator[str]:
    """Give the URI of a server's own database; no test writes there."""
    with server(
        Path(os.environ[HOMES], f"{postgres_version}"), version=postgres_version, settings=SETTINGS
    ) as uri:
        yield uri


@pytest.fixture
def quiet_database() -> Iterator[str]:
    """Give the URI of a migrated database on a server of its own, where nobody else writes."""
    home = Path(os.environ[HOMES], f"quiet-{os.getpid()}-{next(_numbers)}")
    with server(home, settings=SETTINGS) as uri:
        with psycopg.connect(uri, autocommit=True) as connection:
            _make_logins(connection)
            _execute(connection, "ALTER DATABASE batchledger OWNER TO {}", OWNER)
        _populate(uri)
        yield as_writer(uri)


@pytest.fixture(scope="session")
def new_database(postgres: str) -> NewDatabase:
    """Give a way to make a migrated database of one's own, for as long as a block lasts."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        _make_template(connection, postgres)
    return lambda: _copy(as_writer(postgres), TEMPLATE)


@pytest.fixture
def database(new_database: NewDatabase) -> Iterator[str]:
    """Give the URI of a migrated database of this test's own, for the role that writes it."""
    with new_database() as uri:
        yield uri


@pytest.fixture
def empty_database(
    postgres: str,
    new_database: NewDatabase,  # noqa: ARG001 - It makes the roles.
) -> Iterator[str]:
    """Give the URI of a database of this test's own that was never migrated, for the role that owns it."""
    with _copy(as_owner(postgres), "template0") as uri:
        yield uri


@pytest.fixture
def ledger(database: str) -> Iterator[PostgresLedger]:
    """Give the ledger in this test's database."""
    connections = engine(database)
    yield PostgresLedger(connections, host=socket.gethostname(), version="test")
    connections.dispose()


def _make_template(connection: psycopg.Connection, postgres: str) -> None:
    """Migrate once. Until it is whole it has another name."""
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (TEMPLATE,)).fetchone()
    if found:
        return
    _make_logins(connection)
    _execute(connection, "CREATE DATABASE unfinished OWNER {}", OWNER)
    _populate(_named(postgres, "unfinished"))
    _execute(connection, "ALTER DATABASE unfinished RENAME TO {}", TEMPLATE)


def _make_logins(connection: psycopg.Connection) -> None:
    """Make the roles that log in; what they may do, the owner says in each database."""
    _execute(connection, "CREATE ROLE {} LOGIN CREATEROLE", OWNER)
    for group, login in LOGINS.items():
        _execute(connection, "CREATE ROLE {} NOLOGIN", group)
        _execute(connection, "CREATE ROLE {} LOGIN IN ROLE {}", login, group)


def _populate(uri: str) -> None:
    with connect(as_owner(uri)) as target:
        migrate(target)
        grant(target, Roles())


@contextmanager
def _copy(server: str, template: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(as_superuser(server), autocommit=True) as connection:
        _execute(connection, "CREATE DATABASE {} TEMPLATE {} OWNER {}", name, template, OWNER)
    try:
        yield _named(server, name)
    finally:
        with psycopg.connect(as_superuser(server), autocommit=True) as connection:
            _execute(connection, "DROP DATABASE {} WITH (FORCE)", name)


def _execute(connection: psycopg.Connection, statement: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _named(uri: str, database: str) -> str:
    return uri.replace("/batchledger?", f"/{database}?", 1)
