"""The commands that only look at the ledger: status, history, diff, explain, verify."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.commands.assembly import open_database, prepare, utc_now
from etl.commands.instants import Span, past_instant_of, span_of, when_of
from etl.commands.queries import reading
from etl.errors import BatchledgerError
from etl.report import PARTIAL

# What a command reads and shows it imports when it runs: nobody else has to pay for it.
# ruff: noqa: PLC0415

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from etl.commands.queries.history import BatchHistory, ProjectHistory
    from etl.commands.queries.past import Past
    from etl.commands.session import Session
    from etl.records import Slug


def status(session: Session, *, is_json: bool) -> int:
    """Show how fresh everything is, and return 4 if a promise is broken now."""
    from etl.commands.queries.status import backlogs
    from etl.commands.queries.status import status as read
    from etl.commands.show.status import MOST_DRAWN
    from etl.commands.show.status import status as show

    with _ledger(session) as connection:
        found = read(connection, utc_now())
        is_drawn = not is_json and session.out.is_terminal and len(found.projects) <= MOST_DRAWN
        drawn = backlogs(connection) if is_drawn else {}
    if is_json:
        session.emit(found)
    else:
        show(session.out, found, drawn)
    return 0 if found.is_kept else PARTIAL


def history(
    session: Session,
    slug: Slug,
    batch_id: str | None,
    times: tuple[str | None, str | None, str | None],
    *,
    is_json: bool,
) -> int:
    """
    Show the life of a project or a batch, or how it stood at an instant.

    Args:
        session: The invocation.
        slug: The project.
        batch_id: The batch; None for the whole project.
        times: What was given for --at, --from and --to.
        is_json: Print it as JSON.

    Raises:
        SettingsError: The times cannot be read, or exclude each other.
        UnknownProjectError: The ledger does not know the project, or not the batch.
    """
    from etl.commands.show.history import life

    when = when_of(*times, utc_now())
    with _ledger(session) as connection:
        found = _life(connection, slug, batch_id, when)
    if is_json:
        session.emit(found)
    else:
        life(session.out, found, has_plot=session.out.is_terminal)
    return 0


def _life(
    connection: Connection, slug: Slug, batch_id: str | None, when: datetime | Span
) -> ProjectHistory | BatchHistory | Past:
    from etl.commands.queries.history import batch_history, project_history
    from etl.commands.queries.past import past

    if not isinstance(when, Span):
        return past(connection, slug, batch_id, when)
    if batch_id is not None:
        return batch_history(connection, slug, batch_id, when)
    return project_history(connection, slug, when)


def diff(session: Session, slug: Slug, from_text: str, to_text: str, *, is_json: bool) -> int:
    """
    Show what changed between two instants.

    Raises:
        SettingsError: They cannot be read, or are still to come.
        UnknownProjectError: The ledger does not know the project.
        BatchledgerError: It does not add up.
    """
    from etl.commands.queries.diff import diff as read
    from etl.commands.show.diff import diff as show

    now = utc_now()
    span_of(from_text, to_text, now)
    from_at, to_at = past_instant_of(from_text, now), past_instant_of(to_text, now)
    with _ledger(session) as connection:
        found = read(connection, slug, from_at, to_at)
    if is_json:
        session.emit(found)
    else:
        show(session.out, found)
    if found.amiss:
        raise BatchledgerError(
            f"the difference does not add up: {found.amiss}",
            remedy="`batchledger verify` names what is broken, `batchledger replay` where it began",
        )
    return 0


def explain(session: Session, record: tuple[Slug, str], at_text: str, *, is_job: bool, is_json: bool) -> int:
    """
    Show where a number of a batch, or of a job, comes from.

    Raises:
        SettingsError: The instant cannot be read, or is still to come.
        UnknownProjectError: The ledger does not know the project, or not the batch or job.
    """
    from etl.commands.queries.explain import explain as of_batch
    from etl.commands.queries.explain import explain_job as of_job
    from etl.commands.show.explain import explain as show

    at, read = past_instant_of(at_text, utc_now()), of_job if is_job else of_batch
    with _ledger(session) as connection:
        found = read(connection, *record, at)
    if is_json:
        session.emit(found)
    else:
        show(session.out, found)
    return 0


def verify(session: Session, *, is_json: bool) -> int:
    """Check every promise of the books, and return 1 if one is broken."""
    from etl.commands.queries.verify import verify as read
    from etl.commands.show.verify import verify as show

    with _ledger(session) as connection:
        found = read(connection)
    if is_json:
        session.emit(found)
    else:
        show(session.out, found)
    return 0 if found.is_sound else 1


@contextmanager
def _ledger(session: Session) -> Iterator[Connection]:
    """Yield a reading connection to the database, at this program's revision."""
    with open_database(session.settings(), session.environ) as place:
        prepare(place)
        with reading(place.uri, place.limits) as connection:
            yield connection
