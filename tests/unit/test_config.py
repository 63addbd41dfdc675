"""Where settings come from, which of them wins, and how every fault is named without showing a value."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from etl.config import load
from etl.config.names import places
from etl.errors import SettingsError
from etl.settings import Settings
from tests.unit.written import CANARY, a_file, faults

if TYPE_CHECKING:
    from pathlib import Path


# Sources and their order.


def test_nothing_at_all_is_enough(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert settings.sync.concurrency == 8
    assert settings.database.url is None
    assert settings.home is None
    assert settings.api_keys == ()


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    a_file(tmp_path, "[sync]\nconcurrency = 3\ndeadline_s = 100\n")
    sync = load({"BATCHLEDGER_SYNC__CONCURRENCY": "5"}, tmp_path).sync
    assert (sync.concurrency, sync.deadline_s, sync.lease_s) == (5, 100, 60)


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    a_file(tmp_path, "[sync]\nconcurrency = 3\n")
    empty = {
        "BATCHLEDGER_SYNC__CONCURRENCY": "",
        "BATCHLEDGER_CONFIG": " ",
        "DATABASE_URL": "",
        "BATCHLEDGER_TYPO": "",
    }
    assert load(empty, tmp_path).sync.concurrency == 3


def test_the_process_environment_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SYNC", "sync", "BATCHLEDGER_SYNC", "HOME", "home", "projects"):
        monkeypatch.setenv(name, "{}")
    monkeypatch.setenv("ROBOFLOW_API_KEY", CANARY)
    monkeypatch.setenv("BATCHLEDGER_SYNC__CONCURRENCY", "5")
    assert load({}, tmp_path) == load({}, tmp_path / "elsewhere")
    assert load({}, tmp_path).sync.concurrency == 8
    assert load({}, tmp_path) == Settings()


def test_every_setting_can_be_set_by_its_variable(tmp_path: Path) -> None:
    values = {
        "DATABASE_URL": "postgresql://h/d",
        "ROBOFLOW_API_URL": "http://127.0.0.1:8000/",
        "BATCHLEDGER_SCHEDULE__EVERY": "1h",
        "BATCHLEDGER_SCHEDULE__CRON": "5 4 * * mon-fri",
        "BATCHLEDGER_SCHEDULE__TIMEZONE": "Europe/Berlin",
        "BATCHLEDGER_SOURCE__AUTH": "query",
        "BATCHLEDGER_JOBS__READ": "Always",
        "BATCHLEDGER_WEB__ENABLED": "no",
        "BATCHLEDGER_JOBS__PEOPLE": "keep",
        "BATCHLEDGER_JOBS__PSEUDONYM_KEY_FILE": str(a_file(tmp_path, "key", "key")),
        "BATCHLEDGER_LOG__FORMAT": "JSON",
        "BATCHLEDGER_LOG__LEVEL": "Debug",
        "BATCHLEDGER_PROJECTS": "acme/*",
        "BATCHLEDGER_FRESHNESS__MAX_AGES": "acme/*=7d",
        "BATCHLEDGER_RETENTION__UNCHANGED": "40d",
        "BATCHLEDGER_HOME": "home",
        "BATCHLEDGER_GUARD__MAX_LOSS_SHARE": "0.9",
        "BATCHLEDGER_SOURCE__MAX_BODY_BYTES": "2048",
        "ROBOFLOW_API_KEY": "key",
        "ROBOFLOW_API_KEY_FILE": str(a_file(tmp_path, "key", "key")),
    }
    for name, place in places().items():
        settings = load({name: values.get(name, "12")}, tmp_path)
        section: object = settings
        for part in place:
            section = getattr(section, part)
        assert section not in (None, ()), name


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    (fault,) = faults({"BATCHLEDGER_CONFIG": "other.toml"}, tmp_path)
    assert fault.startswith(f"BATCHLEDGER_CONFIG ({tmp_path}/other.toml): there is no such file")


def test_a_named_file_is_read_instead_of_the_default(tmp_path: Path) -> None:
    a_file(tmp_path, "[sync]\nconcurrency = 3\n")
    a_file(tmp_path, "[sync]\nlease_s = 30\n", "other.toml")
    sync = load({"BATCHLEDGER_CONFIG": "other.toml"}, tmp_path).sync
    assert (sync.concurrency, sync.lease_s) == (8, 30)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'[sync]\nconcurrency = "hunter2-canary', "batchledger.toml: is not valid TOML at"),
        (b"\xff\xfe", "batchledger.toml: is not UTF-8 text"),
        (b"a = 1\na = 2\n", "batchledger.toml: is not valid TOML at line 2, column 6"),
    ],
)
def test_a_file_that_is_no_toml_is_a_fault_with_its_position(tmp_path: Path, body: bytes, fault: str) -> None:
    (tmp_path / "batchledger.toml").write_bytes(body)
    (said,) = faults({}, tmp_path)
    assert said.startswith(fault)
    assert CANARY not in said


def test_a_folder_in_place_of_the_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "batchledger.toml").mkdir()
    assert faults({}, tmp_path) == ["batchledger.toml: cannot be read (Is a directory)"]


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "batchledger.toml").write_bytes(b"\xef\xbb\xbf[sync]\nconcurrency = 3\n")
    assert load({}, tmp_path).sync.concurrency == 3


def test_a_relative_home_starts_where_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    a_file(tmp_path / "etc", 'home = "data"\n')
    named = {"BATCHLEDGER_CONFIG": "etc/batchledger.toml"}
    assert load(named, tmp_path).home == tmp_path / "etc" / "data"
    assert load(named | {"BATCHLEDGER_HOME": "data"}, tmp_path).home == tmp_path / "data"
    assert str(load({"BATCHLEDGER_HOME": "~/data", "HOME": "/home/ann"}, tmp_path).home) == "/home/ann/data"


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.sync.concurrency = 1


# Faults.


def test_every_fault_is_named_at_once_with_its_source_and_remedy(tmp_path: Path) -> None:
    a_file(
        tmp_path,
        'projects = ["acme/*", "cars"]\n[sync]\nconcurency = 4\ndeadline_s = "soon"\n'
        "[guard]\nmax_loss_share = 2\n",
    )
    environ = {
        "BATCHLEDGER_SYNC__CONCURRENCY": "0",
        "BATCHLEDGER_SCHEDULE__EVERY": "often",
        "DATABASE_URL": "mysql://h/d",
        "BATCHLEDGER_LOG__FORMAT": "xml",
    }
    assert sorted(faults(environ, tmp_path)) == [
        "BATCHLEDGER_LOG__FORMAT: must be 'console', 'json' or 'auto' (default console)",
        "BATCHLEDGER_SCHEDULE__EVERY: must be a duration: 15m, 1h30m, 1d, ISO 8601 (PT15M) or seconds (900)",
        "BATCHLEDGER_SYNC__CONCURRENCY: must be greater than or equal to 1 (default 8)",
        "DATABASE_URL: must begin with postgresql:// or postgres://, without the name of a driver",
        "batchledger.toml: [guard] max_loss_share: must be less than or equal to 1 (default 0.5)",
        "batchledger.toml: [sync] concurency: is not a setting; did you mean [sync] concurrency?",
        "batchledger.toml: [sync] deadline_s: must be a valid number (default 600)",
        (
            "batchledger.toml: projects, item 2: must be workspace/project, such as acme/*, acme/cars or "
            "!acme/scratch-* (* and ? only)"
        ),
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BATCHLEDGER_SYNC__CONCURENCY", "BATCHLEDGER_SYNC__CONCURRENCY"),
        ("BATCHLEDGER_SYNC_CONCURRENCY", "BATCHLEDGER_SYNC__CONCURRENCY"),
        ("BATCHLEDGER_SOURCE__URL", "ROBOFLOW_API_URL"),
        ("BATCHLEDGER_DATABASE_URL", "DATABASE_URL"),
        ("BATCHLEDGER_CONFIGURATION", "BATCHLEDGER_CONFIG"),
        ("BATCHLEDGER_HOMEDIR", "BATCHLEDGER_HOME"),
    ],
)
def test_an_unknown_variable_is_a_fault_and_the_one_that_was_meant_is_named(
    tmp_path: Path, name: str, meant: str
) -> None:
    assert faults({name: CANARY}, tmp_path) == [f"{name}: is not a setting; did you mean {meant}?"]


def test_an_unknown_variable_like_nothing_known_gets_no_suggestion(tmp_path: Path) -> None:
    assert faults({"BATCHLEDGER_XYZZY_PLUGH_QQ": "1"}, tmp_path) == [
        "BATCHLEDGER_XYZZY_PLUGH_QQ: is not a setting"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[sink]\nconcurrency = 1\n", "batchledger.toml: sink: is not a setting"),
        (
            "concurrency = 4\n",
            "batchledger.toml: concurrency: is not a setting; did you mean [sync] concurrency?",
        ),
        ("sync = 4\n", "batchledger.toml: [sync]: must be a section: [sync]"),
        ("workspaces = 4\n", "batchledger.toml: [workspaces]: must be a section: [workspaces]"),
        (
            "[workspaces]\nacme = 4\n",
            "batchledger.toml: [workspaces] acme: must be a section: [workspaces.acme]",
        ),
        (
            "[workspaces.acme]\n",
            "batchledger.toml: [workspaces.acme] api_key: needs one of api_key, api_key_file, api_key_env",
        ),
        (
            "[workspaces.acme]\napi_key = 'k'\nkey = 'k'\n",
            "batchledger.toml: [workspaces.acme] key: is not a setting; did you mean [workspaces.<slug>]",
        ),
        (
            "[source]\nwait_initial_s = 40\n",
            "batchledger.toml: [source]: wait_initial_s must not be more than wait_max_s",
        ),
        (
            "[schedule]\nevery = '1h'\ncron = '0 * * * *'\n",
            "batchledger.toml: [schedule]: every and cron exclude each other: keep one of them",
        ),
        (
            "[source]\ntotal_s = inf\n",
            "batchledger.toml: [source] total_s: must be a finite number (default 120)",
        ),
    ],
)
def test_a_wrong_file_is_put_right_in_words(tmp_path: Path, text: str, fault: str) -> None:
    (said,) = faults({}, a_file(tmp_path, text).parent)
    assert said.startswith(fault)


def test_variables_that_exclude_each_other_are_all_named(tmp_path: Path) -> None:
    environ = {"BATCHLEDGER_SCHEDULE__EVERY": "1h", "BATCHLEDGER_SCHEDULE__CRON": "0 * * * *"}
    (said,) = faults(environ, tmp_path)
    assert said.startswith("BATCHLEDGER_SCHEDULE__CRON, BATCHLEDGER_SCHEDULE__EVERY: every and cron exclude")


def test_the_variables_that_kubernetes_adds_are_no_faults(tmp_path: Path) -> None:
    service = {
        "BATCHLEDGER_SERVICE_HOST": "10.0.0.1",
        "BATCHLEDGER_SERVICE_PORT": "80",
        "BATCHLEDGER_SERVICE_PORT_HTTP": "80",
        "BATCHLEDGER_PORT": "tcp://10.0.0.1:80",
        "BATCHLEDGER_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert load(service, tmp_path).sync.concurrency == 8


@pytest.mark.parametrize("name", [*sorted(places()), "BATCHLEDGER_CONFIG", "BATCHLEDGER_NOTHING"])
def test_no_fault_shows_the_value_not_even_in_its_traceback(tmp_path: Path, name: str) -> None:
    value = f"{CANARY}\n{CANARY}:/?%zz@ö"
    environ = {name: value, "BATCHLEDGER_SYNC__CONCURRENCY": "0"}
    with pytest.raises(SettingsError) as caught:
        load(environ, tmp_path)
    shown = "".join(traceback.format_exception(caught.value))
    is_a_path = name == "BATCHLEDGER_CONFIG" or name.endswith("_KEY_FILE")
    assert (CANARY in shown) is is_a_path


_OF_TEXT = [place for place in places().values() if not place[-1].endswith("key_file")]


@pytest.mark.parametrize("place", _OF_TEXT)
@pytest.mark.parametrize("value", [f'"{CANARY}"', f'["{CANARY}"]', f'{{ "x" = "{CANARY}" }}'])
def test_no_fault_shows_a_value_of_the_file(tmp_path: Path, place: tuple[str, ...], value: str) -> None:
    header = f"[{place[0]}]\n" if len(place) > 1 else ""
    a_file(tmp_path, f"{header}{place[-1]} = {value}\n")
    assert CANARY not in " ".join(faults({"BATCHLEDGER_NOTHING": "1"}, tmp_path))
