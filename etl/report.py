"""How a run came out, project by project, and the exit code that it comes to."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from etl.errors import BatchledgerError
from etl.records import Moves, Slug, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PARTIAL: Final = 4
"""Exit code where some projects failed or are suspect, and the others are done."""


class JobsReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the annotation jobs of one project came out of a run; each as for the project."""

    verdict: Verdict
    moves: Moves = Moves()
    rule: str | None = None
    rejects: int = 0
    error: str = ""
    remedy: str = ""


class ProjectReport(msgspec.Struct, frozen=True, kw_only=True):
    """
    How one project came out of a run. `error` and `remedy` are empty where nothing went wrong.

    `jobs` is None where its annotation jobs were not asked for. What is wrong with them is told there alone.
    """

    slug: Slug
    verdict: Verdict
    moves: Moves = Moves()
    rule: str | None = None
    rejects: int = 0
    requests: int = 0
    error: str = ""
    remedy: str = ""
    exit_code: int = 0
    jobs: JobsReport | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether all that was asked for is taken as what was true."""
        return self.verdict.is_trusted and (self.jobs is None or self.jobs.verdict.is_trusted)


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a run came out.

    `problems` are faults of a whole workspace; `run_id` is None for a dry run. `listing_requests` were sent
    to find the projects.
    """

    run_id: int | None
    started_at: datetime
    ended_at: datetime
    outcome: str
    projects: tuple[ProjectReport, ...]
    problems: tuple[BatchledgerError, ...] = ()
    listing_requests: int = 0

    @property
    def verdicts(self) -> Mapping[Verdict, int]:
        """Projects by verdict."""
        return Counter(project.verdict for project in self.projects)

    @property
    def requests(self) -> int:
        """HTTP requests that were sent, to find the projects and to read them."""
        return self.listing_requests + sum(project.requests for project in self.projects)

    @property
    def moves(self) -> Moves:
        """All that moved, over all projects."""
        return _sum(project.moves for project in self.projects)

    @property
    def has_doubtful_jobs(self) -> bool:
        """Whether the jobs of some project failed, or are suspect."""
        return any(project.jobs and not project.jobs.verdict.is_trusted for project in self.projects)

    @property
    def exit_code(self) -> int:
        """0 all trusted; the code of the cause where nothing at all could be read; else 4."""
        causes = [*(problem.exit_code for problem in self.problems)]
        causes += [project.exit_code for project in self.projects if project.verdict is Verdict.FAILED]
        is_read = any(project.verdict is not Verdict.FAILED for project in self.projects)
        if not causes:
            return PARTIAL if self.verdicts.get(Verdict.SUSPECT) or self.has_doubtful_jobs else 0
        return PARTIAL if is_read else causes[0]


def _sum(moves: Iterator[Moves]) -> Moves:
    columns = list(zip(*(msgspec.structs.astuple(move) for move in moves), strict=True))
    return Moves(*(sum(column) for column in columns))
