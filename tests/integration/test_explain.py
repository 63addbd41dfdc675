"""Where a number comes from: its change, its evidence, its run, and the very bytes that said so."""

from __future__ import annotations

import json
import zlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.commands.queries import reading
from etl.commands.queries.explain import Explanation, explain
from etl.errors import UnknownProjectError
from etl.guard import GuardRules
from etl.records import Slug
from etl.simulator.faults import Fault
from tests.integration.test_run import LIST, LOOK_UPS, Scene
from tests.logins import as_owner
from tests.worlds import a_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

CARS: Final = Slug("acme", "cars")


class Traced(Scene):
    """A project of six batches that was read once."""

    def explain(self, batch_id: str, at: datetime | None = None) -> Explanation:
        with reading(self.uri) as connection:
            return explain(connection, CARS, batch_id, at or self.clock.at)

    def body(self, digest: str | None) -> bytes:
        ((stored,),) = self.ask("SELECT body FROM ledger.payload WHERE digest = decode(%s, 'hex')", digest)
        return zlib.decompress(stored)

    def break_by_hand(self, statement: str) -> None:
        with psycopg.connect(as_owner(self.uri)) as connection:
            assert connection.execute(statement.encode()).rowcount


@pytest.fixture
def scene(database: str) -> Iterator[Traced]:
    with psycopg.connect(database, autocommit=True) as connection:
        made = Traced(a_world(batches=6), database, connection)
        made.run()
        yield made
        made.engine.dispose()


# Down to the bytes


def test_a_number_is_traced_to_its_change_its_observation_its_run_and_its_record(scene: Traced) -> None:
    batch_id = scene.ids(3)[0]
    scene.project.append(batch_id, images=5)
    rules = GuardRules(min_loss=7, hold=timedelta(minutes=90))
    scene.run(rules=rules)

    found = scene.explain(batch_id)

    assert found.believed
    assert found.change
    assert found.observation
    assert found.run
    assert found.believed.images == found.change.images == scene.there()[batch_id]
    assert (found.change.kind, found.change.images_delta) == ("changed", 5)
    assert found.observation.observation_id == found.change.observation_id == 2
    assert found.observation.observed_at == found.change.observed_at
    assert found.observation.previous_at == found.change.changed_after
    assert (found.observation.verdict, found.observation.http_status) == ("changed", 200)
    assert found.observation.look_up is None
    assert (found.run.run_id, found.run.trigger, found.run.host) == (2, "sync", "here")
    assert found.run.guard == rules
    assert (found.pending, found.departure) == (None, None)


def test_the_record_is_told_with_the_place_where_it_lies_in_the_body(scene: Traced) -> None:
    for place, batch_id in enumerate(scene.project.batches):
        found = scene.explain(batch_id)
        assert found.record
        assert found.body
        body = scene.body(found.body.digest)
        assert (found.record.position, found.record.count) == (place, 6)
        assert body[found.record.offset :][: found.record.length].decode() == found.record.raw
        assert json.loads(found.record.raw)["id"] == batch_id
        assert json.loads(found.record.raw)["images"] == scene.there()[batch_id]
        assert (found.body.of, found.body.body_bytes, found.body.is_intact) == ("list", len(body), True)
        assert found.body.stored_bytes
        assert 0 < found.body.stored_bytes < len(body)


def test_values_that_a_look_up_told_are_traced_to_its_answer(scene: Traced) -> None:
    batch_id = scene.ids(0)[0]
    scene.project.append(batch_id, images=5)
    scene.run(Fault.without(batch_id))

    found = scene.explain(batch_id)

    assert found.change
    assert found.observation
    assert found.body
    assert found.record
    assert (found.change.kind, found.observation.verdict) == ("changed", "suspect")
    assert found.observation.rule == "short_list"
    assert (found.observation.look_up, found.body.of) == ("found", "look_up")
    assert found.body.digest == found.observation.look_up_digest != found.observation.digest
    assert (found.record.position, found.record.count) == (None, None)
    assert json.loads(found.record.raw)["images"] == scene.there()[batch_id]
    assert found.pending
    assert found.pending.unlisted_since == found.change.observed_at


def test_a_batch_that_was_asked_for_as_a_control_is_traced_to_the_list(scene: Traced) -> None:
    lost, *others = scene.project.batches
    for batch_id in others:
        scene.project.append(batch_id, images=1)
    scene.project.delete(lost)
    scene.run()
    ((control,),) = scene.ask("SELECT record_id FROM ledger.look_up WHERE outcome = 'found'")

    found = scene.explain(control)

    assert found.observation
    assert found.body
    assert found.record
    assert (found.observation.look_up, found.body.of, found.record.count) == ("found", "list", 5)


def test_a_body_that_was_dropped_is_told_with_when(scene: Traced) -> None:
    scene.break_by_hand("UPDATE ledger.payload SET body = NULL, pruned_at = '2026-01-01Z'")

    found = scene.explain(scene.ids(0)[0])

    assert found.body
    assert (found.body.stored_bytes, found.body.is_intact, found.record) == (None, None, None)
    assert found.body.pruned_at
    assert found.body.pruned_at.isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_body_that_is_damaged_or_missing_is_told_as_that(scene: Traced) -> None:
    body = scene.body(getattr(scene.explain(scene.ids(0)[0]).body, "digest", None))
    forged = zlib.compress(body.replace(b'"images":', b'"images":1', 1))
    scene.break_by_hand(f"UPDATE ledger.payload SET body = '\\x{forged.hex()}'")
    damaged = scene.explain(scene.ids(0)[0])
    scene.break_by_hand("UPDATE ledger.payload SET body = 'no zlib'")
    unreadable = scene.explain(scene.ids(0)[0])
    scene.break_by_hand("DELETE FROM ledger.payload")
    missing = scene.explain(scene.ids(0)[0])

    assert damaged.body
    assert unreadable.body
    assert (damaged.body.is_intact, unreadable.body.is_intact, missing.body) == (False, False, None)
    assert damaged.record
    assert unreadable.record is missing.record is None


