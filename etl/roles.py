"""Who may do what in the database: an owner who migrates, a writer without DDL, a reader of `analytics`."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import text

from etl.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Postgres keeps some names for itself, and cuts longer ones. What needs quoting of its own is not worth it.
_NAME: Final = re.compile(r"(?!pg_|public$|none$)[A-Za-z_][A-Za-z0-9_-]{0,62}")


class Roles(NamedTuple):
    """The names of the two roles that are granted something; whoever migrates is the owner."""

    writer: str = "batchledger_writer"
    reader: str = "batchledger_reader"


def named(writer: str, reader: str) -> Roles:
    """
    Accept the names of two roles.

    Raises:
        SettingsError: One is no name for a role, or both are the same.
    """
    for name in (writer, reader):
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{name!r} cannot be the name of a role",
                remedy="take at most 63 letters, digits, _ and -; pg_... and public are Postgres's own",
            )
    if writer == reader:
        raise SettingsError(
            f"{writer} cannot be both the writer and the reader", remedy="name two roles, or neither"
        )
    return Roles(writer, reader)


def roles_sql(roles: Roles) -> str:
    """Return the SQL that grants the two roles what they need; to run it again changes nothing."""
    script = (resources.files("etl.sql") / "roles.sql").read_text(encoding="utf-8")
    return re.sub(r"\bbatchledger_(writer|reader)\b", lambda found: getattr(roles, found[1]), script)


def grant(connection: Connection, roles: Roles) -> None:
    """
    Make the roles that are not there yet, and grant them what they need; in one transaction of its own.

    Raises:
        SettingsError: The role of the connection may not make roles, or does not own the schemas.
    """
    _require_ownership(connection, roles)
    _require_roles(connection, roles)
    connection.rollback()  # The script begins its transaction itself, as it must for psql.
    connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(roles_sql(roles))


def _require_ownership(connection: Connection, roles: Roles) -> None:
    rows = connection.execute(text(_OWNERS))
    for schema, owner, role, is_owner in rows:
        if not is_owner:
            raise SettingsError(
                f"schema {schema} belongs to role {owner}, and {role} cannot grant anything on it",
                remedy=f"run it as {owner}, who also runs the migrations",
            )
        if owner in roles:
            raise SettingsError(
                f"{owner} owns schema {schema}, and may do everything there", remedy="name another role"
            )


_OWNERS: Final = """
    SELECT nspname, pg_get_userbyid(nspowner), current_user, pg_has_role(nspowner, 'USAGE')
    FROM pg_namespace
    WHERE nspname IN ('analytics', 'ledger')
"""


def _require_roles(connection: Connection, roles: Roles) -> None:
    """See that roles which do not exist can be made."""
    names = {"names": list(roles)}
    known = set(connection.scalars(text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)"), names))
    absent = [name for name in roles if name not in known]
    role, may_create = connection.execute(text(_MAY_CREATE)).one()
    if absent and not may_create:
        statements = " ".join(f'CREATE ROLE "{name}" NOLOGIN;' for name in absent)
        raise SettingsError(
            f"role {role} may not create roles, and there is none named {' or '.join(absent)}",
            remedy=f"have an administrator run {statements} then run this again",
        )


_MAY_CREATE: Final = "SELECT rolname, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"


def lacking(connection: Connection) -> tuple[str, ...]:
    """Say what the role of a connection needs as a writer and does not have: privilege and table of each."""
    return tuple(f"{privilege} on {table}" for privilege, table in connection.execute(text(_LACKING)))


_LACKING: Final = """
    SELECT privilege, nspname || '.' || relname
    FROM pg_class
    INNER JOIN pg_namespace ON pg_namespace.oid = relnamespace
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS need (privilege, nth)
    WHERE (
            (nspname = 'analytics' AND relkind = 'v' AND privilege = 'SELECT')
            OR (nspname = 'ledger' AND relkind IN ('r', 'p'))
        )
        AND (privilege = 'SELECT' OR relname <> 'alembic_version')
        AND (privilege NOT IN ('UPDATE', 'DELETE') OR relname NOT IN ('batch_change', 'job_change'))
        AND (privilege <> 'DELETE' OR relname NOT IN ('batch', 'job', 'project', 'project_day'))
        AND NOT has_table_privilege(pg_class.oid, privilege)
    ORDER BY 2, nth
"""
