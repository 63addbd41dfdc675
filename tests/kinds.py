"""How a document departs from the types that Grafana publishes, which its foundation SDK has for Python."""

from __future__ import annotations

import inspect
import json
import re
import sys
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import UnknownDataquery
from grafana_foundation_sdk.cog.variants import Dataquery

if TYPE_CHECKING:
    from collections.abc import Iterator

register_default_plugins()


def misfits(value: Any, kind: Any) -> list[str]:
    """
    List every place where a value is not of a kind: a wrong type, or a name that Grafana does not know.

    The SDK checks neither; but it drops what it does not know, and has a type for everything else.
    """
    return list(_misfits(value, kind, "", None))


def _misfits(value: Any, kind: Any, place: str, read: Any) -> Iterator[str]:
    """Compare a value with its kind, and with what the SDK made of it as a part of something larger."""
    if get_origin(kind) in (Union, UnionType):
        kinds = [one for one in get_args(kind) if value is None or one is not NoneType]
        yield from min((list(_misfits(value, one, place, read)) for one in kinds), key=len)
    elif hasattr(kind, "from_json"):
        yield from _misfits_of_fields(value, kind, place, read)
    elif get_origin(kind) is list:
        yield from _misfits_of_items(value, get_args(kind)[0], place, read)
    elif not _is_plain(value, kind):
        yield f"{place}: {value!r} is not {kind}"


def _misfits_of_items(value: Any, kind: Any, place: str, read: Any) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{place}: {value!r} is no list"
        return
    parts = read if isinstance(read, list) else [None] * len(value)
    for nth, (item, part) in enumerate(zip(value, parts, strict=True)):
        yield from _misfits(item, kind, f"{place}[{nth}]", part)


def _misfits_of_fields(value: Any, kind: Any, place: str, read: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: {value!r} is no object"
        return
    made = read if isinstance(read, kind) else kind.from_json(value)
    known = json.loads(JSONEncoder().encode(made))
    hints = get_type_hints(kind, vars(sys.modules[kind.__module__]))
    for name, item in value.items():
        if name not in known:
            yield f"{place}.{name}: not known to {kind.__name__}"
        else:
            attribute = _attribute(name, hints)
            part = getattr(made, attribute)
            yield from _misfits(item, _kind_of(hints[attribute], part), f"{place}.{name}", part)


def _attribute(name: str, hints: dict[str, Any]) -> str:
    """Say what the SDK calls a field in Python."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return snake if snake in hints else f"{snake}_val"


def _kind_of(hint: Any, read: Any) -> Any:
    """Return the kind of a field; what depends on the plugin is known from what the SDK made of it."""
    is_open = bool({object, Dataquery} & {hint, *get_args(hint)})
    is_known = hasattr(read, "from_json") and not isinstance(read, UnknownDataquery)
    return type(read) if is_open and is_known else hint


def _is_plain(value: Any, kind: Any) -> bool:
    if kind in (Any, object):
        return True
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is Dataquery or get_origin(kind) is dict:
        # The SDK has no type for questions to Postgres.
        return isinstance(value, dict)
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return value in {one.value for one in kind}
    return isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) <= (
        kind is bool
    )
