"""Where settings come from, which of them wins, and how every fault is named without showing a value."""

from __future__ import annotations

import json
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine

from etl.config import engine_url, load, places, required_keys, secrets_of
from etl.errors import SettingsError
from etl.guard import GuardRules
from etl.records import Slug
from etl.selection import ProjectFilter, Promise
from etl.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CANARY = "hunter2-canary"


def a_file(folder: Path, text: str, name: str = "batchledger.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def faults(environ: Mapping[str, str], cwd: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ, cwd)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    return lines[1:] if len(lines) > 1 else lines


def keys(settings: Settings) -> list[tuple[str | None, str]]:
    return [(key.workspace, key.secret.get_secret_value()) for key in settings.api_keys]


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


# Keys.


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


# Single values.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1d", 86400),
        ("2d12h", 216_000),
        ("90s", 90),
        ("900", 900),
        ("PT15M", 900),
        (" 15M ", 900),
    ],
)
def test_a_duration_is_read_in_every_usual_form(tmp_path: Path, text: str, seconds: int) -> None:
    assert load({"BATCHLEDGER_SCHEDULE__EVERY": text}, tmp_path).schedule.interval == timedelta(
        seconds=seconds
    )


@pytest.mark.parametrize("text", ["9", "0", "m", "15 minutes", "-15m", "P", "1h1d", "P999D", "9" * 400])
def test_a_duration_that_is_none_or_out_of_bounds_is_a_fault(tmp_path: Path, text: str) -> None:
    assert len(faults({"BATCHLEDGER_SCHEDULE__EVERY": text}, tmp_path)) == 1


def test_without_a_schedule_a_run_starts_every_quarter_of_an_hour(tmp_path: Path) -> None:
    assert load({}, tmp_path).schedule.interval == timedelta(minutes=15)


def test_a_cron_expression_takes_the_place_of_the_interval_also_across_sources(tmp_path: Path) -> None:
    a_file(tmp_path, "[schedule]\nevery = '1h'\n")
    schedule = load({"BATCHLEDGER_SCHEDULE__CRON": "*/15 * * * *"}, tmp_path).schedule
    assert (schedule.interval, schedule.cron) == (None, "*/15 * * * *")


@pytest.mark.parametrize("cron", ["* * * *", "* * * * * *", "61 * * * *", "every hour or so ok", "@daily"])
def test_a_cron_expression_that_the_scheduler_would_refuse_is_a_fault(tmp_path: Path, cron: str) -> None:
    (fault,) = faults({"BATCHLEDGER_SCHEDULE__CRON": cron}, tmp_path)
    assert "must be a cron expression of five fields" in fault


@pytest.mark.parametrize("name", ["Mars/Phobos", "../../etc/passwd", "/etc/localtime", "Europe", "x\x00"])
def test_an_unknown_time_zone_is_a_fault(tmp_path: Path, name: str) -> None:
    (fault,) = faults({"BATCHLEDGER_SCHEDULE__TIMEZONE": name}, tmp_path)
    assert "must be the IANA name of a time zone" in fault


def test_the_guard_gets_its_thresholds(tmp_path: Path) -> None:
    assert load({}, tmp_path).guard.rules == GuardRules()
    a_file(tmp_path, "[guard]\nmax_loss_share = 0.2\nmin_loss = 2\nmax_lookups = 3\nhold_s = 60\n")
    assert load({}, tmp_path).guard.rules == GuardRules(0.2, 2, 3, timedelta(minutes=1))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "api.roboflow.com",
        "https://",
        "https://h?api_key=hunter2-canary",
        "https://u:hunter2-canary@h",
        "https://h:99999",
        "https://[",
        "https://h/#x",
    ],
)
def test_an_api_address_is_an_address_and_holds_no_key(tmp_path: Path, url: str) -> None:
    (fault,) = faults({"ROBOFLOW_API_URL": url}, tmp_path)
    assert fault.startswith("ROBOFLOW_API_URL: must be an address")
    assert CANARY not in fault


def test_an_api_address_loses_its_last_slash(tmp_path: Path) -> None:
    assert (
        load({"ROBOFLOW_API_URL": "http://127.0.0.1:8000/api/"}, tmp_path).source.url
        == "http://127.0.0.1:8000/api"
    )


# The database's address.


