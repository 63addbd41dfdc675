"""Roles: the owner migrates, the writer writes rows, the reader sees `analytics`, and others nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from etl.database import connect, migrate, migration_sql
from etl.errors import SettingsError
from etl.roles import Roles, grant, lacking, named, roles_sql
from tests.logins import OWNER, READER, WRITER, as_owner, as_reader, as_superuser, as_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import NewDatabase

pytestmark = pytest.mark.also_on_16

REPOSITORY: Final = Path(__file__).parents[2]
ROWS: Final = {"SELECT", "INSERT", "UPDATE", "DELETE"}
FEWER: Final = {
    "alembic_version": {"SELECT"},
    "batch_change": {"SELECT", "INSERT"},
    "job_change": {"SELECT", "INSERT"},
    "batch": ROWS - {"DELETE"},
    "job": ROWS - {"DELETE"},
    "project": ROWS - {"DELETE"},
    "project_day": ROWS - {"DELETE"},
}
"""What the writer may do with tables that are more than rows to come and go."""

PRIVILEGES: Final = """
    SELECT nspname, relname, relkind::text, ARRAY(
        SELECT privilege
        FROM unnest(ARRAY[
            'SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'
        ]) AS privilege
        WHERE has_table_privilege(%s, pg_class.oid, privilege)
    )
    FROM pg_class
    INNER JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname IN ('analytics', 'ledger') AND relkind IN ('r', 'p', 'v', 'S')
"""
FUNCTIONS: Final = """
    SELECT pg_proc.oid::regprocedure::text, has_function_privilege(%s, pg_proc.oid, 'EXECUTE'), prosecdef,
        proconfig
    FROM pg_proc
    WHERE pronamespace IN ('analytics'::regnamespace, 'ledger'::regnamespace)
    ORDER BY pg_proc.oid::regprocedure::text
"""
SCHEMAS: Final = """
    SELECT nspname
    FROM pg_namespace
    WHERE nspname IN ('analytics', 'ledger') AND has_schema_privilege(%s, oid, %s)
    ORDER BY nspname
"""
ACL: Final = """
    SELECT oid::regclass::text, relacl::text FROM pg_class
    WHERE relnamespace IN ('analytics'::regnamespace, 'ledger'::regnamespace)
    UNION ALL
    SELECT oid::regprocedure::text, proacl::text FROM pg_proc
    WHERE pronamespace IN ('analytics'::regnamespace, 'ledger'::regnamespace)
    UNION ALL
    SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname IN ('analytics', 'ledger')
    UNION ALL
    SELECT defaclnamespace::regnamespace || ' ' || defaclobjtype::text, defaclacl::text FROM pg_default_acl
    ORDER BY 1
