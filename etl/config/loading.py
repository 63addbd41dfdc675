"""Every setting read from where it was put, and where that was."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.config.faults import Faults
from etl.config.judging import validated
from etl.config.key_files import login_file, login_key
from etl.config.keys import read_keys, read_pseudonym_key
from etl.config.layers import FILE_DEFAULT, drop_overruled, environment_layer, file_layer, resolved
from etl.config.names import FILE_VARIABLE, place_of
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from etl.settings import Settings


def load(environ: Mapping[str, str], cwd: Path) -> Settings:
    """
    Read every setting from where it was put.

    Args:
        environ: The environment; empty variables count as unset.
        cwd: Where `batchledger.toml` is looked for, and where relative paths in variables start.

    Raises:
        SettingsError: Names every fault, a line each. No line has the value of a setting.
    """
    environ = {name: value for name, value in environ.items() if value.strip()}
    faults = Faults()
    file = file_layer(environ, cwd, faults)
    variables = environment_layer(environ, cwd, faults)
    drop_overruled(file, variables)
    keys = read_keys((variables, file), environ, faults)
    keys |= read_pseudonym_key((variables, file), environ, faults)
    settings = validated(keys, variables, file, faults)
    if faults or settings is None:
        raise SettingsError(str(faults))
    return settings


class Origins(NamedTuple):
    """Where settings came from: the file if it exists, the variables that are set, the login if used."""

    file: Path | None
    variables: tuple[str, ...]
    login: Path | None


def origins(settings: Settings, environ: Mapping[str, str], cwd: Path) -> Origins:
    """
    Say where settings came from, and nothing of what they say.

    Args:
        settings: As loaded.
        environ: As for `load`.
        cwd: As for `load`.
    """
    environ = {name: value for name, value in environ.items() if value.strip()}
    file = resolved(environ.get(FILE_VARIABLE) or FILE_DEFAULT, cwd, environ)
    named = (name for name in environ if place_of(name) is not None or name == FILE_VARIABLE)
    key = settings.source.api_key
    is_login = key is not None and key.get_secret_value() == login_key(environ)
    return Origins(
        file if file.is_file() else None,
        tuple(sorted(named)),
        login_file(environ) if is_login else None,
    )
