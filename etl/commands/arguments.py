"""How commands read what users write: projects, batches, formats; and what the shell offers for them."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Final

from etl.commands.plain import operand
from etl.errors import BatchledgerError, SettingsError
from etl.parse.text import is_id
from etl.records import Slug

_SLUG_REMEDY: Final = "write it as workspace/project, such as acme/cars"
_PARTS: Final = 2


class Format(StrEnum):
    """What an exported file can be."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"


def format_of(named: Format | None, output: str) -> Format:
    """Return the format that is named; else that of the file's name; else CSV."""
    suffix = Path(output).suffix.removeprefix(".").lower()
    return named or Format(suffix if suffix in set(Format) else "csv")


def slug_of(text: str) -> Slug:
    """
    Read `workspace/project`.

    Raises:
        SettingsError: It is something else.
    """
    parts = text.split("/")
    if len(parts) != _PARTS or not all(map(is_id, parts)):
        raise SettingsError(f"{text!r} does not name a project", remedy=_SLUG_REMEDY)
    return Slug(*parts)


def place_of(text: str) -> tuple[Slug, str | None]:
    """
    Read `workspace/project` or `workspace/project/batch`.

    Raises:
        SettingsError: It is something else.
    """
    parts = text.split("/")
    if len(parts) == _PARTS + 1 and parts[-1]:
        return slug_of("/".join(parts[:-1])), parts[-1]
    return slug_of(text), None


def batch_of(text: str) -> tuple[Slug, str]:
    """
    Read `workspace/project/batch`.

    Raises:
        SettingsError: It is something else.
    """
    slug, batch_id = place_of(text)
    if batch_id is None:
        lists = f"`batchledger history {operand(str(slug), '--at now')}` lists the ids"
        raise SettingsError(f"{text!r} does not name a batch", remedy=f"write it as {slug}/BATCH; {lists}")
    return slug, batch_id


def complete_project(incomplete: str) -> list[str]:
    """
    Return the projects of the ledger that begin so, for the shell.

    Only a database that runs already is asked, and not for long: to start one at the press of a key would be
    too much. Whatever goes wrong means that there is nothing to offer.
    """
    from etl.commands.queries import reading, slugs  # noqa: PLC0415 - the same.
    from etl.config import load  # noqa: PLC0415 - only a completion pays for it.

    try:
        url = load(os.environ, Path.cwd()).database.url
        if url is None:
            return []
        with reading(url.get_secret_value()) as connection:
            return [slug for slug in slugs(connection) if slug.startswith(incomplete)]
    except BatchledgerError:
        return []
