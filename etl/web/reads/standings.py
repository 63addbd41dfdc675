"""How chosen projects stand, as pages have room for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.commands.queries.status import ProjectStatus, projects
from etl.web.reads.bounds import LONGEST

if TYPE_CHECKING:
    from sqlalchemy import Connection


def standings(connection: Connection, chosen: str, **values: Any) -> tuple[ProjectStatus, ...]:  # noqa: ANN401 - as SQL takes them.
    """Read the projects that a query of ours chooses, by name."""
    return projects(connection, chosen=chosen, longest=LONGEST, **values)
