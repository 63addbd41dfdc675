"""Writes the page of the commands from their own help: `python -m etl.usage`."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec.inspect
import typer

from etl.cli import app
from etl.commands.checks import Finding
from etl.commands.documents import RunDocument
from etl.commands.inventory import Listed
from etl.commands.queries.absent import Confirmation
from etl.commands.queries.diff import Diff
from etl.commands.queries.explain import Explanation, JobExplanation
from etl.commands.queries.history import BatchHistory, ProjectHistory
from etl.commands.queries.past import Past
from etl.commands.queries.status import Status
from etl.commands.queries.verify import Verification
from etl.dictionary import Relation
from etl.difference import Replay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.core import TyperGroup

_HEAD: Final = """\
# Commands

<!-- Written by `python -m etl.usage` from the help in etl/cli.py and etl/commands/manual.py. -->

`batchledger …`, also `python -m etl …`. Results go to standard output, talk goes to standard error. Colours,
boxes and the progress bar are for terminals; `NO_COLOR` is honoured. An error is one line, with a second one
that says what to do; `--debug` shows the traceback as well, and may stand anywhere. What can be set is in
[configuration](configuration.md), what the exit code means in [exit codes](exit-codes.md).

`W/P` is a project as `workspace/project`. `T` is an instant: ISO 8601 (UTC unless it says otherwise), `now`,
`today`, `yesterday`, or so long ago, such as `-1d12h`.
"""

_JSON: Final = """
## What `--json` prints

Keys may be added; none is renamed or taken away. `[]` is each element of a list, `*` each name of an object.
Times are ISO 8601 in UTC, durations ISO 8601 as well (`PT3600S`).
"""

_DOCUMENTS: Final[dict[str, tuple[type[msgspec.Struct], bool]]] = {
    "sync": (RunDocument, False),
    "check": (Finding, True),
    "confirm W/P": (Confirmation, False),
    "projects": (Listed, True),
    "status": (Status, False),
    "history W/P": (ProjectHistory, False),
    "history W/P/BATCH": (BatchHistory, False),
    "history … --at": (Past, False),
    "diff": (Diff, False),
    "explain": (Explanation, False),
    "explain --job": (JobExplanation, False),
    "dictionary": (Relation, True),
    "verify": (Verification, False),
    "replay": (Replay, False),
}
"""What each command prints: the document, and whether it is a list of them."""

_WIDTH: Final = 100


def commands() -> str:
    """Return the page: the help of every command, and the keys of every document."""
    return _HEAD + "".join(_help()) + _JSON + "".join(map(_document, _DOCUMENTS))


def _help() -> Iterator[str]:
    root = cast("TyperGroup", typer.main.get_command(app))
    above = typer.Context(root, info_name="batchledger", **_settings(root))
    yield _fenced("batchledger", above.get_help())
    for name, command in root.commands.items():
        context = typer.Context(command, info_name=name, parent=above, **_settings(command))
        yield _fenced(name, context.get_help())


def _settings(command: Any) -> dict[str, Any]:  # noqa: ANN401 - Typer has no public type of a command.
    return {**command.context_settings, "terminal_width": _WIDTH}


def _fenced(title: str, text: str) -> str:
    return f"\n## `{title}`\n\n```text\n{text.rstrip()}\n```\n"


def _document(command: str) -> str:
    kind, is_list = _DOCUMENTS[command]
    rows = "".join(f"| `{key}` | {told} |\n" for key, told in _keys(kind, "[]." if is_list else ""))
    return f"\n### `{command}`\n\n{_about(kind)}\n\n| key | value |\n|---|---|\n{rows}"


def _about(kind: type) -> str:
    """Return the description of a document in one line, in the words of JSON."""
    told, _, _ = (inspect.getdoc(kind) or "").partition("\n\nArgs:")
    return " ".join(told.split()).replace("None", "null")


def _keys(kind: object, prefix: str) -> Iterator[tuple[str, str]]:
    told = msgspec.inspect.type_info(kind)
    if not isinstance(told, msgspec.inspect.StructType):
        raise TypeError(f"{kind} is not a document")
    for field in told.fields:
        yield from _key(prefix + field.encode_name, field.type)


def _key(path: str, kind: msgspec.inspect.Type) -> Iterator[tuple[str, str]]:
    match kind:
        case msgspec.inspect.UnionType(types=types):
            (sole,) = (one for one in types if not isinstance(one, msgspec.inspect.NoneType))
            (_, told), *inner = _key(path, sole)
            name, dot, about = told.partition(".")
            yield path, f"{name} or null{dot}{about}"
            yield from inner
        case msgspec.inspect.StructType(cls=cls):
            yield path, f"object. {_about(cls)}"
            yield from _keys(cls, f"{path}.")
        case msgspec.inspect.VarTupleType(item_type=item):
            (_, told), *inner = _key(f"{path}[]", item)
            yield path, told.replace("object", "list", 1) if inner else f"list of {told}"
            yield from inner
        case msgspec.inspect.DictType(value_type=value):
            (_, told), *inner = _key(f"{path}.*", value)
            name, dot, about = told.partition(".")
            yield path, f"object: {name} by name{dot}{about}"
            yield from inner
        case _:
            yield path, _plain(kind)


def _plain(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.EnumType(cls=cls):
            return ", ".join(f"`{member.value}`" for member in cls)
        case msgspec.inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
    return _NAMES[type(kind)]


_NAMES: Final[dict[type[msgspec.inspect.Type], str]] = {
    msgspec.inspect.StrType: "text",
    msgspec.inspect.IntType: "number",
    msgspec.inspect.FloatType: "number",
    msgspec.inspect.BoolType: "true or false",
    msgspec.inspect.DateTimeType: "time",
    msgspec.inspect.DateType: "date",
    msgspec.inspect.TimeDeltaType: "duration",
}


if __name__ == "__main__":
    sys.stdout.write(commands())
