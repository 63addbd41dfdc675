"""What the status page asks: recorded while its own functions read, so that it cannot be told otherwise."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from psycopg import ClientCursor
from psycopg.errors import QueryCanceled
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from benchmarks.questions import Question
from etl.commands.queries import reading
from etl.records import Slug
from etl.web.reads import batch_page, overview, project_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from benchmarks.questions import Place

STATUS_PAGE: Final = "status page"

_DAYS: Final = 90
"""What the page of a project opens with."""


def asked_by_pages(uri: str, place: Place, *, limit_s: int) -> Iterator[Question]:
    """
    Give what is asked by the pages of one place: the overview is of everything, none is of a workspace.

    Args:
        uri: A filled ledger, which is read.
        place: What is asked about.
        limit_s: A query that takes longer is the last that is told of its page: what follows is not known.
    """
    for page, read in _pages(place).items():
        asked = _recorded(uri, read, limit_s)
        for number, sql in enumerate(asked, 1):
            yield Question(STATUS_PAGE, f"{page} {number}: {', '.join(_views(sql))}", sql)


def page_of(question: Question) -> str:
    """Name the page that asks."""
    return question.title.split(maxsplit=1)[0]


def _pages(place: Place) -> dict[str, Callable[[Connection], object]]:
    if not place.workspace:
        return {"overview": partial(overview, find="", page=1)}
    if not place.project:
        return {}
    slug = Slug(place.workspace, place.project)
    pages: dict[str, Callable[[Connection], object]] = {
        "project": partial(project_page, slug=slug, days=_DAYS, page=1)
    }
    if place.batch_id:
        pages["batch"] = partial(batch_page, slug=slug, batch_id=place.batch_id)
    return pages


def _recorded(uri: str, read: Callable[[Connection], object], limit_s: int) -> list[str]:
    asked: list[str] = []
    with reading(uri) as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = '{limit_s} s'"))
        event.listen(connection, "before_cursor_execute", partial(_note, asked))
        try:
            read(connection)
        except DBAPIError as error:
            if not isinstance(error.orig, QueryCanceled):
                raise
    return asked


def _note(
    asked: list[str],
    connection: Connection,
    _cursor: object,
    statement: str,
    parameters: Any,  # noqa: ANN401 - as SQL takes them.
    _context: object,
    _executemany: object,
) -> None:
    driver: Any = connection.connection.driver_connection
    asked.append(ClientCursor(driver).mogrify(statement, parameters))


def _views(sql: str) -> list[str]:
    """Name the views, each once, the first first."""
    return list(dict.fromkeys(re.findall(r"analytics\.(\w+)", sql)))
