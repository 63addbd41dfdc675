"""Which projects are followed, and how old their numbers may become."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from etl.config import load
from etl.records import Slug
from etl.selection import ProjectFilter, Promise

if TYPE_CHECKING:
    from pathlib import Path


def admitted(*rules: str) -> list[str]:
    projects = [
        Slug("acme", "cars"),
        Slug("acme", "scratch-1"),
        Slug("acme", "scratch-22"),
        Slug("globex", "cars"),
    ]
    return [str(slug) for slug in projects if ProjectFilter(rules).admits(slug)]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], ["acme/cars", "acme/scratch-1", "acme/scratch-22", "globex/cars"]),
        (["acme/cars"], ["acme/cars"]),
        (["acme/*"], ["acme/cars", "acme/scratch-1", "acme/scratch-22"]),
        (["*/cars"], ["acme/cars", "globex/cars"]),
        (["acme/scratch-?"], ["acme/scratch-1"]),
        (["ACME/*"], []),
        (["acme/*", "!acme/scratch-*"], ["acme/cars"]),
        (["!acme/scratch-*", "acme/*"], ["acme/cars"]),
        (["!acme/scratch-*", "acme/scratch-1"], []),
        (["!acme/scratch-*"], ["acme/cars", "globex/cars"]),
        (["!*/*"], []),
    ],
)
def test_an_exclusion_always_wins_and_without_inclusions_everything_is_in(
    rules: list[str], expected: list[str]
) -> None:
    assert admitted(*rules) == expected


def test_a_star_does_not_reach_over_the_slash() -> None:
    assert not ProjectFilter(["a*s/x"]).admits(Slug("acme", "cars/x"))


def test_exact_names_that_nobody_can_see_are_reported_patterns_are_not() -> None:
    projects = ProjectFilter(["acme/cars", "acme/boats", "acme/boats", "acme/x*", "acme/old", "!acme/old"])
    assert projects.named == (Slug("acme", "cars"), Slug("acme", "boats"))
    assert projects.unseen([Slug("acme", "cars")]) == (Slug("acme", "boats"),)


def test_without_rules_nothing_is_reported_as_unseen() -> None:
    assert ProjectFilter([]).unseen([]) == ()


def test_the_first_rule_that_matches_says_how_old_a_project_may_become(tmp_path: Path) -> None:
    settings = load({"BATCHLEDGER_FRESHNESS__MAX_AGES": "acme/old=0, acme/*=1d12h"}, tmp_path)
    assert settings.freshness.max_ages == (("acme/old", timedelta(0)), ("acme/*", timedelta(hours=36)))
    rules = [(pattern, int(age.total_seconds())) for pattern, age in settings.freshness.max_ages]
    promise = Promise(7200, rules)
    assert [promise.of(Slug("acme", name)) for name in ("old", "cars")] == [None, 129_600]
    assert promise.of(Slug("globex", "cars")) == 7200
    assert Promise().of(Slug("globex", "cars")) is None
