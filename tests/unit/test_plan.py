"""Which projects a run reads, and which of them cannot be read."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Event
from typing import Any

import msgspec
import pytest

from etl.errors import (
    MissingScopeError,
    NotVisibleError,
    PayloadError,
    SourceError,
    TransientError,
    UnauthorizedError,
    UnknownProjectError,
)
from etl.plan import Account, Plan, look_around, make_plan
from etl.records import Answer, ProjectState, Slug
from etl.selection import ProjectFilter

AT = datetime(2024, 2, 3, 12, 0, tzinfo=UTC)
CARS, DRONES, OTHERS = Slug("acme", "cars"), Slug("acme", "drones"), Slug("globex", "helmets")


class Key:
    """A source of which only the directory matters: a workspace with projects, or an error at either call."""

    def __init__(
        self,
        *projects: str,
        workspace: str = "acme",
        root_fails: SourceError | None = None,
        list_fails: SourceError | None = None,
    ) -> None:
        self._projects, self._workspace = projects, workspace
        self._root_fails, self._list_fails = root_fails, list_fails

    def root(self, *, until: float) -> Answer:
        assert until > time.monotonic()
        return _answer({"workspace": self._workspace}, self._root_fails)

    def workspace(self, workspace: str, *, until: float) -> Answer:
        assert until > time.monotonic()
        rows = [{"id": f"{workspace}/{project}"} for project in self._projects]
        return _answer({"workspace": {"projects": rows}}, self._list_fails)

    def batches(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        raise AssertionError((slug, etag, until))

    def batch(self, slug: Slug, batch_id: str, *, until: float) -> Answer:
        raise AssertionError((slug, batch_id, until))

    def jobs(self, slug: Slug, *, etag: str | None, until: float) -> Answer:
        raise AssertionError((slug, etag, until))

    def job(self, slug: Slug, job_id: str, *, until: float) -> Answer:
        raise AssertionError((slug, job_id, until))


def _answer(document: Any, error: SourceError | None) -> Answer:
    if error is not None:
        raise error
    return Answer(200, msgspec.json.encode(document), None, AT, AT, 1, 1.0)


def a_plan(
    *keys: Key,
    rules: tuple[str, ...] = (),
    followed: tuple[Slug, ...] = (),
    never_observed: tuple[Slug, ...] = (),
    only: tuple[Slug, ...] = (),
) -> Plan:
    directory = look_around([Account(key) for key in keys], until=time.monotonic() + 60, stop=Event())
    held = {slug: ProjectState(1, slug, last_trusted_at=AT) for slug in followed}
    held |= {slug: ProjectState(2, slug) for slug in never_observed}
    return make_plan(directory, ProjectFilter(rules), held, only)


def slugs(plan: Plan) -> list[Slug]:
    return [project.slug for project in plan.projects]


def test_without_rules_all_that_the_keys_see_is_read() -> None:
    plan = a_plan(Key("cars", "drones"), Key("helmets", workspace="globex"))
    assert slugs(plan) == [CARS, DRONES, OTHERS]
    assert set(plan.sources) == {"acme", "globex"}
    assert (plan.refused, plan.dropped, plan.problems) == ({}, (), ())


def test_rules_choose_among_what_is_visible() -> None:
    plan = a_plan(Key("cars", "drones"), rules=("acme/*", "!acme/dr*"))
    assert slugs(plan) == [CARS]


def test_a_project_asked_for_by_name_and_not_visible_is_refused_and_not_forgotten() -> None:
    plan = a_plan(Key("cars"), rules=("acme/cars", "acme/drones"))
    assert slugs(plan) == [CARS, DRONES]
    assert isinstance(plan.refused[DRONES], NotVisibleError)
    assert "trash" in plan.refused[DRONES].remedy


def test_a_followed_project_that_is_not_visible_any_more_is_refused_and_not_forgotten() -> None:
    plan = a_plan(Key("cars"), followed=(CARS, DRONES))
    assert list(plan.refused) == [DRONES]
    assert plan.dropped == ()


def test_a_name_that_never_was_a_project_is_forgotten_with_the_rule_that_named_it() -> None:
    plan = a_plan(Key("cars"), followed=(CARS,), never_observed=(DRONES,))
    assert slugs(plan) == [CARS]
    assert plan.dropped == (DRONES,)


def test_a_followed_project_that_the_rules_do_not_ask_for_any_more_is_dropped() -> None:
    plan = a_plan(Key("cars", "drones"), rules=("acme/cars",), followed=(CARS, DRONES))
    assert slugs(plan) == [CARS]
    assert plan.dropped == (DRONES,)


@pytest.mark.parametrize("rules", [(), ("acme/*",)])
def test_projects_of_workspaces_for_which_another_installation_has_the_key_are_left_alone(
    rules: tuple[str, ...],
) -> None:
    plan = a_plan(Key("cars"), rules=rules, followed=(CARS, OTHERS))
    assert slugs(plan) == [CARS]
    assert (plan.refused, plan.dropped) == ({}, ())


def test_a_named_project_of_a_workspace_without_a_key_is_refused_with_the_remedy() -> None:
    plan = a_plan(Key("cars"), rules=("acme/*", "globex/helmets"))
    assert isinstance(plan.refused[OTHERS], NotVisibleError)
    assert "[workspaces." in plan.refused[OTHERS].remedy


def test_a_key_that_cannot_name_its_workspace_fails_every_project_that_may_be_its_own() -> None:
    error = UnauthorizedError("wrong key")
    plan = a_plan(Key(root_fails=error), rules=("acme/*",), followed=(CARS, OTHERS))
    assert plan.refused == {CARS: error}
    assert plan.problems == (error,)
    assert plan.dropped == ()


def test_a_key_that_fails_does_not_keep_the_others_from_being_read() -> None:
    plan = a_plan(Key(root_fails=UnauthorizedError("wrong key")), Key("helmets", workspace="globex"))
    assert slugs(plan) == [OTHERS]
    assert OTHERS not in plan.refused
    assert len(plan.problems) == 1


@pytest.mark.parametrize("error", [MissingScopeError("no scope"), TransientError("status 503")])
def test_known_projects_are_read_although_the_list_of_projects_is_not_to_be_had(error: SourceError) -> None:
    plan = a_plan(Key(list_fails=error), rules=("acme/*", "acme/drones"), followed=(CARS,))
    assert slugs(plan) == [CARS, DRONES]
    assert plan.refused == {}
    assert plan.problems == (error,)


def test_a_workspace_that_the_key_may_not_read_fails_its_projects() -> None:
    error = UnauthorizedError("no access")
    plan = a_plan(Key(list_fails=error), followed=(CARS,))
    assert plan.refused == {CARS: error}


def test_only_the_projects_named_on_the_command_line_are_read_and_nothing_is_dropped() -> None:
    plan = a_plan(Key("cars", "drones"), rules=("acme/cars",), followed=(CARS,), only=(DRONES, DRONES))
    assert slugs(plan) == [DRONES]
    assert plan.dropped == ()


def test_a_project_on_the_command_line_that_nobody_knows_is_an_error_that_names_it() -> None:
    with pytest.raises(UnknownProjectError, match="acme/drones"):
        a_plan(Key("cars"), followed=(CARS,), only=(CARS, DRONES))


def test_a_run_that_was_asked_to_stop_asks_nothing_more() -> None:
    stop = Event()
    stop.set()
    directory = look_around([Account(Key("cars"), "acme")], until=time.monotonic() + 60, stop=stop)
    assert directory.projects == {}
    assert [str(problem) for problem in directory.problems] == ["the run was asked to stop"]


def test_rules_that_no_project_matches_are_a_problem_and_not_a_silent_nothing() -> None:
    plan = a_plan(Key("cars"), rules=("acme/typo-*",))
    assert slugs(plan) == []
    assert [str(problem) for problem in plan.problems] == ["no project matches `projects`"]
    assert plan.problems[0].exit_code == 3


def test_a_workspace_without_projects_is_no_problem() -> None:
    assert a_plan(Key()).problems == ()


def test_a_page_instead_of_the_directory_is_named_with_its_status_and_what_to_do() -> None:
    class Page(Key):
        def root(self, *, until: float) -> Answer:
            assert until > time.monotonic()
            return Answer(200, b"<!doctype html>", None, AT, AT, 3, 1.0)

    (problem,) = a_plan(Page()).problems
    assert isinstance(problem, PayloadError)
    assert (problem.http_status, problem.requests) == (200, 3)
    assert "ROBOFLOW_API_URL" in problem.remedy


def test_all_requests_of_the_search_are_counted_once() -> None:
    refused = UnauthorizedError("no", requests=2)
    keys = Key("cars"), Key(workspace="globex", list_fails=refused), Key(root_fails=refused)
    assert a_plan(*keys, followed=(CARS, DRONES, OTHERS)).requests == 2 + (1 + 2) + 2