"""
_numbers = count()


def ask(uri: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(uri) as connection:
        return connection.execute(query.encode(), values).fetchall()


def tell(uri: str, *statements: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def grants(uri: str) -> list[tuple[Any, ...]]:
    """Return who was granted what, in one order whatever the order of the grants."""
    return [(name, sorted((acl or "").strip("{}").split(","))) for name, acl in ask(as_owner(uri), ACL)]


@pytest.fixture(scope="module")
def shared(new_database: NewDatabase) -> Iterator[str]:
    """Give one database to all tests that leave it as it is."""
    with new_database() as uri:
        yield uri


@contextmanager
def roles_of_this_test(uri: str, *options: LiteralString) -> Iterator[list[str]]:
    """Give names that no other test uses, of roles with these options, else of two to come."""
    names = [f"test_{os.getpid()}_{next(_numbers)}" for _ in options or (1, 2)]
    with psycopg.connect(as_superuser(uri), autocommit=True) as connection:
        for name, option in zip(names, options, strict=False):
            connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(name), sql.SQL(option)))
        try:
            yield names
        finally:
            for name in names:
                _drop(connection, name)


def _drop(connection: psycopg.Connection, name: str) -> None:
    if connection.execute("SELECT to_regrole(%s)", (name,)).fetchone() != (None,):
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


# The writer


def test_the_writer_may_read_and_write_rows_and_nothing_else(shared: str) -> None:
    for schema, name, kind, privileges in ask(shared, PRIVILEGES, WRITER):
        rows = FEWER.get(name, ROWS) if schema == "ledger" else {"SELECT"}
        assert set(privileges) == (set() if kind == "S" else rows), name
    assert ask(shared, SCHEMAS, WRITER, "USAGE") == [("analytics",), ("ledger",)]
    assert ask(shared, SCHEMAS, WRITER, "CREATE") == []
    with connect(shared) as connection:
        assert lacking(connection) == ()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE ledger.more (id integer)",
        "CREATE VIEW analytics.more AS SELECT 1 AS one",
        "CREATE FUNCTION analytics.more() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA more",
        "CREATE TABLE public.more (id integer)",
        "CREATE INDEX ON ledger.batch (name)",
        "ALTER TABLE ledger.batch ADD COLUMN more integer",
        "DROP TABLE ledger.tick",
        "DROP VIEW analytics.gap",
        "TRUNCATE ledger.tick",
        "UPDATE ledger.alembic_version SET version_num = 'more'",
        "UPDATE ledger.batch_change SET images = 0",
        "DELETE FROM ledger.batch_change",
        "UPDATE ledger.job_change SET images = 0",
        "DELETE FROM ledger.job_change",
        "DELETE FROM ledger.batch",
        "CREATE ROLE more",
    ],
)
def test_the_writer_can_change_neither_the_schema_nor_history(shared: str, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        tell(shared, statement)


# The reader


def test_the_reader_may_read_every_view_and_call_every_function_of_analytics(shared: str) -> None:
    with psycopg.connect(as_reader(shared), autocommit=True) as connection:
        views = connection.execute("SELECT viewname FROM pg_views WHERE schemaname = 'analytics'").fetchall()
        calls = connection.execute(_CALLS).fetchall()
        for (query,) in [*((f"SELECT * FROM analytics.{view}",) for (view,) in views), *calls]:
            connection.execute(query.encode()).fetchall()
    assert len(views) >= 9
    assert calls


_CALLS: Final = """
    SELECT format('SELECT * FROM analytics.%I(%s)', proname, (
        SELECT string_agg(
            format('CAST(%L AS %s)', CASE
                WHEN name = 'grain' THEN 'day'
                WHEN name = 'time_zone' THEN 'UTC'
                WHEN kind = 'text'::regtype THEN 'x'
                ELSE 'now'
            END, kind::regtype),
            ', ' ORDER BY nth
        )
        FROM unnest(proargtypes::oid[], proargnames) WITH ORDINALITY AS arguments (kind, name, nth)
        WHERE kind IS NOT NULL
    ))
    FROM pg_proc
    WHERE pronamespace = 'analytics'::regnamespace
