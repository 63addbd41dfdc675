"""Imports the dashboards into the Superset that this Python belongs to: `python import_bundle.py`."""  # noqa: INP001

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

BUNDLE: Final = Path(__file__).with_name("bundle")
VARIABLE: Final = "SUPERSET_BATCHLEDGER_URI"
_DATABASE: Final = Path("databases/batchledger.yaml")
_PROGRAM: Final = Path(sys.executable).with_name("superset")


def main() -> None:
    """Import a copy of the bundle that names the database of the environment."""
    uri = os.environ.get(VARIABLE, "")
    if not re.match(r"postgresql(\+\w+)?://", uri):
        raise SystemExit(
            f"set {VARIABLE}, such as postgresql+psycopg2://dashboard:...@db.example/batchledger"
        )
    with tempfile.TemporaryDirectory(prefix="batchledger-superset-") as folder:
        # The address may hold a password: it is in a folder of one's own for as long as the import lasts.
        copy = Path(folder, "bundle")
        shutil.copytree(BUNDLE, copy)
        name_database(copy / _DATABASE, uri)
        import_directory(copy)


def name_database(file: Path, uri: str) -> None:
    """Write an address into the description of the database."""
    quoted = uri.replace("'", "''")
    text, count = re.subn(
        r"^sqlalchemy_uri: .*$",
        lambda _: f"sqlalchemy_uri: '{quoted}'",
        file.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    if count != 1:
        raise SystemExit(f"{file.name} has {count} lines with an address")
    file.write_text(text, encoding="utf-8")


def import_directory(folder: Path) -> None:
    """Run Superset's own command, which overwrites what is there, and fail if it says that it did."""
    command = [str(_PROGRAM), "import-directory", "-o", str(folder)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603 - Superset's own.
    # What it refuses it only logs: its exit code is 0 all the same.
    if done.returncode or "An error occurred" in done.stderr:
        sys.stderr.write(done.stderr)
        raise SystemExit("Superset did not import the bundle")


if __name__ == "__main__":
    main()
