"""Turn the environment, a TOML file and key files into Settings, and name every fault at once."""

from __future__ import annotations

import difflib
import functools
import json
import re
import tomllib
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import URL

from etl.errors import SettingsError
from etl.guard import GuardRules
from etl.records import Slug

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

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
_ALTERNATIVES = {"source": _KEY_FIELDS, "schedule": ("every", "cron")}
_WORKSPACE_VARIABLE = re.compile(r"BATCHLEDGER_WORKSPACES__(.+?)__(API_KEY|API_KEY_FILE|API_KEY_ENV)")
# Kubernetes gives every container such variables for a Service called "batchledger". They are no settings.
_KUBERNETES_VARIABLE = re.compile(r"BATCHLEDGER_(SERVICE_(HOST|PORT)(_.*)?|PORT(_\d+_(TCP|UDP).*)?)")


# How values are read. No message quotes a value: it may be a secret that was put in the wrong place.


def _duration(value: object) -> object:
    """Read `15m` and `1h30m` as the ISO 8601 that they abbreviate, and digits as seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip().upper()
    if text.isdecimal():
        return int(text)
    short = re.fullmatch(r"(\d+D)?((?:\d+H)?(?:\d+M)?(?:\d+S)?)", text)
    return f"P{short[1] or ''}{short[2] and 'T' + short[2]}" if short else text


def _items(value: object) -> object:
    return re.split(r"[,\s]+", value.strip(", \t\r\n")) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _api_url(value: str) -> str:
    """Accept the address of an API: scheme and host, perhaps a path, and nothing that could hold a key."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError("must be an address such as https://api.roboflow.com")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an address alone, without user, key or query")
    return value.rstrip("/")


def _database_url(value: SecretStr) -> SecretStr:
    """Accept what libpq accepts as a connection URI; libpq itself is asked."""
    uri = value.get_secret_value().strip()
    if not uri.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql:// or postgres://, without the name of a driver")
    try:
        params = conninfo_to_dict(uri)
    except ProgrammingError:
        params = None
    if params is None:
        raise ValueError(
            "is not an address that libpq understands: percent-encode @ : / ? # % in the password, "
            "and check the names of the parameters after the ?"
        )
    if not all(port.isdecimal() or not port for port in str(params.get("port", "")).split(",")):
        raise ValueError("must have a number as its port; percent-encode @ : / ? # % in the password")
    return SecretStr(uri)


def _timezone(value: str) -> str:
    """Accept the name of an IANA time zone."""
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        is_known = False
    else:
        is_known = True
    if not is_known:
        raise ValueError("must be the IANA name of a time zone, such as UTC or Europe/Berlin")
    return value


def _cron(value: str) -> str:
    """Accept what the scheduler will accept as a crontab line."""
    # Only who sets a cron expression pays for the import.
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415

    try:
        CronTrigger.from_crontab(value, timezone="UTC")
    except (ValueError, TypeError):
        is_cron = False
    else:
        is_cron = True
    if not is_cron:
        raise ValueError('must be a cron expression of five fields, such as "*/15 * * * *"')
    return value


_RULE = re.compile(r"!?([^/\s\[\]!]+)/([^/\s\[\]!]+)")


def _project_rule(value: str) -> str:
    """Accept `workspace/project`, with `*` and `?` in either part, and `!` before it."""
    if not _RULE.fullmatch(value):
        raise ValueError(
            "must be workspace/project, such as acme/*, acme/cars or !acme/scratch-* (* and ? only)"
        )
    return value


