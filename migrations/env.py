"""Alembic's environment: one connection, one lock, one transaction for a whole upgrade."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import context
from sqlalchemy import text

from etl.config import load
from etl.database import connect
from etl.tables import SCHEMA, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LOCK = 0x62617463686C6472  # "batchldr": any number will do that no other program uses.
_LIMITS = {
    "search_path": "pg_catalog",  # Every object is named with its schema; nobody's own schema gets in between.
    "lock_timeout": "10s",  # A migration that waits for a lock makes every query queue behind it.
    "statement_timeout": "15min",
}

# To call a function of analytics is to read the private tables, and a new function may be called by everybody.
# Where roles have been granted what they need, nobody else is let in.
_CLOSE = """
DO $close$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_default_acl
        WHERE defaclnamespace = pg_catalog.to_regnamespace('analytics') AND defaclobjtype = 'f'
    ) THEN
        REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics, ledger FROM PUBLIC;
    END IF;
END
$close$
"""


def _configure(connection: Connection | None) -> None:
    context.configure(
        connection=connection,
        dialect_name="postgresql",
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
        include_object=lambda _, name, kind, __, ___: (kind, name) != ("table", "alembic_version"),
        compare_type=True,
        compare_server_default=True,
        literal_binds=connection is None,
        dialect_opts={"paramstyle": "named"},
    )


def _prepare() -> None:
    """Take the lock and pin the settings, inside the transaction of the migration."""
    context.execute(f"SELECT pg_catalog.pg_advisory_xact_lock({_LOCK})")
    for name, value in _LIMITS.items():
        context.execute(f"SET LOCAL {name} = '{value}'")


def _run(connection: Connection | None) -> None:
    _configure(connection)
    with context.begin_transaction():
        _prepare()
        if connection is None or not _has_schema(connection):
            context.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        context.run_migrations()
        context.execute(_CLOSE)


def _has_schema(connection: Connection) -> bool:
    """Look before creating: a role may own the schema without the right to create others."""
    found = connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": SCHEMA})
    return found is not None


def _online() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        _run(given)
        return
    settings = load({"DATABASE_URL": os.environ.get("DATABASE_URL", "")}, Path.cwd())
    if settings.database.url is None:
        raise SystemExit("DATABASE_URL is not set: write it as postgresql://user:password@host:5432/database")
    with connect(settings.database.url.get_secret_value()) as connection:
        _run(connection)
        connection.commit()


if context.is_offline_mode():
    _run(None)
else:
    _online()
