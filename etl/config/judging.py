"""The layers made into Settings, and in words what pydantic has against them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from etl.config.layers import in_file
from etl.config.names import fields, meant_setting
from etl.settings import Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from etl.config.faults import Faults
    from etl.config.layers import Layer
    from etl.config.names import Place


def validated(keys: dict[str, Any], variables: Layer, file: Layer, faults: Faults) -> Settings | None:
    """Merge the tables, the keys the strongest and the file the weakest, or note every fault of theirs."""
    try:
        return _merged(keys, variables.table, file.table)
    except ValidationError as error:
        # Without its context no traceback can show what was put in.
        details = error.errors(include_url=False, include_input=False)
    for detail in details:
        place = tuple(str(part) for part in detail["loc"])
        faults.add(_where(place, variables, file), _what(detail, place))
    return None


def _merged(*tables: dict[str, Any]) -> Settings:
    """Let pydantic-settings merge the tables, the first the strongest, setting by setting."""

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            *_: PydanticBaseSettingsSource,
            **__: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(settings_cls, table) for table in tables)

    loaded = Loaded()
    # The class was needed for its sources alone; what leaves here is like any other Settings.
    return Settings.model_construct(loaded.model_fields_set, **dict(loaded))


def _where(place: Place, variables: Layer, file: Layer) -> str:
    """Name the variable that set what is at fault, else the file, else the variables that did it together."""
    stems = (place[:length] for length in range(len(place), 0, -1))
    name = next((variables.names[stem] for stem in stems if stem in variables.names), None)
    within = sorted(name for known, name in variables.names.items() if known[: len(place)] == place)
    if name is None and within and place[0] not in file.table:
        return ", ".join(within)
    return name or in_file(file.file, tuple(part for part in place if part != "[key]"))


def _what(detail: ErrorDetails, place: Place) -> str:
    """Say what is wrong and what would be right, without the value."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"is not a setting{meant_setting(place)}"
    if kind.startswith("time_delta"):
        return "must be a duration: 15m, 1h30m, 1d, ISO 8601 (PT15M) or seconds (900)"
    if kind == "missing":
        return "needs one of api_key, api_key_file, api_key_env"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"must be a section: [{'.'.join(place)}]"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    said = detail["msg"].split(", unable to parse")[0]
    return re.sub(r"^(Input|String) should", "must", said) + _default_of(place)


def _default_of(place: Place) -> str:
    default = next((field.default for known, field in fields() if known == place), None)
    return f" (default {default})" if isinstance(default, str | int | float) else ""
