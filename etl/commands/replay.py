"""The command `replay`: the ledger made again from its archive, and where it differs from the live one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from etl import __version__
from etl.commands.assembly import open_database, prepare
from etl.commands.show import replay as show
from etl.difference import Replay
from etl.replay import replaying

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from etl.commands.assembly import Database
    from etl.commands.session import Session
    from etl.difference import ProjectReplay
    from etl.records import Slug


def replay(session: Session, only: tuple[Slug, ...], *, is_kept: bool, is_json: bool) -> int:
    """
    Rebuild projects, say where they differ, and return the exit code.

    Args:
        session: The invocation.
        only: These projects and no others; empty: all of the ledger.
        is_kept: Leave what was rebuilt in its schema.
        is_json: Print the outcome as JSON.

    Raises:
        UnknownProjectError: The ledger does not know one of the projects.
        SettingsError: The role of the database may not make a schema.
    """
    with open_database(session.settings(), session.environ) as place:
        prepare(place)
        began_s = time.perf_counter()
        projects = tuple(_replayed(session, place, only, is_kept=is_kept, is_json=is_json))
        took_s = time.perf_counter() - began_s
    found = Replay(
        is_same=all(one.cause is None for one in projects),
        version=__version__,
        observations=sum(one.observations for one in projects),
        took_s=round(took_s, 3),
        projects=projects,
    )
    if is_json:
        session.emit(found)
    else:
        show.summary(session.out, found)
    return 0 if found.is_same else 1


def _replayed(
    session: Session, place: Database, only: tuple[Slug, ...], *, is_kept: bool, is_json: bool
) -> Iterator[ProjectReplay]:
    """Yield each project, and show it once it is done."""
    with replaying(place.uri, place.limits, is_kept=is_kept) as replayer:
        for slug, project_id in _tracked(session, replayer.projects(only).items()):
            found = replayer.replay(slug, project_id)
            if not is_json:
                show.project(session.out, found)
            yield found


def _tracked(session: Session, projects: Iterable[tuple[Slug, int]]) -> Iterable[tuple[Slug, int]]:
    """Show on a terminal how far it has come."""
    if not session.err.is_terminal:
        return projects
    from rich.progress import track  # noqa: PLC0415 - only a terminal pays for it.

    every = tuple(projects)
    return track(every, "replaying", total=len(every), console=session.err, transient=True)
