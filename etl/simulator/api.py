"""From a request to the right answer: the documented endpoints over a world. No socket, no fault."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING
from urllib.parse import unquote

from etl.simulator import bodies
from etl.simulator.answer import Answer, etag_of
from etl.simulator.seeding import firestore_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from etl.simulator.answer import Request
    from etl.simulator.project import Project
    from etl.simulator.world import World

_BEARER = "bearer "


class Api:
    """
    Answers requests as Roboflow does.

    Lists are rendered once and kept until their project changes, so that serving them is cheap. Not safe
    across threads: the server calls it with its lock held.

    Args:
        world: What there is.
        keys: The key of each workspace.
        has_etags: Whether answers carry an ETag.
    """

    def __init__(self, world: World, keys: Mapping[str, str], *, has_etags: bool) -> None:
        self._world = world
        self._workspaces = {key: workspace for workspace, key in keys.items()}
        self._has_etags = has_etags
        self._kept: dict[tuple[str, ...], tuple[int, Answer]] = {}

    def answer(self, request: Request) -> Answer:
        """The right answer to a request."""
        key = _key_of(request)
        if not key:
            return _unauthorized("This method requires an API key.")
        workspace = self._workspaces.get(key)
        if workspace is None:
            return _unauthorized("This API key does not exist (or has been revoked).")
        return self._route(request, workspace)

    def warm(self) -> None:
        """Render every list of batches now, so that no client waits for it."""
        for project in self._world.projects.values():
            self._batches(project)

    def _route(self, request: Request, workspace: str) -> Answer:
        segments = tuple(unquote(part) for part in request.path.split("/") if part)
        if request.method != "GET":
            return _not_found(f"{request.method} {request.path}")
        if not segments:
            return self._ok(bodies.root(workspace))
        if segments[0] != workspace:
            return _not_found(f"Workspace {segments[0]}")
        if len(segments) == 1:
            return self._workspace(workspace)
        return self._in_project(self._world.projects.get("/".join(segments[:2])), segments)

    def _in_project(self, project: Project | None, segments: tuple[str, ...]) -> Answer:
        if project is None:
            return _not_found(f"Project {segments[1]}")
        match segments[2:]:
            case ("batches",):
                return self._batches(project)
            case ("batches", batch_id) if batch_id in project.batches:
                return self._ok(bodies.batch(project.batches[batch_id]))
            case ("jobs",):
                return self._keep((project.path, "jobs"), project.version, lambda: bodies.jobs(project))
            case ("jobs", job_id) if job_id in project.jobs:
                return self._ok(bodies.job(project, project.jobs[job_id]))
        return _not_found("/".join(segments[2:]) or "The requested resource")

    def _workspace(self, workspace: str) -> Answer:
        projects = self._world.of_workspace(workspace)
        version = hash(tuple((project.slug, project.version) for project in projects))
        return self._keep((workspace,), version, lambda: bodies.workspace(workspace, projects))

    def _batches(self, project: Project) -> Answer:
        return self._keep((project.path, "batches"), project.version, lambda: bodies.batches(project))

    def _keep(self, name: tuple[str, ...], version: int, render: Callable[[], bytes]) -> Answer:
        kept_version, answer = self._kept.get(name, (None, None))
        if answer is None or kept_version != version:
            answer = self._ok(render())
            self._kept[name] = (version, answer)
        return answer

    def _ok(self, body: bytes) -> Answer:
        return Answer(200, body, etag=etag_of(body) if self._has_etags else "")


def default_key(workspace: str) -> str:
    """The key of a workspace for which none is set: the same at every start."""
    return firestore_ids(Random(f"key of {workspace}"), 1)[0]  # noqa: S311 - it opens only the simulator.


def _key_of(request: Request) -> str:
    credentials = request.headers.get("authorization", "")
    if credentials.lower().startswith(_BEARER):
        return credentials[len(_BEARER) :].strip()
    return request.query.get("api_key", "")


def _unauthorized(message: str) -> Answer:
    hint = "You can find your API key at https://app.roboflow.com/settings/api."
    return Answer(401, bodies.error(401, message, "OAuthException", hint))


def _not_found(what: str) -> Answer:
    hint = "You can see what your key can access by issuing a GET request to /."
    message = f"{what} does not exist, or your API key cannot see it."
    return Answer(404, bodies.error(404, message, "NotFoundException", hint))