@pytest.mark.parametrize(
    ("uri", "params"),
    [
        (
            "postgresql://u:p%40ss@h:5433/d",
            {"user": "u", "password": "p@ss", "host": "h", "port": "5433", "dbname": "d"},
        ),
        ("postgres://h/d?sslmode=require", {"host": "h", "dbname": "d", "sslmode": "require"}),
        ("postgresql:///d?host=/run/postgresql", {"host": "/run/postgresql", "dbname": "d"}),
        ("postgresql://%2Frun%2Fpostgresql/d", {"host": "/run/postgresql", "dbname": "d"}),
        ("postgresql://[::1]:5433/d", {"host": "::1", "port": "5433", "dbname": "d"}),
        ("postgresql://a:1,b:2/d", {"host": "a,b", "port": "1,2", "dbname": "d"}),
        ("postgresql:///d?host=a,b&port=5433", {"host": "a,b", "port": "5433,5433", "dbname": "d"}),
        ("postgresql://", {}),
    ],
)
def test_libpq_gets_the_address_as_it_was_written(tmp_path: Path, uri: str, params: dict[str, str]) -> None:
    url = load({"DATABASE_URL": uri}, tmp_path).database.url
    assert url is not None
    engine = create_engine(engine_url(url.get_secret_value()))
    _, arguments = engine.dialect.create_connect_args(engine.url)
    del arguments["context"]
    assert arguments == params


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("mysql://h/d", "must begin with postgresql:// or postgres://"),
        ("postgresql+psycopg://h/d", "must begin with postgresql:// or postgres://"),
        ("host=h dbname=d", "must begin with postgresql:// or postgres://"),
        ("postgresql://u:hunter2-canary%zz@h/d", "percent-encode"),
        ("postgresql://h/d?sslmod=require", "check the names of the parameters"),
        ("postgresql://u:p@h:hunter2-canary/d", "must have a number as its port"),
    ],
)
def test_an_address_that_is_none_of_postgres_is_a_fault(tmp_path: Path, uri: str, fault: str) -> None:
    (said,) = faults({"DATABASE_URL": uri}, tmp_path)
    assert said.startswith("DATABASE_URL: ")
    assert fault in said
    assert CANARY not in said


# Which projects.


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


@pytest.mark.parametrize(
    "rule", ["cars", "acme/", "/cars", "a/b/c", "acme/[cb]ars", "!", "!!acme/cars", "acme /cars", ""]
)
def test_a_rule_that_is_no_workspace_and_project_is_a_fault(tmp_path: Path, rule: str) -> None:
    a_file(tmp_path, f"projects = [{json.dumps(rule)}]\n")
    (fault,) = faults({}, tmp_path)
    assert fault.startswith("batchledger.toml: projects, item 1: must be workspace/project")


def test_rules_in_a_variable_are_separated_by_commas_or_spaces(tmp_path: Path) -> None:
    a_file(tmp_path, "projects = ['globex/*']\n")
    settings = load({"BATCHLEDGER_PROJECTS": "acme/*, !acme/scratch-*\nglobex/cars,"}, tmp_path)
    assert settings.projects == ("acme/*", "!acme/scratch-*", "globex/cars")
    assert settings.project_filter.named == (Slug("globex", "cars"),)


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.sync.concurrency = 1


# How old numbers may become.


def test_the_first_rule_that_matches_says_how_old_a_project_may_become(tmp_path: Path) -> None:
    settings = load({"BATCHLEDGER_FRESHNESS__MAX_AGES": "acme/old=0, acme/*=1d12h"}, tmp_path)
    assert settings.freshness.max_ages == (("acme/old", timedelta(0)), ("acme/*", timedelta(hours=36)))
    rules = [(pattern, int(age.total_seconds())) for pattern, age in settings.freshness.max_ages]
    promise = Promise(7200, rules)
    assert [promise.of(Slug("acme", name)) for name in ("old", "cars")] == [None, 129_600]
    assert promise.of(Slug("globex", "cars")) == 7200
    assert Promise().of(Slug("globex", "cars")) is None


def test_a_rule_of_freshness_without_an_age_says_how_to_write_one(tmp_path: Path) -> None:
    (fault,) = faults({"BATCHLEDGER_FRESHNESS__MAX_AGES": "acme/cars"}, tmp_path)
    assert "workspace/project=age" in fault
