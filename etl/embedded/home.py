"""The folder that the embedded database lives in: which one it is, and how it is made."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etl.embedded.account import execute
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.embedded.account import Account

HOME_REMEDY: Final = "set BATCHLEDGER_HOME to a folder that it can reach, such as /var/lib/batchledger"


def default_home(environ: Mapping[str, str], uid: int) -> Path:
    """
    Where the embedded database lives unless the user says otherwise.

    Args:
        environ: `BATCHLEDGER_HOME`, `XDG_DATA_HOME` and `HOME` are looked at.
        uid: Who is asking. Root's own folder cannot be reached by the user that the server runs as.

    Returns:
        An absolute path, or what `BATCHLEDGER_HOME` says; it need not exist.
    """
    if chosen := environ.get("BATCHLEDGER_HOME"):
        return Path(chosen).expanduser()
    if uid == 0:
        return Path("/var/lib/batchledger")
    if data_home := environ.get("XDG_DATA_HOME"):
        return Path(data_home) / "batchledger"
    user_home = environ.get("HOME") or pwd.getpwuid(uid).pw_dir
    return Path(user_home) / ".local/share/batchledger"


def exists(home: Path) -> bool:
    """Say whether there is a database in this home, running or not."""
    return (home / "postgres" / "data").exists()


def make_home(home: Path, account: Account | None) -> None:
    """Make the folder, and in it that of the cluster, which belongs to whom the server runs as."""
    with suppress(FileExistsError):  # It is there, or another process was first.
        home.mkdir(parents=True)
        home.chmod(0o711 if account else 0o700)
    folder = home / "postgres"
    folder.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(folder, account.uid, account.gid)
        _require_access(folder, account)


def _require_access(folder: Path, account: Account) -> None:
    script = 'cd -- "$1" && test -w .'
    if execute(["/bin/sh", "-c", script, "sh", str(folder)], account=account, cwd=Path("/")).returncode:
        raise SettingsError(
            f"The embedded Postgres runs as {account.name}, who cannot reach {folder}.",
            remedy=f"Open the folders above it to that user, or {HOME_REMEDY}.",
        )
