"""What people see of a run: what moved, every fault with its remedy, and the sum."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from etl.commands.show import coloured, fault, signed, suspicion, table
from etl.errors import SourceError
from etl.records import Verdict
from etl.report import JobsReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from etl.commands.show import Cell
    from etl.records import Moves
    from etl.report import ProjectReport, RunReport

_MOST_ROWS: Final = 40
"""Rows of a run's table on a terminal; the totals, the faults and `--json` have the others."""

_MOST_SUBJECTS: Final = 5
"""Projects that are named beside a fault that they share."""


def run_report(out: Console, report: RunReport) -> None:
    """Show each project that is not simply unchanged, every fault with its remedy, and the sum."""
    told = [project for project in report.projects if project.verdict is not Verdict.UNCHANGED]
    moved = [project for project in told if project.moves.count or project.verdict is Verdict.CHANGED]
    if moved:
        shown = moved[:_MOST_ROWS] if out.is_terminal else moved
        table(out, ("project", "verdict", "batches", ">images", ">jobs"), map(_run_row, shown))
        if len(shown) < len(moved):
            out.print(f"... and {len(moved) - len(shown)} more; --json has all of them")
        out.print()
    for (verdict, what, remedy), subjects in _faults(report).items():
        fault(out, verdict, _several(subjects), what, remedy)
    out.print(summary(report), soft_wrap=True)


def _faults(report: RunReport) -> dict[tuple[str, str, str], list[str]]:
    """Gather those who suffer from the same: one dead key must not fill the screen."""
    found = defaultdict[tuple[str, str, str], list[str]](list)
    for problem in report.problems:
        subject = "a key" if isinstance(problem, SourceError) else "the settings"
        found["failed", str(problem), problem.remedy] += [subject]
    for project in report.projects:
        if what := trouble(project):
            found[project.verdict.value, what, project.remedy] += [str(project.slug)]
        if project.jobs and (what := trouble(project.jobs)):
            found[project.jobs.verdict.value, f"jobs: {what}", project.jobs.remedy] += [str(project.slug)]
    return found


def _several(subjects: Sequence[str]) -> str:
    more = len(subjects) - _MOST_SUBJECTS
    return ", ".join(subjects[:_MOST_SUBJECTS]) + (f" and {more} more" if more > 0 else "")


def _run_row(project: ProjectReport) -> tuple[Cell, ...]:
    moves = project.moves
    return (
        str(project.slug),
        coloured(project.verdict.value),
        _batches_moved(moves),
        signed(moves.images_delta),
        signed(moves.num_jobs_delta),
    )


def _batches_moved(moves: Moves) -> str:
    counts = {
        "new": moves.entered,
        "changed": moves.changed,
        "renamed": moves.renamed,
        "gone": moves.left,
        "returned": moves.returned,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def trouble(report: ProjectReport | JobsReport) -> str:
    """Say what is not as it should be with a project, or with its jobs; nothing if all is."""
    if report.rule is not None:
        words = ("job", "jobs") if isinstance(report, JobsReport) else ()
        return f"{suspicion(report.rule, *words)}; what is present was applied, the absences are not believed"
    if report.rejects:
        return f"{report.rejects} records could not be used and are kept as rejects"
    return report.error


def summary(report: RunReport) -> str:
    """Sum a run up in one line."""
    verdicts = ", ".join(f"{count} {name}" for name in Verdict if (count := report.verdicts.get(name)))
    count = len(report.projects)
    moves = report.moves
    took_s = (report.ended_at - report.started_at).total_seconds()
    head = "Dry run, nothing was written" if report.run_id is None else f"Run {report.run_id}"
    ending = {"stopped": " Stopped before the end.", "deadline": " The deadline came first."}
    return (
        f"{head}: {count} project{'' if count == 1 else 's'}{f' ({verdicts})' if verdicts else ''}; "
        f"batches: {_batches_moved(moves) or 'no change'}; {signed(moves.images_delta)} images, "
        f"{signed(moves.num_jobs_delta)} jobs; {took_s:.1f} s.{ending.get(report.outcome, '')}"
    )