_Rule = Annotated[str, AfterValidator(_project_rule)]
_SlugText = Annotated[str, StringConstraints(pattern=r"^[^/\s]+$")]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SourceSettings(_Section):
    """How the Roboflow API is read."""

    url: Annotated[str, AfterValidator(_api_url)] = Field(
        default="https://api.roboflow.com", description="Address of the API."
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="The key, where there is only one. Wins over `api_key_file`, and that over the key which "
        "`roboflow login` saved. Not used where `[workspaces.<slug>]` names keys.",
    )
    api_key_file: str | None = Field(
        default=None, description="A file that holds the key and nothing else but surrounding white space."
    )
    auth: Literal["header", "query"] = Field(
        default="header",
        description="How the key travels: in the `Authorization` header, or as `api_key` in the query, where "
        "proxies and servers log it; only for a gateway that drops the header.",
    )
    connect_timeout_s: _Number = Field(
        default=5,
        gt=0,
        le=300,
        description="Longest wait for a connection. Beyond 5 s a host is down, not slow.",
    )
    read_timeout_s: _Number = Field(
        default=30,
        gt=0,
        le=3600,
        description="Longest silence of the API within an answer. Lists of large projects take seconds.",
    )
    total_s: _Number = Field(
        default=120,
        gt=0,
        le=86400,
        description="Longest time for one call with all its attempts and waits, so that one project "
        "cannot use up a run.",
    )
    attempts: int = Field(
        default=5,
        ge=1,
        le=20,
        description="Attempts for one call. Five, with waits that double, ride out about 15 s of trouble.",
    )
    wait_initial_s: _Number = Field(
        default=0.5,
        gt=0,
        le=60,
        description="Upper bound of the first wait between attempts; it doubles each time, and the wait "
        "itself is random below it.",
    )
    wait_max_s: _Number = Field(
        default=30, gt=0, le=3600, description="Upper bound of every wait between attempts."
    )
    retry_after_cap_s: _Number = Field(
        default=60,
        ge=0,
        le=3600,
        description="Longest `Retry-After` that is honoured in full; a longer one is cut to this, lest a "
        "mistaken header stop a run.",
    )
    requests_per_s: _Number = Field(
        default=10,
        ge=0,
        le=10000,
        description="Requests per second for one key, over all threads; 0 is no limit. Roboflow publishes "
        "none; 10 is far below what its own clients send.",
    )
    max_body_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        le=1024**3,
        description="Longest answer that is read, after decompression: about 400,000 batches. Bounds memory.",
    )

    @model_validator(mode="after")
    def _check_waits(self) -> SourceSettings:
        if self.wait_initial_s > self.wait_max_s:
            raise ValueError("wait_initial_s must not be more than wait_max_s")
        return self


class WorkspaceSettings(_Section):
    """The key of one workspace: exactly one of the three."""

    api_key: SecretStr = Field(description="The key itself. Wins over the other two.")
    api_key_file: str | None = Field(
        default=None, description="A file that holds the key. Wins over `api_key_env`."
    )
    api_key_env: str | None = Field(
        default=None, description="Name of the environment variable that holds the key."
    )


class SyncSettings(_Section):
    """How one run goes about its work."""

    concurrency: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Projects read at once. Eight hide the API's latency; the rate limit bounds the load "
        "anyway.",
    )
    deadline_s: _Number = Field(
        default=600,
        gt=0,
        le=86400,
        description="Longest run. What is not read by then is a failed observation, and first in line "
        "next time.",
    )
    lease_s: _Number = Field(
        default=60,
        ge=5,
        le=3600,
        description="How long a run that died keeps others off its projects; a run that lives renews it.",
    )


class ScheduleSettings(_Section):
    """When the daemon runs: `every` or `cron`, not both."""

    every: Annotated[timedelta, BeforeValidator(_duration)] | None = Field(
        default=None,
        ge=timedelta(seconds=10),
        le=timedelta(days=31),
        description="Time between the starts of two runs: `15m`, `1h30m`, `1d`, ISO 8601 (`PT15M`) or "
        "seconds"
        "(`900`). 15 minutes where neither this nor `cron` is set.",
    )
    cron: Annotated[str, AfterValidator(_cron)] | None = Field(
        default=None,
        description='Start of each run as a cron expression of five fields: `"*/15 * * * *"`. Write weekdays '
        "as names (`mon-fri`).",
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        default="UTC", description="Time zone of `cron`. UTC has no hour that is skipped or comes twice."
    )
    jitter_s: _Number = Field(
        default=30,
        ge=0,
        le=3600,
        description="Starts are moved by up to this much, by the same amount on the same host, so that "
        "many installations do not knock at once.",
    )
    misfire_grace_s: _Number = Field(
        default=300,
        ge=1,
        le=86400,
        description="A start that is later than this (the host slept) is not made up for; it is recorded "
        "as missed. Several late starts become one.",
    )

    @model_validator(mode="after")
    def _check_one(self) -> ScheduleSettings:
        if self.every is not None and self.cron is not None:
            raise ValueError("every and cron exclude each other: keep one of them")
        return self

    @property
    def interval(self) -> timedelta | None:
        """Time between two runs; None where `cron` says when."""
        return (self.every or timedelta(minutes=15)) if self.cron is None else None


