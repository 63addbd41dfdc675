"""How pages come by the ledger: a few connections at a time, each for one moment, and not for long."""

from __future__ import annotations

from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from etl.commands.queries import reading
from etl.errors import BatchledgerError, DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from etl.settings import DatabaseSettings

_AT_ONCE: Final = 4
"""Connections, so that no crowd of readers takes those that the ledger is written by."""

_WAIT_S: Final = 5.0
_STATEMENT_S: Final = 10
"""Longest wait for a connection, and longest statement: who watches must not weigh on what is watched."""


class Reader:
    """
    Lends connections to the ledger; safe to call from several threads.

    Args:
        uri: As for `etl.database.connect`.
        limits: As for `etl.database.connect`.
    """

    def __init__(self, uri: str, limits: DatabaseSettings) -> None:
        self._uri, self._limits = uri, limits
        self._slots = BoundedSemaphore(_AT_ONCE)

    @contextmanager
    def __call__(self) -> Iterator[Connection]:
        """
        Lend a connection that only reads and sees one moment.

        Raises:
            DatabaseUnavailableError: The database cannot be reached, or too many ask at once.
        """
        if not self._slots.acquire(timeout=_WAIT_S):
            raise DatabaseUnavailableError("too many read at once", remedy="try again")
        try:
            with reading(self._uri, self._limits) as connection:
                connection.execute(text(f"SET LOCAL statement_timeout = '{_STATEMENT_S}s'"))
                yield connection
        finally:
            self._slots.release()


def told(error: Exception) -> str:
    """Say for the log why nothing could be read: in our words, or by the name of what is not ours."""
    return str(error) if isinstance(error, BatchledgerError) else type(error).__name__
