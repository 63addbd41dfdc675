"""The archive gives the same ledger again; whatever was changed by hand is found, with its first cause."""

from __future__ import annotations

import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from etl.cli import main
from etl.difference import Cause, Difference, ProjectReplay
from etl.errors import SettingsError, StatementFailedError, UnknownProjectError
from etl.guard import GuardRules
from etl.records import Slug, Verdict
from etl.replay import SCHEMA, replaying
from etl.settings import DatabaseSettings
from etl.simulator import bodies
from etl.simulator.faults import Fault
from tests.integration.test_run import HELD, LOOK_UPS, Scene
from tests.logins import as_owner, as_writer
from tests.worlds import a_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CARS: Final = Slug("acme", "cars")
DRONES: Final = Slug("acme", "drones")


class Archive(Scene):
    """Some projects of eight batches that were read once, and their owner, who may do everything."""

    owner: psycopg.Connection

    def replay(self, *only: Slug, is_kept: bool = False) -> dict[Slug, ProjectReplay]:
        with replaying(as_owner(self.uri), DatabaseSettings(), is_kept=is_kept) as replayer:
            return {slug: replayer.replay(slug, number) for slug, number in replayer.projects(only).items()}

    def agrees(self) -> bool:
        """Whether every answer that was compared could be taken again, and nothing differs."""
        found = self.replay()
        ((applied,),) = self.ask(
            "SELECT count(*) FROM ledger.observation WHERE parse_ms IS NOT NULL OR jobs_changes IS NOT NULL"
        )
        assert [(one.cause, one.differing, one.obstacle, one.since) for one in found.values()] == [
            (None, {}, None, None)
        ] * len(found)
        return sum(one.observations for one in found.values()) == int(applied)

    def tamper(self, statement: str, *values: object) -> None:
        assert self.owner.execute(statement.encode(), values).rowcount == 1

    def cause(self) -> Cause:
        """Return where the first project differs first."""
        cause = self.replay(CARS)[CARS].cause
        assert cause is not None
        return cause

    def live(self) -> int:
        """Run, and return the number of the observation of the first project."""
        self.run()
        return self.last()

    def last(self) -> int:
        ((found,),) = self.ask(
            "SELECT max(observation_id) FROM ledger.observation INNER JOIN ledger.project USING (project_id) "
            "WHERE project.project = 'cars'"
        )
        return int(found)

    def drop_bodies(self, until: int) -> None:
        """Drop, as prune does, the bodies of which no observation after that one has need."""
        self.owner.execute(
            "UPDATE ledger.payload SET body = NULL, pruned_at = now() WHERE digest IN ("
            "SELECT digest FROM ledger.observation WHERE observation_id <= %(id)s"
            ") AND digest NOT IN ("
            "SELECT digest FROM ledger.observation WHERE observation_id > %(id)s AND digest IS NOT NULL)",
            {"id": until},
        )

    def schemas(self) -> list[str]:
        return [name for (name,) in self.ask("SELECT nspname FROM pg_namespace WHERE nspname = %s", SCHEMA)]


@pytest.fixture
def an_archive(database: str) -> Iterator[Callable[..., Archive]]:
    """Give a way to make a workspace of so many projects."""
    made = list[Archive]()
    with (
        psycopg.connect(database, autocommit=True) as connection,
        psycopg.connect(as_owner(database), autocommit=True) as owner,
    ):

        def make(projects: int = 1, **options: Any) -> Archive:
            made.append(Archive(a_world(projects, batches=8), database, connection, **options))
            made[-1].owner = owner
            made[-1].run()
            return made[-1]

        yield make
        for archive in made:
            archive.engine.dispose()


# What a run can come to


