"""The command `forget`: erase what the ledger keeps of the people that jobs name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands import show
from etl.commands.assembly import open_database, prepare, utc_now
from etl.database import connect
from etl.errors import SettingsError
from etl.parse.people import without_addresses
from etl.sql import text_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.commands.session import Session

_REMEDY: Final = "add --yes; bodies that are dropped cannot be replayed any more"


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs, changes of jobs, bodies, rejects and errors told of people, or may have."""

    jobs: int
    changes: int
    bodies: int
    rejects: int
    errors: int


def run(session: Session, *, is_agreed: bool, is_json: bool) -> int:
    """
    Forget the people, say how much that was, and return the exit code.

    Args:
        session: The invocation.
        is_agreed: It cannot be undone, so it must be said.
        is_json: Print the outcome as JSON.

    Raises:
        SettingsError: It was not agreed to.
        DatabaseUnavailableError: The database cannot be reached.
    """
    if not is_agreed:
        raise SettingsError("to forget people cannot be undone", remedy=_REMEDY)
    settings = session.settings()
    with open_database(settings, session.environ) as place:
        prepare(place)
        limits = place.limits.model_copy(update={"statement_timeout_s": 0})
        with connect(place.uri, limits) as connection, connection.begin():
            found = _forgotten(connection)
    if is_json:
        session.emit(found)
    else:
        rows = [(what, f"{getattr(found, what):,}") for what in found.__struct_fields__]
        show.table(session.out, ("", ">forgotten"), rows)
        session.say(f"from now on jobs.people says what is kept: {settings.jobs.people.value}")
    return 0


def _forgotten(connection: Connection) -> Forgotten:
    texts = connection.exec_driver_sql(text_of("forget_texts")).scalars()
    cleaned = {text: without for text in texts if (without := without_addresses(text)) != text}
    values = {"at": utc_now(), "before": list(cleaned), "after": list(cleaned.values())}
    row = connection.exec_driver_sql(text_of("forget"), values).one()
    return Forgotten(
        jobs=row.jobs, changes=row.changes, bodies=row.bodies, rejects=row.rejects, errors=row.errors
    )
