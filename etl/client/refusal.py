"""What a status of the source means: whether to come again, else which error, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.errors import (
    MissingScopeError,
    NotVisibleError,
    PausedError,
    RefusedError,
    SourceError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_transient(status: int) -> bool:
    """Say whether the same call may succeed later."""
    return status in (408, 429) or 500 <= status <= 599  # noqa: PLR2004 - These are statuses.


_Refusal = tuple[type[SourceError], str]

_KEY_REMEDY: Final = "Check the API key (ROBOFLOW_API_KEY) and that it belongs to this workspace."
_UNAUTHORIZED: Final[_Refusal] = (UnauthorizedError, _KEY_REMEDY)
_PAUSED: Final[_Refusal] = (PausedError, "Check the plan and the billing of the workspace at Roboflow.")
_NOT_VISIBLE: Final[_Refusal] = (NotVisibleError, "Check the name, and that this key may see it.")
_REDIRECTED: Final[_Refusal] = (
    RefusedError,
    "A redirect is not followed with a key; set ROBOFLOW_API_URL to the address itself.",
)
_REFUSED: Final[_Refusal] = (RefusedError, "Check ROBOFLOW_API_URL, then the status of Roboflow.")
_MISSING_SCOPE: Final[_Refusal] = (
    MissingScopeError,
    "Use a key with the scopes workspace:read, project:read, batch:read and annotation-job:read.",
)
_REFUSALS: Final[Mapping[int, _Refusal]] = {
    401: _UNAUTHORIZED,
    402: _PAUSED,
    403: _UNAUTHORIZED,
    404: _NOT_VISIBLE,
    423: _PAUSED,
}


def refused(status: int, kind: str) -> _Refusal:
    """Name the error of a status, given the type that its body tells, and the remedy."""
    if status in (403, 404) and kind == "GraphMethodException":
        return _MISSING_SCOPE
    if 300 <= status <= 399:  # noqa: PLR2004 - These are statuses.
        return _REDIRECTED
    return _REFUSALS.get(status, _REFUSED)
