"""Turn the environment, a TOML file and key files into Settings, and name every fault at once."""

from __future__ import annotations

import difflib
import functools
import json
import re
import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource
from sqlalchemy.engine import URL

from etl.errors import SettingsError
from etl.settings import Key, Settings, WorkspaceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = [
    "Key",
    "Origins",
    "Settings",
    "engine_url",
    "load",
    "origins",
    "required_keys",
    "secrets_of",
]

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

_PREFIX = "BATCHLEDGER_"
_FILE_VARIABLE = "BATCHLEDGER_CONFIG"
_FILE_DEFAULT = "batchledger.toml"
_MAX_KEY_FILE_BYTES = 64 * 1024
_KEY_FIELDS = ("api_key", "api_key_file", "api_key_env")
_PSEUDONYM_FIELDS = ("pseudonym_key", "pseudonym_key_file")
_ALTERNATIVES = {"source": _KEY_FIELDS, "schedule": ("every", "cron"), "jobs": _PSEUDONYM_FIELDS}
_WORKSPACE_VARIABLE = re.compile(r"BATCHLEDGER_WORKSPACES__(.+?)__(API_KEY|API_KEY_FILE|API_KEY_ENV)")
# Kubernetes gives every container such variables for a Service called "batchledger". They are no settings.
_KUBERNETES_VARIABLE = re.compile(r"BATCHLEDGER_(SERVICE_(HOST|PORT)(_.*)?|PORT(_\d+_(TCP|UDP).*)?)")


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
    faults = _Faults()
    file = _file_layer(environ, cwd, faults)
    variables = _environment_layer(environ, cwd, faults)
    _drop_overruled(file, variables)
    keys = _read_keys((variables, file), environ, faults)
    keys |= _read_pseudonym_key((variables, file), environ, faults)
    settings = _validated(keys, variables, file, faults)
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
    file = _resolved(environ.get(_FILE_VARIABLE) or _FILE_DEFAULT, cwd, environ)
    named = (name for name in environ if _place_of(name) is not None or name == _FILE_VARIABLE)
    key = settings.source.api_key
    is_login = key is not None and key.get_secret_value() == _login_key(environ)
    return Origins(
        file if file.is_file() else None,
        tuple(sorted(named)),
        _login_file(environ) if is_login else None,
    )


def required_keys(settings: Settings) -> tuple[Key, ...]:
    """
    Return the keys, of which there must be one.

    Raises:
        SettingsError: There is none.
    """
    if not settings.api_keys:
        raise SettingsError(
            "There is no Roboflow API key.",
            remedy="Set ROBOFLOW_API_KEY or ROBOFLOW_API_KEY_FILE, or name a key for each workspace in "
            "batchledger.toml; the key that `roboflow login` saved is used when there is no other.",
        )
    return settings.api_keys


def engine_url(uri: str) -> URL:
    """
    Turn a libpq connection URI, as already checked, into SQLAlchemy's address of the same database.

    Host and port go by way of the query, the one place where SQLAlchemy hands sockets and lists of hosts to
    libpq as they are.
    """
    params = {name: str(value) for name, value in conninfo_to_dict(uri).items() if value is not None}
    own = {name: params.pop(name, None) for name in ("user", "password", "dbname")}
    hosts = params.get("host", "").count(",") + 1
    if "port" in params and "," not in params["port"]:
        params["port"] = ",".join([params["port"]] * hosts)
    return URL.create(
        "postgresql+psycopg",
        username=own["user"],
        password=own["password"],
        database=own["dbname"],
        query=params,
    )


def secrets_of(settings: Settings, environ: Mapping[str, str]) -> frozenset[str]:
    """Return every secret that must never be shown: keys, and passwords of the database."""
    keys = (settings.source.api_key, settings.jobs.pseudonym_key, *(key.secret for key in settings.api_keys))
    uri = settings.database.url
    params = conninfo_to_dict(uri.get_secret_value()) if uri else {}
    passwords = (params.get("password"), params.get("sslpassword"), environ.get("PGPASSWORD"))
    return frozenset(
        {key.get_secret_value() for key in keys if key} | {str(text) for text in passwords if text}
    )


# Reading the layers.