"""


def test_the_reader_sees_analytics_and_nothing_more(shared: str) -> None:
    for schema, name, _, privileges in ask(shared, PRIVILEGES, READER):
        assert privileges == (["SELECT"] if schema == "analytics" else []), name
    assert ask(shared, SCHEMAS, READER, "USAGE") == [("analytics",)]
    assert ask(shared, SCHEMAS, READER, "CREATE") == []
    for statement in (
        "SELECT FROM ledger.batch",
        "SELECT FROM ledger.alembic_version",
        "SELECT ledger.anything()",
        "UPDATE analytics.batch SET images = 0",
        "DELETE FROM analytics.project",
    ):
        with pytest.raises(psycopg.Error) as raised:
            tell(as_reader(shared), statement)
        assert raised.value.sqlstate in ("42501", "55000"), statement


# Everybody else


def test_public_gets_nothing_of_ours(shared: str) -> None:
    assert [row for row in ask(shared, PRIVILEGES, "public") if row[3]] == []
    assert [name for name, may_call, *_ in ask(shared, FUNCTIONS, "public") if may_call] == []
    assert ask(shared, SCHEMAS, "public", "USAGE") == []


def test_a_function_that_reads_for_its_caller_finds_the_same_tables_for_everybody(shared: str) -> None:
    for name, _, is_definer, options in ask(shared, FUNCTIONS, "public"):
        assert (is_definer, options) == (True, ["search_path=pg_catalog"]), name


# Later migrations


LATER: Final = (
    "CREATE TABLE ledger.later (id integer GENERATED ALWAYS AS IDENTITY, word text)",
    "CREATE VIEW analytics.later AS SELECT word FROM ledger.later",
    (
        "CREATE FUNCTION analytics.later_as_of() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER "
        "SET search_path = pg_catalog AS 'SELECT word FROM ledger.later'"
    ),
    "CREATE FUNCTION ledger.helper() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE VIEW analytics.later_helped AS SELECT ledger.helper() AS one",
)


def test_what_a_later_migration_makes_is_granted_by_itself(database: str) -> None:
    tell(as_owner(database), *LATER)
    tell(as_writer(database), "INSERT INTO ledger.later (word) VALUES ('seen')")
    for query in ("SELECT * FROM analytics.later", "SELECT * FROM analytics.later_as_of()"):
        assert ask(as_reader(database), query) == ask(as_writer(database), query) == [("seen",)]
    assert ask(as_reader(database), "SELECT * FROM analytics.later_helped") == [(1,)]


def test_a_migration_takes_from_the_public_the_functions_that_it_made(database: str) -> None:
    tell(as_owner(database), *LATER)
    open_to_all = [name for name, may_call, *_ in ask(database, FUNCTIONS, "public") if may_call]
    assert open_to_all == ["analytics.later_as_of()", "ledger.helper()"]
    with connect(as_owner(database)) as connection:
        migrate(connection)
    assert [name for name, may_call, *_ in ask(database, FUNCTIONS, "public") if may_call] == []
    assert ask(as_reader(database), "SELECT * FROM analytics.later_as_of()") == []


def test_without_roles_a_migration_takes_nothing_from_anybody(empty_database: str) -> None:
    with connect(empty_database) as connection:
        migrate(connection)
    assert all(may_call for _, may_call, *_ in ask(empty_database, FUNCTIONS, "public"))


# Setting them up


def test_to_grant_once_more_changes_nothing_and_mends_what_was_done_by_hand(database: str) -> None:
    before = grants(database)
    with connect(as_owner(database)) as connection:
        grant(connection, Roles())
    assert grants(database) == before
    tell(
        as_owner(database),
        "REVOKE INSERT ON ledger.batch FROM batchledger_writer",
        "GRANT TRUNCATE ON ledger.batch TO batchledger_writer",
        "GRANT USAGE ON SCHEMA ledger TO batchledger_reader",
        "GRANT SELECT ON ledger.batch TO batchledger_reader, PUBLIC",
    )
    assert grants(database) != before
    with connect(as_owner(database)) as connection:
        grant(connection, Roles())
    assert grants(database) == before


def test_the_printed_sql_grants_the_same(database: str, empty_database: str) -> None:
    with connect(empty_database) as connection:
        migrate(connection)
    tell(empty_database, batchledger("migrate", "--roles", "--sql").stdout)
    assert grants(empty_database) == grants(database)


def batchledger(*arguments: str, uri: str = "", exits: int = 0) -> subprocess.CompletedProcess[str]:
    environ = {"DATABASE_URL": uri, "HOME": "/nonexistent", "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-m", "etl", *arguments],
        cwd=REPOSITORY,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exits, done.stdout + done.stderr
    return done


def test_one_command_migrates_makes_the_roles_by_other_names_and_says_so(empty_database: str) -> None:
    with roles_of_this_test(empty_database) as (writer, reader):
        done = batchledger("migrate", "--roles", "--writer", writer, "--reader", reader, uri=empty_database)
        migrated, granted = done.stdout.splitlines()
        assert "it was not there" in migrated
        assert writer in granted
        assert reader in granted
        assert ask(empty_database, SCHEMAS, writer, "USAGE") == [("analytics",), ("ledger",)]
        assert ask(empty_database, SCHEMAS, reader, "USAGE") == [("analytics",)]
        assert ask(
            empty_database,
            "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname = ANY(%s) ORDER BY 1",
            [writer, reader],
        ) == sorted([(writer, False), (reader, False)])


def test_an_owner_who_may_not_make_roles_is_told_what_an_administrator_runs(empty_database: str) -> None:
    with (
        roles_of_this_test(empty_database, "LOGIN") as (plain,),
        roles_of_this_test(empty_database) as (writer, reader),
        psycopg.connect(as_superuser(empty_database), autocommit=True) as administrator,
    ):
        database = administrator.info.dbname
        administrator.execute(f'GRANT CREATE ON DATABASE "{database}" TO {plain}'.encode())
        uri = empty_database.replace(f"{OWNER}@", f"{plain}@", 1)
        said = batchledger(
            *("migrate", "--roles", "--writer", writer, "--reader", reader), uri=uri, exits=2
        ).stderr
        assert f"role {plain} may not create roles, and there is none named {writer} or {reader}" in said
        (statements,) = re.findall(
            r"^remedy: have an administrator run (.*;) then run this again$", said, re.MULTILINE
        )
        administrator.execute(statements.encode())
        batchledger("migrate", "--roles", "--writer", writer, "--reader", reader, uri=uri)
        assert ask(uri, SCHEMAS, reader, "USAGE") == [("analytics",)]
        administrator.execute(f"DROP OWNED BY {plain} CASCADE".encode())


def test_who_does_not_own_the_schema_is_told_who_does(database: str) -> None:
    said = batchledger("migrate", "--roles", uri=database, exits=2).stderr
    assert f"belongs to role {OWNER}, and {WRITER} cannot grant anything on it" in said
    assert f"run it as {OWNER}" in said


def test_an_administrator_may_grant_for_the_owner(database: str) -> None:
    before = grants(database)
    tell(as_owner(database), "REVOKE USAGE ON SCHEMA analytics FROM batchledger_reader")
    with connect(as_superuser(database)) as connection:
        grant(connection, Roles())
    assert grants(database) == before


@pytest.mark.parametrize(
    ("writer", "reader", "words"),
    [
        ("", "reader", "cannot be the name of a role"),
        ("pg_writer", "reader", "cannot be the name of a role"),
        ("writer", "public", "cannot be the name of a role"),
        ('wri"ter', "reader", "cannot be the name of a role"),
        ("writer", "w" * 64, "cannot be the name of a role"),
        ("both", "both", "cannot be both"),
    ],
)
def test_names_that_cannot_be_are_refused(writer: str, reader: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        named(writer, reader)


def test_the_owner_is_not_made_less_than_it_is(database: str) -> None:
    before = grants(database)
    with (
        connect(as_owner(database)) as connection,
        pytest.raises(SettingsError, match=f"{OWNER} owns schema"),
    ):
        grant(connection, Roles(writer=OWNER))
    assert grants(database) == before


def test_roles_and_migrations_wait_for_one_another() -> None:
    lock = re.compile(r"pg_advisory_xact_lock\(\d+\)")
    assert lock.findall(roles_sql(Roles())) == lock.findall(migration_sql())


def test_what_a_role_lacks_is_named(database: str) -> None:
    tell(
        as_owner(database),
        "REVOKE INSERT, DELETE ON ledger.tick FROM batchledger_writer",
        "REVOKE SELECT ON analytics.gap FROM batchledger_writer",
    )
    said = batchledger("check", uri=database, exits=2).stdout
    lack = "SELECT on analytics.gap, INSERT on ledger.tick, DELETE on ledger.tick"
    assert f"the role of DATABASE_URL lacks {lack}" in " ".join(said.split())
    assert "batchledger migrate --roles" in said


def test_the_sql_of_the_page_runs(database: str) -> None:
    page = (REPOSITORY / "docs/how-to/roles.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    give, make, admit, drop = [block.replace("batchledger_", "of_the_page_") for block in blocks]
    with psycopg.connect(as_superuser(database)) as connection:
        for statements in (make, "CREATE ROLE ada; CREATE ROLE grace", give, admit, drop):
            connection.execute(statements.encode())
        connection.rollback()
