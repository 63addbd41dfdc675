"""What the keys can see beside what the settings ask for and what the ledger follows."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING

import msgspec

from etl import embedded
from etl.commands.assembly import home_of, open_accounts, open_database, patience, utc_now
from etl.commands.queries import reading
from etl.commands.queries import status as at_a_glance
from etl.database import require_head
from etl.errors import BatchledgerError
from etl.plan import look_around
from etl.records import Project, Slug

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.commands.queries.status import ProjectStatus
    from etl.plan import Directory
    from etl.selection import ProjectFilter
    from etl.settings import Settings


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """
    One project.

    `is_visible`: a key sees it. `is_wanted`: the settings ask for it. `is_tracked`: the ledger follows it.
    The rest is the ledger's, None where it does not know the project.
    """

    workspace: str
    project: str
    name: str | None
    type: str | None
    is_visible: bool
    is_wanted: bool
    is_tracked: bool
    last_observed_at: datetime | None = None
    batches: int | None = None
    images: int | None = None

    @property
    def tracking(self) -> str:
        """The three answers in a few words."""
        if not self.is_visible:
            return "not visible"
        if not self.is_wanted:
            return "no"
        return "yes" if self.is_tracked else "from the next run"


def take(
    settings: Settings, environ: Mapping[str, str]
) -> tuple[tuple[Listed, ...], tuple[BatchledgerError, ...]]:
    """
    Put side by side every project that a key sees, the settings name or the ledger follows.

    A ledger that cannot be read is a problem, not an error: what the keys see is told anyway.

    Args:
        settings: As loaded.
        environ: The environment.

    Returns:
        The projects, and what went wrong on the way.

    Raises:
        SettingsError: There is no key.
    """
    directory = _look_around(settings)
    held, problems = _held(settings, environ)
    listed = beside(directory, settings.project_filter, held)
    return listed, (*directory.problems, *problems)


def exit_code(listed: Sequence[Listed], problems: Sequence[BatchledgerError]) -> int:
    """Return 0 if a key could see something, else the code of what prevented it."""
    is_blind = not any(project.is_visible for project in listed)
    return problems[0].exit_code if problems and is_blind else 0


def beside(
    directory: Directory, wanted: ProjectFilter, held: Mapping[Slug, ProjectStatus]
) -> tuple[Listed, ...]:
    """
    Compare the three.

    Args:
        directory: What the keys see.
        wanted: What the settings ask for.
        held: What the ledger knows; empty where there is none yet.
    """
    followed = {slug for slug, status in held.items() if status.is_tracked}
    slugs = {*directory.projects, *wanted.named, *followed}
    return tuple(_listed(slug, directory, wanted, held.get(slug)) for slug in sorted(slugs))


def _look_around(settings: Settings) -> Directory:
    with ExitStack() as stack:
        accounts = open_accounts(settings, stop=Event(), clock=utc_now, stack=stack)
        return look_around(accounts, until=patience(settings))


def _held(
    settings: Settings, environ: Mapping[str, str]
) -> tuple[Mapping[Slug, ProjectStatus], tuple[BatchledgerError, ...]]:
    """Return what the ledger knows: nothing where there is none yet."""
    if settings.database.url is None and not embedded.exists(home_of(settings, environ)):
        return {}, ()
    try:
        with (
            open_database(settings, environ) as place,
            reading(place.uri, place.limits) as connection,
        ):
            require_head(connection)
            found = at_a_glance.status(connection, utc_now())
    except BatchledgerError as error:
        return {}, (error,)
    return {status.slug: status for status in found.projects}, ()


def _listed(slug: Slug, directory: Directory, wanted: ProjectFilter, status: ProjectStatus | None) -> Listed:
    seen = directory.projects.get(slug)
    project = seen or Project(slug)
    listed = Listed(
        workspace=slug.workspace,
        project=slug.project,
        name=project.name or (status.name if status else None),
        type=project.type or (status.type if status else None),
        is_visible=seen is not None,
        is_wanted=wanted.admits(slug),
        is_tracked=status is not None and status.is_tracked,
    )
    if status is None:
        return listed
    return msgspec.structs.replace(
        listed, last_observed_at=status.last_observed_at, batches=status.batches, images=status.images
    )
