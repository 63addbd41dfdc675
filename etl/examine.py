"""One list, of batches or of jobs: compare it with the last one, parse it, cross-examine its absences."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import datetime
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic

import msgspec
import structlog

from etl.errors import NotVisibleError, PayloadError, SourceError
from etl.guard import (
    Found,
    GuardRules,
    Inconclusive,
    Known,
    LookUp,
    NotFound,
    Question,
    Surroundings,
    conclude,
    is_settled,
    question,
)
from etl.neighbours import Vicinity
from etl.plan import body_of
from etl.ports import Examined
from etl.records import Answer, LookedUp, Record, Record_co, Slug, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_log: Final = structlog.get_logger(__name__)


class Matter(msgspec.Struct, Generic[Record_co], frozen=True):
    """
    What a list is of, batches or jobs.

    Args:
        name: In one word, for the log.
        ask: Asks for the list; with an ETag the answer may be that it is as it was.
        look_up: Asks for one of them.
        parse: Reads the list.
        parse_one: Reads what a look-up of this id answered.
        known: Gives what is believed of a project, by its number.
        neighbours: What the other projects can say of a loss.
        scrub: Takes out of a body what is not to be kept.
        mark: Tells this way to scrub from others; empty where nothing is taken out.
    """

    name: str
    ask: Callable[[Slug, str | None], Answer]
    look_up: Callable[[Slug, str], Answer]
    parse: Callable[[bytes], Snapshot[Record_co]]
    parse_one: Callable[[bytes, str], Record]
    known: Callable[[int], Known]
    neighbours: Vicinity
    scrub: Callable[[bytes], bytes] = bytes
    mark: str = ""


class Past(msgspec.Struct, frozen=True):
    """
    What the ledger holds of the list: of which project, and what is named as for `ProjectState`.

    `is_read` tells whether there is anything that it could be compared with.
    """

    project_id: int
    slug: Slug
    digest: bytes | None
    etag: str | None
    loss_suspected_since: datetime | None
    is_read: bool


class Believed(msgspec.Struct, Generic[Record_co], frozen=True):
    """An answer that was examined, whether it leaves nothing open, and what it took to find out."""

    examined: Examined[Record_co]
    is_settled: bool
    requests: int
    parse_ms: float


class Heard(msgspec.Struct, Generic[Record_co], frozen=True):
    """
    One usable answer. `at` is when it was observed, as it is to be noted.

    `digest` and `size` are those of what is kept of its body; None where the source says nothing changed.
    `etag` is the source's with the mark of what was taken out. `believed` is None where it is the last
    trusted one again.
    """

    answer: Answer
    at: datetime
    etag: str | None
    digest: bytes | None = None
    size: int | None = None
    believed: Believed[Record_co] | None = None

    @property
    def requests(self) -> int:
        """How many it took."""
        return self.answer.requests + (self.believed.requests if self.believed else 0)

    @property
    def examined(self) -> Examined[Record_co] | None:
        """What is to be compared; None where it is the last trusted answer again."""
        return self.believed.examined if self.believed else None


class _LookedFor(msgspec.Struct, frozen=True):
    """What came of asking for one."""

    answer: LookUp
    requests: int
    body: bytes | None = None


class Examiner(msgspec.Struct, frozen=True):
    """
    Examines answers.

    Args:
        rules: The guard's thresholds.
        stop: Once it is set no further request is begun.
    """

    rules: GuardRules
    stop: Event

    def hear(
        self,
        matter: Matter[Record_co],
        past: Past,
        dated: Callable[[datetime], datetime],
        accepted: frozenset[str] = frozenset(),
    ) -> Heard[Record_co]:
        """
        Ask for a list, and examine it if it is another one than the last that was trusted.

        Args:
            matter: What it is of.
            past: What the ledger holds.
            dated: Keeps the observations of a project in order.
            accepted: Ids whose absence an operator accepts.

        Raises:
            SourceError: There is no usable answer.
        """
        sent = _unmarked(past.etag, matter.mark)
        answer = matter.ask(past.slug, sent)
        at, etag = dated(answer.observed_at), _marked(answer.etag, matter.mark)
        if answer.body is None:
            return Heard(answer, at, etag)
        body = matter.scrub(answer.body)
        digest = hashlib.sha256(body).digest()
        # Where an ETag was held back the same body is compared as well, so that its new mark is kept.
        if digest == past.digest and (sent is not None or past.etag is None):
            return Heard(answer, at, etag, digest, len(body))
        began = time.perf_counter()
        snapshot = _parsed(matter, body, answer)
        parse_ms = (time.perf_counter() - began) * 1000
        believed = self._believe(matter, past, snapshot, body, at, accepted, parse_ms)
        return Heard(answer, at, etag, digest, len(body), believed)

    def _believe(  # noqa: PLR0913, PLR0917 - an answer, what is known, and what an operator says.
        self,
        matter: Matter[Record_co],
        past: Past,
        snapshot: Snapshot[Record_co],
        body: bytes,
        at: datetime,
        accepted: frozenset[str],
        parse_ms: float,
    ) -> Believed[Record_co]:
        """Find out what is to be believed of the absences."""
        known = matter.known(past.project_id) if past.is_read else Known()
        surroundings = _surroundings(matter, past, snapshot, at)
        asked = question(
            known,
            snapshot,
            self.rules,
            loss_suspected_since=past.loss_suspected_since,
            at=at,
            surroundings=surroundings or Surroundings(),
            accepted=accepted,
        )
        control = self._control(matter, past.slug, asked)
        told = {record_id: self._look_up(matter, past.slug, record_id) for record_id in asked.look_up}
        look_ups = {record_id: one.answer for record_id, one in told.items() if one}
        belief = conclude(asked, look_ups, control.answer if control else None)
        asked_for = {asked.control.record_id: control, **told} if asked.control else told
        evidence = (*_evidence(asked_for), *_acceptances(asked))
        return Believed(
            Examined(snapshot, belief, body, evidence, surroundings),
            is_settled(known, snapshot, asked, belief),
            sum(one.requests for one in asked_for.values() if one),
            parse_ms,
        )

    def _control(self, matter: Matter[Record], slug: Slug, asked: Question) -> _LookedFor | None:
        control = asked.control
        return self._look_up(matter, control.slug or slug, control.record_id) if control else None

    def _look_up(self, matter: Matter[Record], slug: Slug, record_id: str) -> _LookedFor | None:
        """Ask for one; None if it is too late to ask."""
        if self.stop.is_set():
            return None
        try:
            answer = matter.look_up(slug, record_id)
            body = matter.scrub(body_of(answer))
            return _LookedFor(Found(matter.parse_one(body, record_id)), answer.requests, body)
        except NotVisibleError as error:
            return _LookedFor(NotFound(), error.requests)
        except SourceError as error:
            _log.info("look-up is inconclusive", error=str(error), **{matter.name: record_id})
            return _LookedFor(Inconclusive(), error.requests)


def _marked(etag: str | None, mark: str) -> str | None:
    """Put the mark before an ETag that came."""
    return f"{mark} {etag}" if mark and etag is not None else etag


def _unmarked(etag: str | None, mark: str) -> str | None:
    """
    Take the mark off an ETag that was kept; None where it is another mark.

    What was taken out of that answer is not what would be taken out now, so it may not stand for a new one.
    """
    prefix = f"{mark} " if mark else ""
    return etag.removeprefix(prefix) if etag is not None and etag.startswith(prefix) else None


def _surroundings(
    matter: Matter[Record], past: Past, snapshot: Snapshot[Record], at: datetime
) -> Surroundings | None:
    """Look around in the workspace, once a loss is suspected."""
    if past.loss_suspected_since is None:
        return None
    is_bare = not snapshot.present
    return Surroundings(
        is_listed=matter.neighbours.is_listed(past.slug),
        is_whole=matter.neighbours.is_whole(past.slug),
        witness=matter.neighbours.witness(past.slug, at, matter.known) if is_bare else None,
    )


_OUTCOMES: Final[Mapping[type[LookUp], str]] = MappingProxyType(
    {Found: "found", NotFound: "not_found", Inconclusive: "inconclusive"}
)


def _evidence(told: Mapping[str, _LookedFor | None]) -> Iterator[LookedUp]:
    for record_id, one in told.items():
        if one is not None:
            yield LookedUp(record_id, _OUTCOMES[type(one.answer)], one.body)


def _acceptances(asked: Question) -> Iterator[LookedUp]:
    """Yield what an operator accepted, believed or not: the rest of the absences was judged without it."""
    return (LookedUp(record_id, "accepted") for record_id in sorted(asked.accepted))


def _parsed(matter: Matter[Record_co], body: bytes, answer: Answer) -> Snapshot[Record_co]:
    try:
        return matter.parse(body)
    except PayloadError as error:
        raise PayloadError(
            str(error), remedy=error.remedy, http_status=answer.http_status, requests=answer.requests
        ) from error
