"""What is kept of the fields that we do not know."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from etl.parse.body import UnusableError
from etl.parse.text import is_storable

if TYPE_CHECKING:
    from collections.abc import Iterable


_MAX_DEPTH: Final = 100
"""Deepest nesting that is stored as JSON; a database may refuse what is some thousand levels deep."""

_MAX_WHOLE_DIGITS: Final = 131_072
_MAX_FRACTION_DIGITS: Final = 16_383
"""The digits before and after the point that `numeric`, and so `jsonb`, can hold."""

_EXTRA: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def extra(fields: dict[str, Any]) -> str | None:
    """
    Keep what we do not know as JSON text with sorted keys.

    What `jsonb` cannot hold is kept as one text, `{"unstorable": "…"}`.
    """
    if not fields:
        return None
    if not _is_deeper(fields, _MAX_DEPTH) and _fits_jsonb(fields):
        return _EXTRA.encode(fields).decode()
    try:
        return json.dumps({"unstorable": json.dumps(fields, sort_keys=True, default=str)})
    except RecursionError as error:
        raise UnusableError("a field that we do not know is nested too deeply") from error


def _is_deeper(value: object, levels: int) -> bool:
    members: Iterable[object] = ()
    if isinstance(value, dict):
        members = value.values()
    elif isinstance(value, list):
        members = value
    return levels < 0 or any(_is_deeper(member, levels - 1) for member in members)


def _fits_jsonb(value: object) -> bool:
    if isinstance(value, str):
        return is_storable(value)
    if isinstance(value, Decimal):
        return _fits_numeric(value)
    if isinstance(value, dict):
        return all(is_storable(key) and _fits_jsonb(member) for key, member in value.items())
    return not isinstance(value, list) or all(_fits_jsonb(member) for member in value)


def _fits_numeric(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return (
        isinstance(exponent, int)
        and exponent >= -_MAX_FRACTION_DIGITS
        and value.adjusted() < _MAX_WHOLE_DIGITS
    )
