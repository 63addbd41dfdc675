"""The faults of the settings, gathered so that all of them are named at once."""

from __future__ import annotations


class Faults:
    """The faults found so far."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __str__(self) -> str:
        head = [] if len(self._lines) == 1 else [f"The settings have {len(self._lines)} faults:"]
        return "\n  ".join([*head, *self._lines])

    def add(self, where: str, what: str) -> None:
        """Note what is wrong, and where; without the value."""
        self._lines.append(f"{where}: {what}")
