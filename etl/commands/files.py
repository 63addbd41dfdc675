"""A file that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """
    Yield a file to write to, which takes its name when the block ends well; else nothing is left of it.

    A process that is killed leaves what it has written beside it, as `.NAME.12ab34cd.part`. What is not a
    regular file, such as a pipe, is written to as it is: a file in its place would not be it.

    Raises:
        SettingsError: It cannot be written there.
    """
    with _told(path):
        target = Path(os.path.realpath(path))
        if _is_special(target):
            with target.open("wb") as file:
                yield file
            return
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        # As wide as a file of the user's own would be: a temporary file of Python's is for nobody else.
        with os.fdopen(os.open(part, _NEW, 0o666), "wb") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                part.replace(target)
            except BaseException:
                part.unlink()
                raise


def _is_special(path: Path) -> bool:
    return path.exists() and not stat.S_ISREG(path.stat().st_mode)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror or error}",
            remedy="name another file with --output, or make room for it",
        ) from error
