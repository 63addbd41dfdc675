"""What the body of an error tells."""

from __future__ import annotations

from typing import Any

from etl.errors import PayloadError
from etl.parse.body import loads
from etl.parse.text import storable


def error_text(body: bytes) -> str:
    """
    Find the message in an error's body; empty when there is none that a person could read.

    Source: bodies seen: `{"error": "text"}`, `{"error": {"message", "type"}}`, `{"message": …}`.
    """
    fields = _fields_of_error(body)
    error = fields.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    message = inner if inner is not None else fields.get("message")
    return storable(message) if isinstance(message, str) else ""


def error_type(body: bytes) -> str:
    """Find `error.type` in an error's body; empty when there is none."""
    error = _fields_of_error(body).get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    return storable(kind) if isinstance(kind, str) else ""


def _fields_of_error(body: bytes) -> dict[str, Any]:
    try:
        whole = loads(body)
    except PayloadError:
        return {}
    return whole if isinstance(whole, dict) else {}
