"""What every view and column means, as the database itself says it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from etl.commands.analyst import views
from etl.commands.queries import unknown
from etl.commands.show.dictionary import listing, relation
from etl.dictionary import dictionary, markdown, relations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from etl.commands.session import Session
    from etl.dictionary import Relation


def show(session: Session, view: str, *, is_markdown: bool, is_json: bool) -> int:
    """
    Show what is in schema `analytics`, or one view or function of it.

    Args:
        session: The invocation.
        view: Which one; empty: all.
        is_markdown: Print it as a page; that of all tells of the private tables, too.
        is_json: Print it as JSON.

    Raises:
        UnknownViewError: There is no such view or function.
        DatabaseUnavailableError: The database cannot be reached.
    """
    with views(session) as connection:
        found = _named(relations(connection), view.removeprefix("analytics."))
        page = _page(connection, found, is_all=not view) if is_markdown else ""
    if is_json:
        session.emit(found)
    elif is_markdown:
        sys.stdout.write(page)
    elif view:
        for one in found:
            relation(session.out, one)
    else:
        listing(session.out, found)
    return 0


def _named(known: Sequence[Relation], view: str) -> tuple[Relation, ...]:
    found = tuple(one for one in known if view in ("", one.name))
    if not found:
        raise unknown("schema analytics has no view", view, {one.name for one in known})
    return found


def _page(connection: Connection, found: Sequence[Relation], *, is_all: bool) -> str:
    return dictionary(connection) if is_all else "".join(map(markdown, found)).lstrip()
