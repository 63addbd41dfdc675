"""The schema: up, down, up again; models, comments, names; migrated by command, by us, and by two at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.schema import CreateIndex, CreateTable

from etl.database import connect, head, migrate, migration_sql, require_head, revision
from etl.errors import SchemaMismatchError
from etl.tables import metadata
from tests.logins import as_owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import NewDatabase

REPOSITORY: Final = Path(__file__).parents[2]
REVISIONS: Final = [one.revision for one in ScriptDirectory(str(REPOSITORY / "migrations")).walk_revisions()][
    ::-1
]

pytestmark = pytest.mark.also_on_16

OURS: Final = "IN ('ledger'::regnamespace, 'analytics'::regnamespace)"

CATALOGUE: Final = {
    "relations": f"""
        SELECT oid::regclass::text, relkind, relpersistence, obj_description(oid, 'pg_class')
        FROM pg_class WHERE relnamespace {OURS}""",
    "columns": f"""
        SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
            attcollation, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace {OURS} AND relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped""",
    "constraints": f"""
        SELECT conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace {OURS} AND contype <> 'n'""",
    "indexes": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname IN ('ledger', 'analytics')",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname IN ('ledger', 'analytics')",
    "functions": f"""
        SELECT oid::regprocedure::text, pg_get_functiondef(oid), obj_description(oid, 'pg_proc')
        FROM pg_proc WHERE pronamespace {OURS}""",
    "sequences": "SELECT * FROM pg_sequences WHERE schemaname IN ('ledger', 'analytics')",
    "schemas": """
        SELECT nspname, obj_description(oid, 'pg_namespace')
        FROM pg_namespace WHERE nspname IN ('ledger', 'analytics')""",
}


def catalogue(uri: str) -> dict[str, list[Any]]:
    with psycopg.connect(uri) as connection:
        return {
            kind: sorted(connection.execute(query.encode()), key=str) for kind, query in CATALOGUE.items()
        }


def migrate_to(uri: str, target: str, *, back: bool = False) -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(REPOSITORY / "migrations"))
    configuration.set_main_option("path_separator", "os")
    with connect(uri) as connection:
        configuration.attributes["connection"] = connection
        (command.downgrade if back else command.upgrade)(configuration, target)
        connection.commit()


def alembic(uri: str, *arguments: str) -> str:
    """Run the plain command, as somebody does who knows nothing of ours."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": uri},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def migrated(new_database: NewDatabase) -> Iterator[str]:
    """Give one migrated database to all tests that only look at it, all of it."""
    with new_database() as uri:
        yield as_owner(uri)


def test_there_is_one_head_and_the_program_knows_it() -> None:
    assert ScriptDirectory(str(REPOSITORY / "migrations")).get_heads() == [head()]


def test_a_revision_is_named_as_its_file() -> None:
    files = (REPOSITORY / "migrations" / "versions").glob("[0-9]*.py")
    assert sorted(file.stem for file in files) == sorted(REVISIONS)


def test_up_and_down_and_up_again_makes_the_same_schema(empty_database: str) -> None:
    migrate_to(empty_database, "head")
    before = catalogue(empty_database)
    assert all(before.values())
    migrate_to(empty_database, "base", back=True)
    with psycopg.connect(empty_database) as connection:
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text IN ('ledger', 'analytics')"
        ).fetchall()
    assert {name for (name,) in left} == {"alembic_version", "alembic_version_pkc"}
    migrate_to(empty_database, "head")
    assert catalogue(empty_database) == before


def test_the_models_are_the_tables_with_every_constraint_and_comment(
    empty_database: str, new_database: NewDatabase
) -> None:
    """The models make a schema of their own in an empty database; it must be the migrated one."""
    with connect(empty_database) as connection:
        connection.exec_driver_sql("CREATE SCHEMA ledger")
        connection.exec_driver_sql("CREATE SCHEMA analytics")
        metadata.create_all(connection)
        connection.commit()
    with new_database() as uri:
        migrated, modelled = catalogue(as_owner(uri)), catalogue(empty_database)
    for kind in ("relations", "columns", "constraints", "indexes"):
        assert _of_tables(modelled[kind]) == _of_tables(migrated[kind]), kind


def _of_tables(rows: list[Any]) -> list[Any]:
    return [row for row in rows if not row[0].startswith("analytics.") and "alembic_version" not in str(row)]


def test_alembic_itself_sees_no_difference(migrated: str) -> None:
    assert "No new upgrade operations detected" in alembic(migrated, "check")


def test_every_object_has_a_comment(migrated: str) -> None:
    found = catalogue(migrated)
    named = (
        [row for row in found["relations"] if row[1] in ("r", "v")] + found["columns"] + found["functions"]
    )
    without = [row[:2] for row in named if not row[-1] and "alembic_version" not in row[0]]
    assert without == []
    assert [name for name, comment in found["schemas"] if not comment] == []


def test_a_comment_of_a_column_that_can_be_null_says_what_null_means(migrated: str) -> None:
    silent = [
        (table, column)
        for table, column, _, is_required, *_, comment in catalogue(migrated)["columns"]
        if table.startswith("ledger.") and not is_required and "NULL" not in comment
    ]
    assert silent == []


