"""The files of deploy/ agree with each other and with the tree they are used in."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from dotenv import dotenv_values
from ruamel.yaml import YAML
from typer.main import get_command

from etl.cli import app
from etl.settings import SourceSettings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/container/Dockerfile"
COMPOSE = ROOT / "deploy/container/compose.yaml"
ENVIRONMENT = ROOT / "deploy/batchledger.env.example"
DAEMON = ROOT / "deploy/systemd/batchledger.service"
ONE_RUN = ROOT / "deploy/systemd/batchledger-sync.service"
HOW_TO = ROOT / "docs/how-to/deploy.md"
# What the daemon may take to end beyond one answer that it waits for.
STOP_GRACE_S = 10
PROMISED_STOP_S = SourceSettings().read_timeout_s + STOP_GRACE_S


def test_everything_that_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    sources = _copied_from_the_tree()

    assert PurePosixPath("etl") in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not _is_sent(source)] == []


@pytest.mark.parametrize(
    "path", [".git", ".env", "tests", "deploy/container/roboflow-api-key", "etl/__pycache__"]
)
def test_secrets_and_litter_are_not_sent_to_the_builder(path: str) -> None:
    assert not _is_sent(PurePosixPath(path))


def test_both_services_are_hardened_alike() -> None:
    assert _hardening(DAEMON) == _hardening(ONE_RUN)
    assert "ProtectSystem=strict" in _hardening(DAEMON)


def test_nobody_kills_the_daemon_before_the_promised_time_to_stop() -> None:
    grace = _compose()["services"]["batchledger"]["stop_grace_period"]

    assert int(grace.removesuffix("s")) > PROMISED_STOP_S
    for unit in (DAEMON, ONE_RUN):
        assert int(_setting(unit, "TimeoutStopSec")) > PROMISED_STOP_S
    for text in (COMPOSE, DAEMON, ONE_RUN, HOW_TO):
        assert f"{PROMISED_STOP_S:.0f} s" in text.read_text()


def test_the_compose_file_holds_no_password() -> None:
    services = _compose()["services"]
    passwords = [
        value
        for service in services.values()
        for name, value in service["environment"].items()
        if "PASSWORD" in name
    ]

    assert len(passwords) == len(services)
    assert all(value.startswith("${POSTGRES_PASSWORD:?") for value in passwords)


def test_sh_and_dotenv_read_the_same_from_the_environment_example(tmp_path: Path) -> None:
    filled_in = tmp_path / "batchledger.env"
    filled_in.write_text(_with_every_setting_on(ENVIRONMENT.read_text()))

    from_dotenv = dotenv_values(filled_in, interpolate=False)

    assert "DATABASE_URL" in from_dotenv
    assert from_dotenv == _read_by_sh(filled_in, names=set(from_dotenv))


def test_every_variable_of_the_compose_file_is_explained_to_who_has_to_set_it() -> None:
    """What it asks for stands in the how-to; what it sets for the program stands in the example."""
    asked_for = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    programs = [service for service in _compose()["services"].values() if service["image"] == "batchledger"]
    given = {name for service in programs for name in service["environment"]}

    assert asked_for >= {"POSTGRES_PASSWORD", "POSTGRES_PORT"}
    assert {name for name in asked_for if name not in HOW_TO.read_text()} == set()
    assert given >= {"DATABASE_URL", "ROBOFLOW_API_KEY_FILE"}
    assert {name for name in given if name not in ENVIRONMENT.read_text()} == set()


def test_every_file_that_the_compose_file_reads_is_in_the_tree_or_explained_and_kept_out_of_it() -> None:
    compose = _compose()
    build = compose["x-batchledger"]["build"]
    secrets = [secret["file"] for secret in compose["secrets"].values()]
    files = [entry["path"] for entry in compose["x-batchledger"]["env_file"]]
    brought = {".env", *files, *(re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", name) for name in secrets)}

    assert (COMPOSE.parent / build["context"]).resolve() == ROOT
    assert ROOT / build["dockerfile"] == DOCKERFILE
    container = HOW_TO.read_text().split("## Container", 1)[1].split("\n## ", 1)[0]
    kept_out = (COMPOSE.parent / ".gitignore").read_text().splitlines()
    for name in (name.removeprefix("./") for name in brought):
        assert name in container
        assert f"/{name}" in kept_out


def test_every_command_that_a_file_names_is_one_of_the_program() -> None:
    commands = set(getattr(get_command(app), "commands"))  # noqa: B009 - a group has it.
    services = _compose()["services"].values()
    named = {service["command"][0] for service in services if "command" in service}
    for file in (*(ROOT / "deploy").rglob("*"), HOW_TO):
        if file.is_file():
            named |= set(re.findall(r"(?:bin/batchledger|^batchledger|`batchledger) (\w+)", file.read_text()))

    assert named >= {"sync", "run", "migrate", "status", "check"}
    assert named <= commands


@pytest.mark.parametrize("part", ["image", "compose", "crontab"])
def test_the_check_has_nothing_to_say_of_files_that_are_sound(tmp_path: Path, part: str) -> None:
    done = _check(_copy(tmp_path), part)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("part", "file", "sound", "broken"),
    [
        ("units", "systemd/batchledger.service", "Restart=on-failure", "Restart=on-tuesdays"),
        ("units", "systemd/batchledger.service", "NoNewPrivileges=", "NoNewPrivilege="),
        ("units", "systemd/batchledger-sync.service", "Type=oneshot", "Type=oneshot\nExecStart=relative"),
        ("units", "systemd/batchledger-sync.service", "CapabilityBoundingSet=\n", ""),
        ("units", "systemd/batchledger-sync.timer", "OnCalendar=hourly", "OnCalendar=hurly"),
        ("image", "container/Dockerfile", "FROM python:3.13.9-slim-bookworm\n", "FROM python:latest\n"),
        ("image", "container/Dockerfile", "ENTRYPOINT [", "ENTRYPOINTS ["),
        ("compose", "container/compose.yaml", "restart: unless-stopped", "restarts: unless-stopped"),
        ("compose", "container/compose.yaml", "services:", "services"),
        ("crontab", "cron/batchledger.crontab", "17 * * * * ", "77 * * * * "),
        ("crontab", "cron/batchledger.crontab", "17 * * * * ", "17 * * * "),
        ("crontab", "cron/batchledger.crontab", "exit $code; }", "exit $code;"),
        ("crontab", "cron/batchledger.crontab", 'echo "$said"', 'printf %s "$said"'),
        ("crontab", "cron/batchledger.crontab", "exit $code; }\n", "exit $code; }"),
        ("crontab", "cron/batchledger.crontab", "17 * * * * ", "# 17 * * * * "),
        ("rules", "prometheus/batchledger.rules.yml", "humanizeDuration", "humaniseDuration"),
        ("rules", "prometheus/batchledger.rules.yml", "> 3 * 3600", "> 4 * 3600"),
        ("rules", "prometheus/scrape.yml", "scrape_interval", "scrap_interval"),
    ],
)
def test_the_check_fails_on_a_file_that_is_broken(
    tmp_path: Path, part: str, file: str, sound: str, broken: str
) -> None:
    """Without the tool it fails as well, and says which one it wants."""
    folder = _copy(tmp_path)
    text = (folder / file).read_text()
    assert sound in text
    (folder / file).write_text(text.replace(sound, broken, 1))

    done = _check(folder, part)

    assert done.returncode == 1
    assert "deploy/check: " in done.stderr
    tool = {"units": "systemd-analyze", "rules": "promtool"}.get(part)
    assert ("is not installed" in done.stderr) == (tool is not None and shutil.which(tool) is None)


def _copy(folder: Path) -> Path:
    return Path(shutil.copytree(ROOT / "deploy", folder / "deploy"))


def _check(folder: Path, part: str) -> subprocess.CompletedProcess[str]:
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [ROOT / "deploy/check", folder, part],
        env={**os.environ, "PATH": tools},
        capture_output=True,
        text=True,
        check=False,
    )


def _copied_from_the_tree() -> list[PurePosixPath]:
    words = [shlex.split(line) for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ")]
    ours = [line[1:-1] for line in words if not line[1].startswith("--from=")]
    return [PurePosixPath(source) for line in ours for source in line]


def _is_sent(path: PurePosixPath) -> bool:
    """The last pattern that matches the path or a folder above it decides, as for the builder."""
    sent = True
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        if pattern.startswith("#"):
            continue
        glob = pattern.removeprefix("!")
        if any(fnmatch(str(part), glob) for part in (path, *path.parents)):
            sent = pattern.startswith("!")
    return sent


def _hardening(unit: Path) -> str:
    return unit.read_text().split("# What follows", 1)[1].split("\n", 1)[1].split("\n[Install]")[0].strip()


def _setting(unit: Path, name: str) -> str:
    return next(
        line.removeprefix(f"{name}=") for line in unit.read_text().splitlines() if line.startswith(f"{name}=")
    )


def _compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(COMPOSE)
    return loaded


def _with_every_setting_on(example: str) -> str:
    return re.sub(r"^#(?=[A-Z_]+=)", "", example, flags=re.MULTILINE)


def _read_by_sh(file: Path, names: set[str]) -> dict[str, str | None]:
    printed = subprocess.run(
        ["/bin/sh", "-c", 'set -a; . "$0"; exec env -0', file],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath},
    ).stdout
    seen = dict(pair.split("=", 1) for pair in printed.split("\0") if pair)
    return {name: seen[name] for name in names}
