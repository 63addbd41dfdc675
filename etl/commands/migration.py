"""The command `migrate`: the schema, then the roles if they are asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from etl import database
from etl.commands.assembly import open_database
from etl.roles import grant, roles_sql

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.commands.session import Session
    from etl.roles import Roles


def print_sql(roles: Roles | None) -> int:
    """Print the SQL that makes the schema, or that of the roles."""
    sys.stdout.write(roles_sql(roles) if roles else database.migration_sql())
    return 0


def run(session: Session, roles: Roles | None) -> int:
    """
    Bring the schema to this program's revision, and say from where to where.

    Args:
        session: The invocation.
        roles: Whom to grant what they need; None: nobody.

    Raises:
        SettingsError: The role of the database may not do it.
        SchemaMismatchError: The schema is newer than this program.
    """
    settings = session.settings()
    with (
        open_database(settings, session.environ) as place,
        database.connect(place.uri, place.limits) as connection,
    ):
        session.out.print(_migrate(connection), soft_wrap=True)
        if roles:
            grant(connection, roles)
            session.out.print(_told(roles), soft_wrap=True)
    return 0


def _migrate(connection: Connection) -> str:
    before = database.revision(connection)
    if not database.is_behind(before):
        database.require_head(connection)
        return f"The schema is at {before}, as it should be."
    connection.rollback()
    database.migrate(connection)
    return f"The schema is at {database.head()}; it was {before or 'not there'}."


def _told(roles: Roles) -> str:
    return (
        f"The role {roles.writer} may write, and {roles.reader} may read schema analytics. "
        "Grant each to those who log in."
    )
