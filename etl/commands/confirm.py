"""The command `confirm`: an operator accepts a suspect absence, once it is shown what that would do."""

from __future__ import annotations

import sys
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from etl.commands.assembly import patience, run_options, workbench
from etl.commands.plain import operand
from etl.commands.queries import reading
from etl.commands.queries.absent import Confirmation, absent_batches
from etl.commands.show import confirmation
from etl.commands.show.runs import trouble
from etl.commands.signals import stops_on_signal
from etl.errors import NotVisibleError, SourceError, UnconfirmableError
from etl.guard import Belief, Known
from etl.parse import parse_batches, parse_jobs
from etl.plan import body_of, look_around, make_plan
from etl.ports import Source
from etl.records import Batch, Observation, ProjectState, Slug, Snapshot, Totals, Verdict
from etl.report import PARTIAL
from etl.selection import ReadJobs

if TYPE_CHECKING:
    from etl.commands.assembly import Workbench
    from etl.commands.session import Session
    from etl.records import Moves
    from etl.report import RunReport

_UNREADABLE_REMEDY: Final = (
    "wait until the list can be read, or ask Roboflow; `batchledger sync` keeps each such record as a "
    "reject, and every batch stays as it was last believed to be"
)


def confirm(session: Session, slug: Slug, *, is_agreed: bool, is_json: bool) -> int:
    """
    Read a project, show what its absences come to, accept them if told so, and return the exit code.

    Args:
        session: The invocation.
        slug: The project.
        is_agreed: Accept without asking.
        is_json: Print the outcome as JSON; nobody is asked.

    Raises:
        UnknownProjectError: Neither a key nor the ledger knows the project.
        SourceError: It cannot be read.
        UnconfirmableError: A record of its list could be any batch.
    """
    stop = Event()
    with stops_on_signal(stop, session.say) as stopped:
        settings = session.settings()
        with workbench(settings, session.environ, stop=stop) as bench:
            found = propose(bench, slug)
            if not is_json:
                confirmation.proposal(session.out, found)
            if found.is_open and (is_agreed or (not is_json and _is_told_yes(session))):
                found = _accept(bench, slug, found)
                if not is_json:
                    confirmation.outcome(session.out, found)
            elif found.is_open and not is_json:
                command = f"batchledger confirm {operand(str(slug), '--yes')}"
                session.say(f"Nothing was written. To accept it: {command}")
        if is_json:
            session.emit(found)
        return stopped.exit_code(exit_code(found))


def exit_code(found: Confirmation) -> int:
    """Return 0 if nothing is absent, or all of it was accepted."""
    return 0 if not found.is_open or found.is_applied else PARTIAL


class _Reading(msgspec.Struct, frozen=True):
    """A project as it is now, and as it is believed to be."""

    source: Source
    state: ProjectState
    known: Known
    snapshot: Snapshot[Batch]
    observed_at: datetime
    until: float


def propose(bench: Workbench, slug: Slug) -> Confirmation:
    """
    Read a project and say what it would mean to believe every absence. Writes nothing.

    Raises:
        UnknownProjectError: Neither a key nor the ledger knows the project.
        SourceError: It cannot be read.
        UnconfirmableError: A record of its list could be any batch.
    """
    now = _read(bench, slug)
    absent = _absent(now, bench)
    if absent and now.snapshot.has_unreadable:
        unreadable = sum(1 for reject in now.snapshot.rejects if not reject.is_present)
        raise UnconfirmableError(
            f"{slug}: {unreadable} records of the list have no readable id, so no absence can be told",
            remedy=_UNREADABLE_REMEDY,
        )
    with reading(bench.database.uri, bench.database.limits) as connection:
        batches = absent_batches(connection, slug, absent, now.known.unlisted)
    moves = _moves(bench, now, absent)
    return Confirmation(
        workspace=slug.workspace,
        project=slug.project,
        observed_at=now.observed_at,
        listed=len(now.snapshot.present),
        absent=batches,
        absent_images=sum(batch.images for batch in batches),
        absent_jobs=tuple(sorted(_absent_jobs(now, bench))),
        before=now.state.totals,
        moves=moves,
        after=_after(now.state.totals, moves),
    )


