"""One cluster of the embedded Postgres: where it lives, which programs it is, whom it runs as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from etl.embedded.account import Account, account_of, execute
from etl.embedded.home import make_home
from etl.embedded.programs import programs_of
from etl.embedded.sockets import PORT, socket_folder

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

DATABASE: Final = "batchledger"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where one server lives, which programs it is, and whom it runs as (None: as we do)."""

    home: Path
    programs: Path
    version: int
    account: Account | None

    @property
    def folder(self) -> Path:
        """The cluster's own folder."""
        return self.home / "postgres"

    @property
    def data(self) -> Path:
        """What Postgres calls the data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    @property
    def socket_folder(self) -> Path:
        """Where its socket is."""
        return socket_folder(self.folder)

    @property
    def uri(self) -> str:
        """A libpq URI with all rights."""
        host = quote(str(self.socket_folder), safe="")
        return f"postgresql://postgres@/{DATABASE}?host={host}&port={PORT}"


def cluster_of(home: Path, version: int) -> Cluster:
    """Say which cluster a home has, or would have in this version; the home is made."""
    account = account_of(home / "postgres")
    make_home(home, account)
    version = _version(home / "postgres" / "data", version)
    return Cluster(home, programs_of(version, home, account), version, account)


def _version(data: Path, wanted: int) -> int:
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return wanted


def postgres(
    cluster: Cluster, program: str, *arguments: str, words: str | None = None, keep_open: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of its programs, in its folder."""
    command = [str(cluster.programs / "bin" / program), *arguments]
    return execute(command, account=cluster.account, cwd=cluster.folder, words=words, keep_open=keep_open)
