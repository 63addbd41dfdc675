"""Losses that last, over many runs and whole workspaces: what is believed, when, and on whose word."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from structlog.testing import capture_logs

from etl.guard import GuardRules
from etl.records import Moves, Verdict
from etl.simulator.faults import Fault
from tests.integration.test_run import LIST, LOOK_UPS, PATH, Scene
from tests.worlds import a_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.report import ProjectReport, RunReport

DRONES: Final = "acme/drones"
LISTS: Final = "/acme/*/batches"
BATCHES: Final = "/acme/*/batches/*"
HISTORY: Final = ("batch_change", "project_day")


class Workspace(Scene):
    """Some projects of eight batches that were read once."""

    def report(self, *args: object, **options: object) -> ProjectReport:
        """Run, and return how the first project came out."""
        return self.run(*args, **options).projects[0]  # type: ignore[arg-type]

    def empty(self, *paths: str) -> None:
        for path in paths:
            for batch_id in list(self.world.project(path).batches):
                self.world.project(path).delete(batch_id)

    def rules_of(self, report: RunReport) -> dict[str, str | None]:
        return {str(project.slug): project.rule for project in report.projects}

    def left_and_returned(self) -> int:
        ((count,),) = self.ask("SELECT count(*) FROM ledger.batch_change WHERE kind IN ('left', 'returned')")
        return int(count)


@pytest.fixture
def a_workspace(database: str) -> Iterator[Callable[..., Workspace]]:
    """Give a way to make a workspace of so many projects."""
    made = list[Workspace]()
    with psycopg.connect(database, autocommit=True) as connection:

        def make(projects: int = 2) -> Workspace:
            made.append(Workspace(a_world(projects, batches=8), database, connection))
            made[-1].run()
            return made[-1]

        yield make
        for workspace in made:
            workspace.engine.dispose()


# One project of several


def test_an_empty_list_that_lasts_is_cross_examined_and_then_believed(
    a_workspace: Callable[..., Workspace],
) -> None:
    scene = a_workspace()
    scene.empty(PATH)
    assert scene.report().rule == "empty_list"
    assert scene.report(minutes=59).rule == "empty_list"
    report = scene.report(minutes=2)
    assert (report.verdict, report.moves.left) == (Verdict.CHANGED, 8)
    assert len(scene.looked_up()) == 8
    witnesses = [path for _, path, _ in scene.source.replies if path.startswith(f"/{DRONES}/batches/")]
    assert len(witnesses) == 1
    assert report.requests == 1 + 1 + 8 + 1  # The list, the witness, the look-ups, the jobs.
    assert scene.there() == {
        batch_id: batch.images for batch_id, batch in scene.world.project(DRONES).batches.items()
    }


def test_an_empty_list_that_lasts_is_not_believed_while_look_ups_find_the_batches(
    a_workspace: Callable[..., Workspace],
) -> None:
    scene = a_workspace()
    scene.run(Fault.empty_list())
    report = scene.report(Fault.empty_list(), minutes=61)
    assert (report.verdict, report.rule, report.moves) == (Verdict.SUSPECT, "short_list", Moves())
    assert len(scene.there()) == 16
    assert scene.report().verdict is Verdict.UNCHANGED
    assert scene.ask("SELECT count(*) FROM ledger.batch WHERE unlisted_since IS NOT NULL") == [(0,)]


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        (Fault.status(503), LOOK_UPS),
        (Fault.missing_scope(), LOOK_UPS),
        (Fault.status(503), f"/{DRONES}/batches/*"),
        (Fault.status(404), f"/{DRONES}/batches/*"),
    ],
    ids=["look-ups fail", "look-ups lack a scope", "the witness fails", "the witness is denied"],
)
def test_an_empty_list_that_lasts_is_not_believed_while_look_ups_tell_nothing(
    a_workspace: Callable[..., Workspace], fault: Fault, path: str
) -> None:
    scene = a_workspace()
    scene.empty(PATH)
    scene.run()
    for _ in range(3):
        scene.source.faults.add(fault, path=path, times=None)
        assert scene.report(minutes=61).rule == "unconfirmed_loss"
    assert len(scene.there()) == 16
    assert scene.report().moves.left == 8


def test_a_lasting_loss_of_most_has_its_witness_in_the_list_itself(
    a_workspace: Callable[..., Workspace],
) -> None:
    scene = a_workspace(1)
    for batch_id in scene.ids(*range(7)):
        scene.project.delete(batch_id)
    assert scene.report().rule == "large_loss"
    scene.source.faults.add(Fault.status(404), path=LOOK_UPS, times=None)
    assert scene.report(minutes=61).rule == "unconfirmed_loss"
    assert scene.report().moves.left == 7
    assert scene.is_the_truth()


# Look-ups that lie


def test_look_ups_that_deny_everything_take_no_batch_from_short_lists(
    a_workspace: Callable[..., Workspace],
) -> None:
    scene = a_workspace(1)
    for position in (0, 1, 0, 0, 2):
        scene.source.faults.add(Fault.status(404), path=LOOK_UPS, times=None)
        report = scene.report(Fault.without(*scene.ids(position)))
        assert (report.verdict, report.rule) == (Verdict.SUSPECT, "contradiction")
    assert scene.report().verdict is Verdict.UNCHANGED
    assert scene.left_and_returned() == 0


def test_a_missing_batch_is_found_again_by_its_look_up(a_workspace: Callable[..., Workspace]) -> None:
    scene = a_workspace(1)
    (hidden,) = scene.ids(3)
    scene.source.faults.add(Fault.status(503), path=LOOK_UPS, times=None)
    assert scene.report(Fault.without(hidden)).verdict is Verdict.UNCHANGED
    assert scene.ask("SELECT batch_id FROM ledger.batch WHERE missing_since IS NOT NULL") == [(hidden,)]
    report = scene.report(Fault.without(hidden))
    assert (report.verdict, report.rule) == (Verdict.SUSPECT, "short_list")
    assert hidden in scene.looked_up()
    assert scene.report().verdict is Verdict.UNCHANGED
    assert scene.left_and_returned() == 0


# Whole workspaces


def days(scene: Workspace, fault: Fault | None = None, *, path: str = LISTS, hours: int = 30) -> set[str]:
    """Run once an hour; return the rules and errors that were met."""
    met = set[str]()
    for _ in range(hours):
        report = scene.run(fault, path=path, minutes=60)
        assert all(not project.verdict.is_trusted for project in report.projects)
        met |= {project.rule or project.error.split(":")[-1].strip() for project in report.projects}
    return met


@pytest.mark.parametrize("projects", [1, 2, 4])
def test_a_workspace_that_turns_empty_changes_no_batch_however_long_it_lasts(
    a_workspace: Callable[..., Workspace], projects: int
) -> None:
    scene = a_workspace(projects)
    before = scene.contents(*HISTORY, "batch")
    scene.empty(*scene.world.projects)
    assert days(scene) == {"empty_list", "whole_workspace"}
    assert scene.looked_up() == set()
    assert scene.contents(*HISTORY, "batch") == before


@pytest.mark.parametrize("projects", [1, 3])
@pytest.mark.parametrize("share", [1.0, 0.75])
def test_a_key_that_sees_less_and_is_denied_every_batch_changes_none(
    a_workspace: Callable[..., Workspace], projects: int, share: float
) -> None:
    scene = a_workspace(projects)
    before = scene.contents(*HISTORY, "batch")
    for _ in range(30):
        scene.source.faults.add(Fault.status(404), path=BATCHES, times=None)
        scene.run(Fault.partial_list(share), path=LISTS, minutes=60)
    assert scene.contents(*HISTORY, "batch") == before
    assert set(scene.run().verdicts) == {Verdict.UNCHANGED}
    assert scene.contents(*HISTORY, "batch") == before


@pytest.mark.parametrize("projects", [1, 3])
@pytest.mark.parametrize(
    "fault", [Fault.status(403), Fault.missing_scope(), Fault.status(404)], ids=["403", "scope", "404"]
)
def test_a_key_that_loses_its_scope_changes_no_batch(
    a_workspace: Callable[..., Workspace], fault: Fault, projects: int
) -> None:
    scene = a_workspace(projects)
    before = scene.contents(*HISTORY, "batch")
    days(scene, fault, path="/acme/*")
    assert scene.contents(*HISTORY, "batch") == before
    assert set(scene.run().verdicts) == {Verdict.UNCHANGED}


def test_projects_whose_whole_workspace_is_suspected_wait_for_each_other(
    a_workspace: Callable[..., Workspace],
) -> None:
    scene = a_workspace(3)
    scene.empty(PATH)
    for _ in range(3):
        report = scene.run(Fault.empty_list(), path=LISTS, minutes=60)
    assert set(scene.rules_of(report).values()) == {"whole_workspace"}
    report = scene.run(minutes=60)
    assert scene.rules_of(report) == {PATH: "whole_workspace", DRONES: None, "acme/helmets": None}
    assert scene.report(minutes=60).moves.left == 8
    assert scene.left_and_returned() == 8


def test_a_whole_workspace_may_lose_most_at_once_and_its_batches_are_looked_up_no_more(
    a_workspace: Callable[..., Workspace],
) -> None:
    scene = a_workspace(2)
    for _ in range(3):
        report = scene.run(Fault.partial_list(0.75), path=LISTS, minutes=60)
    assert set(scene.rules_of(report).values()) == {"whole_workspace"}
    assert scene.looked_up() == set()


def test_a_project_that_is_not_followed_any_more_says_nothing_of_the_others(
    a_workspace: Callable[..., Workspace],
) -> None:
    scene = a_workspace(2)
    scene.empty(PATH)
    only = [PATH]
    rules = [scene.report(minutes=60, projects=only).rule for _ in range(3)]
    assert rules == ["empty_list", "whole_workspace", "whole_workspace"]


# A project in the trash


@pytest.mark.parametrize("projects", [1, 2])
@pytest.mark.parametrize(
    "is_listing_down", [False, True], ids=["the workspace leaves it out", "the workspace cannot be listed"]
)
@pytest.mark.parametrize(
    "fault", [None, Fault.literal('{"batches": []}')], ids=["its list is denied", "its list is empty"]
)
def test_a_project_in_the_trash_for_a_day_changes_no_batch(
    a_workspace: Callable[..., Workspace], fault: Fault | None, *, is_listing_down: bool, projects: int
) -> None:
    scene = a_workspace(projects)
    before = scene.contents(*HISTORY, "batch")
    scene.world.trash(PATH)
    for _ in range(24):
        if is_listing_down:
            scene.source.faults.add(Fault.status(500), path="/acme", times=None)
        report = scene.report(fault, path=LIST, minutes=60)
        is_read = is_listing_down and fault is not None
        assert report.verdict is (Verdict.SUSPECT if is_read else Verdict.FAILED)
    assert scene.contents(*HISTORY, "batch") == before
    scene.world.restore(PATH)
    assert set(scene.run(minutes=60).verdicts) == {Verdict.UNCHANGED}
    assert scene.contents(*HISTORY, "batch") == before


def test_a_project_in_the_trash_bears_no_witness_against_the_others(
    a_workspace: Callable[..., Workspace],
) -> None:
    scene = a_workspace(2)
    scene.world.trash(DRONES)
    scene.empty(PATH)
    rules = [scene.report(minutes=60).rule for _ in range(3)]
    assert rules == ["empty_list", "whole_workspace", "whole_workspace"]


# Nobody may be asked


def test_without_look_ups_a_lasting_loss_is_never_believed(a_workspace: Callable[..., Workspace]) -> None:
    scene = a_workspace(2)
    nobody = GuardRules(max_lookups=0, hold=timedelta(0))
    scene.empty(PATH)
    rules = {scene.report(minutes=600, rules=nobody).rule for _ in range(9)}
    assert rules == {"empty_list", "unconfirmed_loss"}


# What is kept as evidence


def test_every_look_up_is_kept_with_what_it_answered(a_workspace: Callable[..., Workspace]) -> None:
    scene = a_workspace(1)
    deleted, hidden = scene.ids(0, 3)
    scene.project.delete(deleted)
    scene.report(Fault.without(hidden))
    kept = scene.ask(
        "SELECT record_id, outcome, payload.body IS NOT NULL FROM ledger.look_up "
        "LEFT JOIN ledger.payload USING (digest)"
    )
    (control,) = {batch_id for batch_id, _, _ in kept} - {deleted, hidden}
    assert control in scene.project.batches
    assert set(kept) == {
        (deleted, "not_found", False),
        (hidden, "found", True),
        (control, "found", True),
    }


def test_an_observation_says_whether_it_settles_its_project(a_workspace: Callable[..., Workspace]) -> None:
    scene = a_workspace(1)
    deleted, hidden = scene.ids(0, 3)
    scene.report(Fault.without(hidden))
    scene.report()
    scene.report()
    scene.project.delete(deleted)
    scene.report()
    scene.report(Fault.with_fields(images=-1))
    told = scene.ask("SELECT verdict, is_settled FROM ledger.observation ORDER BY observation_id")
    assert told == [
        ("changed", True),
        ("suspect", False),
        ("unchanged", True),
        ("unchanged", True),
        ("changed", True),
        ("unchanged", False),
    ]


# A clock that is behind


def test_a_clock_that_is_behind_is_told_of_once_a_run(a_workspace: Callable[..., Workspace]) -> None:
    scene = a_workspace(3)
    for behind, told in ((-5, 0), (-6, 1)):
        scene.run(minutes=30)
        with capture_logs() as entries:
            scene.run(minutes=behind)
        warnings = [entry for entry in entries if entry["event"].startswith("the clock is behind")]
        assert len(warnings) == told
        assert all(entry["behind_s"] > 300 and entry["remedy"] for entry in warnings)