def test_what_entered_changed_left_and_returned_comes_out_again(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive(2)
    (gone,) = scene.ids(2)
    scene.project.upload(images=5)
    scene.project.rename(scene.ids(0)[0], "checked")
    scene.run()
    scene.run()
    scene.project.delete(gone)
    assert scene.run().moves.left == 1
    scene.project.restore(gone)
    assert scene.run(minutes=24 * 60).moves.returned == 1
    assert scene.agrees()


def test_failed_and_skipped_observations_do_not_matter(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    scene.run(Fault.status(500))
    scene.project.delete(scene.ids(0)[0])
    scene.run(Fault.status(503), path=LOOK_UPS)
    scene.run(Fault.html(200))
    scene.run()
    assert scene.agrees()


def test_answers_without_a_body_are_taken_as_they_are(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive(has_etags=True)
    scene.run()
    scene.project.upload(images=5)
    scene.run()
    scene.run()
    assert scene.agrees()


def test_losses_that_are_suspect_confirmed_or_contradicted_come_out_again(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive(2)
    rules = [
        scene.run(Fault.empty_list()).projects[0].rule,
        scene.run(Fault.without(*scene.ids(0))).projects[0].rule,
        scene.run(Fault.without(*scene.ids(0))).projects[0].rule,
    ]
    scene.source.faults.add(Fault.status(404), path=LOOK_UPS, times=None)
    rules.append(scene.run(Fault.without(*scene.ids(1))).projects[0].rule)
    for batch_id in scene.ids(*range(7)):
        scene.project.delete(batch_id)
    rules += [scene.run().projects[0].rule, scene.run(minutes=30).projects[0].rule]
    assert rules == ["empty_list", "short_list", None, "contradiction", "large_loss", "large_loss"]
    assert scene.run(minutes=61).moves.left == 7
    assert scene.agrees()


def test_rejects_and_what_they_leave_open_come_out_again(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    unusable, unreadable = scene.ids(0, 1)
    rows = bodies.batches(scene.project).replace(f'"{unreadable}"'.encode(), b"null")
    scene.run(Fault.literal(rows.decode()))
    scene.run(Fault.literal(rows.replace(unusable.encode(), b"other").decode()))
    scene.run()
    assert scene.ask("SELECT count(*) > 0 FROM ledger.reject") == [(True,)]
    assert scene.agrees()


def test_a_witness_and_a_workspace_that_is_suspected_whole_come_out_again(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive(3)
    for batch_id in scene.ids(*range(8)):
        scene.project.delete(batch_id)
    scene.run()
    assert scene.run(minutes=61).projects[0].moves.left == 8
    assert scene.agrees()
    for path in ("acme/drones", "acme/helmets"):
        project = scene.world.project(path)
        for batch_id in list(project.batches):
            project.delete(batch_id)
    scene.run()
    assert "whole_workspace" in {one.rule for one in scene.run(minutes=61).projects}
    assert scene.agrees()
    # What the workspace said is kept beside the rule, and the rule is told by it, not the other way round.
    scene.owner.execute("UPDATE ledger.observation SET rule = 'empty_list' WHERE rule = 'whole_workspace'")
    causes = [one.cause for one in scene.replay().values() if one.cause]
    assert [[one.column for one in cause.differences] for cause in causes] == [["rule"]] * 2


def test_losses_of_most_in_every_project_come_out_again(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive(2)
    for project in scene.world.projects.values():
        for batch_id in list(project.batches)[:7]:
            project.delete(batch_id)
    assert [one.rule for one in scene.run().projects] == ["large_loss"] * 2
    assert [one.rule for one in scene.run(minutes=61).projects] == ["whole_workspace"] * 2
    assert scene.agrees()


def test_an_empty_list_of_a_project_that_is_not_listed_comes_out_again(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive(2)
    scene.run(Fault.empty_list())
    scene.source.faults.add(Fault.status(500), path="/acme", times=None)
    assert scene.run(Fault.empty_list(), minutes=61).projects[0].rule == "empty_list"
    assert scene.agrees()


def test_the_word_of_an_operator_comes_out_again(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    accepted = frozenset(scene.ids(0, 1))
    for batch_id in accepted:
        scene.project.delete(batch_id)
    options = {"trigger": "confirm", "only": (CARS,), "accepted": accepted}
    # Whatever else is absent is judged without them, so that a replay must know of them even then.
    left = scene.ids(*range(6))
    assert scene.read(Fault.without(*left[:5]), **options).rule == "large_loss"
    assert scene.agrees()
    assert scene.read(**options).moves.left == 2
    assert scene.agrees()
    # With nothing absent, the same body is looked at again.
    assert scene.read(**options).verdict is Verdict.UNCHANGED
    assert scene.agrees()


def test_the_thresholds_are_those_of_each_run(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    for batch_id in scene.ids(*range(6)):
        scene.project.delete(batch_id)
    assert scene.read(rules=GuardRules(max_loss_share=0.9, max_lookups=3)).moves.left == 3
    assert scene.agrees()


# What was changed by hand


DAMAGES: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "a count of a batch": (
        "UPDATE ledger.batch SET images = images + 1 WHERE batch_id = %(batch)s",
        "batch {batch}",
        ("images",),
    ),
    "an extra batch": (
        """
            INSERT INTO ledger.batch (project_id, batch_id, images, first_seen_at, changed_at)
            VALUES (1, 'invented', 5, %(at)s, %(at)s)""",
        "batch invented",
        ("images",),
    ),
    "a batch less": (
        "DELETE FROM ledger.batch WHERE batch_id = %(batch)s",
        "batch {batch}",
        ("images",),
    ),
    "a count of a change": (
        "UPDATE ledger.batch_change SET images = images + 1 WHERE observation_id = %(id)s",
        "batch_change {batch} {run}",
        ("images",),
    ),
    "the interval of a change": (
        "UPDATE ledger.batch_change SET changed_after = NULL WHERE observation_id = %(id)s",
        "batch_change {batch} {run}",
        ("changed_after",),
    ),
    "a change less": (
        "DELETE FROM ledger.batch_change WHERE observation_id = %(id)s",
        "batch_change {batch} {run}",
        ("images", "kind"),
    ),
    "a day": (
        "UPDATE ledger.project_day SET images_delta = images_delta + 1 WHERE project_id = 1",
        "project_day {day}",
        ("images_delta",),
    ),
    "a verdict": (
        "UPDATE ledger.observation SET verdict = 'unchanged' WHERE observation_id = %(id)s",
        "observation {run}",
        ("verdict",),
    ),
    "a total": (
        "UPDATE ledger.project SET images = images + 1 WHERE project = 'cars'",
        "project",
        ("images",),
    ),
    "the digest of the project": (
        "UPDATE ledger.project SET digest = NULL WHERE project = 'cars'",
        "project",
        ("digest",),
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_was_changed_by_hand_is_found(an_archive: Callable[..., Archive], name: str) -> None:
    scene = an_archive(2)
    (batch,) = scene.ids(3)
    scene.project.append(batch, images=5)
    observation = scene.live()
    scene.run()
    ((run, at),) = scene.ask(
        "SELECT run_id, observed_at FROM ledger.observation WHERE observation_id = %s", observation
    )
    statement, what, columns = DAMAGES[name]
    values = {"batch": batch, "id": observation, "at": at}
    assert scene.owner.execute(statement.encode(), values).rowcount == 1
    found = scene.replay()
    assert found[DRONES].cause is None
    cause = found[CARS].cause
    assert cause is not None
    assert cause.what == what.format(batch=batch, run=run, day=at.date())
    assert (cause.observation_id, cause.run_id, cause.version) == (observation, run, "test")
    assert set(columns) <= {one.column for one in cause.differences}


def test_the_first_difference_is_told_with_both_values_and_all_are_counted(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive()
    (batch,) = scene.ids(3)
    images = scene.project.append(batch, images=5).images
    first = scene.live()
    scene.project.append(batch, images=5)
    scene.run()
    scene.owner.execute("UPDATE ledger.batch_change SET images = 7 WHERE batch_id = %s", [batch])
    scene.tamper("UPDATE ledger.batch SET images = 7 WHERE batch_id = %s", batch)
    found = scene.replay()[CARS]
    assert found.differing == {"batch_change": 3, "batch": 1}
    assert found.cause is not None
    assert found.cause.observation_id < first  # type: ignore[operator]
    scene.owner.execute(
        "UPDATE ledger.batch_change SET images = %s WHERE observation_id < %s AND batch_id = %s",
        [images - 5, first, batch],
    )
    assert scene.cause().observation_id == first
    assert scene.cause().differences == (Difference(column="images", live="7", replayed=str(images)),)


def test_a_row_that_is_lacking_is_told_whole(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    (batch,) = scene.ids(0)
    scene.tamper("DELETE FROM ledger.batch WHERE batch_id = %s", batch)
    told = {one.column: (one.live, one.replayed) for one in scene.cause().differences}
    assert told["images"] == (None, str(scene.project.batches[batch].images))
    assert told["gone_at"] == (None, "null")


# The archive itself


def _set_body(scene: Archive, observation: int, body: bytes) -> None:
    scene.tamper(
        "UPDATE ledger.payload SET body = %s WHERE digest = "
        "(SELECT digest FROM ledger.observation WHERE observation_id = %s)",
        body,
        observation,
    )


def test_a_body_that_is_another_one_is_named(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    scene.project.upload(images=5)
    observation = scene.live()
    scene.project.upload(images=6)
    scene.run()
    _set_body(scene, observation, zlib.compress(bodies.batches(scene.project)))
    cause = scene.cause()
    assert cause.observation_id == observation
    assert cause.digest is not None
    assert cause.what.startswith(f"what the archive has as body {cause.digest} is another one")


def test_a_body_that_cannot_be_unpacked_is_named(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    _set_body(scene, scene.last(), b"rubbish")
    assert "cannot be unpacked" in scene.cause().what


def test_a_body_that_is_not_there_is_named(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    scene.project.upload(images=5)
    observation = scene.live()
    scene.tamper(
        "DELETE FROM ledger.payload WHERE digest = "
        "(SELECT digest FROM ledger.observation WHERE observation_id = %s)",
        observation,
    )
    found = scene.replay()[CARS]
    assert found.cause is not None
    assert found.cause.what == f"the archive lacks the body {found.cause.digest}"
    assert found.cause.observation_id == observation
    assert found.differing == {
        "observation": 1,
        "batch_change": 1,
        "batch": 1,
        "project_day": 1,
        "project": 1,
    }


def test_the_body_of_a_look_up_that_is_not_there_is_named(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    scene.run(Fault.without(*scene.ids(0)))
    observation = scene.last()
    scene.owner.execute(
        "DELETE FROM ledger.payload WHERE digest IN "
        "(SELECT digest FROM ledger.look_up WHERE observation_id = %s)",
        [observation],
    )
    assert scene.cause().what.startswith("the archive lacks the body")
    assert scene.cause().observation_id == observation


def test_an_answer_that_was_not_the_same_again_is_named(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    observation = scene.live()
    scene.tamper("UPDATE ledger.observation SET digest = '\\x00' WHERE observation_id = %s", observation)
    cause = scene.cause()
    assert (cause.observation_id, cause.digest) == (observation, "00")
    assert cause.what == "its body is said to be the last trusted one again, and is not"


def test_bodies_of_suspect_answers_are_kept(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    assert scene.read(Fault.empty_list()).verdict is Verdict.SUSPECT
    ((body,),) = scene.ask(
        "SELECT body FROM ledger.observation JOIN ledger.payload USING (digest) WHERE verdict = 'suspect'"
    )
    assert zlib.decompress(body) == b'{"batches":[]}'


def test_a_body_that_was_dropped_and_comes_again_is_kept_again(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    scene.run(Fault.empty_list())
    scene.owner.execute("UPDATE ledger.payload SET body = NULL, pruned_at = now()")
    assert scene.replay()[CARS].obstacle is not None
    scene.run(Fault.empty_list())
    assert scene.ask("SELECT count(*) FROM ledger.payload WHERE body IS NOT NULL") == [(1,)]
    assert scene.ask("SELECT count(*) FROM ledger.payload WHERE pruned_at IS NULL") == [(1,)]


# After bodies were dropped


def a_long_story(scene: Archive) -> tuple[int, int]:
    """Let batches come, go and return, before and after an observation; return it and the one before."""
    gone, back, again, slowly = scene.ids(2, 4, 5, 6)
    for batch_id in (gone, back):
        scene.project.delete(batch_id)
    scene.run()
    # Its absence is older than its departure, which no change tells.
    scene.project.delete(slowly)
    scene.run(Fault.status(503), path=LOOK_UPS)
    assert scene.run().moves.left == 1
    scene.project.append(again, images=3)
    before = scene.live()
    scene.project.upload(images=5)
    base = scene.live()
    scene.project.restore(back)
    scene.project.append(again, images=4)
    scene.run(minutes=24 * 60)
    scene.project.delete(again)
    scene.run()
    scene.run()
    return before, base


def test_a_replay_begins_where_bodies_are_still_there(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive(has_etags=False)
    before, base = a_long_story(scene)
    scene.drop_bodies(before)
    found = scene.replay()[CARS]
    ((since,),) = scene.ask("SELECT observed_at FROM ledger.observation WHERE observation_id = %s", base)
    assert (found.cause, found.differing, found.obstacle) == (None, {}, None)
    assert (found.since, found.observations) == (since, 2)


def test_a_replay_begins_with_an_answer_whose_look_ups_were_dropped(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive()
    scene.project.delete(scene.ids(0)[0])
    assert scene.read().moves.left == 1
    ((since,),) = scene.ask("SELECT max(observed_at) FROM ledger.observation")
    scene.owner.execute(
        "UPDATE ledger.payload SET body = NULL, pruned_at = now() "
        "WHERE digest IN (SELECT digest FROM ledger.look_up WHERE digest IS NOT NULL)"
    )
    scene.project.upload(images=5)
    scene.run()
    found = scene.replay()[CARS]
    assert (found.cause, found.since, found.observations) == (None, since, 1)


def test_fields_that_nobody_knows_are_taken_from_the_body_with_which_it_begins(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive()
    fields = Fault.with_fields(colour="red")
    before = scene.last()
    scene.run(fields)
    scene.project.delete(scene.ids(0)[0])
    scene.run(fields)
    scene.drop_bodies(before + 1)
    found = scene.replay()[CARS]
    assert (found.cause, found.differing, found.observations) == (None, {}, 0)
    assert scene.ask("SELECT count(*) FROM ledger.batch WHERE extra IS NULL") == [(0,)]


def test_what_is_wrong_after_bodies_were_dropped_is_found(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    before, base = a_long_story(scene)
    scene.drop_bodies(before)
    scene.tamper(
        "UPDATE ledger.batch_change SET images_delta = 99 WHERE kind = 'changed' AND observation_id > %s",
        base,
    )
    cause = scene.cause()
    assert cause.what.startswith("batch_change ")
    assert cause.observation_id is not None
    assert cause.observation_id > base


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE ledger.batch_change SET images = 99 WHERE kind = 'entered' AND observation_id = %s",
            "0 batches more, 0 less, 1 otherwise",
        ),
        (
            "DELETE FROM ledger.batch_change WHERE kind = 'entered' AND observation_id = %s",
            "1 batches more, 0 less, 0 otherwise",
        ),
        (
            "UPDATE ledger.batch_change SET batch_id = 'other' WHERE observation_id = %s",
            "1 batches more, 1 less, 0 otherwise",
        ),
    ],
)
def test_a_history_that_does_not_lead_to_the_first_body_is_named(
    an_archive: Callable[..., Archive], statement: str, told: str
) -> None:
    scene = an_archive()
    before, base = a_long_story(scene)
    scene.drop_bodies(before)
    scene.tamper(statement, base)
    cause = scene.cause()
    assert cause.observation_id == base
    assert cause.what == f"its body does not show what the history says of that time: {told}"


def test_without_a_body_to_begin_with_it_says_so(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    scene.run(Fault.without(*scene.ids(0)))
    scene.run(Fault.empty_list())
    scene.drop_bodies(1)
    found = scene.replay()[CARS]
    assert (found.cause, found.differing, found.observations) == (None, {}, 0)
    assert found.obstacle == (
        "the bodies until 2024-02-03T12:10:00Z were dropped by prune, and since then no answer has shown all "
        "that was believed"
    )


def test_it_does_not_begin_with_an_answer_that_left_something_open(
    an_archive: Callable[..., Archive],
) -> None:
    scene = an_archive()
    before = scene.last()
    scene.project.delete(scene.ids(0)[0])
    assert scene.read(Fault.status(503), path=LOOK_UPS).verdict is Verdict.UNCHANGED
    scene.drop_bodies(before)
    assert scene.replay()[CARS].obstacle is not None
    scene.run()
    found = scene.replay()[CARS]
    assert (found.cause, found.obstacle, found.observations) == (None, None, 0)


def test_runs_that_noted_no_thresholds_cannot_be_taken_again(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    scene.tamper("UPDATE ledger.run SET guard = NULL")
    scene.tamper("UPDATE ledger.observation SET is_settled = NULL")
    assert "noted no thresholds" in (scene.replay()[CARS].obstacle or "")
    scene.project.upload(images=5)
    scene.run()
    scene.project.upload(images=5)
    scene.run()
    found = scene.replay()[CARS]
    assert (found.cause, found.obstacle, found.observations) == (None, None, 1)


def test_rejects_that_went_with_old_bodies_are_not_missed(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    rows = re.sub(r'"images":\d+', '"images":-1', bodies.batches(scene.project).decode(), count=2)
    scene.run(Fault.literal(rows))
    assert scene.ask("SELECT count(*) FROM ledger.reject") == [(2,)]
    scene.owner.execute("DELETE FROM ledger.reject WHERE position = 0")
    assert scene.cause().what.startswith("reject ")
    scene.owner.execute("DELETE FROM ledger.reject")
    assert scene.replay()[CARS].cause is None


# The schema


def test_a_replay_touches_nothing_that_is_live_and_leaves_nothing(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive(2)
    scene.run(Fault.empty_list())
    tables = (*HELD, "observation", "look_up", "run", "claim")
    before = scene.contents(*tables)
    scene.replay()
    assert scene.contents(*tables) == before
    assert scene.schemas() == []


def test_what_was_rebuilt_can_be_kept_until_the_next_replay(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive(2)
    scene.replay(is_kept=True)
    assert scene.owner.execute(f"SELECT count(*) FROM {SCHEMA}.batch".encode()).fetchall() == [(16,)]
    scene.replay()
    assert scene.schemas() == []


def test_nothing_is_left_by_a_replay_that_fails(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    with pytest.raises(UnknownProjectError, match="no project acme/nothing"):
        scene.replay(Slug("acme", "nothing"))
    assert scene.schemas() == []


def test_two_replays_do_not_get_into_each_other(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    with replaying(as_owner(scene.uri), DatabaseSettings()):
        with pytest.raises(StatementFailedError, match="somebody else replays"):
            scene.replay()
        assert scene.schemas() == [SCHEMA]


def test_a_role_that_may_not_make_a_schema_is_told_who_may(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()
    with (
        pytest.raises(SettingsError, match="the database refuses: permission denied") as caught,
        replaying(as_writer(scene.uri), DatabaseSettings()),
    ):
        pass
    assert "the role that owns schema ledger" in caught.value.remedy


def test_runs_that_go_on_meanwhile_are_no_difference(an_archive: Callable[..., Archive]) -> None:
    scene = an_archive()

    def live() -> None:
        for nth in range(25):
            scene.project.upload(images=nth + 1)
            scene.run()

    with ThreadPoolExecutor(1) as pool, replaying(as_owner(scene.uri), DatabaseSettings()) as replayer:
        running = pool.submit(live)
        seen = []
        while not running.done():
            found = replayer.replay(CARS, 1)
            assert (found.cause, found.differing) == (None, {})
            seen.append(found.observations)
        running.result()
    assert len(set(seen)) > 2


# The command


def test_the_command_says_that_all_is_the_same(
    an_archive: Callable[..., Archive], capsys: pytest.CaptureFixture[str]
) -> None:
    scene = an_archive(2)
    environ = {"DATABASE_URL": as_owner(scene.uri)}
    assert main(["replay"], environ) == 0
    assert "The archive gives the same ledger: 2 projects, 2 answers" in capsys.readouterr().out


def test_the_command_names_the_first_difference(
    an_archive: Callable[..., Archive], capsys: pytest.CaptureFixture[str]
) -> None:
    scene = an_archive(2)
    environ = {"DATABASE_URL": as_owner(scene.uri)}
    (batch,) = scene.ids(0)
    scene.tamper("UPDATE ledger.batch SET images = 7 WHERE batch_id = %s", batch)
    assert main(["replay", "--project", "acme/drones"], environ) == 0
    capsys.readouterr()
    assert main(["replay"], environ) == 1
    told = capsys.readouterr().out
    images = scene.project.batches[batch].images
    assert f"batch {batch}, live -> replayed: images 7 -> {images}" in told
    assert "rows that differ: 1 batch" in told
    assert main(["replay", "--json"], environ) == 1
    assert f'"what": "batch {batch}"' in capsys.readouterr().out
