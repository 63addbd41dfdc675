"""Every error of ours, grouped by what the caller does next."""

from __future__ import annotations

from typing import ClassVar


class BatchledgerError(Exception):
    """
    The root: what went wrong, in one line, and what to do about it.

    Args:
        message: Names the thing that failed; never a body, a key, or a URL with a key.
        remedy: What the reader can do; empty when there is nothing.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


# Stop: the command cannot go on.


class SettingsError(BatchledgerError):
    """A setting is missing, unknown or malformed. The user edits it and starts again."""

    exit_code = 2


class UnknownProjectError(BatchledgerError):
    """The user named a project or batch that neither the key nor the ledger knows."""

    exit_code = 3


class UnknownViewError(BatchledgerError):
    """The user named a view, function or column that schema `analytics` does not have."""

    exit_code = 3


class UnconfirmableError(BatchledgerError):
    """An answer of which no absence can be told was to be confirmed. The user waits for another one."""

    exit_code = 4


class ClockError(BatchledgerError):
    """The clocks of this host and of the database disagree. The user sets them right and starts again."""


class SchemaMismatchError(BatchledgerError):
    """The database is at another revision than this program. The user migrates, or upgrades the program."""


# Wait: the same call may succeed later. The daemon reports it and tries at its next tick.


class DatabaseUnavailableError(BatchledgerError):
    """The database cannot be reached, or went away."""


class StatementFailedError(DatabaseUnavailableError):
    """The database is there, but gave one statement up. The project that it was for is set aside."""


# Skip: somebody else has taken over.


class ClaimLostError(BatchledgerError):
    """Another run has claimed the project since. What was read is dropped; nothing was written."""


# Set aside: this read failed and becomes a failed observation. The others go on.


class SourceError(BatchledgerError):
    """
    The source did not give an answer that can be used.

    Args:
        message: As for every error.
        remedy: As for every error.
        http_status: The status of the last answer; None when there was none.
        requests: HTTP requests that were sent before giving up.
    """

    def __init__(
        self, message: str, *, remedy: str = "", http_status: int | None = None, requests: int = 0
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.http_status = http_status
        self.requests = requests


class UnauthorizedError(SourceError):
    """401 or 403: no key, a wrong key, or no access."""

    exit_code = 2


class MissingScopeError(SourceError):
    """A key without the scope that the call needs (403, or 404 with GraphMethodException)."""

    exit_code = 2


class NotVisibleError(SourceError):
    """A plain 404: it does not exist, or this key does not see it."""

    exit_code = 3


class PausedError(SourceError):
    """402 or 423: the plan or the billing of the workspace is paused."""


class RefusedError(SourceError):
    """Any other status that a repetition will not mend."""


class PayloadError(SourceError):
    """The answer is not the documented shape. Nothing of it may be believed."""


class TransientError(SourceError):
    """
    408, 429, 5xx, or no answer at all. The client repeats it within its limits before it lets it out.

    Args:
        message: As for every error.
        retry_after_s: What the source asked us to wait; None when it said nothing.
        http_status: As for every source error.
        requests: As for every source error.
        remedy: As for every error.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        http_status: int | None = None,
        requests: int = 0,
        remedy: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy, http_status=http_status, requests=requests)
        self.retry_after_s = retry_after_s


class DeadlineError(SourceError):
    """The run's deadline came before the answer did."""


class InternalError(SourceError):
    """A fault of ours, or of the database, with one project. The others go on; the log tells more."""
