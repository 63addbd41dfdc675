"""The README's promises: each names the tests that show it, and those exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROMISES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "Each observation takes effect exactly once": {
        "tests/fault/test_crash.py": (
            "test_a_run_killed_at_any_moment_leaves_no_trace_but_its_lease",
            "test_a_zombie_does_not_put_what_it_read_before_its_sleep_over_what_was_read_in_it",
            "test_a_zombie_does_not_say_that_a_project_is_unchanged_that_has_changed_in_its_sleep",
        ),
        "tests/fault/test_postgres.py": (),
    },
    "No observed change is lost": {
        "tests/property/test_ledger.py": ("test_the_ledger_says_what_the_oracle_says",),
        "tests/integration/test_replay.py": (),
    },
    "Nothing is called gone on the word of an answer that is not trusted": {
        "tests/property/test_guard.py": (
            "test_nothing_is_gone_without_a_404_that_counts_a_second_trusted_absence_or_an_operator",
        ),
        "tests/property/test_recovery.py": ("test_what_was_there_all_along_has_neither_left_nor_returned",),
    },
    "Every gap is visible": {
        "tests/fault/test_ticks_storm.py": ("test_no_tick_is_lost_and_none_is_run_twice",),
        "tests/integration/test_gaps.py": (
            "test_a_scheduled_time_without_a_run_is_a_gap_with_its_reason",
            "test_within_a_gap_nothing_is_claimed",
        ),
    },
}
"""Each promise, the files that it links to, and the tests of theirs that it stands on."""

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_linked_to_the_tests_that_show_it_and_they_exist(promise: str) -> None:
    (said,) = re.findall(rf"^- \*\*{promise}\.\*\*.*?(?=^- \*\*|^$)", README, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"\]\((tests/[\w/]+\.py)\)", said)) == PROMISES[promise].keys()
    for file, names in PROMISES[promise].items():
        tests = (ROOT / file).read_text(encoding="utf-8")
        assert all(f"\ndef {name}(" in tests for name in names)


def test_there_is_no_promise_beside_these() -> None:
    section = README.split("## What is promised")[1].split("\n## ")[0]
    assert re.findall(r"^- \*\*(.*?)\.\*\*", section, re.MULTILINE) == list(PROMISES)
