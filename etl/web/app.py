"""The pages behind each address. Every one only reads, and none shows why the ledger cannot be read."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client.exposition import choose_encoder
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from etl import __version__
from etl.commands.show.status import troubles
from etl.errors import BatchledgerError, UnknownProjectError
from etl.records import Slug
from etl.web import charts
from etl.web.guards import Limits, OwnNames
from etl.web.probes import readiness
from etl.web.reader import told
from etl.web.reads import TREND_DAYS, batch_page, overview, project_page
from etl.web.words import FILTERS, to_batch, to_project

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from starlette.requests import Request

    from etl.web.site import Site

_log: Final = structlog.get_logger(__name__)

DAYS: Final = (30, 90, 365)
"""How far back a project's charts may go."""

_MOST_PAGES: Final = 10_000
_MOST_FOUND: Final = 200
"""Pages of a table, and characters that are looked for; more is nobody's wish."""

_TROUBLE: Final = {
    404: "There is no such page. The ledger may not know that project or batch.",
    405: "This page can only be read.",
    503: "The ledger cannot be read right now. Why not is in the log of this process.",
    500: "A fault of batchledger's own. More is in the log of this process.",
}


def application(site: Site, names: Collection[str]) -> Starlette:
    """
    Make the application.

    Args:
        site: What the pages are made from.
        names: The names by which it may be asked for.
    """
    pages = _Pages(site)
    return Starlette(
        routes=[
            Route("/", pages.guarded(pages.index)),
            Route("/projects/{workspace}/{project}", pages.guarded(pages.project)),
            Route("/projects/{workspace}/{project}/batches/{batch_id:path}", pages.guarded(pages.batch)),
            Route("/healthz", _alive),
            Route("/readyz", pages.ready),
            Route("/metrics", pages.metrics),
            Mount("/static", StaticFiles(packages=[("etl.web", "static")])),
        ],
        middleware=[Middleware(Limits), Middleware(OwnNames, names=names)],
        exception_handlers={HTTPException: pages.refused},
    )


async def _alive(_request: Request) -> Response:
    """Say that the process lives. Asynchronous, so that it waits behind no page for a thread."""
    return PlainTextResponse("ok\n")


class _Pages:
    """What each address answers. Starlette calls these in threads, since they wait for the database."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._templates = Environment(
            loader=PackageLoader("etl.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(
            version=__version__,
            to_project=to_project,
            to_batch=to_batch,
            troubles_of=troubles,
        )

    def guarded(self, page: Callable[[Request], Response]) -> Callable[[Request], Response]:
        """Make a page that says what it cannot do, and no more than that."""

        def answered(request: Request) -> Response:
            try:
                return page(request)
            except UnknownProjectError:
                return self._trouble(404)
            except (BatchledgerError, SQLAlchemyError) as error:
                _log.warning("a page could not be made: the ledger cannot be read", error=told(error))
                return self._trouble(503)
            except Exception:  # noqa: BLE001 - uvicorn would print it past our log.
                _log.exception("a page could not be made by a fault of ours")
                return self._trouble(500)

        return answered

    def index(self, request: Request) -> Response:
        """All projects at a glance."""
        find, page = _text(request, "find")[:_MOST_FOUND], _page(request)
        with self._site.reader() as connection:
            found = overview(connection, find=find, page=page)
        trends = charts.trends(found.days)
        return self._page(
            "index.html", found=found, find=find, page=page, trends=trends, trend_days=TREND_DAYS
        )

    def project(self, request: Request) -> Response:
        """One project."""
        slug, page, days = _slug(request), _page(request), _days(request)
        with self._site.reader() as connection:
            found = project_page(connection, slug, days=days, page=page)
        return self._page(
            "project.html",
            found=found,
            page=page,
            days=days,
            choices=DAYS,
            backlog=charts.backlog(found.days),
            flow=charts.flow(found.days),
        )

    def batch(self, request: Request) -> Response:
        """One batch."""
        slug = _slug(request)
        with self._site.reader() as connection:
            found = batch_page(connection, slug, _known_text(request.path_params["batch_id"]))
        return self._page("batch.html", slug=slug, found=found, life=charts.life(found))

    def ready(self, _request: Request) -> Response:
        """Whether the work can be done."""
        found = readiness(self._site)
        status = http.HTTPStatus.OK if found.is_ready else http.HTTPStatus.SERVICE_UNAVAILABLE
        return Response(msgspec.json.encode(found), status_code=status, media_type="application/json")

    def metrics(self, request: Request) -> Response:
        """What Prometheus asks for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._site.registry), headers={"Content-Type": content_type})

    def refused(self, _request: Request, error: Exception) -> Response:
        """Answer what is not to be had."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        return self._trouble(status, getattr(error, "headers", None))

    def _trouble(self, status: int, headers: dict[str, str] | None = None) -> Response:
        words = http.HTTPStatus(status).phrase
        body = self._rendered("trouble.html", title=words, told=_TROUBLE.get(status, ""))
        return HTMLResponse(body, status_code=status, headers=headers)

    def _page(self, template: str, **values: Any) -> Response:  # noqa: ANN401 - as the template takes them.
        return HTMLResponse(self._rendered(template, **values))

    def _rendered(self, template: str, **values: Any) -> str:  # noqa: ANN401 - the same.
        return self._templates.get_template(template).render(now=self._site.clock(), **values)


def _slug(request: Request) -> Slug:
    parts = request.path_params
    return Slug(_known_text(parts["workspace"]), _known_text(parts["project"]))


def _known_text(text: str) -> str:
    """Take what may be in the ledger; Postgres keeps no NUL."""
    if "\0" in text:
        raise UnknownProjectError("no name has such a character")
    return text


def _text(request: Request, name: str) -> str:
    return request.query_params.get(name, "").replace("\0", "").strip()


def _page(request: Request) -> int:
    return min(max(_number(request, "page", 1), 1), _MOST_PAGES)


def _days(request: Request) -> int:
    wanted = _number(request, "days", DAYS[1])
    return min(DAYS, key=lambda days: abs(days - wanted))


def _number(request: Request, name: str, otherwise: int) -> int:
    given = request.query_params.get(name, "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < len("1000000") else otherwise
