"""The files of deploy/ agree with each other and with the tree they are used in."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from dotenv import dotenv_values
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/container/Dockerfile"
COMPOSE = ROOT / "deploy/container/compose.yaml"
ENVIRONMENT = ROOT / "deploy/batchledger.env.example"
DAEMON = ROOT / "deploy/systemd/batchledger.service"
ONE_RUN = ROOT / "deploy/systemd/batchledger-sync.service"
PROMISED_STOP_S = 30


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
