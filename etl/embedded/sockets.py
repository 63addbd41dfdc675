"""The folder of the server's socket: the cluster's own, or a short one that is private."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etl.errors import SettingsError

if TYPE_CHECKING:
    from etl.embedded.account import Account

PORT: Final = 5432  # Only the name of the socket: nothing listens on TCP.

_LONGEST_SOCKET_NAME: Final = 103  # macOS; Linux allows four more.

# Every process must find the same folder, whatever its TMPDIR says.
_SHORT_FOLDER: Final = Path("/tmp")  # noqa: S108


def socket_folder(folder: Path) -> Path:
    """Return the cluster's own folder, or one in a plain place if that cannot be the name of a socket."""
    name = os.fsencode(folder / f".s.PGSQL.{PORT}")
    if len(name) <= _LONGEST_SOCKET_NAME and b"," not in name:  # To libpq a comma ends a host.
        return folder
    return _SHORT_FOLDER / f"batchledger-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def make_socket_folder(folder: Path, account: Account | None) -> None:
    """Make the folder of the socket of a cluster, private to whom the server runs as."""
    sockets = socket_folder(folder)
    try:
        sockets.mkdir(mode=0o700)
    except FileExistsError:
        _require_private(sockets, folder.stat().st_uid)
    else:
        if account:
            os.chown(sockets, account.uid, account.gid)


def _require_private(folder: Path, uid: int) -> None:
    """Anybody can make a folder in a shared place, and would then be in front of the database."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise SettingsError(
            f"The socket of the embedded Postgres cannot be in {folder}, which is not private to its user.",
            remedy="Remove that folder, or set BATCHLEDGER_HOME to a shorter path.",
        )
