"""How long a connection is believed to be there."""

from __future__ import annotations

import pytest

from etl.database import connect, engine

ALIVE = ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", ["30", "10", "3", "60000"]), ("keepalives_idle=7&tcp_user_timeout=8", ["7", "10", "3", "8"])],
)
def test_a_host_that_vanished_is_given_up_after_a_minute_or_as_the_address_says(
    database: str, query: str, expected: list[str]
) -> None:
    uri = f"{database}{'&' if '?' in database else '?'}{query}" if query else database
    with connect(uri) as connection:
        once = connection.connection.driver_connection
        assert once is not None
        assert [once.info.get_parameters()[name] for name in ALIVE] == expected
    connections = engine(uri)
    with connections.connect() as pooled:
        lent = pooled.connection.driver_connection
        assert lent is not None
        assert [lent.info.get_parameters()[name] for name in ALIVE] == expected
    connections.dispose()
