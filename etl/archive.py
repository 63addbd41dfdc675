"""The archive as a source: each observation of a project, with the answers that it received."""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from etl.errors import NotVisibleError, RefusedError, TransientError
from etl.guard import GuardRules, Surroundings
from etl.records import Answer, LookedUp, Slug, Verdict
from etl.sql import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, CursorResult, Row

    from etl.guard import Control, Known

_MOST_ROWS: Final = 500
"""Observations fetched at once; bodies come one by one."""


class DamagedError(Exception):
    """The archive lacks a body, or holds another one than was received; the text says which."""


class Kept(msgspec.Struct, frozen=True):
    """
    One observation as the ledger has it.

    `rules` are the thresholds of its run, `surroundings` what the rest of the workspace said. `is_applied`
    tells whether its answer was compared with what was believed; others only said that nothing was new, or
    failed.
    """

    observation_id: int
    run_id: int
    verdict: Verdict
    started_at: datetime
    observed_at: datetime
    http_status: int | None
    requests: int
    fetch_ms: float | None
    digest: bytes | None
    rules: GuardRules
    surroundings: Surroundings
    is_applied: bool


class Received(msgspec.Struct, frozen=True):
    """What an observation received: the list, and the evidence on single batches."""

    body: bytes
    look_ups: tuple[LookedUp, ...]

    @property
    def accepted(self) -> frozenset[str]:
        """The batches whose absence an operator accepted."""
        return frozenset(one.record_id for one in self.look_ups if one.outcome == "accepted")


class Base(msgspec.Struct, frozen=True):
    """
    From where on a project can be rebuilt, where that is not its beginning.

    `observation_id` is None if there is nothing to begin with, `lacking_at` the last observation that cannot
    be taken again, `is_pruned` whether that is because its body was dropped, and not for want of thresholds.
    """

    lacking_at: datetime
    is_pruned: bool
    observation_id: int | None


def base_of(connection: Connection, project_id: int) -> Base | None:
    """Find where to begin; None: with the first observation."""
    row = _ask(connection, "archived_base", project_id=project_id).first()
    return None if row is None else Base(row.lacking_at.astimezone(UTC), row.is_pruned, row.observation_id)


def observations(connection: Connection, project_id: int, after: int) -> Iterator[Kept]:
    """Yield what was observed of a project after an observation, in order; few rows are held at a time."""
    values = {"project_id": project_id, "after": after}
    streaming = {"stream_results": True, "max_row_buffer": _MOST_ROWS}
    with connection.exec_driver_sql(text_of("archived"), values, execution_options=streaming) as rows:
        for row in rows:
            yield Kept(
                row.observation_id,
                row.run_id,
                Verdict(row.verdict),
                row.started_at.astimezone(UTC),
                row.observed_at.astimezone(UTC),
                row.http_status,
                row.requests,
                row.fetch_ms,
                row.digest,
                msgspec.convert(row.guard or {}, GuardRules),
                msgspec.convert(row.surroundings or {}, Surroundings),
                row.is_applied,
            )


def received(connection: Connection, kept: Kept) -> Received:
    """
    Take the answers to an observation out of the archive.

    Raises:
        DamagedError: One is not there, or is not what was received.
    """
    listed, *others = _answers(connection, kept)
    look_ups = tuple(
        LookedUp(one.record_id, one.outcome, None if one.digest is None else _unpacked(one.digest, one.body))
        for one in others
    )
    return Received(_unpacked(listed.digest, listed.body), look_ups)


def body(connection: Connection, kept: Kept) -> bytes:
    """
    Take the list that an observation received out of the archive, whatever became of its look-ups.

    Raises:
        DamagedError: It is not there, or is not what was received.
    """
    listed, *_ = _answers(connection, kept)
    return _unpacked(listed.digest, listed.body)


def _answers(connection: Connection, kept: Kept) -> Sequence[Row[Any]]:
    """Return the list, and then the look-ups."""
    if kept.digest is None:
        raise DamagedError("it does not say which body it received")
    values = {"digest": kept.digest, "observation_id": kept.observation_id}
    return _ask(connection, "archived_bodies", **values).all()


def _unpacked(digest: bytes, packed: bytes | None) -> bytes:
    if packed is None:
        raise DamagedError(f"the archive lacks the body {digest.hex()}")
    try:
        unpacked = zlib.decompress(packed)
    except zlib.error:
        raise DamagedError(f"what the archive has as body {digest.hex()} cannot be unpacked") from None
    found = hashlib.sha256(unpacked).digest()
    if found != digest:
        raise DamagedError(f"what the archive has as body {digest.hex()} is another one, {found.hex()}")
    return unpacked


def _ask(connection: Connection, file: str, **values: object) -> CursorResult[Any]:
    return connection.exec_driver_sql(text_of(file), values)


class ArchiveSource:
    """
    Implements `etl.ports.Source` for one observation: it answers what was answered then.

    Args:
        kept: The observation.
        told: What it received.
    """

    def __init__(self, kept: Kept, told: Received) -> None:
        self._kept = kept
        self._body = told.body
        self._look_ups: Mapping[str, LookedUp] = {one.record_id: one for one in told.look_ups}

    def root(self, *, until: float) -> Answer:  # noqa: ARG002 - as the port has it; also below.
        """Refuse: no observation asks for it."""
        raise RefusedError("the archive holds no answer of the root")

    def workspace(self, workspace: str, *, until: float) -> Answer:  # noqa: ARG002
        """Refuse: no observation asks for it."""
        raise RefusedError(f"the archive does not hold the list of {workspace}")

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:  # noqa: ARG002
        """Answer with the list."""
        return self._answer(self._body)

    def batch(self, slug: Slug, batch_id: str, *, until: float) -> Answer:  # noqa: ARG002
        """Answer with what the look-up of one batch came to; what nobody looked up tells nothing."""
        told = self._look_ups.get(batch_id)
        if told is not None and told.body is not None:
            return self._answer(told.body)
        if told is not None and told.outcome == "not_found":
            raise NotVisibleError(f"{batch_id} was not found")
        raise TransientError(f"the look-up of {batch_id} told nothing")

    def _answer(self, body: bytes) -> Answer:
        kept = self._kept
        return Answer(
            http_status=kept.http_status or 0,
            body=body,
            etag=None,
            started_at=kept.started_at,
            observed_at=kept.observed_at,
            requests=kept.requests,
            fetch_ms=kept.fetch_ms or 0.0,
        )


class ArchivedVicinity:
    """
    Implements `etl.neighbours.Vicinity` for one observation: it says what was said then.

    Args:
        surroundings: As the observation has them.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def is_listed(self, slug: Slug) -> bool:  # noqa: ARG002 - as the protocol has it; also below.
        """Say whether the workspace listed the project."""
        return self._surroundings.is_listed

    def is_whole(self, slug: Slug) -> bool:  # noqa: ARG002
        """Say whether every other project was suspected of a loss as well."""
        return self._surroundings.is_whole

    def witness(self, slug: Slug, at: datetime, known: Callable[[int], Known]) -> Control | None:  # noqa: ARG002
        """Return the batch that bore witness."""
        return self._surroundings.witness
