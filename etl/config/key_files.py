"""Keys that are kept in files: in one of their own, or in that of `roboflow login`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_KEY_FILE_BYTES = 64 * 1024


def key_in_file(path: Path) -> tuple[str, str]:
    """Return the key and no fault, or no key and the fault."""
    try:
        with path.open("rb") as file:
            body = file.read(_MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        return "", f"the key file {path} cannot be read ({error.strerror})"
    if len(body) > _MAX_KEY_FILE_BYTES:
        return "", f"the key file {path} is too long to hold a key"
    key = body.decode("utf-8-sig", errors="replace").strip()
    return key, "" if key else f"the key file {path} is empty"


def key_fault(secret: str) -> str:
    """Say what is wrong with a key; nothing where it could be one."""
    if not secret:
        return "is empty; it must be a key"
    if not re.fullmatch(r"[\x21-\x7e]+", secret):
        return (
            "has a white space, control or non-ASCII character inside, which no key has; copy the key again"
        )
    return ""


def login_key(environ: Mapping[str, str]) -> str | None:
    """
    Return the key that `roboflow login` saved.

    The file belongs to another program, so whatever is wrong with it only means that there is no such key.
    """
    try:
        login = json.loads(login_file(environ).read_bytes())
        workspaces = login["workspaces"]
        default = login.get("RF_WORKSPACE")
        chosen = [entry for slug, entry in workspaces.items() if default in (slug, entry.get("url"))]
        entries = chosen if default else list(workspaces.values())
        key = entries[0]["apiKey"].strip()
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None
    return key if not key_fault(key) else None


def login_file(environ: Mapping[str, str]) -> Path:
    """Return where `roboflow login` saves; its variable names the file, although it is called a folder."""
    home = Path(environ.get("HOME", "/"))
    path = Path(environ.get("ROBOFLOW_CONFIG_DIR", home / ".config" / "roboflow" / "config.json"))
    return path / "config.json" if path.is_dir() else path
