"""Settings as users write them, and what they are told is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl.config import load
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CANARY = "hunter2-canary"


def a_file(folder: Path, text: str, name: str = "batchledger.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def faults(environ: Mapping[str, str], cwd: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ, cwd)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    return lines[1:] if len(lines) > 1 else lines
