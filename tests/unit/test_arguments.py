"""What is offered as a command is taken by the program: projects of any name that an id can be."""

from __future__ import annotations

import shlex

import pytest

from etl.commands.arguments import batch_of, place_of, slug_of
from etl.commands.plain import operand, plain, plain_lines
from etl.errors import SettingsError
from etl.parse.text import is_id
from etl.records import Slug

NAMES = ["cars", "two words", "it's $(ours)", "-x", "--yes", "ключ", " ", "n" * 1000]


@pytest.mark.parametrize("workspace", NAMES)
@pytest.mark.parametrize("project", NAMES)
def test_what_is_offered_names_the_project_and_the_batch_that_it_is_about(
    workspace: str, project: str
) -> None:
    assert is_id(workspace)
    slug = Slug(workspace, project)

    *_, offered = shlex.split(operand(str(slug)))
    *_, place = shlex.split(operand(f"{slug}/two words"))

    assert slug_of(offered) == slug
    assert place_of(offered) == (slug, None)
    assert place_of(place) == batch_of(place) == (slug, "two words")


@pytest.mark.parametrize(
    "text", ["cars", "acme/", "/cars", "acme/..", "acme/a\nb", f"acme/{'n' * 1001}", "a/b/c"]
)
def test_what_can_be_no_address_names_no_project(text: str) -> None:
    with pytest.raises(SettingsError, match="does not name a project"):
        slug_of(text)


def test_only_a_name_that_begins_with_a_dash_comes_after_the_end_of_the_options() -> None:
    assert operand("acme/cars") == "acme/cars"
    assert operand("acme/cars", "--yes") == "acme/cars --yes"
    assert operand("-x/cars", "--yes") == "--yes -- -x/cars"
    assert operand("-x/it's") == """-- '-x/it'"'"'s'"""


def test_of_text_only_its_lines_and_what_has_a_look_are_left() -> None:
    assert (
        plain("é 名 \u200d\x1b[2J\n\u202e\x9b").replace("\N{REPLACEMENT CHARACTER}", "?")
        == "é 名 \u200d?[2J???"
    )
    assert plain_lines("a\n  b\x1b\r\n").replace("\N{REPLACEMENT CHARACTER}", "?") == "a\n  b??\n"
