"""What can be wrong before a run is: settings, keys, database; each with a verdict and a remedy."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from etl.commands.assembly import open_accounts, open_database, patience, require_clock, utc_now
from etl.commands.queries import server_version
from etl.config import origins
from etl.database import connect, head, is_behind, revision
from etl.errors import BatchledgerError, ClockError, NotVisibleError, SettingsError, SourceError
from etl.plan import look_around
from etl.roles import lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from etl.commands.assembly import Database
    from etl.plan import Account, Directory
    from etl.settings import Settings

_EXIT_FAULT: Final = 1
_EXIT_SETTINGS: Final = 2


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `exit_code` is that of the error behind a fault, else 0."""

    verdict: Literal["ok", "warning", "fault"]
    subject: Literal["settings", "key", "database"]
    said: str
    remedy: str = ""
    exit_code: int = 0


def exit_code(found: Sequence[Finding]) -> int:
    """Return 0 without a fault, 2 if settings or a key are at fault, else 1."""
    codes = {finding.exit_code for finding in found if finding.verdict == "fault"}
    if _EXIT_SETTINGS in codes:
        return _EXIT_SETTINGS
    return _EXIT_FAULT if codes else 0


def check(load: Callable[[], Settings], environ: Mapping[str, str], cwd: Path) -> Iterator[Finding]:
    """
    Look at everything that a run will need, and say of each how it is.

    Args:
        load: Loads the settings.
        environ: The environment.
        cwd: The folder that the settings were looked for in.
    """
    try:
        settings = load()
    except SettingsError as error:
        yield _fault("settings", error)
        return
    yield Finding(verdict="ok", subject="settings", said=_sources(settings, environ, cwd))
    yield from _keys(settings)
    yield from _database(settings, environ)


def _sources(settings: Settings, environ: Mapping[str, str], cwd: Path) -> str:
    found = origins(settings, environ, cwd)
    parts = [str(found.file) if found.file else "no batchledger.toml", ", ".join(found.variables)]
    parts += [f"the login in {found.login}"] if found.login else []
    return "; ".join(filter(None, parts))


def _keys(settings: Settings) -> Iterator[Finding]:
    with ExitStack() as stack:
        try:
            accounts = open_accounts(settings, stop=Event(), clock=utc_now, stack=stack)
        except SettingsError as error:
            yield _fault("key", error)
            return
        for account in accounts:
            yield from _key(account, settings)


def _key(account: Account, settings: Settings) -> Iterator[Finding]:
    until = patience(settings)
    directory = look_around([account], until=until)
    for problem in directory.problems:
        yield _fault("key", problem)
    if not directory.listed:
        return
    (workspace,) = directory.listed
    count = len(directory.projects)
    wanted = sum(map(settings.project_filter.admits, directory.projects))
    said = f"workspace {workspace}: {_projects(count)} visible, {wanted} of them followed"
    yield Finding(
        verdict="ok" if wanted else "warning", subject="key", said=said, remedy=_no_project(count, wanted)
    )
    yield from _unseen(directory, settings)
    yield from _scope(account, directory, settings, until)


def _projects(count: int) -> str:
    return f"{count} project{'' if count == 1 else 's'}"


def _no_project(count: int, wanted: int) -> str:
    if wanted:
        return ""
    return "loosen `projects` in the settings" if count else "see that the key may read projects"


def _unseen(directory: Directory, settings: Settings) -> Iterator[Finding]:
    (workspace,) = directory.listed
    for slug in settings.project_filter.unseen(directory.projects.keys()):
        if slug.workspace == workspace:
            yield _fault(
                "key",
                NotVisibleError(
                    f"{slug} is configured, and the key does not see it",
                    remedy="check its name against `batchledger projects`, or take it out of `projects`",
                ),
            )


def _scope(account: Account, directory: Directory, settings: Settings, until: float) -> Iterator[Finding]:
    """Try one list of batches, since a key may list projects and still lack the scope for batches."""
    followed = filter(settings.project_filter.admits, directory.projects)
    slug = next(followed, None)
    if slug is None:
        return
    try:
        account.source.batches(slug, etag=None, until=until)
    except SourceError as error:
        yield _fault("key", error)
    else:
        yield Finding(verdict="ok", subject="key", said=f"batches can be read (tried {slug})")


def _database(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        with (
            open_database(settings, environ) as database,
            connect(database.uri, database.limits) as connection,
        ):
            yield _server(database, connection)
            schema = _schema(database, connection)
            yield schema
            yield from _clock(database, connection)
            if schema.verdict == "ok":
                yield from _rights(database, connection)
    except BatchledgerError as error:
        yield _fault("database", error)


def _server(database: Database, connection: Connection) -> Finding:
    url = connection.engine.url
    place = (
        f"embedded, in {database.home}"
        if database.is_embedded
        else f"{url.query.get('host', 'local')}/{url.database}"
    )
    return Finding(verdict="ok", subject="database", said=f"Postgres {server_version(connection)}, {place}")


def _schema(database: Database, connection: Connection) -> Finding:
    found = revision(connection)
    if found == head():
        return Finding(verdict="ok", subject="database", said=f"schema at revision {found}")
    if not is_behind(found):
        return Finding(
            verdict="fault",
            subject="database",
            said=f"schema at revision {found}, newer than this program's {head()}",
            remedy="upgrade batchledger",
            exit_code=_EXIT_FAULT,
        )
    was = "no schema yet" if found is None else f"schema at revision {found}"
    if database.is_embedded:
        return Finding(verdict="ok", subject="database", said=f"{was}; the next run brings it to {head()}")
    return Finding(
        verdict="fault",
        subject="database",
        said=f"{was}; this program needs {head()}",
        remedy="run `batchledger migrate`",
        exit_code=_EXIT_FAULT,
    )


def _clock(database: Database, connection: Connection) -> Iterator[Finding]:
    """Say whether the clock of somebody else's server disagrees with ours."""
    if database.is_embedded:
        return
    try:
        require_clock(connection)
    except ClockError as error:
        yield _fault("database", error)


def _rights(database: Database, connection: Connection) -> Iterator[Finding]:
    """Say what a role of the user's own may not do; that of the embedded database may do everything."""
    absent = () if database.is_embedded else lacking(connection)
    if absent:
        yield Finding(
            verdict="fault",
            subject="database",
            said=f"the role of DATABASE_URL lacks {', '.join(absent)}",
            remedy="run `batchledger migrate --roles` as its owner, and grant batchledger_writer to the role",
            exit_code=_EXIT_SETTINGS,
        )


def _fault(subject: Literal["settings", "key", "database"], error: BatchledgerError) -> Finding:
    return Finding(
        verdict="fault",
        subject=subject,
        said=str(error),
        remedy=error.remedy,
        exit_code=error.exit_code,
    )
