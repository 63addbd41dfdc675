"""`psql` on the ledger: found, pointed at the database, and given the password without showing it."""

from __future__ import annotations

import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from etl.commands.assembly import open_database
from etl.embedded import psql
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from etl.commands.assembly import Database
    from etl.settings import Settings

_SECRETS: Final = frozenset({"password", "sslpassword"})
"""What must not stand in a command line. There is a variable for the first; psql asks for the second."""


def run(settings: Settings, environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """
    Run psql on the configured database and return its exit code.

    Args:
        settings: As loaded.
        environ: The environment that psql gets.
        arguments: What psql is told beside the database.

    Raises:
        SettingsError: There is no psql.
    """
    with open_database(settings, environ) as database, _interrupts_are_its_own():
        target, password = _target(database)
        command = [str(_program(database)), *arguments, f"--dbname={target}"]
        environ = {**_without_secrets(settings, environ), **password}
        return subprocess.run(command, env=environ, check=False).returncode  # noqa: S603 - psql.


def _without_secrets(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out the keys, and the address with its password: whatever is started from psql would see them."""
    keys = {key.secret.get_secret_value() for key in settings.api_keys}
    return {
        name: value for name, value in environ.items() if name != "DATABASE_URL" and value.strip() not in keys
    }


def _program(database: Database) -> Path | str:
    """Prefer the machine's own psql, which speaks SSL, but for the embedded database its sibling."""
    found = shutil.which("psql")
    if found and not database.is_embedded:
        return found
    try:
        return psql()
    except SettingsError as error:
        raise SettingsError(
            "there is no psql on this machine", remedy="install the Postgres client, or batchledger[embedded]"
        ) from error


def _target(database: Database) -> tuple[str, dict[str, str]]:
    """Return the connection string without its secrets, and the variable that carries the password."""
    params = {name: str(value) for name, value in conninfo_to_dict(database.uri).items() if value is not None}
    shown = {name: value for name, value in params.items() if name not in _SECRETS}
    secret = {"PGPASSWORD": params["password"]} if "password" in params else {}
    return make_conninfo("", **shown), secret


@contextmanager
def _interrupts_are_its_own() -> Iterator[None]:
    """Leave Ctrl-C to psql, which cancels a statement by it. Unlike ignoring, a handler is not inherited."""
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
