"""The way to the database: engines, the schema's revision, and what its errors mean to us."""

from __future__ import annotations

import io
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg.errors import DiskFull, InsufficientPrivilege, LockNotAvailable, ReadOnlySqlTransaction
from sqlalchemy import NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from etl.address import engine_url
from etl.errors import DatabaseUnavailableError, SchemaMismatchError, SettingsError, StatementFailedError
from etl.settings import DatabaseSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alembic.config import Config
    from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection
    from sqlalchemy.pool import ConnectionPoolEntry


def engine(uri: str, settings: DatabaseSettings | None = None) -> Engine:
    """
    Make an engine for the ledger; nothing is connected yet. Its connections commit by themselves.

    Args:
        uri: A libpq connection URI as `etl.settings` accepts it; its parameters are libpq's.
        settings: Time limits and the size of the pool.
    """
    limits = settings or DatabaseSettings()
    connections = create_engine(
        _url(uri, limits),
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_timeout=limits.pool_timeout_s,
        isolation_level="AUTOCOMMIT",
    )
    values = _session(limits)

    def settle(connection: psycopg.Connection, record: ConnectionPoolEntry) -> None:
        if _is_pooler(connection):
            connection.prepare_threshold = None
            record.info[_TRANSACTION] = _set("SET LOCAL", values)
        else:
            connection.execute(_set("SET", values))

    event.listen(connections, "connect", settle)
    return connections


def _session(limits: DatabaseSettings) -> dict[str, str]:
    return {
        "statement_timeout": f"{limits.statement_timeout_s * 1000:.0f}",
        "lock_timeout": f"{limits.lock_timeout_s * 1000:.0f}",
        # Plans are kept: planning would cost more than running. A table that was empty when the plan was made
        # must not be scanned whole once it is full, and no statement of the ledger needs to.
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "jit": "off",
        # Nothing is lost by it but the last moments before a crash, whole transactions only, and the next run
        # carries on from there; the end of a run waits until all of it is on disk.
        "synchronous_commit": "off",
    }


def _set(command: LiteralString, values: Mapping[str, str]) -> bytes:
    return "; ".join(f"{command} {name} = {value}" for name, value in values.items()).encode()


# A pooler. In transaction mode it lends the server to somebody else after each transaction, with whatever was
# set or prepared there. It answers for the server but gives out process ids of its own, by which it is known.

_TRANSACTION: Final = "transaction"


