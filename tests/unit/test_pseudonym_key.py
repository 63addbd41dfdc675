"""Where the secret of pseudonyms comes from, which one wins, and what is said where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl.config import load, secrets_of
from etl.parse.people import People, PeoplePolicy
from tests.unit.written import CANARY, a_file, faults

if TYPE_CHECKING:
    from pathlib import Path

PSEUDONYM = "[jobs]\npeople = 'pseudonym'\n"
VARIABLE = "BATCHLEDGER_JOBS__PSEUDONYM_KEY"
NO_KEY = 'needs pseudonym_key or pseudonym_key_file for people = "pseudonym"'


def key_of(environ: dict[str, str], folder: Path) -> bytes:
    return load(environ, folder).jobs.policy.key


def test_pseudonyms_without_a_key_name_the_settings_that_give_one(tmp_path: Path) -> None:
    a_file(tmp_path, PSEUDONYM)
    assert faults({}, tmp_path) == [f"batchledger.toml: [jobs]: {NO_KEY}"]


def test_pseudonyms_by_a_variable_without_a_key_name_the_variable(tmp_path: Path) -> None:
    assert faults({"BATCHLEDGER_JOBS__PEOPLE": "Pseudonym"}, tmp_path) == [
        f"BATCHLEDGER_JOBS__PEOPLE: {NO_KEY}"
    ]


@pytest.mark.parametrize("key", ["", " ", "\t\n"])
@pytest.mark.parametrize("is_variable", [True, False])
def test_an_empty_key_is_none(tmp_path: Path, key: str, *, is_variable: bool) -> None:
    a_file(tmp_path, PSEUDONYM if is_variable else f'{PSEUDONYM}pseudonym_key = """{key}"""\n')
    (fault,) = faults({VARIABLE: key} if is_variable else {}, tmp_path)
    assert fault.endswith(NO_KEY)


@pytest.mark.parametrize("policy", ["omit", "keep"])
def test_who_wants_no_pseudonyms_needs_no_key(tmp_path: Path, policy: str) -> None:
    a_file(tmp_path, f"[jobs]\npeople = '{policy}'\n")
    assert load({}, tmp_path).jobs.policy == People(PeoplePolicy(policy))


@pytest.mark.parametrize("body", [b"a secret", b"  a secret\r\n\n", b"\xef\xbb\xbfa secret\n"])
def test_the_key_is_read_from_its_file_without_the_white_space_around_it(tmp_path: Path, body: bytes) -> None:
    a_file(tmp_path, f"{PSEUDONYM}pseudonym_key_file = 'key'\n")
    (tmp_path / "key").write_bytes(body)
    assert key_of({}, tmp_path) == b"a secret"
    assert key_of({f"{VARIABLE}_FILE": str(tmp_path / "key")}, tmp_path) == b"a secret"


def test_a_file_gives_the_same_pseudonyms_as_the_setting(tmp_path: Path) -> None:
    a_file(tmp_path, PSEUDONYM)
    a_file(tmp_path, "any long random text\n", "key")
    by_file, by_setting = {f"{VARIABLE}_FILE": "key"}, {VARIABLE: "any long random text"}
    assert load(by_file, tmp_path).jobs.policy == load(by_setting, tmp_path).jobs.policy


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("absent", "cannot be read (No such file or directory)"),
        ("folder", "cannot be read (Is a directory)"),
        ("empty", "is empty"),
        ("huge", "is too long to hold a key"),
    ],
)
@pytest.mark.parametrize("is_variable", [True, False])
def test_a_file_that_holds_no_key_is_one_fault_that_names_it(
    tmp_path: Path, name: str, fault: str, *, is_variable: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "huge").write_text("k" * 70_000)
    a_file(tmp_path, PSEUDONYM if is_variable else f"{PSEUDONYM}pseudonym_key_file = '{name}'\n")
    label = f"{VARIABLE}_FILE" if is_variable else "batchledger.toml: [jobs] pseudonym_key_file"
    said = faults({f"{VARIABLE}_FILE": name} if is_variable else {}, tmp_path)
    assert said == [f"{label}: the key file {tmp_path / name} {fault}"]


def test_a_file_is_not_read_where_nothing_is_made_a_pseudonym_but_its_name_must_be_right(
    tmp_path: Path,
) -> None:
    a_file(tmp_path, "[jobs]\npseudonym_key_file = 'absent'\n")
    (fault,) = faults({}, tmp_path)
    assert fault.startswith("batchledger.toml: [jobs] pseudonym_key_file: the key file")


def test_the_key_itself_wins_over_its_file_and_variables_over_the_settings_file(tmp_path: Path) -> None:
    a_file(tmp_path, "of-file", "key")
    toml = {"": "", "pseudonym_key": "of-toml", "pseudonym_key_file": "key"}
    by_key, by_file = {VARIABLE: "of-variable"}, {f"{VARIABLE}_FILE": "key"}
    for given, environ, wins in (
        ("pseudonym_key", {}, b"of-toml"),
        ("pseudonym_key_file", {}, b"of-file"),
        ("pseudonym_key", by_file, b"of-file"),
        ("pseudonym_key", by_key, b"of-variable"),
        ("pseudonym_key_file", by_key, b"of-variable"),
        ("", by_key | by_file, b"of-variable"),
    ):
        a_file(tmp_path, PSEUDONYM + (f"{given} = '{toml[given]}'\n" if given else ""))
        assert key_of(environ, tmp_path) == wins, (given, environ)
    a_file(tmp_path, f"{PSEUDONYM}pseudonym_key = 'of-toml'\npseudonym_key_file = 'absent'\n")
    assert key_of({}, tmp_path) == b"of-toml"


@pytest.mark.parametrize("is_in_file", [True, False])
def test_the_key_is_a_secret_that_nothing_shows(tmp_path: Path, *, is_in_file: bool) -> None:
    a_file(tmp_path, PSEUDONYM)
    a_file(tmp_path, CANARY, "key")
    environ = {f"{VARIABLE}_FILE": "key"} if is_in_file else {VARIABLE: CANARY}
    settings = load(environ, tmp_path)
    assert CANARY in secrets_of(settings, environ)
    assert CANARY not in f"{settings!r} {settings} {settings.jobs.policy!r} {settings.model_dump_json()}"


def test_an_empty_key_does_not_win_over_its_file(tmp_path: Path) -> None:
    a_file(tmp_path, "of-file", "key")
    a_file(tmp_path, f"{PSEUDONYM}pseudonym_key = ' '\npseudonym_key_file = 'key'\n")
    assert key_of({}, tmp_path) == b"of-file"
