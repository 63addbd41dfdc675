"""The command `prune`: fold and drop what is old, and say how much that was."""

from __future__ import annotations

from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec

from etl.commands import show
from etl.commands.assembly import open_database, prepare, utc_now
from etl.commands.signals import stops_on_signal
from etl.database import connect
from etl.retention import Horizons, Pruned, Tally, horizons, preview, prune

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.commands.session import Session


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was pruned, or would be.

    Observations are folded and not dropped: their `rows` are those that went into another one. The bytes are
    those of the rows, without indexes. `is_whole` is False if something is left for the next time.
    """

    is_dry: bool
    observations_before: datetime
    payloads_before: datetime | None
    observations: Tally
    runs: Tally
    ticks: Tally
    payloads: Tally
    rejects: Tally
    is_whole: bool


def run(session: Session, *, is_dry: bool, is_json: bool) -> int:
    """
    Prune, say what came of it, and return the exit code.

    Args:
        session: The invocation.
        is_dry: Say what would be done; write nothing.
        is_json: Print the outcome as JSON.

    Raises:
        DatabaseUnavailableError: The database cannot be reached, or somebody else prunes it.
    """
    stop = Event()
    with stops_on_signal(stop, session.say) as stopped:
        found = _prune(session, stop, is_dry=is_dry)
        if is_json:
            session.emit(found)
        else:
            _show(session, found)
        return stopped.exit_code(0)


def _prune(session: Session, stop: Event, *, is_dry: bool) -> Outcome:
    settings, now = session.settings(), utc_now()
    old = horizons(settings.retention, now)
    with open_database(settings, session.environ) as place:
        prepare(place)
        with connect(place.uri, place.limits) as connection:
            if is_dry:
                return _outcome(preview(connection, old), old, is_dry=True)
            # Whoever waits for it can end it.
            limits = place.limits.model_copy(update={"statement_timeout_s": 0})
            pruned = prune(connection, limits, old, now=now, is_over=stop.is_set)
            return _outcome(pruned, old, is_dry=False)


def _outcome(pruned: Pruned, old: Horizons, *, is_dry: bool) -> Outcome:
    return Outcome(
        is_dry=is_dry,
        observations_before=old.unchanged,
        payloads_before=old.payloads,
        observations=pruned.observations,
        runs=pruned.runs,
        ticks=pruned.ticks,
        payloads=pruned.payloads,
        rejects=pruned.rejects,
        is_whole=pruned.is_whole,
    )


_LEFT: Final = "something is left for the next time: this was stopped, or bodies were in use"
_ROOM: Final = "new rows use the room again once Postgres has vacuumed; the files do not shrink by themselves"


def _show(session: Session, found: Outcome) -> None:
    show.table(session.out, ("", ">rows", ">bytes", "before"), _rows(found))
    if not found.is_whole:
        session.say(_LEFT)
    if not found.is_dry and session.out.is_terminal:
        session.say(_ROOM)


def _rows(found: Outcome) -> Iterator[tuple[str, str, str, str]]:
    will = "would be " if found.is_dry else ""
    days, bodies = show.moment(found.observations_before), show.moment(found.payloads_before) or "kept"
    for what, tally, before in (
        (f"observations {will}folded", found.observations, days),
        (f"runs {will}dropped", found.runs, days),
        (f"ticks {will}dropped", found.ticks, days),
        (f"bodies {will}dropped", found.payloads, bodies),
        (f"rejects {will}dropped", found.rejects, bodies),
    ):
        yield what, f"{tally.rows:,}", f"{tally.bytes:,}", before
