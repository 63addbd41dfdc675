"""How the values of settings are written, and what is told of those that are none."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from etl.config import load
from etl.guard import GuardRules
from etl.records import Slug
from tests.unit.written import CANARY, a_file, faults

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_rule_of_freshness_without_an_age_says_how_to_write_one(tmp_path: Path) -> None:
    (fault,) = faults({"BATCHLEDGER_FRESHNESS__MAX_AGES": "acme/cars"}, tmp_path)
    assert "workspace/project=age" in fault
