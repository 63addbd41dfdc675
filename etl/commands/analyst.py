"""The ledger as an analyst has it: its views alone, for whatever role may read those."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.commands.assembly import open_database, prepare
from etl.commands.queries import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from etl.commands.session import Session


@contextmanager
def views(session: Session) -> Iterator[Connection]:
    """
    Yield a connection that only reads, sees one moment, and tells times in UTC.

    The schema of somebody else's database may be of another release: every release keeps the views, and the
    role that reads them may not even ask which release it is.

    Raises:
        SettingsError: The embedded database cannot be used.
        DatabaseUnavailableError: The database cannot be reached.
    """
    with open_database(session.settings(), session.environ) as place:
        if place.is_embedded:
            prepare(place)
        with reading(place.uri, place.limits) as connection:
            yield connection