# Since then


def test_only_trusted_observations_that_show_the_same_confirm_a_number(scene: Traced) -> None:
    batch_id = scene.ids(0)[0]
    first = scene.explain(batch_id).confirmed
    scene.run()
    at = scene.clock.at
    scene.run(Fault.status(500))
    scene.run(Fault.empty_list())
    scene.run()

    assert first
    assert (first.observations, first.last_at) == (0, None)
    assert confirmations(scene, batch_id) == 2
    assert confirmations(scene, batch_id, at) == 1


def test_observations_in_which_something_was_pending_do_not_count(scene: Traced) -> None:
    batch_id, lost = scene.ids(0, 1)
    scene.project.delete(lost)
    scene.source.faults.add(Fault.status(500), path=LOOK_UPS, times=None)
    scene.run()

    assert confirmations(scene, batch_id) == 0


def test_folded_observations_count_as_many_as_they_were(scene: Traced) -> None:
    batch_id = scene.ids(0)[0]
    for _ in range(4):
        scene.run()
    whole = scene.explain(batch_id).confirmed
    scene.break_by_hand(
        "WITH folded AS ("
        " DELETE FROM ledger.observation WHERE observation_id IN (2, 3, 4) RETURNING observed_at)"
        " UPDATE ledger.observation SET span_count = 4, span_from = (SELECT min(observed_at) FROM folded)"
        " WHERE observation_id = 5"
    )
    ((span_from,),) = scene.ask("SELECT span_from FROM analytics.observation WHERE span_count = 4")

    assert scene.explain(batch_id).confirmed == whole
    inside = scene.explain(batch_id, span_from + timedelta(minutes=15)).confirmed
    assert inside
    assert (inside.observations, inside.last_at) == (1, span_from)


def confirmations(scene: Traced, batch_id: str, at: datetime | None = None) -> int:
    confirmed = scene.explain(batch_id, at).confirmed
    assert confirmed
    assert not confirmed.observations or confirmed.last_at
    return confirmed.observations


# What is not there


def test_a_departure_that_a_look_up_confirmed_says_so(scene: Traced) -> None:
    lost = scene.ids(2)[0]
    scene.project.delete(lost)
    scene.run()

    found = scene.explain(lost)

    assert found.believed
    assert found.departure
    assert found.observation
    assert (found.believed.knowledge, found.departure.evidence) == ("gone", "look_up")
    assert found.observation.look_up == "not_found"
    assert found.departure.first_absent_at == found.observation.observed_at
    assert found.body
    assert found.record is None


def test_a_departure_that_a_second_absence_confirmed_says_when_the_first_was(scene: Traced) -> None:
    lost = scene.ids(2)[0]
    scene.project.delete(lost)
    scene.run(rules=GuardRules(max_lookups=0))
    pending = scene.explain(lost)
    scene.run(rules=GuardRules(max_lookups=0))

    found = scene.explain(lost)

    assert pending.pending
    assert pending.departure is None
    assert found.departure
    assert found.pending is None
    assert found.departure.evidence == "second_absence"
    assert found.departure.first_absent_at == pending.pending.missing_since


def test_a_departure_that_an_operator_accepted_says_so(scene: Traced) -> None:
    lost = scene.ids(2)[0]
    scene.project.delete(lost)
    scene.run(only=(CARS,), accepted=frozenset({lost}), trigger="confirm")

    found = scene.explain(lost)

    assert found.departure
    assert found.run
    assert (found.departure.evidence, found.run.trigger) == ("accepted", "confirm")


def test_a_departure_from_before_evidence_was_kept_says_so(scene: Traced) -> None:
    lost = scene.ids(2)[0]
    scene.project.delete(lost)
    scene.run()
    scene.break_by_hand("DELETE FROM ledger.look_up")

    departure = scene.explain(lost).departure

    assert departure
    assert departure.evidence == "not_kept"


def test_a_number_that_is_carried_over_an_unusable_record_says_what_is_wrong_with_it(scene: Traced) -> None:
    batch_id = scene.ids(0)[0]
    rows = json.loads(scene.body(getattr(scene.explain(batch_id).body, "digest", None)))["batches"]
    rows[0]["images"] = -1
    scene.run(Fault.literal(json.dumps({"batches": rows})), path=LIST)

    pending = scene.explain(batch_id).pending

    assert pending
    assert pending.carried_since
    assert pending.reason == "images is out of range (0 to 2147483647)"
    assert scene.explain(batch_id, pending.carried_since - timedelta(seconds=1)).pending is None


def test_before_a_batch_was_seen_there_is_nothing_to_trace(scene: Traced) -> None:
    before = scene.clock.at
    scene.clock.move(minutes=1)
    entered = scene.project.upload(images=7, at=scene.clock.at).id
    scene.run()

    found = scene.explain(entered, before)

    missing: dict[str, Any] = {name: getattr(found, name) for name in ("believed", "change", "run", "body")}
    assert missing == dict.fromkeys(missing)
    assert found.confirmed is None


def test_a_batch_that_nobody_knows_cannot_be_traced(scene: Traced) -> None:
    with pytest.raises(UnknownProjectError, match="no batch"):
        scene.explain("nope")
