"""The API key: what no repr, message or log shows."""

from __future__ import annotations

import re
from typing import Final

from etl.errors import SettingsError
from etl.parse.people import without_addresses

_MAX_SHOWN: Final = 200


class ApiKey:
    """A key that no repr shows; `reveal` is the only way to it."""

    __slots__ = ("_forms", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        # Which characters are URL-encoded differs from encoder to encoder, so each may be or not.
        forms = "".join(f"(?:{re.escape(character)}|%{ord(character):02x})" for character in value)
        self._forms = re.compile(forms or r"(?!)", re.IGNORECASE)

    def __repr__(self) -> str:
        return "ApiKey(***)"

    @property
    def is_sendable(self) -> bool:
        """Whether a header can carry it: printable ASCII without spaces."""
        return bool(re.fullmatch(r"[!-~]+", self._value))

    def reveal(self) -> str:
        """Return the key itself, for a request."""
        return self._value

    def redact(self, text: str) -> str:
        """Replace the key, URL-encoded or not, by asterisks."""
        return self._forms.sub("***", text)


def sendable(key: ApiKey) -> ApiKey:
    """
    Return a key that a request can carry.

    Raises:
        SettingsError: No request can.
    """
    if not key.is_sendable:
        raise SettingsError(
            "the API key is empty or holds characters that no key has",
            remedy="Check ROBOFLOW_API_KEY for spaces, quotes and line breaks.",
        )
    return key


def shown(text: str, key: ApiKey) -> str:
    """Make text of others fit for a message: one line, no key, nobody's address, not long."""
    # A character that cannot be printed may be part of an address, and none is part of a key.
    nameless = without_addresses(key.redact(text))
    plain = "".join(character if character.isprintable() else " " for character in nameless)
    redacted = " ".join(plain.split())
    return redacted if len(redacted) <= _MAX_SHOWN else f"{redacted[: _MAX_SHOWN - 1]}…"