def _read(bench: Workbench, slug: Slug) -> _Reading:
    until = patience(bench.settings)
    states = bench.ledger.projects()
    directory = look_around(bench.accounts, until=until, stop=bench.stop)
    followed = {one: state for one, state in states.items() if state.is_tracked}
    plan = make_plan(directory, bench.settings.project_filter, followed, only=(slug,))
    if error := plan.refused.get(slug):
        raise error
    state = states.get(slug, ProjectState(0, slug))
    source = plan.sources[slug.workspace]
    answer = source.batches(slug, etag=None, until=until)
    return _Reading(
        source,
        state,
        bench.ledger.known(state.project_id),
        parse_batches(body_of(answer)),
        answer.observed_at,
        until,
    )


def _absent(now: _Reading, bench: Workbench) -> frozenset[str]:
    """Find what is absent; a batch that the list is known to leave out only if a look-up denies it, too."""
    present = now.snapshot.present
    unlisted = sorted(now.known.unlisted - present)[: bench.settings.guard.max_lookups]
    denied = frozenset(batch_id for batch_id in unlisted if _is_denied(now, batch_id))
    return (now.known.listed | now.known.missing) - present | denied


def _absent_jobs(now: _Reading, bench: Workbench) -> frozenset[str]:
    """Find the jobs that their list leaves out; none where it cannot be had, or a record could be any."""
    state, known = now.state, bench.ledger.known_jobs(now.state.project_id)
    if not state.jobs.count or bench.settings.jobs.read is ReadJobs.NEVER:
        return frozenset()
    try:
        snapshot = parse_jobs(body_of(now.source.jobs(state.slug, etag=None, until=now.until)))
    except SourceError:
        return frozenset()
    return frozenset() if snapshot.has_unreadable else (known.listed | known.missing) - snapshot.present


def _is_denied(now: _Reading, batch_id: str) -> bool:
    try:
        now.source.batch(now.state.slug, batch_id, until=now.until)
    except NotVisibleError:
        return True
    except SourceError:
        return False
    return False


def _moves(bench: Workbench, now: _Reading, absent: frozenset[str]) -> Moves:
    observation = Observation(
        project_id=now.state.project_id,
        verdict=Verdict.CHANGED,
        started_at=now.observed_at,
        observed_at=now.observed_at,
        previous_at=now.state.last_trusted_at,
    )
    return bench.ledger.preview(observation, now.snapshot, Belief(gone=absent)).moves


def _after(before: Totals, moves: Moves) -> Totals:
    return Totals(
        batches=before.batches + moves.entered + moves.returned - moves.left,
        images=before.images + moves.images_delta,
        num_jobs=before.num_jobs + moves.num_jobs_delta,
    )


def _is_told_yes(session: Session) -> bool:
    """Ask, where somebody can answer: on a terminal."""
    if not (session.out.is_terminal and sys.stdin.isatty()):
        return False
    session.say("Type yes to accept these absences:")
    return sys.stdin.readline().strip().lower() == "yes"


def _accept(bench: Workbench, slug: Slug, found: Confirmation) -> Confirmation:
    """Run over the project; what was shown, and that alone, is accepted."""
    options = replace(
        run_options(bench.settings, trigger="confirm", only=(slug,)),
        accepted=frozenset(batch.batch_id for batch in found.absent),
        accepted_jobs=frozenset(found.absent_jobs),
    )
    return _told(found, bench.run(options)())


def _told(found: Confirmation, report: RunReport) -> Confirmation:
    (project,) = report.projects
    doubtful_jobs = project.jobs if found.absent_jobs and not project.is_trusted else None
    is_applied = project.verdict.is_trusted and doubtful_jobs is None
    moves = project.moves if is_applied else found.moves
    return replace(
        found,
        run_id=report.run_id,
        verdict=project.verdict,
        is_applied=is_applied,
        moves=moves,
        after=_after(found.before, moves),
        trouble=trouble(project) or (trouble(doubtful_jobs) if doubtful_jobs else ""),
        remedy=project.remedy or (doubtful_jobs.remedy if doubtful_jobs else ""),
    )