class _Faults:
    """The faults found so far."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __str__(self) -> str:
        head = [] if len(self._lines) == 1 else [f"The settings have {len(self._lines)} faults:"]
        return "\n  ".join([*head, *self._lines])

    def add(self, where: str, what: str) -> None:
        self._lines.append(f"{where}: {what}")


class _Layer(NamedTuple):
    """What one source says, nested as in the file; `base` is where its relative paths start."""

    table: dict[str, Any]
    base: Path
    file: Path
    names: Mapping[Place, str] = MappingProxyType({})

    def label(self, place: Place) -> str:
        """Write a place the way that its reader knows it."""
        return self.names.get(place) or _in_file(self.file, place)


def _in_file(file: Path, place: Place) -> str:
    return f"{file.name}: {_in_toml(place)}" if place else file.name


def _file_layer(environ: Mapping[str, str], cwd: Path, faults: _Faults) -> _Layer:
    named = environ.get(_FILE_VARIABLE)
    path = _resolved(named or _FILE_DEFAULT, cwd, environ)
    table = _table(path, f"{_FILE_VARIABLE} ({path})" if named else path.name, faults, is_optional=not named)
    if isinstance(table.get("home"), str):
        table["home"] = _resolved(table["home"], path.parent, environ)
    return _Layer(table, path.parent, path)


def _table(path: Path, label: str, faults: _Faults, *, is_optional: bool) -> dict[str, Any]:
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


def _environment_layer(environ: Mapping[str, str], cwd: Path, faults: _Faults) -> _Layer:
    names: dict[Place, str] = {}
    table: dict[str, Any] = {}
    for name, value in environ.items():
        place = _place_of(name)
        if place is not None:
            names[place] = name
            _put(table, place, _resolved(value, cwd, environ) if place == ("home",) else value.strip())
        elif _is_ours(name):
            faults.add(name, f"is not a setting{_did_you_mean(name, _spellings())}")
    return _Layer(table, cwd, Path(_FILE_DEFAULT), names)


def _is_ours(name: str) -> bool:
    return name.startswith(_PREFIX) and name != _FILE_VARIABLE and not _KUBERNETES_VARIABLE.fullmatch(name)


def _place_of(variable: str) -> Place | None:
    workspace = _WORKSPACE_VARIABLE.fullmatch(variable)
    if workspace:
        return ("workspaces", workspace[1].lower(), workspace[2].lower())
    return places().get(variable)


def _put(table: dict[str, Any], place: Place, value: object) -> None:
    for name in place[:-1]:
        table = table.setdefault(name, {})
    table[place[-1]] = value


@functools.cache
def places() -> Mapping[str, Place]:
    """Return the place of every variable that is a setting, but those of `[workspaces.<slug>]`."""
    return MappingProxyType({variable_of(place): place for place, _ in fields() if "workspaces" not in place})


def variable_of(place: Place) -> str:
    """Return the variable of a setting."""
    return OWN_NAMES.get(place) or _regular_name(place)


def _regular_name(place: Place) -> str:
    return _PREFIX + "__".join(place).upper()


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
def _spellings() -> Mapping[str, str]:
    """Every name that somebody may have meant, and how it is really spelled."""
    regular = {_regular_name(place): name for name, place in places().items()}
    return regular | {name: name for name in places()} | {_FILE_VARIABLE: _FILE_VARIABLE}


def _did_you_mean(name: str, spellings: Mapping[str, str]) -> str:
    """Name the closest known spelling, compared without the prefix that makes all of them alike."""
    known = {spelling.removeprefix(_PREFIX): meant for spelling, meant in spellings.items()}
    close = difflib.get_close_matches(name.removeprefix(_PREFIX), known, n=1)
    return f"; did you mean {known[close[0]]}?" if close else ""


def _drop_overruled(file: _Layer, variables: _Layer) -> None:
    """Let a variable overrule all the ways in which the file gives the same thing."""
    for section, alternatives in _ALTERNATIVES.items():
        table = file.table.get(section)
        if isinstance(table, dict) and set(alternatives) & set(variables.table.get(section, ())):
            for name in alternatives:
                table.pop(name, None)


def _resolved(text: str, base: Path, environ: Mapping[str, str]) -> Path:
    text = text.strip()
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        text = home + text[1:]
    return base / text


# Reading the keys.


def _read_keys(layers: tuple[_Layer, ...], environ: Mapping[str, str], faults: _Faults) -> dict[str, Any]:
    """Find the text of each key that is named; the first layer that names one wins."""
    keys: dict[str, Any] = {}
    for section in (("source",), *_workspaces(layers)):
        secret = next(
            (_read_key(layer, section, environ, faults) for layer in layers if _given(layer, section)), None
        )
        if secret is not None:
            _put(keys, (*section, "api_key"), secret)
    has_key = any(
        _given(layer, section) for layer in layers for section in (("source",), *_workspaces(layers))
    )
    login = None if has_key else _login_key(environ)
    return keys | ({"source": {"api_key": login}} if login else {})


def _read_pseudonym_key(
    layers: tuple[_Layer, ...], environ: Mapping[str, str], faults: _Faults
) -> dict[str, Any]:
    """Read the secret of pseudonyms, where a file holds it and nothing stronger gives it."""
    for layer in layers:
        table = layer.table.get("jobs")
        given = table if isinstance(table, dict) else {}
        path = given.get("pseudonym_key_file")
        if given.get("pseudonym_key") is not None or not isinstance(path, str):
            continue
        secret, fault = _key_in_file(_resolved(path, layer.base, environ))
        if not fault:
            return {"jobs": {"pseudonym_key": secret}}
        faults.add(layer.label(("jobs", "pseudonym_key_file")), fault)
    return {}


def _workspaces(layers: tuple[_Layer, ...]) -> list[Place]:
    tables = [layer.table.get("workspaces") for layer in layers]
    slugs = [slug for table in tables if isinstance(table, dict) for slug in table]
    return [("workspaces", slug) for slug in dict.fromkeys(slugs)]


def _given(layer: _Layer, section: Place) -> list[str]:
    """Return the ways in which a layer gives the key of a section, the strongest first."""
    table: object = layer.table
    for name in section:
        table = table.get(name) if isinstance(table, dict) else None
    return [name for name in _KEY_FIELDS if name in table] if isinstance(table, dict) else []


def _read_key(layer: _Layer, section: Place, environ: Mapping[str, str], faults: _Faults) -> str | None:
    place = (*section, _given(layer, section)[0])
    value: Any = layer.table
    for name in place:
        value = value[name]
    if not isinstance(value, str):
        return None
    label = layer.label(place)
    secret, fault = _key_text(place[-1], value, layer.base, environ)
    fault = fault or _key_fault(secret)
    if fault:
        faults.add(label, fault)
    return secret


def _key_text(kind: str, value: str, base: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the key and no fault, or no key and the fault."""
    if kind == "api_key_file":
        return _key_in_file(_resolved(value, base, environ))
    if kind == "api_key_env":
        return environ.get(value, "").strip(), "" if value in environ else "names a variable that is not set"
    return value.strip(), ""


