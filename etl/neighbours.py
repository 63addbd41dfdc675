"""The other projects of a workspace: is the whole of it suspected of a loss, and who can bear witness?"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, Protocol

from etl.guard import Control, by_lot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from etl.guard import Known
    from etl.records import ProjectState, Slug


class Holding(NamedTuple):
    """How many batches, or jobs, a project is believed to hold, and since when a loss is suspected."""

    held: int
    loss_suspected_since: datetime | None


def of_batches(state: ProjectState) -> Holding:
    """Say what a project holds of batches."""
    return Holding(state.totals.batches, state.loss_suspected_since)


def of_jobs(state: ProjectState) -> Holding:
    """Say what a project holds of jobs."""
    return Holding(state.jobs.count, state.jobs.loss_suspected_since)


class Vicinity(Protocol):
    """What the rest of a workspace says of a project with a suspected loss of batches, or of jobs."""

    def is_listed(self, slug: Slug) -> bool:
        """Say whether the workspace lists the project."""
        ...

    def is_whole(self, slug: Slug) -> bool:
        """Say whether other projects hold anything, and every one is suspected of a loss."""
        ...

    def witness(self, slug: Slug, at: datetime, known: Callable[[int], Known]) -> Control | None:
        """
        Choose one of a project without a suspected loss, another one at another time.

        Args:
            slug: The project for which a witness is wanted.
            at: When.
            known: Gives what is believed of a project, by its number.
        """
        ...


class Neighbours:
    """
    Implements `Vicinity`: the projects that hold any, as the ledger had them when the run began.

    Args:
        states: What the ledger holds of each project.
        listed: The projects that the workspaces list. One that its workspace leaves out (it is in the trash)
            tells nothing of the others; where no list could be read, all count.
        of: Says what a project holds of what it is about.
    """

    def __init__(
        self,
        states: Iterable[ProjectState],
        listed: Collection[Slug],
        of: Callable[[ProjectState], Holding] = of_batches,
    ) -> None:
        self._listed = listed
        self._suspected: dict[str, list[ProjectState]] = defaultdict(list)
        self._sound: dict[str, list[ProjectState]] = defaultdict(list)
        read = {slug.workspace for slug in listed}
        for state in states:
            workspace = state.slug.workspace
            holding = of(state)
            if state.is_tracked and holding.held and (state.slug in listed or workspace not in read):
                (self._suspected if holding.loss_suspected_since else self._sound)[workspace].append(state)

    def is_listed(self, slug: Slug) -> bool:
        """Say whether the workspace lists the project."""
        return slug in self._listed

    def is_whole(self, slug: Slug) -> bool:
        """Say whether other projects hold anything, and every one is suspected of a loss."""
        suspected = any(other.slug != slug for other in self._suspected[slug.workspace])
        return suspected and not self._sound_beside(slug)

    def witness(self, slug: Slug, at: datetime, known: Callable[[int], Known]) -> Control | None:
        """Choose one of a project without a suspected loss, another one at another time."""
        others = {str(other.slug): other for other in self._sound_beside(slug)}
        first = by_lot(others, 1, at)
        for name in (*first, *(other for other in others if other not in first)):
            for record_id in by_lot(known(others[name].project_id).listed, 1, at):
                return Control(record_id, others[name].slug)
        return None

    def _sound_beside(self, slug: Slug) -> list[ProjectState]:
        return [other for other in self._sound[slug.workspace] if other.slug != slug]
