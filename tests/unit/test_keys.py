"""Where keys come from, which of them wins, and that none is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from etl.address import engine_url
from etl.config import load, required_keys, secrets_of
from etl.errors import SettingsError
from tests.unit.written import CANARY, a_file, faults

if TYPE_CHECKING:
    from pathlib import Path

    from etl.settings import Settings


def keys(settings: Settings) -> list[tuple[str | None, str]]:
    return [(key.workspace, key.secret.get_secret_value()) for key in settings.api_keys]


@pytest.mark.parametrize("body", [b"key-1", b"  key-1\r\n\n", b"\xef\xbb\xbfkey-1\n"])
def test_white_space_around_the_key_in_a_file_does_not_matter(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "key").write_bytes(body)
    assert keys(load({"ROBOFLOW_API_KEY_FILE": "key"}, tmp_path)) == [(None, "key-1")]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("absent", "cannot be read (No such file or directory)"),
        ("folder", "cannot be read (Is a directory)"),
        ("empty", "is empty"),
        ("huge", "is too long to hold a key"),
    ],
)
def test_a_key_file_that_holds_no_key_is_a_fault(tmp_path: Path, name: str, fault: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "huge").write_text("k" * 70_000)
    said = faults({"ROBOFLOW_API_KEY_FILE": name}, tmp_path)
    assert said == [f"ROBOFLOW_API_KEY_FILE: the key file {tmp_path / name} {fault}"]


@pytest.mark.parametrize(
    "key", [f"{CANARY}\nX: y", f"{CANARY} b", f"{CANARY}é", f"{CANARY}\x00", f"{CANARY}\x7f"]
)
@pytest.mark.parametrize("is_in_file", [True, False])
def test_a_key_that_no_header_can_carry_is_a_fault_that_does_not_show_it(
    tmp_path: Path, key: str, *, is_in_file: bool
) -> None:
    a_file(tmp_path, key, "key")
    environ = {"ROBOFLOW_API_KEY_FILE": "key"} if is_in_file else {"ROBOFLOW_API_KEY": key}
    (fault,) = faults(environ, tmp_path)
    assert fault.startswith(f"{next(iter(environ))}: has a white space, control or non-ASCII character")
    assert CANARY not in fault


def test_the_key_itself_wins_over_its_file_and_variables_over_the_settings_file(tmp_path: Path) -> None:
    a_file(tmp_path, "[source]\napi_key = 'of-toml'\n")
    a_file(tmp_path, "of-file", "key")
    by_file = {"ROBOFLOW_API_KEY_FILE": "key"}
    assert keys(load({}, tmp_path)) == [(None, "of-toml")]
    assert keys(load(by_file, tmp_path)) == [(None, "of-file")]
    assert keys(load(by_file | {"ROBOFLOW_API_KEY": "of-variable"}, tmp_path)) == [(None, "of-variable")]


def test_workspaces_have_a_key_each_however_it_is_given(tmp_path: Path) -> None:
    a_file(
        tmp_path,
        "[workspaces.acme]\napi_key = 'one'\n"
        "[workspaces.globex-co]\napi_key_file = 'key'\n"
        "[workspaces.initech]\napi_key_env = 'INITECH_KEY'\n",
    )
    a_file(tmp_path, "two\n", "key")
    settings = load({"INITECH_KEY": "three", "ROBOFLOW_API_KEY": "unused"}, tmp_path)
    assert keys(settings) == [("acme", "one"), ("globex-co", "two"), ("initech", "three")]


def test_a_variable_gives_a_workspace_its_key(tmp_path: Path) -> None:
    a_file(tmp_path, "[workspaces.acme]\napi_key = 'of-toml'\n")
    a_file(tmp_path, "of-file", "key")
    settings = load(
        {"BATCHLEDGER_WORKSPACES__ACME__API_KEY_FILE": "key", "BATCHLEDGER_WORKSPACES__B__API_KEY": "b"},
        tmp_path,
    )
    assert sorted(keys(settings)) == [("acme", "of-file"), ("b", "b")]


def test_a_workspace_whose_key_cannot_be_read_is_one_fault_not_two(tmp_path: Path) -> None:
    a_file(tmp_path, "[workspaces.acme]\napi_key_file = 'absent'\n")
    (fault,) = faults({}, tmp_path)
    assert fault.startswith("batchledger.toml: [workspaces.acme] api_key_file: the key file")


def test_a_key_variable_that_is_not_set_is_a_fault(tmp_path: Path) -> None:
    a_file(tmp_path, "[workspaces.acme]\napi_key_env = 'ACME_KEY'\n")
    assert faults({"ACME_KEY": ""}, tmp_path) == [
        "batchledger.toml: [workspaces.acme] api_key_env: names a variable that is not set"
    ]


def a_login(folder: Path, login: object, name: str = "config.json") -> dict[str, str]:
    return {"ROBOFLOW_CONFIG_DIR": str(a_file(folder, json.dumps(login), name))}


TWO_LOGINS = {
    "workspaces": {
        "AbC": {"url": "acme", "name": "Acme", "apiKey": "one"},
        "DeF": {"url": "globex", "name": "Globex", "apiKey": "two"},
    },
    "RF_WORKSPACE": "globex",
}


def test_the_last_resort_is_the_key_of_the_workspace_that_roboflow_login_chose(tmp_path: Path) -> None:
    assert keys(load(a_login(tmp_path, TWO_LOGINS), tmp_path)) == [(None, "two")]
    by_id = TWO_LOGINS | {"RF_WORKSPACE": "AbC"}
    assert keys(load(a_login(tmp_path, by_id), tmp_path)) == [(None, "one")]


def test_the_login_is_found_in_the_home_folder_and_in_a_folder_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "roboflow"
    folder.mkdir(parents=True)
    a_login(folder, TWO_LOGINS)
    assert keys(load({"HOME": str(tmp_path)}, tmp_path)) == [(None, "two")]
    assert keys(load({"ROBOFLOW_CONFIG_DIR": str(folder)}, tmp_path)) == [(None, "two")]


def test_every_other_key_wins_over_the_login(tmp_path: Path) -> None:
    login = a_login(tmp_path, TWO_LOGINS)
    assert keys(load(login | {"ROBOFLOW_API_KEY": "mine"}, tmp_path)) == [(None, "mine")]
    a_file(tmp_path, "[workspaces.acme]\napi_key = 'one'\n")
    settings = load(login, tmp_path)
    assert keys(settings) == [("acme", "one")]
    assert settings.source.api_key is None


@pytest.mark.parametrize(
    "login",
    [
        [],
        {},
        {"workspaces": []},
        {"workspaces": {}},
        {"workspaces": {"a": 1}},
        {"workspaces": {"a": {"apiKey": 1}}},
        {"workspaces": {"a": {"apiKey": "x y"}}},
        TWO_LOGINS | {"RF_WORKSPACE": "gone"},
    ],
)
def test_a_login_that_cannot_be_used_is_no_key_and_no_fault(tmp_path: Path, login: object) -> None:
    assert load(a_login(tmp_path, login), tmp_path).api_keys == ()


def test_a_login_that_is_no_json_is_no_key_and_no_fault(tmp_path: Path) -> None:
    path = a_file(tmp_path, "{", "config.json")
    assert load({"ROBOFLOW_CONFIG_DIR": str(path)}, tmp_path).api_keys == ()


def test_a_command_that_needs_a_key_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        required_keys(load({}, tmp_path))
    assert "ROBOFLOW_API_KEY_FILE" in caught.value.remedy
    assert required_keys(load({"ROBOFLOW_API_KEY": "k"}, tmp_path))[0].workspace is None


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    a_file(tmp_path, f"[workspaces.acme]\napi_key = '{CANARY}'\n")
    environ = {"ROBOFLOW_API_KEY": CANARY, "DATABASE_URL": f"postgresql://u:{CANARY}@h/d"}
    settings = load(environ, tmp_path)
    uri = settings.database.url
    assert uri is not None
    shown = (
        f"{settings!r} {settings} {settings.api_keys} {settings.model_dump()} {settings.model_dump_json()}"
    )
    assert CANARY not in shown + repr(engine_url(uri.get_secret_value()))


def test_every_secret_is_known_to_who_must_hide_it(tmp_path: Path) -> None:
    a_file(tmp_path, "[workspaces.acme]\napi_key = 'one'\n")
    environ = {
        "ROBOFLOW_API_KEY": "two",
        "DATABASE_URL": "postgresql://u:thr%40ee@h/d?sslpassword=four",
        "PGPASSWORD": "five",
    }
    assert secrets_of(load(environ, tmp_path), environ) == {"one", "two", "thr@ee", "four", "five"}
    assert secrets_of(load({}, tmp_path / "elsewhere"), {}) == set()
