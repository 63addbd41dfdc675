"""What every history has to stand: its archive gives the same ledger again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from etl.replay import replaying
from etl.settings import DatabaseSettings

if TYPE_CHECKING:
    import psycopg

    from etl.difference import ProjectReplay


def assert_replays(owner: psycopg.Connection) -> list[ProjectReplay]:
    """Every project comes out of the archive as it is, as far back as its bodies go."""
    with replaying(_uri(owner), DatabaseSettings()) as replayer:
        found = [replayer.replay(slug, number) for slug, number in replayer.projects().items()]
    assert [(one.cause, one.differing) for one in found] == [(None, {})] * len(found)
    return found


def _uri(connection: psycopg.Connection) -> str:
    return "postgresql:///?" + urlencode(connection.info.get_parameters())
