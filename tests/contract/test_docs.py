"""The documents say what the product is: every command, code, view, link and query of theirs is tried."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
import typer
from sqlalchemy import text

from etl import __version__, errors
from etl.cli import app
from etl.commands.manual import EXAMPLES, EXIT_CODES
from etl.commands.story import Story
from etl.config.names import fields, variable_of
from etl.database import connect
from etl.dictionary import dictionary, relations
from etl.report import PARTIAL
from etl.simulator import Simulator
from etl.usage import commands
from tests.logins import as_reader
from tests.worlds import FakeClock, WorldSource, a_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.store import PostgresLedger

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
README: Final = ROOT / "README.md"
QUICKSTART: Final = DOCS / "quickstart.md"
PAGES: Final = (
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    ROOT / "tests/contract/documents/README.md",
)
NOT_SETTINGS: Final = frozenset({"BATCHLEDGER_CONFIG", "ROBOFLOW_CONFIG_DIR"})


on_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# What is generated


def test_the_page_of_the_commands_is_the_one_that_the_commands_write() -> None:
    assert (DOCS / "reference/commands.md").read_text(encoding="utf-8") == commands(), (
        "run: python -m etl.usage > docs/reference/commands.md"
    )


def test_the_data_dictionary_is_the_one_that_a_migrated_database_writes(database: str) -> None:
    with connect(database) as connection:
        written = dictionary(connection)

    assert (DOCS / "reference/data-dictionary.md").read_text(encoding="utf-8") == written, (
        "run: python -m etl.dictionary > docs/reference/data-dictionary.md"
    )


def test_the_data_dictionary_has_every_view_and_column_with_a_meaning(database: str) -> None:
    page = (DOCS / "reference/data-dictionary.md").read_text(encoding="utf-8")

    assert [place for place in _columns(database) if not _has_meaning(page, *place)] == []


def _columns(database: str) -> list[tuple[str, str]]:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'analytics'"
        ).fetchall()
    assert len({view for view, _ in found}) >= 8
    return [(view, column) for view, column in found]


def _has_meaning(page: str, view: str, column: str) -> bool:
    section = page.partition(f"### `analytics.{view}`\n")[2].partition("\n### ")[0]
    row = rf"^\| `{column}` \| [^|]+ \| [^|]* \| [A-Za-z][^|]*[.] \| [^|]* \| [^|]* \|$"
    return re.search(row, section, re.MULTILINE) is not None


def test_every_view_and_function_says_what_a_row_is(database: str) -> None:
    with connect(database) as connection:
        found = relations(connection)

    assert [one.name for one in found if not re.match(r"(One|The one) [^.]+\.( |$)", one.grain)] == []


def test_every_column_that_holds_nothing_somewhere_says_what_that_means(
    ledger: PostgresLedger, database: str
) -> None:
    _tell_the_story(ledger)
    with connect(database) as connection:
        views = [one for one in relations(connection) if one.kind == "view"]
        silent = [
            (view.name, column.name)
            for view in views
            for column in view.columns
            if column.null is None and connection.scalar(text(_NOTHING.format(column.name, view.name)))
        ]

    assert silent == []


_NOTHING: Final = 'SELECT EXISTS (SELECT FROM analytics."{1}" WHERE "{0}" IS NULL)'


def test_every_number_has_its_unit_but_those_that_only_name_or_order_something(database: str) -> None:
    with connect(database) as connection:
        without = {
            column.name
            for one in relations(connection)
            for column in one.columns
            if column.type in _NUMBERS and column.unit is None
        }

    assert without <= {"age_order", "http_status", "observation_id", "run_id", *_COUNTS}


_NUMBERS: Final = ("bigint", "double precision", "integer", "numeric", "real", "smallint")
_COUNTS: Final = ("changed", "failed", "skipped", "span_count", "suspect", "unchanged")
"""Counts of observations, as their meanings say."""


def test_every_column_of_every_view_has_an_example_that_it_could_hold(database: str) -> None:
    with connect(database) as connection:
        columns = [(one.name, column) for one in relations(connection) for column in one.columns]
        for _, column in columns:
            connection.execute(text(f"SELECT CAST(:example AS {column.type})"), {"example": column.example})

    assert [(name, column.name) for name, column in columns if column.example is None] == [], (
        "run: python docs/reference/examples.py, then python -m etl.dictionary > docs/reference/..."
    )


# What is written by hand


def test_every_command_has_its_help_and_examples_on_the_page() -> None:
    page = (DOCS / "reference/commands.md").read_text(encoding="utf-8")
    names = _commands()

    assert names.keys() == EXAMPLES.keys()
    assert [name for name in names if f"## `{name}`\n" not in page] == []
    assert [
        (name, option) for name, options in names.items() for option in options if option not in page
    ] == []


def test_every_exit_code_has_its_row() -> None:
    page = (DOCS / "reference/exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9, ]+) \|", page, re.MULTILINE)
    documented = {int(code) for row in rows for code in row.split(",")}

    assert documented >= {0, PARTIAL, *EXIT_CODES, *_codes_of(errors.BatchledgerError)}


def _codes_of(error: type[errors.BatchledgerError]) -> set[int]:
    return {error.exit_code}.union(*map(_codes_of, error.__subclasses__()))


def test_the_changelog_tells_of_this_version() -> None:
    assert __version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_page_can_be_reached_from_the_index() -> None:
    indexes = (DOCS / "README.md", DOCS / "decisions/README.md")
    reached = {target for index in indexes for target, _ in _links(index)}

    assert [page for page in PAGES if DOCS in page.parents and page not in {*reached, indexes[0]}] == []


@on_every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = [
        (target, anchor)
        for target, anchor in _links(page)
        if not target.exists() or (anchor and anchor not in _anchors(target))
    ]

    assert broken == []


def _links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield where each relative link leads: the file, and the heading in it."""
    text = _without_blocks(page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            yield ((page.parent / path).resolve() if path else page), anchor


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _without_blocks(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@on_every_page
def test_every_command_that_is_shown_exists_with_its_options(page: Path) -> None:
    known = _commands()
    shown = re.findall(_INVOCATION, _code(page), re.MULTILINE)
    wrong = [
        (command, option)
        for command, rest in shown
        for option in ("", *re.findall(r"(?<=\s)--[a-z][a-z-]*", rest.partition(" -- ")[0]))
        if command not in known or (option and option not in {*known[command], "--debug", "--help"})
    ]

    assert wrong == []


_INVOCATION: Final = r"(?:^ *|bin/|exec |--rm |=\S* )batchledger ([a-z]+)\b(?!/)((?: [^\s\"#;&|)]+)*)"


def _commands() -> dict[str, set[str]]:
    """Return every command with its options."""
    group = typer.main.get_command(app)
    return {
        name: {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        for name, command in getattr(group, "commands", {}).items()
    }


def _code(page: Path) -> str:
    """Return what a page shows as code that a reader may type."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|console|crontab)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join((*blocks, *re.findall(r"`([^`\n]+)`", _without_blocks(text))))


@on_every_page
def test_every_verb_of_make_that_is_shown_exists(page: Path) -> None:
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z]+)", _code(page))) <= verbs


def test_the_first_screen_of_the_readme_has_the_two_verbs_and_the_first_command() -> None:
    screen = "\n".join(README.read_text(encoding="utf-8").splitlines()[:24])

    for command in ("make demo", "make test", "batchledger sync", "docs/images/demo.svg"):
        assert command in screen


@on_every_page
def test_every_variable_that_is_named_is_a_setting(page: Path) -> None:
    known = {variable_of(place) for place, _ in fields()} | NOT_SETTINGS
    named = set(re.findall(r"\b(?:BATCHLEDGER|ROBOFLOW)_[A-Z0-9_]*[A-Z0-9]\b(?!_)", page.read_text("utf-8")))

    assert {name for name in named if not name.startswith("BATCHLEDGER_WORKSPACES")} <= known


@on_every_page
def test_every_module_that_is_shown_exists(page: Path) -> None:
    shown = re.findall(r"python -m etl\.([a-z.]+)", _code(page))

    assert [name for name in shown if not (ROOT / "etl" / f"{name.replace('.', '/')}.py").exists()] == []


@on_every_page
def test_no_page_names_a_registry_or_a_path_of_some_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert (
        re.findall(r"pypi\.|pythonhosted|/simple\b|--index-url|\.pyenv|/root/|/work/|/home/\w+", text) == []
    )


def test_the_picture_is_the_demonstration_and_needs_nothing_from_elsewhere() -> None:
    text = (DOCS / "images/demo.svg").read_text(encoding="utf-8")
    picture = ET.fromstring(text)  # noqa: S314 - our own file.
    shown = " ".join("".join(picture.itertext()).split())

    assert re.findall(r"(?:href|src)=|url\((?!#)|https?://(?!www\.w3\.org/)", text) == []
    for words in ("SIMULATED", "is suspect", "day by day", "invariant_violation is empty"):
        assert words in shown


# What can be run


def test_the_sql_of_the_pages_runs_for_an_analyst_on_the_data_of_the_demonstration(
    ledger: PostgresLedger, database: str
) -> None:
    _tell_the_story(ledger)
    with psycopg.connect(as_reader(database)) as connection:
        answers = {query: connection.execute(query).fetchall() for query in _queries(README, QUICKSTART)}
        others = [connection.execute(query) for query in _queries(*PAGES)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM ledger.batch")

    assert len(answers) >= 6
    assert [query for query, rows in answers.items() if not rows] == []
    assert len(others) > len(answers)


def test_the_sql_that_is_given_to_psql_runs(ledger: PostgresLedger, database: str) -> None:
    _tell_the_story(ledger)
    shown = [
        query for page in PAGES for query in re.findall(r'psql -- -c "([^"]+)"', page.read_text("utf-8"))
    ]

    with psycopg.connect(database) as connection:
        assert all(connection.execute(query.encode()).fetchall() for query in shown)
    assert len(shown) >= 2


def _tell_the_story(ledger: PostgresLedger) -> None:
    """Run through the two weeks of the demonstration."""
    clock = FakeClock(datetime.now(UTC))
    story = Story(clock.at)
    with Simulator(story.world) as simulator:
        source = WorldSource(story.world, clock, faults=simulator.faults)
        for scene in story.scenes(simulator.faults):
            scene.act()
            clock.at = scene.at
            if scene.is_missed:
                ledger.note_tick(scene.at, "missed", recorded_at=scene.at)
            else:
                a_run(ledger, [source], clock, trigger="demo")


def _queries(*pages: Path) -> list[bytes]:
    return [one for page in pages for one in _statements(page) if one.startswith(b"SELECT")]


def _statements(page: Path) -> list[bytes]:
    blocks = re.findall(r"^```sql\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [one.strip().encode() for block in blocks for one in block.split(";") if one.strip()]
