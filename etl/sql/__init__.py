"""The set-based statements, one named file each. `SQL["apply"]` is the text of `apply.sql`."""

from __future__ import annotations

from importlib import resources
from types import MappingProxyType
from typing import Final

SQL: Final = MappingProxyType(
    {
        entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8")
        for entry in resources.files(__name__).iterdir()
        if entry.name.endswith(".sql")
    }
)
