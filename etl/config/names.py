"""What each setting is called: in the file, as a variable, and by who misspells it."""

from __future__ import annotations

import difflib
import functools
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import BaseModel

from etl.settings import Settings, WorkspaceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

Place = tuple[str, ...]
"""Where a setting stands: the names of its sections, then its own."""

OWN_NAMES: Mapping[Place, str] = MappingProxyType(
    {
        ("source", "api_key"): "ROBOFLOW_API_KEY",
        ("source", "api_key_file"): "ROBOFLOW_API_KEY_FILE",
        ("source", "url"): "ROBOFLOW_API_URL",
        ("database", "url"): "DATABASE_URL",
    }
)
"""Settings whose variable has the name that the rest of the world gives it."""

FILE_VARIABLE = "BATCHLEDGER_CONFIG"

_PREFIX = "BATCHLEDGER_"
_WORKSPACE_VARIABLE = re.compile(r"BATCHLEDGER_WORKSPACES__(.+?)__(API_KEY|API_KEY_FILE|API_KEY_ENV)")
# Kubernetes gives every container such variables for a Service called "batchledger". They are no settings.
_KUBERNETES_VARIABLE = re.compile(r"BATCHLEDGER_(SERVICE_(HOST|PORT)(_.*)?|PORT(_\d+_(TCP|UDP).*)?)")


def fields() -> Iterator[tuple[Place, FieldInfo]]:
    """Yield every setting with its place, in the order of the file; `<slug>` stands for a workspace."""
    for name, field in Settings.model_fields.items():
        model = _section_of(name)
        if model is None:
            yield (name,), field
        else:
            prefix = (name, "<slug>") if name == "workspaces" else (name,)
            yield from (((*prefix, leaf), info) for leaf, info in model.model_fields.items())


def _section_of(name: str) -> type[BaseModel] | None:
    annotation = WorkspaceSettings if name == "workspaces" else Settings.model_fields[name].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


@functools.cache
def places() -> Mapping[str, Place]:
    """Return the place of every variable that is a setting, but those of `[workspaces.<slug>]`."""
    return MappingProxyType({variable_of(place): place for place, _ in fields() if "workspaces" not in place})


def variable_of(place: Place) -> str:
    """Return the variable of a setting."""
    return OWN_NAMES.get(place) or _regular_name(place)


def _regular_name(place: Place) -> str:
    return _PREFIX + "__".join(place).upper()


def place_of(variable: str) -> Place | None:
    """Return the place of a variable that is a setting, also of one workspace's; None for any other."""
    workspace = _WORKSPACE_VARIABLE.fullmatch(variable)
    if workspace:
        return ("workspaces", workspace[1].lower(), workspace[2].lower())
    return places().get(variable)


def is_ours(name: str) -> bool:
    """Say whether nobody but us could be meant by a variable."""
    return name.startswith(_PREFIX) and name != FILE_VARIABLE and not _KUBERNETES_VARIABLE.fullmatch(name)


def in_toml(place: Place) -> str:
    """Write a place as it stands in the file: the section in brackets, then the name."""
    if place[-1].isdecimal():
        return f"{in_toml(place[:-1])}, item {int(place[-1]) + 1}"
    if len(place) > 1:
        return f"[{'.'.join(place[:-1])}] {place[-1]}"
    is_section = place[0] in Settings.model_fields and _section_of(place[0]) is not None
    return f"[{place[0]}]" if is_section else place[0]


def meant_variable(name: str) -> str:
    """Ask whether the variable was meant that is spelled most alike, if any is."""
    return _did_you_mean(name, _spellings())


def meant_setting(place: Place) -> str:
    """Ask the same of a setting of the file."""
    return _did_you_mean(".".join(place), _dotted())


def _did_you_mean(name: str, spellings: Mapping[str, str]) -> str:
    """Name the closest known spelling, compared without the prefix that makes all of them alike."""
    known = {spelling.removeprefix(_PREFIX): meant for spelling, meant in spellings.items()}
    close = difflib.get_close_matches(name.removeprefix(_PREFIX), known, n=1)
    return f"; did you mean {known[close[0]]}?" if close else ""


@functools.cache
def _spellings() -> Mapping[str, str]:
    """Every name that somebody may have meant, and how it is really spelled."""
    regular = {_regular_name(place): name for name, place in places().items()}
    return regular | {name: name for name in places()} | {FILE_VARIABLE: FILE_VARIABLE}


@functools.cache
def _dotted() -> Mapping[str, str]:
    return MappingProxyType({".".join(place): in_toml(place) for place, _ in fields()})