class GuardSettings(_Section):
    """When an absence is believed."""

    max_loss_share: _Number = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of a project's batches above which a loss in one reading is suspect. Merging "
        "and deleting seldom take half.",
    )
    min_loss: int = Field(
        default=5,
        ge=1,
        le=1_000_000,
        description="Batches that must be lost before the share counts. Small projects empty out in big "
        "shares.",
    )
    max_lookups: int = Field(
        default=20,
        ge=0,
        le=1000,
        description="Missing batches that are asked for one by one in one reading: two seconds at ten "
        "requests per second. The others wait for a second reading.",
    )
    hold_s: _Number = Field(
        default=3600,
        ge=0,
        le=2_592_000,
        description="How long a suspected loss must last before it is cross-examined. Outages are "
        "shorter, mostly.",
    )

    @property
    def rules(self) -> GuardRules:
        """The same, as the guard takes it."""
        return GuardRules(
            max_loss_share=self.max_loss_share,
            min_loss=self.min_loss,
            max_lookups=self.max_lookups,
            hold=timedelta(seconds=self.hold_s),
        )


class LogSettings(_Section):
    """What is said on standard error, and how."""

    format: Annotated[Literal["console", "json", "auto"], BeforeValidator(_lower)] = Field(
        default="console",
        description="Lines for people, JSON lines for machines, or `auto`: lines on a terminal, JSON "
        "elsewhere.",
    )
    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        default="info",
        description="The least that is said. Libraries speak from warning on, whatever this is.",
    )


class DatabaseSettings(_Section):
    """The Postgres that keeps the ledger."""

    url: Annotated[SecretStr, AfterValidator(_database_url)] | None = Field(
        default=None,
        description="`postgresql://user:password@host:5432/database?sslmode=verify-full`: a libpq "
        "connection URI"
        "with any parameter of libpq. Unset: the embedded database.",
    )
    connect_timeout_s: int = Field(
        default=10,
        ge=2,
        le=300,
        description="Longest wait for a connection, in whole seconds; a `connect_timeout` in the address "
        "wins. libpq would wait for ever.",
    )
    statement_timeout_s: _Number = Field(
        default=60,
        ge=0,
        le=86400,
        description="Longest statement; 0 is no limit. Applying a project takes well under a second.",
    )
    lock_timeout_s: _Number = Field(
        default=10,
        ge=0,
        le=86400,
        description="Longest wait for a lock; 0 is no limit. Ours are held for one short transaction.",
    )
    pool_size: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Connections kept. Threads mostly wait for the API, so fewer than `sync.concurrency` "
        "are enough.",
    )
    pool_timeout_s: _Number = Field(
        default=30, gt=0, le=3600, description="Longest wait for one of the connections."
    )


class Key(NamedTuple):
    """An API key, and its workspace; None where the key itself has to be asked."""

    workspace: str | None
    secret: SecretStr