def test_constraints_are_named_by_the_convention(migrated: str) -> None:
    for table, name, kind, definition in catalogue(migrated)["constraints"]:
        bare = table.removeprefix("ledger.")
        columns = "_".join(re.split(r", ", re.search(r"\(([^()]*)\)", definition)[1]))  # type: ignore[index]
        if bare == "alembic_version":
            continue
        expected = {
            "p": f"pk_{bare}",
            "u": f"uq_{bare}_{columns}",
            "f": f"fk_{bare}_{columns}_" + "".join(re.findall(r"REFERENCES ledger\.(\w+)", definition)),
        }.get(kind)
        assert name == expected or (kind == "c" and name.startswith(f"ck_{bare}_")), name


def test_every_model_says_its_schema() -> None:
    """Whatever the search path of a session is, the tables are found where they are."""
    for table in metadata.sorted_tables:
        assert f"ledger.{table.name}" in str(CreateTable(table))
        assert all(f"ON ledger.{table.name}" in str(CreateIndex(index)) for index in table.indexes)


def test_no_extension_is_needed(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        assert connection.execute("SELECT extname FROM pg_extension").fetchall() == [("plpgsql",)]
    assert "EXTENSION" not in migration_sql().upper()


@pytest.mark.parametrize("earlier", REVISIONS)
def test_views_of_an_analyst_survive_every_later_migration(empty_database: str, earlier: str) -> None:
    """Whoever builds on `analytics` must not be in the way, nor lose what he built."""
    migrate_to(empty_database, earlier)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA analyst")
        promised = connection.execute(
            "SELECT viewname FROM pg_views WHERE schemaname = 'analytics'"
        ).fetchall()
        for (view,) in promised:
            connection.execute(f"CREATE VIEW analyst.{view} AS SELECT * FROM analytics.{view}".encode())
        connection.execute("CREATE VIEW analyst.as_of AS SELECT * FROM analytics.batch_as_of(now())")
        migrate_to(empty_database, "head")
        for (view,) in [*promised, ("as_of",)]:
            connection.execute(f"SELECT * FROM analyst.{view}".encode())


def test_the_plain_command_migrates(empty_database: str, migrated: str) -> None:
    alembic(empty_database, "upgrade", "head")
    assert catalogue(empty_database) == catalogue(migrated)


def test_the_printed_sql_makes_the_same_schema(empty_database: str, migrated: str) -> None:
    printed = alembic("", "upgrade", "head", "--sql")
    assert printed.strip() == migration_sql().strip()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(printed.encode())
    assert catalogue(empty_database) == catalogue(migrated)
    with connect(empty_database) as connection:
        require_head(connection)


def test_two_migrations_at_once_do_not_collide(empty_database: str, migrated: str) -> None:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    environ = {**os.environ, "DATABASE_URL": empty_database}
    both = [subprocess.Popen(command, cwd=REPOSITORY, env=environ) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert catalogue(empty_database) == catalogue(migrated)


def test_a_migration_waits_for_the_one_that_holds_the_lock(empty_database: str) -> None:
    with (
        psycopg.connect(empty_database) as holder,
        ThreadPoolExecutor(1) as pool,
        connect(empty_database) as watcher,
    ):
        key = re.search(r"pg_advisory_xact_lock\((\d+)\)", migration_sql())
        assert key
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (int(key[1]),))
        waiting = pool.submit(migrate_to, empty_database, "head")
        with pytest.raises(TimeoutError):
            waiting.result(timeout=1.5)
        assert revision(watcher) is None
        watcher.rollback()
        holder.rollback()
        waiting.result(timeout=30)
        assert revision(watcher) == head()


def test_a_migration_that_fails_leaves_nothing(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA analytics")
        with pytest.raises(Exception, match="analytics"):
            migrate_to(empty_database, "head")
        assert connection.execute("SELECT to_regnamespace('ledger')").fetchone() == (None,)


def test_a_database_that_was_never_migrated_is_refused(empty_database: str) -> None:
    with (
        connect(empty_database) as connection,
        pytest.raises(SchemaMismatchError, match="has no schema yet") as raised,
    ):
        require_head(connection)
    assert "batchledger migrate" in raised.value.remedy


@pytest.mark.parametrize(
    ("found", "words", "remedy"),
    [
        ("0000_before_all", "newer than this program's .* or of another line", "upgrade batchledger, or"),
        ("9999_of_tomorrow", "newer than this program's .* or of another line", "upgrade batchledger, or"),
    ],
)
def test_a_revision_that_the_program_does_not_know_is_refused(
    database: str, found: str, words: str, remedy: str
) -> None:
    with psycopg.connect(as_owner(database), autocommit=True) as other:
        other.execute("UPDATE ledger.alembic_version SET version_num = %s", (found,))
    with connect(database) as connection, pytest.raises(SchemaMismatchError, match=words) as raised:
        require_head(connection)
    assert raised.value.remedy.startswith(remedy)


def test_a_migrated_database_is_accepted(migrated: str) -> None:
    with connect(migrated) as connection:
        require_head(connection)
        assert revision(connection) == head()


def test_a_schema_that_an_administrator_made_is_used(empty_database: str) -> None:
    with connect(empty_database) as connection:
        connection.exec_driver_sql("CREATE SCHEMA ledger")
        connection.commit()
        migrate(connection)
        assert revision(connection) == head()
