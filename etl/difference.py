"""What is live of a project beside what a replay made of it: rows that differ, and where that begins."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from etl.sql import text_of, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, RowMapping


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a row that differs, with its values as in JSON; None: there is no such row."""

    column: str
    live: str | None
    replayed: str | None


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where what is live and what the archive gives first part.

    The observation, its run, the version of batchledger that ran it and the SHA-256 of its body are None
    where no observation has to do with it. `what` names the row that differs, or says what the archive lacks.
    """

    what: str
    differences: tuple[Difference, ...] = ()
    observation_id: int | None = None
    run_id: int | None = None
    version: str | None = None
    observed_at: datetime | None = None
    digest: str | None = None


class ProjectReplay(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of one project.

    `observations` counts the answers that were taken again. `since` is the observation with which it began,
    where earlier bodies were dropped; None: the very first. `obstacle` says why nothing could be rebuilt.
    `cause` is None if nothing differs, and `differing` counts the rows that do, by table.
    """

    workspace: str
    project: str
    observations: int = 0
    since: datetime | None = None
    obstacle: str | None = None
    cause: Cause | None = None
    differing: dict[str, int] = {}


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """
    Whether the archive gives the same ledger, and what came of each project.

    `version` is that of the batchledger that replays. `observations` counts the answers that were taken
    again. `took_s` is in seconds.
    """

    is_same: bool
    version: str
    observations: int
    took_s: float
    projects: tuple[ProjectReplay, ...]


class Fault(msgspec.Struct, frozen=True):
    """What was wrong with an observation before anything was compared."""

    observation_id: int
    what: str


def compare(
    connection: Connection, schema: str, project_id: int, since: datetime | None, fault: Fault | None
) -> tuple[Cause | None, dict[str, int]]:
    """
    Compare all that follows from the archive of a project, row by row.

    Args:
        connection: In a transaction that sees both sides in one state.
        schema: Where the replay wrote.
        project_id: The project.
        since: The observation with which the replay began; None: the very first.
        fault: What was wrong on the way, if anything.

    Returns:
        What differs first, None if nothing does; and how many rows of each table differ.
    """
    rows = text_of("replayed")
    statement = f"WITH live AS ({rows}), replayed AS ({within(schema, rows)}){text_of('replay_differences')}"
    values = {"project_id": project_id, "since": since or "-infinity"}
    found = connection.exec_driver_sql(statement, values).mappings().all()
    cause = _first(connection, fault, found[0] if found else None)
    return cause, {row["place"]: row["count"] for row in found}


def _first(connection: Connection, fault: Fault | None, row: RowMapping | None) -> Cause | None:
    """Name what comes first: what was wrong on the way, or a row that differs."""
    if fault is not None and (row is None or (row["observation_id"] or 0) >= fault.observation_id):
        return _seen(connection, Cause(what=fault.what), fault.observation_id)
    if row is None:
        return None
    what = f"{row['place']} {row['key']}".rstrip()
    cause = Cause(what=what, differences=_differences(row["live"], row["replayed"]))
    return _seen(connection, cause, row["observation_id"])


def _seen(connection: Connection, cause: Cause, observation_id: int | None) -> Cause:
    """Add what is known of an observation."""
    values = {"observation_id": observation_id}
    row = connection.exec_driver_sql(text_of("replay_cause"), values).mappings().first()
    return cause if row is None else replace(cause, **row)


def _differences(live: str | None, replayed: str | None) -> tuple[Difference, ...]:
    before, after = _columns(live), _columns(replayed)
    return tuple(
        Difference(column=column, live=before.get(column), replayed=after.get(column))
        for column in {**before, **after}
        if before.get(column) != after.get(column)
    )


def _columns(row: str | None) -> Mapping[str, str]:
    # Numbers stay as they are written: as floats, two that differ could look the same.
    read = msgspec.json.decode(row or "{}", type=dict[str, msgspec.Raw])
    return {column: bytes(value).decode() for column, value in read.items()}