def _key_in_file(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            body = file.read(_MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        return "", f"the key file {path} cannot be read ({error.strerror})"
    if len(body) > _MAX_KEY_FILE_BYTES:
        return "", f"the key file {path} is too long to hold a key"
    key = body.decode("utf-8-sig", errors="replace").strip()
    return key, "" if key else f"the key file {path} is empty"


def _key_fault(secret: str) -> str:
    if not secret:
        return "is empty; it must be a key"
    if not re.fullmatch(r"[\x21-\x7e]+", secret):
        return (
            "has a white space, control or non-ASCII character inside, which no key has; copy the key again"
        )
    return ""


def _login_key(environ: Mapping[str, str]) -> str | None:
    """
    Return the key that `roboflow login` saved.

    The file belongs to another program, so whatever is wrong with it only means that there is no such key.
    """
    try:
        login = json.loads(_login_file(environ).read_bytes())
        workspaces = login["workspaces"]
        default = login.get("RF_WORKSPACE")
        chosen = [entry for slug, entry in workspaces.items() if default in (slug, entry.get("url"))]
        entries = chosen if default else list(workspaces.values())
        key = entries[0]["apiKey"].strip()
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None
    return key if not _key_fault(key) else None


def _login_file(environ: Mapping[str, str]) -> Path:
    """Return where `roboflow login` saves; its variable names the file, although it is called a folder."""
    home = Path(environ.get("HOME", "/"))
    path = Path(environ.get("ROBOFLOW_CONFIG_DIR", home / ".config" / "roboflow" / "config.json"))
    return path / "config.json" if path.is_dir() else path


# Judging the whole.


def _validated(keys: dict[str, Any], variables: _Layer, file: _Layer, faults: _Faults) -> Settings | None:
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


def _where(place: Place, variables: _Layer, file: _Layer) -> str:
    """Name the variable that set what is at fault, else the file, else the variables that did it together."""
    stems = (place[:length] for length in range(len(place), 0, -1))
    name = next((variables.names[stem] for stem in stems if stem in variables.names), None)
    within = sorted(name for known, name in variables.names.items() if known[: len(place)] == place)
    if name is None and within and place[0] not in file.table:
        return ", ".join(within)
    return name or _in_file(file.file, tuple(part for part in place if part != "[key]"))


def _what(detail: ErrorDetails, place: Place) -> str:
    """Say what is wrong and what would be right, without the value."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"is not a setting{_did_you_mean('.'.join(place), _dotted())}"
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


@functools.cache
def _dotted() -> Mapping[str, str]:
    return MappingProxyType({".".join(place): _in_toml(place) for place, _ in fields()})


def _in_toml(place: Place) -> str:
    if place[-1].isdecimal():
        return f"{_in_toml(place[:-1])}, item {int(place[-1]) + 1}"
    if len(place) > 1:
        return f"[{'.'.join(place[:-1])}] {place[-1]}"
    is_section = place[0] in Settings.model_fields and _section_of(place[0]) is not None
    return f"[{place[0]}]" if is_section else place[0]


def _default_of(place: Place) -> str:
    default = next((field.default for known, field in fields() if known == place), None)
    return f" (default {default})" if isinstance(default, str | int | float) else ""
