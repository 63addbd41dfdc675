"""Whom the programs of Postgres run as, and how any of them is run."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from etl.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S: Final = 120.0  # A start after a crash replays at most one checkpoint's write-ahead log.

# The caller's environment has no say: PGPORT, PGDATA, LANG or TZ would make a different server.
_ENVIRONMENT: Final = MappingProxyType({"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"})


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as when we are root, as whom Postgres refuses to run."""

    name: str
    uid: int
    gid: int


def account_of(folder: Path) -> Account | None:
    """
    Choose the owner of a database that exists, else the user that is meant for this, else nobody.

    Args:
        folder: Of the cluster; it need not exist.

    Returns:
        Whom the server runs as; None unless we are root: it runs as we do.

    Raises:
        SettingsError: There is nobody to run it.
    """
    if os.geteuid():
        return None
    if folder.exists() and (owner := folder.stat()).st_uid:
        return Account(f"user {owner.st_uid}", owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise SettingsError(
        "Postgres does not run as root, and this machine has neither a user postgres nor a user nobody.",
        remedy="Run batchledger as another user, or set DATABASE_URL to a Postgres of your own.",
    )


def execute(
    command: list[str],
    *,
    account: Account | None,
    cwd: Path,
    words: str | None = None,
    keep_open: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program of the server's user in a session of its own, out of reach of the terminal's Ctrl-C."""
    return subprocess.run(  # noqa: S603  (The programs are those of the package.)
        command,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        cwd=cwd,
        env=_ENVIRONMENT,
        input=words or "",
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=PATIENCE_S + 10,
        start_new_session=True,
        pass_fds=() if keep_open is None else (keep_open,),
    )
