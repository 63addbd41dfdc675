"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from etl.database import head
from etl.errors import BatchledgerError
from etl.web.reader import told
from etl.web.reads import revision

if TYPE_CHECKING:
    from etl.web.site import Site

_log: Final = structlog.get_logger(__name__)

OK: Final = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """
    Whether the work can be done, part by part; `ok` or what is wrong.

    `scheduler` is None where there is none. A promise that is broken is no part of it: the answer to that is
    not another process.
    """

    database: str
    schema: str
    scheduler: str | None

    @property
    def is_ready(self) -> bool:
        """Whether all of it is well."""
        return all(part in (OK, None) for part in msgspec.structs.astuple(self))


def readiness(site: Site) -> Readiness:
    """Look at the database, its schema and the scheduler, as they are now."""
    database, schema = _database(site)
    return Readiness(database=database, schema=schema, scheduler=_scheduler(site))


def _database(site: Site) -> tuple[str, str]:
    try:
        with site.reader() as connection:
            found = revision(connection)
    except (BatchledgerError, SQLAlchemyError) as error:
        # Why not may name hosts and roles, which is for the log.
        _log.warning("not ready: the ledger cannot be read", error=told(error))
        return "cannot be read", "unknown"
    return OK, OK if found == head() else "is at another revision than this program"


def _scheduler(site: Site) -> str | None:
    if site.scheduler is None:
        return None
    return OK if site.scheduler.is_going() else "takes no turns"
