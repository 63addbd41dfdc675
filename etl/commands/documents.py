"""What `--json` prints for a run: keys that stay, times in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from etl.records import Moves, Verdict

if TYPE_CHECKING:
    from etl.report import ProjectReport, RunReport


class ProjectOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one project came out. `rule` says why it is suspect; `error` and `remedy` are empty without one."""

    workspace: str
    project: str
    verdict: Verdict
    rule: str | None
    moves: Moves
    rejects: int
    requests: int
    error: str
    remedy: str


class Problem(msgspec.Struct, frozen=True):
    """A fault of a whole workspace or key."""

    error: str
    remedy: str


class RunDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How a run came out. `run_id` is null for a dry run; `moves` is the sum over all projects."""

    run_id: int | None
    is_dry_run: bool
    started_at: datetime
    ended_at: datetime
    outcome: str
    exit_code: int
    verdicts: dict[str, int]
    moves: Moves
    projects: tuple[ProjectOutcome, ...]
    problems: tuple[Problem, ...]


def run_document(report: RunReport) -> RunDocument:
    """Lay out a run's report for scripts."""
    return RunDocument(
        run_id=report.run_id,
        is_dry_run=report.run_id is None,
        started_at=report.started_at,
        ended_at=report.ended_at,
        outcome=report.outcome,
        exit_code=report.exit_code,
        verdicts={verdict.value: report.verdicts.get(verdict, 0) for verdict in Verdict},
        moves=report.moves,
        projects=tuple(map(_outcome, report.projects)),
        problems=tuple(Problem(str(problem), problem.remedy) for problem in report.problems),
    )


def _outcome(project: ProjectReport) -> ProjectOutcome:
    return ProjectOutcome(
        workspace=project.slug.workspace,
        project=project.slug.project,
        verdict=project.verdict,
        rule=project.rule,
        moves=project.moves,
        rejects=project.rejects,
        requests=project.requests,
        error=project.error,
        remedy=project.remedy,
    )
