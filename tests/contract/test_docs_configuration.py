"""The configuration reference says what the settings are, all of them and as they are now."""

from __future__ import annotations

import tomllib
from pathlib import Path

from etl.config import load
from etl.config.names import fields, variable_of
from etl.reference import configuration

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def test_the_committed_page_is_the_one_that_the_settings_write() -> None:
    assert PAGE.read_text(encoding="utf-8") == configuration(), (
        "run: python -m etl.reference > docs/reference/configuration.md"
    )


def test_every_setting_has_a_row_with_its_variable_and_its_meaning() -> None:
    rows = [line.split(" | ") for line in configuration().splitlines() if line.startswith("| `")]
    written = [(row[0], row[1]) for row in rows]
    assert written == [(f"| `{place[-1]}`", f"`{variable_of(place)}`") for place, _ in fields()]
    assert all(row[4].rstrip(" |").endswith((".", ")")) for row in rows)


def test_the_example_of_the_page_is_a_file_that_works(tmp_path: Path) -> None:
    example = configuration().partition("```toml\n")[2].partition("```")[0]
    text = example.replace("/etc/batchledger", str(tmp_path))
    (tmp_path / "acme-key").write_text("one\n", encoding="utf-8")
    (tmp_path / "batchledger.toml").write_text(text, encoding="utf-8")
    settings = load({"GLOBEX_KEY": "two"}, tmp_path)
    assert settings.projects == tuple(tomllib.loads(text)["projects"])
    assert [key.workspace for key in settings.api_keys] == ["acme", "globex"]
