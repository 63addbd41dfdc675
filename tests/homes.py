"""Folders that the user of an embedded server can reach, which pytest's own are not."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def a_home() -> Iterator[Path]:
    """Make an empty one, and take it away again."""
    made = Path(tempfile.mkdtemp(prefix="batchledger-test-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made)
