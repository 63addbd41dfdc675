"""What the file and the environment say, each as one layer with the places that it has a say of."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.config.names import FILE_VARIABLE, in_toml, is_ours, meant_variable, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.config.faults import Faults
    from etl.config.names import Place

FILE_DEFAULT = "batchledger.toml"
KEY_FIELDS = ("api_key", "api_key_file", "api_key_env")
"""The ways to give a key, the strongest first."""

_PSEUDONYM_FIELDS = ("pseudonym_key", "pseudonym_key_file")
_ALTERNATIVES = {"source": KEY_FIELDS, "schedule": ("every", "cron"), "jobs": _PSEUDONYM_FIELDS}


class Layer(NamedTuple):
    """What one source says, nested as in the file; `base` is where its relative paths start."""

    table: dict[str, Any]
    base: Path
    file: Path
    names: Mapping[Place, str] = MappingProxyType({})

    def label(self, place: Place) -> str:
        """Write a place the way that its reader knows it."""
        return self.names.get(place) or in_file(self.file, place)


def in_file(file: Path, place: Place) -> str:
    """Name a place of a file."""
    return f"{file.name}: {in_toml(place)}" if place else file.name


def file_layer(environ: Mapping[str, str], cwd: Path, faults: Faults) -> Layer:
    """Read the file that is named, which must be there, or the usual one, which need not."""
    named = environ.get(FILE_VARIABLE)
    path = resolved(named or FILE_DEFAULT, cwd, environ)
    table = _table(path, f"{FILE_VARIABLE} ({path})" if named else path.name, faults, is_optional=not named)
    if isinstance(table.get("home"), str):
        table["home"] = resolved(table["home"], path.parent, environ)
    return Layer(table, path.parent, path)


def _table(path: Path, label: str, faults: Faults, *, is_optional: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        if not is_optional:
            faults.add(label, "there is no such file; name one that exists, or unset the variable")
    except OSError as error:
        faults.add(label, f"cannot be read ({error.strerror})")
    except UnicodeDecodeError:
        faults.add(label, "is not UTF-8 text")
    except ValueError as error:
        position = re.search(r"\((at .*)\)$", str(error))
        faults.add(label, f"is not valid TOML {position[1] if position else ''}".rstrip())
    return {}


def environment_layer(environ: Mapping[str, str], cwd: Path, faults: Faults) -> Layer:
    """Take the variables that are settings; one that only looks like one is a fault."""
    names: dict[Place, str] = {}
    table: dict[str, Any] = {}
    for name, value in environ.items():
        place = place_of(name)
        if place is not None:
            names[place] = name
            put(table, place, resolved(value, cwd, environ) if place == ("home",) else value.strip())
        elif is_ours(name):
            faults.add(name, f"is not a setting{meant_variable(name)}")
    return Layer(table, cwd, Path(FILE_DEFAULT), names)


def put(table: dict[str, Any], place: Place, value: object) -> None:
    """Put a value into nested tables, which are made as needed."""
    for name in place[:-1]:
        table = table.setdefault(name, {})
    table[place[-1]] = value


def drop_overruled(file: Layer, variables: Layer) -> None:
    """Let a variable overrule all the ways in which the file gives the same thing."""
    for section, alternatives in _ALTERNATIVES.items():
        table = file.table.get(section)
        if isinstance(table, dict) and set(alternatives) & set(variables.table.get(section, ())):
            for name in alternatives:
                table.pop(name, None)


def resolved(text: str, base: Path, environ: Mapping[str, str]) -> Path:
    """Make a path of what was written: `~/` is the user's home, others start at the base."""
    text = text.strip()
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        text = home + text[1:]
    return base / text
