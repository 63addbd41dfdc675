"""The store, one promise at a time: what each call writes, what it leaves alone, and who may write at all."""

from __future__ import annotations

import hashlib
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from msgspec.structs import replace

from etl.database import engine
from etl.errors import ClaimLostError, DatabaseUnavailableError
from etl.guard import Belief, Known, Rule
from etl.ports import Applied, Examined, RunEnd
from etl.records import Batch, Moves, Observation, Project, Reject, Slug, Snapshot, Totals, Verdict
from etl.store import PostgresLedger

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.also_on_16

NOON: Final = datetime(2024, 2, 3, 12, 0, tzinfo=UTC)
UPLOADED: Final = datetime(2024, 1, 5, 9, 0, 0, 123456, tzinfo=UTC)
CARS: Final = Slug("acme", "cars")
SHIPS: Final = Slug("acme", "ships")
_NOTHING: Final = Belief()
TABLES: Final = (
    *("run", "project", "claim", "observation", "batch", "batch_change"),
    *("project_day", "payload", "reject", "tick"),
)


def a_batch(batch_id: str = "b1", *, images: int = 3, **values: Any) -> Batch:
    return Batch(
        batch_id, images, **{"name": "night shift", "num_jobs": 0, "uploaded_at": UPLOADED, **values}
    )


def a_minute(nth: int) -> datetime:
    return NOON + timedelta(minutes=nth)


def an_answer(*batches: Batch) -> Examined[Batch]:
    return Examined(Snapshot(batches), Belief(), b"body")


