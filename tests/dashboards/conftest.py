"""A season in a ledger, and a Superset that shows it: made once for all tests of the dashboards."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from etl.embedded import server
from tests.dashboards import season
from tests.dashboards.hosts import Superset, set_up

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def reader_uri() -> Iterator[str]:
    """Give the address of a ledger with a season in it, for who may read the views and no more."""
    home = Path(tempfile.mkdtemp(prefix="batchledger-season-"))
    home.chmod(0o711)
    with server(home / "ledger") as uri:
        season.live(home / "ledger", datetime.now(UTC))
        yield uri.replace("//postgres@", f"//{season.READER}@")
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def superset(tmp_path_factory: pytest.TempPathFactory, reader_uri: str) -> Superset:
    """Give a Superset that the bundle was imported into."""
    programs = os.environ.get("SUPERSET")
    assert programs, "SUPERSET must name the folder of Superset's programs; `make dashboards` does"
    superset = set_up(Path(programs), tmp_path_factory.mktemp("superset"))
    superset.import_bundle(reader_uri.replace("postgresql://", "postgresql+psycopg2://"))
    return superset


@pytest.fixture(scope="session")
def superset_url(superset: Superset) -> Iterator[str]:
    """Give the address at which it is served."""
    with superset.served() as url:
        yield url
