"""Writes the configuration reference from the settings' own descriptions: `python -m etl.reference`."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from etl.config.names import fields, variable_of
from etl.settings import Settings, WorkspaceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from etl.config.names import Place

_HEAD = """\
# Configuration

<!-- Written by `python -m etl.reference`. Change the descriptions in etl/settings.py. -->

With a key and nothing else everything works: the workspace is asked from the key, all its projects are
followed, and the embedded database is used.

## Where settings come from

The first that says something wins, setting by setting:

1. **The environment.** An empty variable counts as unset. A variable that begins with `BATCHLEDGER_` and is
   no setting is a fault, except those that Kubernetes makes for a Service of that name.
2. **The TOML file**: `BATCHLEDGER_CONFIG`, else `batchledger.toml` in the working folder. A file that is
   named must be there; the other may be missing. An unknown name in it is a fault.
3. **The default.**

Relative paths start in the folder of the file, or in the working folder where a variable gives them; `~/`
is `$HOME`. Every fault is named at once, with the file or variable, what is wrong and what would be right,
and never with the value; the exit code is then 2.

## Keys

For a single key, the strongest first: `ROBOFLOW_API_KEY`, `ROBOFLOW_API_KEY_FILE`, `api_key` and
`api_key_file` of `[source]` in the file, and the key that `roboflow login` saved in
`~/.config/roboflow/config.json` (`ROBOFLOW_CONFIG_DIR` names another). A key file that is named must hold a
key; a login that cannot be read only means that there is no such key.

Several workspaces have a key each, in `[workspaces.<slug>]`; then only those are used. White space around a
key does not matter.

```toml
projects = ["acme/*", "!acme/scratch-*", "globex/cars"]

[workspaces.acme]
api_key_file = "/etc/batchledger/acme-key"

[workspaces.globex]
api_key_env = "GLOBEX_KEY"

[schedule]
every = "15m"
```

The variables of one workspace are `BATCHLEDGER_WORKSPACES__<SLUG>__API_KEY`, `…__API_KEY_FILE` and
`…__API_KEY_ENV`, with its slug in capitals.

## All settings
"""
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_TABLE = "\n| setting | variable | default | allowed | meaning |\n|---|---|---|---|---|\n"


def configuration() -> str:
    """Return the page: every setting with its variable, default, bounds and meaning."""
    return _HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    section: Place | None = None
    for place, field in fields():
        if place[:-1] != section:
            section = place[:-1]
            yield _title(section)
        yield _row(place, field)


def _title(section: Place) -> str:
    if not section:
        return _TABLE
    name = section[0]
    model = WorkspaceSettings if name == "workspaces" else Settings.model_fields[name].annotation
    return f"\n### `[{'.'.join(section)}]`\n\n{model.__doc__}\n{_TABLE}"


def _row(place: Place, field: FieldInfo) -> str:
    cells = (
        f"`{place[-1]}`",
        f"`{variable_of(place)}`",
        _default(field),
        _allowed(field),
        (field.description or "").replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |\n"


def _default(field: FieldInfo) -> str:
    default = field.get_default()
    return "" if field.is_required() or default in (None, ()) else f"`{_plain(default)}`"


def _allowed(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    bounds: dict[str, Any] = {}
    for bound in field.metadata:
        for name, sign, narrower in (("gt", ">", max), ("ge", "≥", max), ("lt", "<", min), ("le", "≤", min)):
            if (value := getattr(bound, name, None)) is not None:
                bounds[sign] = narrower(value, bounds.get(sign, value))
    return ", ".join(f"{sign} {_plain(value)}" for sign, value in bounds.items())


def _plain(value: object) -> str:
    """Write a value as one would in the file: a length of time in its largest whole unit."""
    if not isinstance(value, timedelta):
        return str(value)
    if not value:
        return "0"
    seconds = int(value.total_seconds())
    unit_s, name = next(unit for unit in _UNITS if not seconds % unit[0])
    return f"{seconds // unit_s}{name}"


if __name__ == "__main__":
    sys.stdout.write(configuration())
