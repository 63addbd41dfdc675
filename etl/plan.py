"""Which projects a run reads, by which key, and which of them cannot be read at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import structlog

from etl.errors import (
    BatchledgerError,
    DeadlineError,
    MissingScopeError,
    NotVisibleError,
    PayloadError,
    SourceError,
    TransientError,
    UnknownProjectError,
)
from etl.parse import parse_root, parse_workspace
from etl.ports import Source
from etl.records import Listing, Project, Slug

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from threading import Event

    from etl.records import Answer, ProjectState
    from etl.selection import ProjectFilter

_log: Final = structlog.get_logger(__name__)

_Parsed = TypeVar("_Parsed")

_NO_KEY_REMEDY: Final = (
    "add the workspace's key under [workspaces.<slug>], or drop the project from `projects`"
)
_UNSEEN_REMEDY: Final = (
    "check the name against `batchledger projects`, that the key may read it, and that it is not in the "
    "trash; or exclude it in `projects`"
)


_UNKNOWN_REMEDY: Final = "`batchledger projects` lists those that the keys can see"
_UNMATCHED_REMEDY: Final = "compare the rules with what `batchledger projects` lists"


class Account(msgspec.Struct, frozen=True):
    """One key: how to read with it, and its workspace; None where the source has to be asked."""

    source: Source
    workspace: str | None = None


class Directory(msgspec.Struct, frozen=True):
    """
    What the keys can see.

    `projects` are all that are listed, `sources` has the key of each workspace, `listed` are the workspaces
    known whole, `refusals` say why a workspace cannot be read at all, `problems` are all faults on the way.
    `is_blind` is True where a key failed before it could name its workspace. `requests` were sent for all
    this.
    """

    projects: Mapping[Slug, Project]
    sources: Mapping[str, Source]
    listed: frozenset[str]
    refusals: Mapping[str, SourceError]
    problems: tuple[BatchledgerError, ...]
    is_blind: bool
    requests: int

    def is_ours(self, slug: Slug) -> bool:
        """Say whether a project is of a workspace that our keys are for, as far as they could say."""
        return slug.workspace in self.sources or slug.workspace in self.refusals


class Plan(msgspec.Struct, frozen=True):
    """
    The projects of a run, the key of each workspace, and why some projects cannot be read.

    `dropped` are those that the ledger follows and the settings do not ask for any more, `listed` all that
    the workspaces list, wanted or not, `requests` were sent to find all this out.
    """

    projects: tuple[Project, ...]
    sources: Mapping[str, Source]
    refused: Mapping[Slug, SourceError]
    dropped: tuple[Slug, ...]
    problems: tuple[BatchledgerError, ...]
    listed: frozenset[Slug]
    requests: int


def look_around(accounts: Sequence[Account], *, until: float, stop: Event | None = None) -> Directory:
    """
    Ask each key for its projects. A key that fails is a problem; the others go on.

    Args:
        accounts: The keys.
        until: As for `etl.ports.Source`.
        stop: Once it is set no further request is begun.
    """
    listings, sources = list[Listing](), dict[str, Source]()
    problems, refusals = list[BatchledgerError](), dict[str, SourceError]()
    requests, is_blind = list[int](), False
    for account in accounts:
        workspace = account.workspace
        try:
            workspace = workspace or _workspace_of(_unless(stop, account.source), until, requests)
            sources[workspace] = account.source
            listings.append(_listing(_unless(stop, account.source), workspace, until, requests))
        except SourceError as error:
            _log.warning("workspace cannot be listed", workspace=workspace, error=str(error))
            problems.append(error)
            requests.append(error.requests)
            is_blind = is_blind or workspace is None
            if workspace and not _can_do_without_list(error):
                refusals[workspace] = error
    return Directory(
        projects={project.slug: project for listing in listings for project in listing.projects},
        sources=sources,
        listed=frozenset(listing.workspace for listing in listings),
        refusals=refusals,
        problems=tuple(problems),
        is_blind=is_blind,
        requests=sum(requests),
    )


def make_plan(
    directory: Directory,
    wanted: ProjectFilter,
    followed: Mapping[Slug, ProjectState],
    only: Sequence[Slug] = (),
) -> Plan:
    """
    Sort what is wanted into what can be read and what cannot.

    Args:
        directory: What the keys can see.
        wanted: Which projects the settings ask for.
        followed: What the ledger follows already, for whatever installation. A project of our workspaces that
            was ever observed does not drop out in silence; one of another's is none of our business.
        only: Read these and no others, whatever the settings say.

    Raises:
        UnknownProjectError: A project of `only` that neither a key nor the ledger knows.
    """
    slugs = _only(only, directory, followed) if only else _wanted(directory, wanted, followed)
    dropped = (
        () if only else tuple(slug for slug in followed if directory.is_ours(slug) and slug not in slugs)
    )
    refused = {slug: error for slug in slugs if (error := _refusal(slug, directory))}
    projects = tuple(directory.projects.get(slug, Project(slug)) for slug in slugs)
    problems = _problems(directory, wanted, slugs)
    return Plan(
        projects,
        directory.sources,
        refused,
        dropped,
        problems,
        frozenset(directory.projects),
        directory.requests,
    )


def _problems(
    directory: Directory, wanted: ProjectFilter, slugs: Collection[Slug]
) -> tuple[BatchledgerError, ...]:
    """Add to the faults on the way that rules were given and nothing is left to read."""
    if slugs or directory.problems or not wanted.has_rules:
        return directory.problems
    return (UnknownProjectError("no project matches `projects`", remedy=_UNMATCHED_REMEDY),)


def body_of(answer: Answer) -> bytes:
    """Return the body of an answer that must have one."""
    if answer.body is None:
        raise PayloadError("the source answered 304 to a request without a condition", http_status=304)
    return answer.body


def _read(answer: Answer, parse: Callable[[bytes], _Parsed], requests: list[int]) -> _Parsed:
    """Parse an answer and count its requests; if that fails, the error tells with what status it came."""
    try:
        parsed = parse(body_of(answer))
    except PayloadError as error:
        raise PayloadError(
            str(error), remedy=error.remedy, http_status=answer.http_status, requests=answer.requests
        ) from error
    requests.append(answer.requests)
    return parsed


def _unless(stop: Event | None, source: Source) -> Source:
    if stop is not None and stop.is_set():
        raise DeadlineError("the run was asked to stop")
    return source


def _workspace_of(source: Source, until: float, requests: list[int]) -> str:
    return _read(source.root(until=until), parse_root, requests)


def _listing(source: Source, workspace: str, until: float, requests: list[int]) -> Listing:
    answer = source.workspace(workspace, until=until)
    listing = _read(answer, lambda body: parse_workspace(body, workspace), requests)
    for reject in listing.rejects:
        _log.warning("project cannot be used", workspace=workspace, reason=reject.reason)
    return listing


def _can_do_without_list(error: SourceError) -> bool:
    """Say whether projects that are known by name may still be read although listing them failed."""
    return isinstance(error, (MissingScopeError, TransientError, PayloadError, DeadlineError))


def _wanted(directory: Directory, wanted: ProjectFilter, followed: Mapping[Slug, ProjectState]) -> list[Slug]:
    observed = (slug for slug, state in followed.items() if state.last_trusted_at is not None)
    ours = (slug for slug in observed if directory.is_ours(slug) or directory.is_blind)
    known = (slug for slug in {*directory.projects, *ours} if wanted.admits(slug))
    return sorted({*known, *wanted.named})


def _only(only: Sequence[Slug], directory: Directory, followed: Collection[Slug]) -> list[Slug]:
    unknown = [str(slug) for slug in only if slug not in directory.projects and slug not in followed]
    if unknown and not directory.problems:
        raise UnknownProjectError(f"no such project: {', '.join(unknown)}", remedy=_UNKNOWN_REMEDY)
    return list(dict.fromkeys(only))


def _refusal(slug: Slug, directory: Directory) -> SourceError | None:
    if slug in directory.projects:
        return None
    if slug.workspace in directory.refusals:
        return directory.refusals[slug.workspace]
    if slug.workspace not in directory.sources:
        return _unread(slug, directory)
    if slug.workspace in directory.listed:
        return NotVisibleError(f"{slug} is not among the projects that the key sees", remedy=_UNSEEN_REMEDY)
    return None


def _unread(slug: Slug, directory: Directory) -> SourceError:
    """Blame the key that failed before it could name its workspace, if there is one."""
    failed = next((error for error in directory.problems if isinstance(error, SourceError)), None)
    return failed or NotVisibleError(f"there is no key for workspace {slug.workspace}", remedy=_NO_KEY_REMEDY)
