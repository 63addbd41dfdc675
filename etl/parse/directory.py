"""The answers of the root and of a workspace → which projects a key can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import PayloadError
from etl.parse.body import UnusableError, fields_of, list_of, object_of, opened, raw_text
from etl.parse.text import is_id, is_storable
from etl.records import Listing, Project, Reject, Slug

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import msgspec


def parse_root(body: bytes) -> str:
    """
    Turn the answer of the root into the slug of the workspace that the key belongs to.

    Raises:
        PayloadError: The body does not name a workspace.

    Source: Roboflow documentation, "Authentication".
    """
    workspace = opened(object_of(opened(body)).get("workspace"))
    if not isinstance(workspace, str) or not is_id(workspace):
        raise PayloadError("the source's root does not name the key's workspace")
    return workspace


def parse_workspace(body: bytes, workspace: str) -> Listing:
    """
    Turn the answer of a workspace into the projects that the key can see.

    Args:
        body: JSON as received: `{"workspace": {"projects": […]}}`.
        workspace: The slug that was asked for.

    Raises:
        PayloadError: The body is not the documented shape.

    Source: Roboflow documentation, "Get a Workspace".
    """
    inner = opened(object_of(opened(body)).get("workspace"))
    if not isinstance(inner, dict):
        raise PayloadError("the answer has no object `workspace`")
    rows = list_of(inner, "projects")
    read = [_project(position, row, workspace) for position, row in enumerate(rows)]
    parsed = tuple(_without_repeats(rows, read))
    return Listing(
        workspace,
        projects=tuple(project for project in parsed if isinstance(project, Project)),
        rejects=tuple(reject for reject in parsed if isinstance(reject, Reject)),
    )


def _project(position: int, row: msgspec.Raw, workspace: str) -> Project | Reject:
    try:
        fields = fields_of(row)
    except UnusableError as error:
        return Reject(position, str(error), raw_text(row))
    address = fields.get("id")
    slug = address.rpartition("/")[2] if isinstance(address, str) else ""
    if not is_id(slug):
        return Reject(position, "id is not `workspace/project`", raw_text(row))
    return Project(Slug(workspace, slug), _label(fields.get("name")), _label(fields.get("type")))


def _without_repeats(
    rows: Sequence[msgspec.Raw], parsed: Sequence[Project | Reject]
) -> Iterator[Project | Reject]:
    """Keep the first of the rows with one address."""
    first: dict[Slug, int] = {}
    for position, project in enumerate(parsed):
        if isinstance(project, Reject) or first.setdefault(project.slug, position) == position:
            yield project
        else:
            reason = f"id repeats the project at position {first[project.slug]}"
            yield Reject(position, reason, raw_text(rows[position]))


def _label(value: object) -> str | None:
    return value if isinstance(value, str) and is_storable(value) else None
