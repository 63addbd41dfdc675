"""How the schema stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection


def revision(connection: Connection) -> str | None:
    """Return the revision of the schema, as who only reads may know it."""
    found: str | None = connection.scalar(text("SELECT revision FROM analytics.schema_revision"))
    return found
