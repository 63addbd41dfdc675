"""What can be set: each setting with its type, bounds, default and reason; which projects are followed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from etl.guard import GuardRules
from etl.parse.people import People, PeoplePolicy
from etl.selection import ProjectFilter, ReadJobs
from etl.values import (
    Age,
    AgeRule,
    AnyCase,
    ApiUrl,
    Cron,
    DatabaseUrl,
    Duration,
    HostName,
    Listed,
    Number,
    ProjectRule,
    SlugText,
    TimeZone,
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SourceSettings(_Section):
    """How the Roboflow API is read."""

    url: ApiUrl = Field(default="https://api.roboflow.com", description="Address of the API.")
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
    connect_timeout_s: Number = Field(
        default=5,
        gt=0,
        le=300,
        description="Longest wait for a connection. Beyond 5 s a host is down, not slow.",
    )
    read_timeout_s: Number = Field(
        default=30,
        gt=0,
        le=3600,
        description="Longest wait for a whole answer, to its last byte. Large lists take seconds.",
    )
    total_s: Number = Field(
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
        description="Attempts for one call. Five, with waits that double, ride out some seconds of trouble.",
    )
    wait_initial_s: Number = Field(
        default=0.5,
        gt=0,
        le=60,
        description="Upper bound of the first wait between attempts; it doubles each time, and the wait "
        "itself is random below it.",
    )
    wait_max_s: Number = Field(
        default=30, gt=0, le=3600, description="Upper bound of every wait between attempts."
    )
    retry_after_cap_s: Number = Field(
        default=60,
        ge=0,
        le=3600,
        description="Longest `Retry-After` that is honoured in full; a longer one is cut to this, lest a "
        "mistaken header stop a run.",
    )
    requests_per_s: Number = Field(
        default=10,
        ge=0,
        le=10000,
        description="Requests per second for one key, over all threads; 0 is no limit. Roboflow publishes "
        "none; at 10 a thousand projects take two minutes.",
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
    """The key of one workspace, in one of three ways."""

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
    deadline_s: Number = Field(
        default=600,
        gt=0,
        le=86400,
        description="Longest run. What is not read by then is a failed observation, and first in line "
        "next time.",
    )
    lease_s: Number = Field(
        default=60,
        ge=5,
        le=3600,
        description="How long a run that died keeps others off its projects; a run that lives renews it.",
    )


class ScheduleSettings(_Section):
    """When the daemon runs: `every` or `cron`, not both."""

    every: Duration | None = Field(
        default=None,
        ge=timedelta(seconds=10),
        le=timedelta(days=31),
        description="Time between the starts of two runs: `15m`, `1h30m`, `1d`, ISO 8601 (`PT15M`) or "
        "seconds (`900`). 15 minutes where neither this nor `cron` is set.",
    )
    cron: Cron | None = Field(
        default=None,
        description='Start of each run as a cron expression of five fields: `"*/15 * * * *"`. Write weekdays '
        "as names (`mon-fri`).",
    )
    timezone: TimeZone = Field(
        default="UTC", description="Time zone of `cron`. UTC has no hour that is skipped or comes twice."
    )
    jitter_s: Number = Field(
        default=30,
        ge=0,
        le=3600,
        description="Starts are moved by up to this much, by the same amount on the same host, so that "
        "many installations do not knock at once.",
    )
    misfire_grace_s: Number = Field(
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

    max_loss_share: Number = Field(
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
        description="Absent batches that are asked for one by one in one reading: two seconds at ten "
        "requests per second. The others wait for a second reading. The control, a batch that must be found, "
        "comes on top. With 0 nobody is asked, and a loss that lasts is believed only once "
        "`batchledger confirm` accepts it.",
    )
    hold_s: Number = Field(
        default=3600,
        ge=0,
        le=2_592_000,
        description="How long a suspected loss must last before it is cross-examined. Outages are "
        "shorter, mostly. That of a whole workspace never is.",
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


class JobsSettings(_Section):
    """Which annotation jobs are read beside the batches, and what is kept of people."""

    read: Annotated[ReadJobs, AnyCase] = Field(
        default=ReadJobs.AUTO,
        description="`auto` reads the jobs of a project once one of its batches has any: one request more in "
        "each reading of it. `always` asks for those of every project, `never` for none.",
    )
    people: Annotated[PeoplePolicy, AnyCase] = Field(
        default=PeoplePolicy.OMIT,
        description="What becomes of who annotates, reviews or owns a job, and of whatever looks like an "
        "e-mail address, before anything is kept: `omit` leaves it out; `pseudonym` keeps the same made-up "
        "name for the same person, so that work can be counted by person; `keep` keeps it as it is.",
    )
    pseudonym_key: SecretStr | None = Field(
        default=None,
        description="A secret of your own, any long random text, from which pseudonyms are made. Another one "
        "makes other names, so that nobody is recognised any more. Wins over `pseudonym_key_file`.",
    )
    pseudonym_key_file: str | None = Field(
        default=None, description="A file that holds it and nothing else but surrounding white space."
    )

    @model_validator(mode="after")
    def _has_key(self) -> JobsSettings:
        key = self.pseudonym_key.get_secret_value().strip() if self.pseudonym_key else ""
        # What is wrong with a file that is named is told of the file.
        if self.people is PeoplePolicy.PSEUDONYM and not key and self.pseudonym_key_file is None:
            raise ValueError('needs pseudonym_key or pseudonym_key_file for people = "pseudonym"')
        return self

    @property
    def policy(self) -> People:
        """The same, as the parser takes it."""
        key = self.pseudonym_key
        return People(self.people, key.get_secret_value().encode() if key else b"")


class FreshnessSettings(_Section):
    """What is promised of the age of the numbers; `status` tells whether it is kept."""

    max_age: Age | None = Field(
        default=None,
        description="The longest time between two trusted readings of a project, such as `2h`; 0 "
        "promises nothing. Unset: twice the longest time between two starts of `[schedule]`, and at least "
        "2 hours. Set it where `sync` is started by cron less often than hourly. A change counts from the "
        "next run on.",
    )
    max_ages: Annotated[tuple[AgeRule, ...], Listed] = Field(
        default=(),
        description='The same for some projects: `["acme/archive-*=7d", "acme/old=0"]`. The first rule that '
        "matches counts.",
    )


class RetentionSettings(_Section):
    """What `prune` keeps. Of the history itself it never drops anything."""

    unchanged: Age = Field(
        default=timedelta(days=35),
        ge=timedelta(days=31),
        description="Age from which uneventful readings of one project and day are folded into one row. It "
        "still tells when the first and the last of them was, and that there is no gap between them.",
    )
    payloads: Age = Field(
        default=timedelta(0),
        description="Age from which the bodies of answers are dropped; 0 keeps them for ever. Without them "
        "`explain` cannot show the bytes of that time, and `replay` begins where they do.",
    )
    every: Age = Field(
        default=timedelta(days=1),
        description="Time after which the daemon prunes again; 0 leaves it to the command.",
    )


class WebSettings(_Section):
    """The status page and the metrics, of the daemon and of `batchledger web`."""

    enabled: bool = Field(
        default=True,
        description="Whether the daemon serves them. `batchledger web` does so in any case.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        max_length=253,
        description="Address to listen on. There is no log-in: with the default only users of this host can "
        "look. `0.0.0.0` lets in whoever reaches the port, as a container needs it.",
    )
    port: int = Field(
        default=8787,
        ge=0,
        le=65535,
        description="Port to listen on; 0 picks a free one, which the log names.",
    )
    allowed_hosts: Annotated[tuple[HostName, ...], Listed] = Field(
        default=(),
        description="Names by which browsers may ask, besides `localhost`, `host` and every IP address: "
        '`["status.example.org"]`. Any other name is refused, lest a foreign page read this one by giving '
        "its own name our address.",
    )


class LogSettings(_Section):
    """What is said on standard error, and how."""

    format: Annotated[Literal["console", "json", "auto"], AnyCase] = Field(
        default="console",
        description="Lines for people, JSON lines for machines, or `auto`: lines on a terminal, JSON "
        "elsewhere.",
    )
    level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = Field(
        default="info",
        description="The least that is said. Libraries speak from warning on, whatever this is.",
    )


class DatabaseSettings(_Section):
    """The Postgres that keeps the ledger."""

    url: DatabaseUrl | None = Field(
        default=None,
        description="`postgresql://user:password@host:5432/database?sslmode=verify-full`: a libpq "
        "connection URI with any parameter of libpq; a pooler in mode session or transaction may stand in "
        "between. Unset: the embedded database.",
    )
    connect_timeout_s: int = Field(
        default=10,
        ge=2,
        le=300,
        description="Longest wait for a connection, in whole seconds; a `connect_timeout` in the address "
        "wins. libpq would wait for ever.",
    )
    statement_timeout_s: Number = Field(
        default=60,
        ge=0,
        le=86400,
        description="Longest statement; 0 is no limit. Applying a project takes well under a second.",
    )
    lock_timeout_s: Number = Field(
        default=10,
        ge=0,
        le=86400,
        description="Longest wait for a lock; 0 is no limit. Ours are held for one short transaction.",
    )
    pool_size: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Connections at most, all closed between two runs. As many as `sync.concurrency`, so "
        "that no thread waits for another.",
    )
    pool_timeout_s: Number = Field(
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
    projects: Annotated[tuple[ProjectRule, ...], Listed] = Field(
        default=(),
        description="What to follow: names, patterns with `*` and `?`, and exclusions with `!`, such as "
        '`["acme/*", "!acme/scratch-*"]`; with commas between them in the variable. An exclusion always '
        "wins, wherever it stands. Exclusions alone leave all the rest in; absent: all that the keys see.",
    )
    source: SourceSettings = SourceSettings()
    workspaces: dict[SlugText, WorkspaceSettings] = {}
    sync: SyncSettings = SyncSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    guard: GuardSettings = GuardSettings()
    jobs: JobsSettings = JobsSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    retention: RetentionSettings = RetentionSettings()
    web: WebSettings = WebSettings()
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
    def api_keys(self) -> tuple[Key, ...]:
        """The keys of the workspaces that are named; else the single one; else none."""
        if self.workspaces:
            return tuple(Key(slug, workspace.api_key) for slug, workspace in self.workspaces.items())
        return (Key(None, self.source.api_key),) if self.source.api_key else ()

    @property
    def project_filter(self) -> ProjectFilter:
        """The rules of `projects`, ready to decide."""
        return ProjectFilter(self.projects)
