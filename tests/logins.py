"""Who a test is to the database: the owner who migrates, the writer, the reader, the superuser."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from etl.roles import Roles

if TYPE_CHECKING:
    from collections.abc import Mapping

OWNER: Final = "owner"
WRITER: Final = "loader"
READER: Final = "analyst"
LOGINS: Final[Mapping[str, str]] = MappingProxyType({Roles().writer: WRITER, Roles().reader: READER})
"""Who logs in for each role that is granted something."""


def as_owner(uri: str) -> str:
    """Turn an address into that of the role which may change the schema, and break it by hand."""
    return _as(uri, OWNER)


def as_writer(uri: str) -> str:
    """Turn an address into that of the role as which runs write."""
    return _as(uri, WRITER)


def as_reader(uri: str) -> str:
    """Turn an address into that of the role as which analysts read."""
    return _as(uri, READER)


def as_superuser(uri: str) -> str:
    """Turn an address into that of the role which may do everything on the server."""
    return _as(uri, "postgres")


def _as(uri: str, role: str) -> str:
    return re.sub(r"^postgresql://[^@/]*@", f"postgresql://{role}@", uri)