class Settings(BaseSettings):
    """All that can be set. Made by `load`; keywords and defaults alone where it is called directly."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, case_sensitive=True
    )

    home: Path | None = Field(
        default=None,
        description="Folder of the embedded database. Unset: `/var/lib/batchledger` for root, else "
        "`$XDG_DATA_HOME/batchledger` or `~/.local/share/batchledger`.",
    )
    projects: Annotated[tuple[_Rule, ...], BeforeValidator(_items)] = Field(
        default=(),
        description="What to follow: names, patterns with `*` and `?`, and exclusions with `!`, such as "
        '`["acme/*", "!acme/scratch-*"]`; with commas between them in the variable. An exclusion always '
        "wins, wherever it stands. Exclusions alone leave all the rest in; absent: all that the keys can see.",
    )
    source: SourceSettings = SourceSettings()
    workspaces: dict[_SlugText, WorkspaceSettings] = {}
    sync: SyncSettings = SyncSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    guard: GuardSettings = GuardSettings()
    log: LogSettings = LogSettings()
    database: DatabaseSettings = DatabaseSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- The signature is pydantic's.
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out the sources that would read the process's own environment and files."""
        return (init_settings,)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of the workspaces that are named; else the single one; else none."""
        if self.workspaces:
            return tuple(Key(slug, workspace.api_key) for slug, workspace in self.workspaces.items())
        return (Key(None, self.source.api_key),) if self.source.api_key else ()

    @property
    def project_filter(self) -> ProjectFilter:
        """The rules of `projects`, ready to decide."""
        return ProjectFilter(self.projects)


class ProjectFilter:
    """
    Decides which projects are followed. An exclusion always wins, so the order of the rules means nothing.

    Args:
        rules: `workspace/project`, with `*` and `?` in either part; exclusions begin with `!`.
    """

    def __init__(self, rules: Iterable[str] = ()) -> None:
        slugs = [(rule.startswith("!"), Slug(*rule.removeprefix("!").split("/"))) for rule in rules]
        self._excluded = tuple(slug for is_exclusion, slug in slugs if is_exclusion)
        self._included = tuple(slug for is_exclusion, slug in slugs if not is_exclusion) or (Slug("*", "*"),)

    def admits(self, slug: Slug) -> bool:
        """Say whether the project is followed."""
        return _matches(slug, self._included) and not _matches(slug, self._excluded)

    @property
    def named(self) -> tuple[Slug, ...]:
        """The projects that are followed by exact name, in the order written: each must be visible."""
        exact = (slug for slug in self._included if not {"*", "?"} & set(str(slug)))
        return tuple(dict.fromkeys(slug for slug in exact if self.admits(slug)))

    def unseen(self, visible: Collection[Slug]) -> tuple[Slug, ...]:
        """Return the projects that are followed by exact name and that no key can see."""
        return tuple(slug for slug in self.named if slug not in visible)


def _matches(slug: Slug, patterns: Iterable[Slug]) -> bool:
    return any(
        fnmatchcase(slug.workspace, pattern.workspace) and fnmatchcase(slug.project, pattern.project)
        for pattern in patterns
    )


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
    settings = _validated(keys, variables, file, faults)
    if faults or settings is None:
        raise SettingsError(str(faults))
    return settings


def required_keys(settings: Settings) -> tuple[Key, ...]:
    """
    Return the keys, of which there must be one.

    Raises:
        SettingsError: There is none.
    """
    if not settings.keys:
        raise SettingsError(
            "There is no Roboflow API key.",
            remedy="Set ROBOFLOW_API_KEY or ROBOFLOW_API_KEY_FILE, or name a key for each workspace in "
            "batchledger.toml; the key that `roboflow login` saved is used when there is no other.",
        )
    return settings.keys


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
    keys = (key.secret for key in (*settings.keys, *_single(settings.source.api_key)))
    uri = settings.database.url
    params = conninfo_to_dict(uri.get_secret_value()) if uri else {}
    passwords = (params.get("password"), params.get("sslpassword"), environ.get("PGPASSWORD"))
    return frozenset(
        {key.get_secret_value() for key in keys} | {str(password) for password in passwords if password}
    )


def _single(secret: SecretStr | None) -> tuple[Key, ...]:
    return (Key(None, secret),) if secret else ()


# Reading the layers.


class _Faults:
    """The faults found so far, at most one for each place."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._places: set[Place] = set()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __str__(self) -> str:
        head = [] if len(self._lines) == 1 else [f"The settings have {len(self._lines)} faults:"]
        return "\n  ".join([*head, *self._lines])

    def add(self, where: str, what: str, place: Place = ()) -> None:
        self._lines.append(f"{where}: {what}")
        self._places.add(place)

    def has(self, place: Place) -> bool:
        return place in self._places


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
    close = difflib.get_close_matches(name, spellings, n=1)
    return f"; did you mean {spellings[close[0]]}?" if close else ""


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
        faults.add(label, fault, (*section, "api_key"))
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
        if not faults.has(place):
            faults.add(_where(place, variables, file), _what(detail, place), place)
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

    return Loaded()


def _where(place: Place, variables: _Layer, file: _Layer) -> str:
    """Name the variable that set what is at fault, else the file."""
    stems = (place[:length] for length in range(len(place), 0, -1))
    name = next((variables.names[stem] for stem in stems if stem in variables.names), None)
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
    return f"[{'.'.join(place[:-1])}] {place[-1]}" if len(place) > 1 else place[0]


def _default_of(place: Place) -> str:
    default = next((field.default for known, field in fields() if known == place), None)
    return f" (default {default})" if isinstance(default, str | int | float) else ""
