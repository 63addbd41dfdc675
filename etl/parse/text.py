"""What text a database can hold, and what text can be an id."""

from __future__ import annotations

import re
from typing import Final

_MAX_ID: Final = 1_000
"""Longest id or slug, in bytes: two of them still fit one index row of Postgres (2,704 bytes)."""

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""The characters that no text of Postgres can hold: NUL and half a surrogate pair."""


def is_id(value: str) -> bool:
    """Say whether a text can be an id, or a slug: in a path, in an index, before people."""
    if value.isalnum() and value.isascii():
        return len(value) <= _MAX_ID
    return (
        0 < len(value) <= _MAX_ID
        and value.isprintable()
        and "/" not in value
        and value not in (".", "..")
        and (value.isascii() or len(value.encode()) <= _MAX_ID)
    )


def is_storable(text: str) -> bool:
    """Say whether Postgres can hold a text."""
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """Write what cannot be stored as its escape."""
    return _UNSTORABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
