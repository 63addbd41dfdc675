"""What Grafana makes of the files of deploy/grafana before it asks: questions, variables, macros."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOME: Final = Path(__file__).parents[1] / "deploy/grafana"
DASHBOARDS: Final = tuple(sorted((HOME / "dashboards").glob("*.json")))
ALERTS: Final = HOME / "provisioning/alerting/batchledger.yaml"
ALL: Final = "$__all"


@dataclass(frozen=True)
class Question:
    """SQL as it stands in a file, and where."""

    place: str
    sql: str
    format: str = "table"

    def __str__(self) -> str:
        return self.place


@dataclass(frozen=True)
class Sight:
    """What somebody who looks at a dashboard has chosen."""

    values: Mapping[str, str]
    from_at: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=90))
    to_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    interval_s: int = 3600


# Files


def dashboard(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def provisioned(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(path)
    return found


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel, those in closed rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def variables(board: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def rules() -> list[dict[str, Any]]:
    return [rule for group in provisioned(ALERTS)["groups"] for rule in group["rules"]]


def questions_of_panels() -> list[Question]:
    return [
        Question(f"{path.stem}: {panel['title']}", target["rawSql"], target["format"])
        for path in DASHBOARDS
        for panel in panels(dashboard(path))
        for target in panel.get("targets", ())
    ]


def questions_of_variables() -> list[Question]:
    return [
        Question(f"{path.stem}: {name}", variable["query"])
        for path in DASHBOARDS
        for name, variable in variables(dashboard(path)).items()
        if variable["type"] == "query"
    ]


def questions_of_alerts() -> list[Question]:
    return [
        Question(f"alert: {rule['title']}", step["model"]["rawSql"], step["model"]["format"])
        for rule in rules()
        for step in rule["data"]
        if step["datasourceUid"] != "__expr__"
    ]


# Variables and macros


def as_sent(sql: str, sight: Sight) -> str:
    """Replace what Grafana replaces, and refuse what it would not know or would leave standing."""
    chosen = _VARIABLE.sub(lambda match: _value(match, sight), sql)
    sent = _MACRO.sub(lambda match: _macro(match, sight), chosen)
    assert "$" not in sent, sent
    return sent


# $name, ${name} and ${name:format}; a name with an argument in parentheses is a macro.
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)\b(?!\()")
# As in Grafana, no argument of a macro can have parentheses of its own.
_MACRO: Final = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")


def _value(match: re.Match[str], sight: Sight) -> str:
    name, form = match[1] or match[3], match[2]
    if name == "__interval":
        return f"{sight.interval_s}s"
    value = sight.values[name]
    if value == ALL:
        # What stands for all is put in as it is written, whatever the format.
        return _everything(name)
    # In any other format a value could end its literal: whoever makes a link chooses it.
    assert form == "sqlstring", f"{match[0]} is put in as it is typed"
    return "'" + value.replace("'", "''") + "'"


def _everything(name: str) -> str:
    (value,) = {
        found[name]["allValue"] for found in map(variables, map(dashboard, DASHBOARDS)) if name in found
    }
    return str(value)


def _macro(match: re.Match[str], sight: Sight) -> str:
    name, arguments = match[1], [argument.strip() for argument in match[2].split(",")]
    from_at, to_at = (f"'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'" for at in (sight.from_at, sight.to_at))
    match name:
        case "__timeFrom":
            return from_at
        case "__timeTo":
            return to_at
        case "__timeFilter":
            return f"{arguments[0]} BETWEEN {from_at} AND {to_at}"
        case "__timeGroup":
            return _grouped(*arguments)
    raise AssertionError(f"{match[0]}: no macro of this name is known here")


def _grouped(column: str, length: str) -> str:
    seconds = int(length.strip("'").removesuffix("s"))
    return f"floor(extract(epoch from {column})/{seconds})*{seconds}"