class Book:
    """A ledger with one project that its run has claimed, and a connection that looks at what it wrote."""

    def __init__(self, uri: str, connection: psycopg.Connection) -> None:
        self.uri = uri
        self.connection = connection
        self.engine = engine(uri)
        self.ledger = PostgresLedger(self.engine, host="here", version="test")
        self.run_id = self.begin()
        self.project_id = self.register(CARS)
        self.ledger.claim(self.run_id, [self.project_id])
        self.minute = 0
        self.trusted_at: datetime | None = None

    def begin(self, **options: Any) -> int:
        ledger = PostgresLedger(self.engine, host="here", version="test", **options)
        return ledger.begin_run(trigger="sync", started_at=NOON)

    def register(self, *slugs: Slug) -> int:
        states = self.ledger.register([Project(slug) for slug in slugs], at=NOON)
        return states[slugs[0]].project_id

    def end(self, run_id: int) -> None:
        end = RunEnd(ended_at=a_minute(60), outcome="completed", verdicts={}, moves=Moves(), requests=0)
        self.ledger.end_run(run_id, end)

    def lapse(self, run_id: int) -> None:
        self.tell("UPDATE ledger.run SET leased_until = now() - interval '1 s' WHERE run_id = %s", run_id)

    def observation(self, verdict: Verdict = Verdict.CHANGED, **values: Any) -> Observation:
        self.minute += 1
        at = a_minute(self.minute)
        given = {"project_id": self.project_id, "previous_at": self.trusted_at, **values}
        return Observation(verdict=verdict, started_at=at, observed_at=at, **given)

    def apply(
        self, *batches: Batch, belief: Belief = _NOTHING, rejects: tuple[Reject, ...] = (), **values: Any
    ) -> Applied:
        """Apply the next minute's answer; a body differs with its minute unless it is given."""
        # A run observes a project once, so each answer here is of a run of its own.
        self.end(self.run_id)
        self.run_id = self.begin()
        self.ledger.claim(self.run_id, [self.project_id])
        body = values.pop("body", f"body {self.minute}".encode())
        observation = self.observation(
            **{"digest": hashlib.sha256(body).digest(), "body_bytes": len(body), **values}
        )
        applied = self.ledger.apply(
            self.run_id, observation, Examined(Snapshot(batches, rejects), belief, body)
        )
        if belief.rule is None:
            self.trusted_at = observation.observed_at
        return applied

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def tell(self, statement: str, *values: object) -> None:
        self.connection.execute(statement.encode(), values)

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row with its place and version, so that a row written anew differs; and every sequence."""
        rows = {
            name: self.ask(f"SELECT ctid, xmin, one FROM ledger.{name} AS one ORDER BY ctid")
            for name in TABLES
        }
        return rows | {"sequences": self.ask("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")}

    def balances(self) -> None:
        assert self.ask("SELECT invariant, detail FROM analytics.invariant_violation") == []


@pytest.fixture
def book(database: str) -> Iterator[Book]:
    with psycopg.connect(database, autocommit=True) as connection:
        opened = Book(database, connection)
        yield opened
        opened.engine.dispose()
        opened.balances()


# Runs and leases


def test_a_run_is_a_row_that_says_who_where_and_until_when(book: Book) -> None:
    run_id = book.begin(lease_s=90.0)
    (row,) = book.ask(
        "SELECT trigger, started_at, host, version, ended_at, outcome, "
        "leased_until BETWEEN now() + interval '85 s' AND now() + interval '90 s' "
        "FROM ledger.run WHERE run_id = %s",
        run_id,
    )
    assert row == ("sync", NOON, "here", "test", None, None, True)


def test_the_end_of_a_run_says_how_it_went_and_gives_its_claims_back(book: Book) -> None:
    verdicts = {Verdict.CHANGED: 1, Verdict.FAILED: 2}
    moves = Moves(entered=4, left=1)
    end = RunEnd(ended_at=a_minute(9), outcome="partial", verdicts=verdicts, moves=moves, requests=7)
    book.ledger.end_run(book.run_id, end)
    (row,) = book.ask(
        "SELECT ended_at, outcome, changed, unchanged, suspect, failed, skipped, batch_changes, requests "
        "FROM ledger.run"
    )
    assert row == (a_minute(9), "partial", 1, 0, 0, 2, 0, 5, 7)
    assert book.ask("SELECT project_id FROM ledger.claim") == []


def test_the_end_of_a_run_leaves_the_claims_of_another_alone(book: Book) -> None:
    book.end(book.begin())
    assert book.ask("SELECT run_id FROM ledger.claim") == [(book.run_id,)]


def test_a_renewed_lease_lasts_again_and_an_ended_run_has_none(book: Book) -> None:
    book.lapse(book.run_id)
    book.ledger.renew(book.run_id)
    assert book.ledger.claim(book.begin(), [book.project_id]) == []
    book.end(book.run_id)
    before = book.contents()
    book.ledger.renew(book.run_id)
    assert book.contents() == before


def test_the_end_of_a_run_waits_until_all_of_it_is_on_disk(book: Book) -> None:
    """Each project before it is committed without that wait, so the end has to make up for all of them."""
    for nth in range(5):
        book.apply(a_batch(images=nth))
        ((written,),) = book.ask("SELECT pg_current_wal_insert_lsn()::text")
        book.end(book.run_id)
        assert book.ask("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", written) == [(True,)]


# Claims


def test_what_a_living_run_holds_is_not_claimed_and_the_rest_is(book: Book) -> None:
    other = book.register(SHIPS)
    claimed = book.ledger.claim(book.begin(), [book.project_id, other])
    assert [state.project_id for state in claimed] == [other]


def test_what_an_ended_run_held_is_claimed(book: Book) -> None:
    book.tell("UPDATE ledger.run SET ended_at = now(), outcome = 'completed'")
    assert len(book.ledger.claim(book.begin(), [book.project_id])) == 1


def test_what_a_dead_run_held_is_claimed_once_its_lease_has_lapsed(book: Book) -> None:
    assert book.ledger.claim(book.begin(), [book.project_id]) == []
    book.lapse(book.run_id)
    successor = book.begin()
    assert [state.slug for state in book.ledger.claim(successor, [book.project_id])] == [CARS]
    assert book.ask("SELECT run_id FROM ledger.claim") == [(successor,)]


def test_claims_come_back_stalest_first_and_the_never_observed_before_all(book: Book) -> None:
    ships, vials = book.register(SHIPS), book.register(Slug("acme", "vials"))
    book.apply(a_batch())
    book.end(book.run_id)
    claimed = book.ledger.claim(book.begin(), [book.project_id, ships, vials])
    assert [state.project_id for state in claimed] == [ships, vials, book.project_id]


def test_a_claim_says_what_is_held_of_the_project(book: Book) -> None:
    book.apply(a_batch(images=5, num_jobs=2), body=b"body", etag="tag")
    book.end(book.run_id)
    failing = book.begin()
    book.ledger.claim(failing, [book.project_id])
    failed = book.observation(Verdict.FAILED, error_class="TransientError", error="status 503")
    assert book.ledger.record(failing, [failed]) == 1
    book.end(failing)
    # Another host's clock says when it skipped the project, and nothing was read.
    assert book.ledger.record(book.begin(), [book.observation(Verdict.SKIPPED)]) == 1
    (state,) = book.ledger.claim(book.begin(), [book.project_id])
    assert (state.slug, state.totals) == (CARS, Totals(batches=1, images=5, num_jobs=2))
    assert (state.digest, state.etag) == (hashlib.sha256(b"body").digest(), "tag")
    assert (state.last_trusted_at, state.last_at) == (a_minute(1), a_minute(2))
    assert (state.loss_suspected_since, state.is_tracked) == (None, True)


def test_who_takes_over_waits_for_a_write_of_the_old_holder(book: Book) -> None:
    book.lapse(book.run_id)
    successor = book.begin()
    with psycopg.connect(book.uri) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("SELECT FROM ledger.claim FOR UPDATE")
        waiting = pool.submit(book.ledger.claim, successor, [book.project_id])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        holder.commit()
        assert len(waiting.result(timeout=10)) == 1


def test_who_was_overtaken_while_it_waited_writes_nothing(book: Book) -> None:
    successor = book.begin()
    before = book.contents()
    with psycopg.connect(book.uri) as other, ThreadPoolExecutor(1) as pool:
        other.execute("UPDATE ledger.claim SET run_id = %s", (successor,))
        waiting = pool.submit(book.ledger.apply, book.run_id, book.observation(), an_answer(a_batch()))
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        other.commit()
        with pytest.raises(ClaimLostError):
            waiting.result(timeout=10)
    after = book.contents()
    assert _without(after, "claim") == _without(before, "claim")


def test_a_zombie_writes_nothing_at_all(book: Book) -> None:
    """Its lease lapsed and another run took over, so all that it still tries is refused."""
    book.apply(a_batch())
    book.end(book.run_id)
    book.run_id = book.begin()
    book.ledger.claim(book.run_id, [book.project_id])
    book.lapse(book.run_id)
    book.ledger.claim(book.begin(), [book.project_id])
    before = book.contents()
    shown = Snapshot((a_batch(images=9), a_batch("b2")), (Reject(2, "no", "{}", "b3"),))
    answer = Examined(shown, Belief(gone=frozenset({"b4"})), b"another body")
    with pytest.raises(ClaimLostError):
        book.ledger.apply(book.run_id, book.observation(), answer)
    assert book.ledger.record(book.run_id, [book.observation(Verdict.UNCHANGED)]) == 0
    assert _without(book.contents(), "sequences") == _without(before, "sequences")


def test_a_run_whose_lease_lapsed_may_write_as_long_as_nobody_took_over(book: Book) -> None:
    book.lapse(book.run_id)
    applied = book.ledger.apply(
        book.run_id,
        book.observation(body_bytes=4, digest=b"digest"),
        an_answer(a_batch()),
    )
    assert applied.verdict is Verdict.CHANGED


# Projects


def test_registering_the_same_again_touches_no_row(book: Book) -> None:
    named = Project(CARS, "Cars", "object-detection")
    book.ledger.register([named], at=NOON)
    before = book.contents()
    assert book.ledger.register([named], at=a_minute(5)).keys() == {CARS}
    assert _without(book.contents(), "sequences") == _without(before, "sequences")


def test_a_name_is_refreshed_and_what_is_not_said_is_kept(book: Book) -> None:
    book.ledger.register([Project(CARS, "Cars", "object-detection")], at=NOON)
    book.ledger.register([Project(CARS, "Motor cars", None)], at=a_minute(5))
    book.ledger.untrack([book.project_id], at=NOON)
    book.ledger.register([Project(CARS)], at=a_minute(6))
    assert book.ask("SELECT name, type, first_seen_at, is_tracked FROM ledger.project") == [
        ("Motor cars", "object-detection", NOON, True)
    ]


def test_what_is_not_asked_for_any_more_is_marked_and_comes_back(book: Book) -> None:
    ships = book.register(SHIPS)
    book.ledger.untrack([book.project_id], at=NOON)
    assert {slug: state.is_tracked for slug, state in book.ledger.projects().items()} == {
        CARS: False,
        SHIPS: True,
    }
    before = book.contents()
    book.ledger.untrack([book.project_id], at=NOON)
    assert book.contents() == before
    assert book.register(CARS) != ships
    assert all(state.is_tracked for state in book.ledger.projects().values())


def test_two_runs_that_register_one_project_at_once_make_one_row(book: Book) -> None:
    with ThreadPoolExecutor(2) as pool:
        ids = list(pool.map(lambda _: book.register(SHIPS), range(2)))
    assert ids[0] == ids[1]
    assert book.ask("SELECT count(*) FROM ledger.project") == [(2,)]


# Answers


@pytest.mark.parametrize(
    ("now", "kind", "deltas"),
    [
        (a_batch(images=5), "changed", (2, 0)),
        (a_batch(num_jobs=2), "changed", (0, 2)),
        (a_batch(num_jobs=None), "changed", (0, 0)),
        (a_batch(uploaded_at=None), "changed", (0, 0)),
        (a_batch(name="day shift"), "renamed", (0, 0)),
        (a_batch(name=None), "renamed", (0, 0)),
        (a_batch(name="day shift", images=0), "changed", (-3, 0)),
    ],
)
def test_a_difference_is_one_change_with_its_deltas(
    book: Book, now: Batch, kind: str, deltas: tuple[int, int]
) -> None:
    book.apply(a_batch())
    applied = book.apply(now)
    assert applied.verdict is Verdict.CHANGED
    assert (applied.moves.images_delta, applied.moves.num_jobs_delta) == deltas
    (row,) = book.ask(
        "SELECT kind, name, images, num_jobs, uploaded_at, images_delta, num_jobs_delta, observed_at, "
        "changed_after FROM ledger.batch_change WHERE kind <> 'entered'"
    )
    assert row == (
        *(kind, now.name, now.images, now.num_jobs, now.uploaded_at, *deltas),
        *(a_minute(2), a_minute(1)),
    )
    assert book.ask("SELECT name, images, num_jobs, uploaded_at, changed_at FROM ledger.batch") == [
        (now.name, now.images, now.num_jobs, now.uploaded_at, a_minute(2))
    ]


def test_a_batch_that_did_not_change_keeps_its_row(book: Book) -> None:
    book.apply(a_batch(), a_batch("b2"))
    query = "SELECT ctid, xmin, one FROM ledger.batch AS one WHERE batch_id = 'b2'"
    before = book.ask(query)
    book.apply(a_batch(images=9), a_batch("b2"))
    assert book.ask(query) == before


def test_a_batch_that_is_missing_or_carried_once_more_keeps_its_row(book: Book) -> None:
    unusable = Reject(0, "images is missing", '{"id": "b2"}', "b2")
    still = Belief(missing=frozenset({"b1"}))
    book.apply(a_batch(), a_batch("b2"))
    book.apply(belief=still, rejects=(unusable,))
    query = "SELECT ctid, xmin, one FROM ledger.batch AS one"
    before = book.ask(query)
    book.apply(belief=still, rejects=(unusable,))
    assert book.ask(query) == before


def test_a_field_that_we_do_not_know_is_kept_and_is_no_change(book: Book) -> None:
    book.apply(a_batch())
    extra = '{"deep": [1, {"x": null}], "half": 0.1, "id64": 9007199254740993}'
    applied = book.apply(a_batch(extra=extra))
    assert (applied.verdict, applied.moves) == (Verdict.UNCHANGED, Moves())
    assert book.ask("SELECT extra, changed_at FROM ledger.batch") == [(json.loads(extra), a_minute(1))]
    assert book.apply(a_batch()).verdict is Verdict.UNCHANGED
    assert book.ask("SELECT extra FROM ledger.batch") == [(None,)]


@pytest.mark.parametrize(
    "name",
    ["", "tab\there", "new\nline", 'quote " \\ back', "ünïcödé 🚢", "\\N", "{}", "'; DROP--", "x" * 5000],
)
def test_any_name_comes_back_as_it_was(book: Book, name: str) -> None:
    book.apply(a_batch(name=name))
    assert book.ask("SELECT name FROM ledger.batch") == [(name,)]
    assert book.apply(a_batch(name=name)).verdict is Verdict.UNCHANGED


def test_the_largest_counts_and_the_outermost_times_fit(book: Book) -> None:
    most = 2**31 - 1
    at = datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    book.apply(*(a_batch(f"b{nth}", images=most, num_jobs=most, uploaded_at=at) for nth in range(3)))
    assert book.ask("SELECT images, num_jobs FROM ledger.project") == [(3 * most, 3 * most)]
    book.apply(a_batch("b0", images=0, num_jobs=0), belief=Belief(gone=frozenset({"b1", "b2"})))
    assert book.ask("SELECT batches, images, num_jobs FROM ledger.project") == [(1, 0, 0)]


def test_a_batch_that_is_confirmed_absent_leaves_with_all_it_had(book: Book) -> None:
    book.apply(a_batch(images=5, num_jobs=2), a_batch("b2"))
    applied = book.apply(a_batch("b2"), belief=Belief(gone=frozenset({"b1"})))
    assert applied.moves == Moves(left=1, images_delta=-5, num_jobs_delta=-2)
    (row,) = book.ask(
        "SELECT name, images, num_jobs, missing_since, present_at, gone_at FROM ledger.batch "
        "WHERE batch_id = 'b1'"
    )
    assert row == ("night shift", 0, 0, a_minute(2), a_minute(1), a_minute(2))


def test_a_batch_without_a_count_of_jobs_leaves_with_none(book: Book) -> None:
    book.apply(a_batch(num_jobs=None))
    applied = book.apply(belief=Belief(gone=frozenset({"b1"})))
    assert applied.moves == Moves(left=1, images_delta=-3)
    assert book.ask("SELECT num_jobs_delta FROM ledger.batch_change WHERE kind = 'left'") == [(0,)]


def test_a_missing_batch_still_counts_and_leaves_nothing_settled(book: Book) -> None:
    book.apply(a_batch())
    applied = book.apply(belief=Belief(missing=frozenset({"b1"})), etag="tag")
    assert (applied.verdict, applied.moves) == (Verdict.UNCHANGED, Moves())
    assert book.ask("SELECT images, missing_since, present_at, gone_at FROM ledger.batch") == [
        (3, a_minute(2), a_minute(1), None)
    ]
    assert book.ask("SELECT batches, images, digest, etag FROM ledger.project") == [(1, 3, None, None)]
    book.apply(belief=Belief(gone=frozenset({"b1"})))
    assert book.ask("SELECT missing_since, present_at, gone_at FROM ledger.batch") == [
        (a_minute(2), a_minute(1), a_minute(3))
    ]
    assert book.ask("SELECT changed_after FROM ledger.batch_change WHERE kind = 'left'") == [(a_minute(1),)]


def test_a_missing_batch_that_is_there_again_is_missing_no_more(book: Book) -> None:
    book.apply(a_batch())
    book.apply(belief=Belief(missing=frozenset({"b1"})))
    assert book.apply(a_batch()).verdict is Verdict.UNCHANGED
    assert book.ask("SELECT missing_since, present_at FROM ledger.batch") == [(None, None)]


def test_a_missing_batch_that_is_there_with_other_values_was_last_known_before_it_was_missing(
    book: Book,
) -> None:
    book.apply(a_batch())
    book.apply(belief=Belief(missing=frozenset({"b1"})))
    book.apply(a_batch(images=4))
    assert book.ask("SELECT changed_after FROM ledger.batch_change WHERE kind = 'changed'") == [
        (a_minute(1),)
    ]


def test_what_was_gone_and_is_there_again_has_returned(book: Book) -> None:
    book.apply(a_batch())
    book.apply(belief=Belief(gone=frozenset({"b1"})))
    book.apply()
    applied = book.apply(a_batch(images=7))
    assert applied.moves == Moves(returned=1, images_delta=7)
    assert book.ask("SELECT first_seen_at, gone_at, missing_since, present_at FROM ledger.batch") == [
        (a_minute(1), None, None, None)
    ]
    assert book.ask("SELECT changed_after FROM ledger.batch_change WHERE kind = 'returned'") == [
        (a_minute(3),)
    ]


def test_known_says_who_is_listed_missing_and_unlisted_and_forgets_who_is_gone(book: Book) -> None:
    assert book.ledger.known(book.project_id) == Known()
    book.apply(*(a_batch(batch_id) for batch_id in ("listed", "missing", "unlisted", "gone")))
    belief = Belief(
        gone=frozenset({"gone"}), missing=frozenset({"missing"}), found=(a_batch("unlisted", images=4),)
    )
    book.apply(a_batch("listed"), belief=belief)
    assert book.ledger.known(book.project_id) == Known(
        frozenset({"listed"}), frozenset({"missing"}), frozenset({"unlisted"})
    )


def test_what_was_left_out_of_the_list_and_is_missing_now_is_known_as_missing_alone(book: Book) -> None:
    book.apply(a_batch())
    book.apply(belief=Belief(found=(a_batch(),), rule=Rule.SHORT_LIST))
    book.apply(belief=Belief(missing=frozenset({"b1"})))
    assert book.ledger.known(book.project_id) == Known(missing=frozenset({"b1"}))
    # Its values, as they are known, were read; and it is in doubt since it was left out.
    assert book.ask("SELECT unlisted_since, missing_since, carried_since FROM ledger.batch") == [
        (a_minute(2), a_minute(3), None)
    ]


def test_batches_of_one_id_in_two_projects_are_two_batches(book: Book) -> None:
    """Whatever is known, compared, absent or gone in one of them is nothing to the other."""
    book.apply(a_batch(images=3), a_batch("b2"))
    cars, book.project_id, book.trusted_at = book.project_id, book.register(SHIPS), None
    applied = book.apply(a_batch(images=5), a_batch("b2", images=7))
    assert applied.moves == Moves(entered=2, images_delta=12)
    assert book.ledger.known(book.project_id) == Known(frozenset({"b1", "b2"}))
    applied = book.apply(a_batch(images=6), belief=Belief(gone=frozenset({"b2"})))
    assert applied.moves == Moves(changed=1, left=1, images_delta=1 - 7)
    assert book.ledger.known(book.project_id) == Known(frozenset({"b1"}))
    assert book.ledger.known(cars) == Known(frozenset({"b1", "b2"}))
    then = "SELECT images FROM analytics.batch_as_of(%s, 'acme', %s) ORDER BY batch_id"
    assert book.ask(then, a_minute(9), "cars") == [(3,), (3,)]
    assert book.ask(then, a_minute(9), "ships") == [(6,), (0,)]
    diff = "SELECT project, batch_id, change FROM analytics.batch_diff(%s, %s, NULL, NULL) ORDER BY batch_id"
    assert book.ask(diff, a_minute(2), a_minute(9)) == [("ships", "b1", "grown"), ("ships", "b2", "left")]
    query = "SELECT images, gone_at IS NULL FROM ledger.batch WHERE project_id = %s ORDER BY batch_id"
    assert book.ask(query, cars) == [(3, True), (3, True)]
    assert book.ask(query, book.project_id) == [(6, True), (0, False)]


def test_an_unlisted_batch_was_last_known_when_a_look_up_found_it(book: Book) -> None:
    """A later list that leaves it out did not see it, so it cannot date its departure."""
    book.apply(a_batch(), a_batch("b2"))
    book.apply(a_batch("b2"), belief=Belief(found=(a_batch(),), rule=Rule.SHORT_LIST))
    book.apply(a_batch("b2", images=4))
    book.apply(a_batch("b2", images=5), belief=Belief(gone=frozenset({"b1"})))
    assert book.ask("SELECT changed_after FROM ledger.batch_change WHERE kind = 'left'") == [(a_minute(2),)]


def test_an_unlisted_batch_that_is_listed_again_was_last_known_when_a_look_up_found_it(book: Book) -> None:
    book.apply(a_batch())
    book.apply(belief=Belief(found=(a_batch(),), rule=Rule.SHORT_LIST))
    book.apply()
    book.apply(a_batch(images=4))
    assert book.ask("SELECT changed_after FROM ledger.batch_change WHERE kind = 'changed'") == [
        (a_minute(2),)
    ]


def test_a_batch_that_only_a_look_up_knows_enters_as_unlisted(book: Book) -> None:
    book.apply(belief=Belief(found=(a_batch(),)))
    assert book.ask("SELECT first_seen_at, unlisted_since FROM ledger.batch") == [(a_minute(1), a_minute(1))]


def test_an_unlisted_batch_has_been_so_since_it_was_first_left_out(book: Book) -> None:
    book.apply(a_batch())
    book.apply(belief=Belief(found=(a_batch(),), rule=Rule.SHORT_LIST))
    book.apply(belief=Belief(found=(a_batch(images=4),)))
    assert book.ask("SELECT images, unlisted_since FROM ledger.batch") == [(4, a_minute(2))]


def test_a_batch_that_left_without_usable_values_was_last_known_when_they_were_read(book: Book) -> None:
    unusable = Reject(0, "images is missing", '{"id": "b1"}', "b1")
    book.apply(a_batch())
    book.apply(a_batch())
    for _ in range(2):
        book.apply(rejects=(unusable,))
    book.apply(belief=Belief(gone=frozenset({"b1"})))
    assert book.ask("SELECT changed_after FROM ledger.batch_change WHERE kind = 'left'") == [(a_minute(1),)]


def test_a_batch_that_is_gone_does_not_return_without_usable_values(book: Book) -> None:
    book.apply(a_batch())
    book.apply(belief=Belief(gone=frozenset({"b1"})))
    book.apply(rejects=(Reject(0, "images is missing", '{"id": "b1"}', "b1"),))
    assert book.ask("SELECT gone_at, carried_since FROM ledger.batch") == [(a_minute(2), None)]


def test_doubt_about_the_values_of_a_batch_lasts_until_they_are_read(book: Book) -> None:
    """Also while it is missing in between."""
    unusable = Reject(0, "images is missing", '{"id": "b1"}', "b1")
    book.apply(a_batch())
    book.apply(rejects=(unusable,))
    book.apply(belief=Belief(missing=frozenset({"b1"})))
    book.apply(rejects=(unusable,))
    assert book.ask("SELECT carried_since, missing_since FROM ledger.batch") == [(a_minute(2), None)]


def test_doubt_about_the_values_of_a_batch_ends_when_the_same_are_read_again(book: Book) -> None:
    book.apply(a_batch())
    book.apply(rejects=(Reject(0, "images is missing", '{"id": "b1"}', "b1"),))
    assert book.apply(a_batch()).verdict is Verdict.UNCHANGED
    assert book.ask("SELECT carried_since FROM ledger.batch") == [(None,)]


def test_a_batch_without_usable_values_is_there_with_those_it_had(book: Book) -> None:
    unusable = Reject(0, "images is missing", '{"id": "b1"}', "b1")
    book.apply(a_batch())
    for _ in range(2):
        book.apply(rejects=(unusable,))
    assert book.ask("SELECT images, carried_since, missing_since FROM ledger.batch") == [
        (3, a_minute(2), None)
    ]
    book.apply(a_batch(images=4))
    assert book.ask("SELECT images, carried_since FROM ledger.batch") == [(4, None)]
    # What it held in between nobody knows, so the change may be as old as the first doubt and older.
    assert book.ask("SELECT changed_after FROM ledger.batch_change WHERE kind = 'changed'") == [
        (a_minute(1),)
    ]


def test_a_record_that_cannot_be_used_is_kept_with_its_reason(book: Book) -> None:
    rejects = (Reject(0, "id is missing", '{"images": 1}'), Reject(4, "images is missing", "{}", "b7"))
    book.apply(a_batch(), rejects=rejects)
    assert book.ask("SELECT position, reason, raw, record_id FROM ledger.reject ORDER BY position") == [
        (reject.position, reject.reason, reject.raw, reject.record_id) for reject in rejects
    ]


def test_a_suspect_answer_is_applied_as_far_as_it_shows_and_settles_nothing(book: Book) -> None:
    book.apply(a_batch(), a_batch("b2"))
    for _ in range(2):
        applied = book.apply(a_batch(images=9), belief=Belief(rule=Rule.LARGE_LOSS), etag="tag")
        assert applied.verdict is Verdict.SUSPECT
    assert book.ask("SELECT batches, images, digest, etag, loss_suspected_since FROM ledger.project") == [
        (2, 12, None, None, a_minute(2))
    ]
    assert book.ask("SELECT verdict, rule FROM ledger.observation ORDER BY observation_id") == [
        ("changed", None),
        ("suspect", "large_loss"),
        ("suspect", "large_loss"),
    ]
    book.apply(a_batch(images=9), a_batch("b2"))
    assert book.ask("SELECT loss_suspected_since, digest IS NULL FROM ledger.project") == [(None, False)]


@pytest.mark.parametrize(("rule", "is_loss"), [(rule, rule.is_loss) for rule in Rule])
def test_only_a_suspected_loss_is_remembered_as_one(book: Book, rule: Rule, *, is_loss: bool) -> None:
    book.apply(a_batch())
    book.apply(belief=Belief(rule=rule))
    assert book.ask("SELECT loss_suspected_since IS NOT NULL FROM ledger.project") == [(is_loss,)]


def test_a_body_is_stored_once_and_comes_back_as_it_was(book: Book) -> None:
    body = b'{"batches": []}' * 100
    for _ in range(2):
        book.apply(a_batch(), body=body)
    ((stored, size),) = book.ask("SELECT body, body_bytes FROM ledger.payload")
    assert (zlib.decompress(stored), size) == (body, len(body))
    assert len(stored) < len(body) / 5


def test_a_day_is_rolled_up_by_utc(book: Book) -> None:
    book.apply(a_batch())
    book.minute = 12 * 60 - 2
    book.apply(a_batch(images=4, num_jobs=1))
    book.minute = 12 * 60 - 1
    book.apply(a_batch(images=4), belief=Belief())
    assert book.ask(
        "SELECT day::text, batches, images, num_jobs, images_delta, num_jobs_delta, batches_entered, "
        "batches_left FROM ledger.project_day ORDER BY day"
    ) == [("2024-02-03", 1, 4, 1, 4, 1, 1, 0), ("2024-02-04", 1, 4, 0, 0, -1, 0, 0)]


def test_a_body_that_is_here_already_is_not_even_locked(book: Book) -> None:
    """Many projects share the empty list, and must not wait for one another."""
    book.apply(a_batch(), body=b"shared")
    with psycopg.connect(book.uri) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM ledger.payload FOR UPDATE")
        assert pool.submit(book.apply, a_batch(), body=b"shared").result(timeout=10)


def test_a_body_that_another_project_stores_at_the_same_moment_is_written_once(book: Book) -> None:
    body, query = b"shared", "SELECT ctid, xmin, body FROM ledger.payload"
    with psycopg.connect(book.uri) as other, ThreadPoolExecutor(1) as pool:
        digest = hashlib.sha256(body).digest()
        other.execute("INSERT INTO ledger.payload (digest, body, body_bytes) VALUES (%s, '', 6)", [digest])
        before = other.execute(query).fetchall()
        waiting = pool.submit(book.apply, a_batch(), body=body)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        other.commit()
        assert waiting.result(timeout=10)
    assert book.ask(query) == before


def test_a_day_on_which_nothing_changed_is_not_written(book: Book) -> None:
    book.apply(a_batch())
    book.minute = 12 * 60
    assert book.apply(a_batch()).verdict is Verdict.UNCHANGED
    assert book.ask("SELECT day::text FROM ledger.project_day") == [("2024-02-03",)]


def test_a_day_is_one_of_utc_whatever_the_time_zone_of_the_session(database: str) -> None:
    """At noon it is tomorrow already on Kiritimati."""
    with psycopg.connect(database, autocommit=True) as connection:
        book = Book(f"{database}&options=-c%20TimeZone%3DPacific%2FKiritimati", connection)
        book.apply(a_batch())
        assert book.ask("SELECT day::text FROM ledger.project_day") == [("2024-02-03",)]
        book.engine.dispose()
        book.balances()


def test_the_time_that_an_answer_took_to_be_written_is_in_milliseconds(book: Book) -> None:
    observation = book.observation(body_bytes=4, digest=b"digest")
    with psycopg.connect(book.uri) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM ledger.claim FOR UPDATE")
        waiting = pool.submit(book.ledger.apply, book.run_id, observation, an_answer(a_batch()))
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        other.commit()
        waiting.result(timeout=10)
    ((store_ms,),) = book.ask("SELECT store_ms FROM ledger.observation")
    assert 300 < store_ms < 60_000


def test_an_observation_says_all_that_is_known_of_it(book: Book) -> None:
    book.apply(
        a_batch(images=5, num_jobs=2),
        http_status=200,
        requests=3,
        fetch_ms=12.5,
        parse_ms=0.25,
        body=b"body",
    )
    (row,) = book.ask(
        "SELECT run_id, verdict, started_at, observed_at, previous_at, http_status, requests, body_bytes, "
        "fetch_ms, parse_ms, store_ms >= 0, batches, images, num_jobs, batches_entered, images_delta, "
        "num_jobs_delta, error FROM ledger.observation"
    )
    assert row == (
        *(book.run_id, "changed", a_minute(1), a_minute(1), None, 200, 3, 4, 12.5, 0.25, True),
        *(1, 5, 2, 1, 5, 2, None),
    )


# Observations that changed nothing


def test_many_observations_are_written_at_once_and_only_those_of_ours(book: Book) -> None:
    ships, vials = book.register(SHIPS), book.register(Slug("acme", "vials"))
    book.ledger.claim(book.run_id, [ships])
    given = [
        book.observation(Verdict.UNCHANGED, totals=Totals(), http_status=304, requests=1),
        book.observation(Verdict.FAILED, project_id=ships, error_class="TransientError", error="status 500"),
        book.observation(Verdict.FAILED, project_id=vials, error_class="X", error="not ours"),
        book.observation(Verdict.SKIPPED, project_id=vials),
    ]
    assert book.ledger.record(book.run_id, given[:3]) == 2
    assert book.ledger.record(book.run_id, given[3:]) == 1
    assert book.ask(
        "SELECT project_id, verdict, http_status, batches, error_class, error FROM ledger.observation "
        "ORDER BY project_id"
    ) == [
        (book.project_id, "unchanged", 304, 0, None, None),
        (ships, "failed", None, None, "TransientError", "status 500"),
        (vials, "skipped", None, None, None, None),
    ]


def test_an_observation_says_of_its_own_project_whether_it_is_settled(book: Book) -> None:
    ships = book.register(SHIPS)
    book.apply(a_batch(), is_settled=True)
    book.end(book.run_id)
    run_id = book.begin()
    book.ledger.claim(run_id, [book.project_id, ships])
    cars, others = (
        book.observation(Verdict.UNCHANGED, project_id=project_id) for project_id in (book.project_id, ships)
    )
    assert book.ledger.record(run_id, [others, cars]) == 2
    query = "SELECT project_id, is_settled FROM ledger.observation WHERE run_id = %s ORDER BY project_id"
    assert book.ask(query, run_id) == [(book.project_id, True), (ships, None)]


def test_an_observation_is_written_once_a_run(book: Book) -> None:
    observation = book.observation(Verdict.UNCHANGED)
    assert book.ledger.record(book.run_id, [observation]) == 1
    assert book.ledger.record(book.run_id, [replace(observation, verdict=Verdict.UNCHANGED)]) == 0


def test_a_run_that_records_waits_for_who_is_taking_over(book: Book) -> None:
    successor = book.begin()
    with psycopg.connect(book.uri) as other, ThreadPoolExecutor(1) as pool:
        other.execute("UPDATE ledger.claim SET run_id = %s", (successor,))
        observation = book.observation(Verdict.UNCHANGED)
        waiting = pool.submit(book.ledger.record, book.run_id, [observation])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        other.commit()
        assert waiting.result(timeout=10) == 0


# What would be


def test_a_preview_says_what_apply_will_do_and_writes_nothing(book: Book) -> None:
    book.apply(*(a_batch(f"b{nth}", images=nth, num_jobs=1) for nth in range(6)))
    now = Snapshot(
        (a_batch("b0", images=4), a_batch("b1", images=1, name="new", num_jobs=1), a_batch("b9")),
        (Reject(3, "no", "{}", "b2"),),
    )
    belief = Belief(
        gone=frozenset({"b3"}), missing=frozenset({"b4"}), found=(a_batch("b5", images=1, num_jobs=0),)
    )
    before = book.contents()
    previewed = book.ledger.preview(book.observation(), now, belief)
    assert book.contents() == before
    book.minute -= 1
    applied = book.apply(*now.records, belief=belief, rejects=now.rejects)
    assert previewed == applied
    assert applied.moves == Moves(
        entered=1, changed=2, renamed=1, left=1, images_delta=4 + 3 - 3 - 4, num_jobs_delta=-1 - 1 - 1
    )


def test_a_preview_of_a_project_that_was_never_seen_counts_all_of_it(book: Book) -> None:
    observation = book.observation(project_id=0)
    previewed = book.ledger.preview(observation, Snapshot((a_batch(), a_batch("b2"))), Belief())
    assert previewed == Applied(verdict=Verdict.CHANGED, moves=Moves(entered=2, images_delta=6))


# Ticks


def test_a_tick_is_noted_once_a_host(book: Book) -> None:
    for reason in ("missed", "coalesced"):
        book.ledger.note_tick(NOON, reason, recorded_at=a_minute(1))
    PostgresLedger(book.engine, host="there", version="test").note_tick(
        NOON, "overlap", recorded_at=a_minute(2)
    )
    assert book.ask("SELECT host, scheduled_at, reason, recorded_at FROM ledger.tick ORDER BY host") == [
        ("here", NOON, "missed", a_minute(1)),
        ("there", NOON, "overlap", a_minute(2)),
    ]


# When it cannot


def test_a_database_that_goes_away_is_an_error_of_ours_and_the_next_call_connects_anew(book: Book) -> None:
    book.ledger.projects()
    book.tell(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(DatabaseUnavailableError):
        book.ledger.projects()
    assert book.ledger.projects().keys() == {CARS}


def test_an_answer_that_breaks_a_constraint_leaves_nothing_of_itself(book: Book) -> None:
    before = book.contents()
    with pytest.raises(psycopg.errors.CheckViolation):
        book.ledger.apply(
            book.run_id,
            book.observation(body_bytes=4, digest=b"digest"),
            an_answer(a_batch(images=-1)),
        )
    assert _without(book.contents(), "sequences") == _without(before, "sequences")


def _without(contents: dict[str, list[tuple[Any, ...]]], name: str) -> dict[str, list[tuple[Any, ...]]]:
    return {key: rows for key, rows in contents.items() if key not in (name, "sequences")}