def _is_pooler(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is None or row[0] != connection.info.backend_pid


@contextmanager
def at_work(pooled: PoolProxiedConnection) -> Iterator[psycopg.Connection]:
    """
    Lend the connection of a pooled one, on which every statement is a transaction of its own.

    Behind a pooler the whole block is one transaction, because that is how long a setting can last there.
    """
    connection = pooled.driver_connection
    if not isinstance(connection, psycopg.Connection):
        raise TypeError("the ledger needs psycopg")
    settings = pooled.info.get(_TRANSACTION)
    if settings is None:
        yield connection
        return
    with connection.transaction():
        connection.execute(settings)
        yield connection


@contextmanager
def connect(uri: str, settings: DatabaseSettings | None = None) -> Iterator[Connection]:
    """
    Connect once, for one purpose, and disconnect. What is not committed is rolled back.

    Raises:
        DatabaseUnavailableError: The database cannot be reached, or went away.
    """
    # Nothing is prepared: no statement is repeated often enough, and a pooler would mix them up.
    connections = create_engine(
        _url(uri, settings or DatabaseSettings()),
        poolclass=NullPool,
        connect_args={"prepare_threshold": None},
    )
    with translated(connections), connections.connect() as connection:
        yield connection


_ALIVE: Final = MappingProxyType(
    {
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "60000",
    }
)
"""A server whose host has vanished is given up after a minute (s, s, count, ms); by default, after hours."""


def _url(uri: str, limits: DatabaseSettings) -> URL:
    url = engine_url(uri)
    defaults = {
        "connect_timeout": str(limits.connect_timeout_s),
        "application_name": "batchledger",
        **_ALIVE,
    }
    return url.update_query_dict({name: value for name, value in defaults.items() if name not in url.query})


@contextmanager
def translated(connections: Engine) -> Iterator[None]:
    """Turn the loss of the database, or its refusal, into our own error, which holds no secret."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise denied(error.orig) from None
        if isinstance(error.orig, LockNotAvailable):
            raise stuck(error.orig) from None
        if isinstance(error, OperationalError | InternalError) or error.connection_invalidated:
            raise unavailable(connections, error) from None
        raise


def unavailable(connections: Engine, error: BaseException) -> DatabaseUnavailableError:
    """Say which database cannot be used, and why, in one line."""
    url = connections.url
    where = f"{url.host or url.query.get('host') or 'local socket'}/{url.database or ''}"
    cause = getattr(error, "orig", None) or error
    reason = " ".join(str(cause).split()) or type(cause).__name__
    remedy = next((remedy for kind, remedy in _REMEDIES.items() if isinstance(cause, kind)), _REMEDY)
    return DatabaseUnavailableError(f"the database at {where} cannot be used: {reason}", remedy=remedy)


_REMEDY: Final = (
    "see that it runs, that it has room for `pool_size` connections, and that DATABASE_URL is right; "
    "`batchledger check` tells more"
)
_REMEDIES: Final[Mapping[type[BaseException], str]] = MappingProxyType(
    {
        DiskFull: "make room on the disk of the database; the next run goes on from what was committed",
        ReadOnlySqlTransaction: (
            "let DATABASE_URL name a server that takes writes; with `target_session_attrs=read-write` in it "
            "several hosts can be listed, and the one that does is found"
        ),
    }
)


def given_up(error: psycopg.Error) -> StatementFailedError:
    """Say why one statement did not come to its end, on a connection that is as good as before."""
    return StatementFailedError(
        f"the database gave up a statement: {error.diag.message_primary}",
        remedy="see what keeps it busy; else raise `statement_timeout_s` or `lock_timeout_s` in [database]",
    )


def stuck(error: LockNotAvailable) -> StatementFailedError:
    """Say that somebody held a lock for longer than one may wait with everybody else behind."""
    return StatementFailedError(
        f"the database gave up a statement: {error.diag.message_primary}; nothing was changed",
        remedy="see in pg_stat_activity whose transaction is open for long, and try again when it has ended",
    )


def denied(error: InsufficientPrivilege) -> SettingsError:
    """Say what the role may not do."""
    return SettingsError(
        f"the database refuses: {error.diag.message_primary}",
        remedy="grant it to the role that DATABASE_URL names, or name another role",
    )


def head() -> str:
    """Return the revision that this program was written for: file name and revision are one."""
    return max(_revisions())


def revision(connection: Connection) -> str | None:
    """Return the revision of the database; None if it was never migrated."""
    exists = connection.scalar(text("SELECT to_regclass('ledger.alembic_version') IS NOT NULL"))
    if not exists:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM ledger.alembic_version"))
    return found


def is_behind(found: str | None) -> bool:
    """Say whether a revision is an earlier one of this program's; None is that of an empty database."""
    return found is None or (found in _revisions() and found != head())


def require_head(connection: Connection) -> None:
    """
    Refuse a database of another revision than this program's.

    Raises:
        SchemaMismatchError: It is older (migrate it), newer (upgrade the program), or of another line.
    """
    found, wanted = revision(connection), head()
    if found == wanted:
        return
    if found is not None and found not in _revisions():
        raise SchemaMismatchError(
            f"the database is at revision {found}, newer than this program's {wanted} or of another line; "
            "this program does not know it",
            remedy="upgrade batchledger, or run the version, perhaps a development one, that migrated it",
        )
    was = "has no schema yet" if found is None else f"is at revision {found}"
    raise SchemaMismatchError(
        f"the database {was}; this program needs {wanted}", remedy="run `batchledger migrate`"
    )


def migrate(connection: Connection) -> None:
    """Bring the schema to this program's revision, in one transaction under a lock, and commit."""
    from alembic import command  # noqa: PLC0415 - costs 40 MB and a second, which no run should pay.

    configuration = _config()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")
    connection.commit()


def migration_sql() -> str:
    """Return the SQL that `migrate` would run on an empty database."""
    from alembic import command  # noqa: PLC0415 - as above.

    configuration = _config()
    configuration.output_buffer = io.StringIO()
    command.upgrade(configuration, "head", sql=True)
    return configuration.output_buffer.getvalue()


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - as above.

    configuration = Config()
    configuration.set_main_option("script_location", str(_migrations()))
    configuration.set_main_option("path_separator", "os")
    return configuration


def _revisions() -> frozenset[str]:
    return frozenset(path.stem for path in (_migrations() / "versions").glob("[0-9]*.py"))


def _migrations() -> Path:
    """Find the migrations: inside an installed package, beside it in a checkout."""
    package = Path(str(resources.files("etl")))
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"
