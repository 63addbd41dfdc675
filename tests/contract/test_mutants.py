"""The table of mutants is true: each mistake can still be made, and there are tests that should notice it."""

from __future__ import annotations

import re

import pytest

from tests.mutants.run import ROOT, Mutated, mutated, table

FILES = table().files


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.file)
def test_each_mistake_can_be_made_in_its_file_and_is_another_one(file: Mutated) -> None:
    text = (ROOT / file.file).read_text(encoding="utf-8")
    made = [mutated(text, mutant) for mutant in file.mutants]
    assert text not in made
    assert len(set(made)) == len(made)


def test_the_tests_that_should_notice_it_are_there() -> None:
    for tests in {mutant.tests or file.tests for file in FILES for mutant in file.mutants}:
        for path, _, name in (test.partition("::") for test in tests):
            text = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {name or 'test_'}", text, re.MULTILINE), f"{path}: {name}"


def test_a_mistake_that_cannot_be_made_any_more_is_refused() -> None:
    mutant = FILES[0].mutants[0]
    with pytest.raises(LookupError):
        mutated("SELECT 1", mutant)
