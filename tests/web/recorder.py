"""A pytest plugin: the table of what axe found on each page, at the end of the tests that asked it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

_PROPERTY: Final = "accessibility"


class Findings(NamedTuple):
    """What axe says of one page: rules by outcome, and those that a person has to look at by name."""

    page: str
    scheme: str
    axe: str
    violated: list[str]
    undecided: list[str]
    passed: int
    inapplicable: int


Record = Callable[[str, str, Mapping[str, Any]], None]
"""Takes the page, the scheme and the answer of axe."""


@pytest.fixture
def record_axe(record_property: Callable[[str, object], None]) -> Record:
    """Give what puts a page into the table."""

    def record(page: str, scheme: str, response: Mapping[str, Any]) -> None:
        findings = Findings(
            page=page,
            scheme=scheme,
            axe=response["testEngine"]["version"],
            violated=[rule["id"] for rule in response["violations"]],
            undecided=[rule["id"] for rule in response["incomplete"]],
            passed=len(response["passes"]),
            inapplicable=len(response["inapplicable"]),
        )
        # A plain list, because reports travel between processes as JSON.
        record_property(_PROPERTY, list(findings))

    return record


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the table, whoever looked at the pages."""
    found = sorted(_found(terminalreporter))
    if not found:
        return
    terminalreporter.section(f"accessibility, by axe {found[0].axe}: rules")
    for line in _table(found):
        terminalreporter.write_line(line)


def _found(reporter: TerminalReporter) -> Iterator[Findings]:
    """Gather what the tests recorded. Reports come from this process or from workers alike."""
    for report in (report for several in reporter.stats.values() for report in several):
        # The phases of a test share what it recorded: one of them tells it all.
        if getattr(report, "when", None) == "call":
            for name, value in report.user_properties:
                if name == _PROPERTY:
                    yield Findings(*value)


def _table(found: list[Findings]) -> Iterator[str]:
    width = max(len(one.page) for one in found)
    yield f"{'page':<{width}}  scheme  violated  passed  undecided  inapplicable"
    for one in found:
        yield (
            f"{one.page:<{width}}  {one.scheme:<6}  {len(one.violated):>8}  {one.passed:>6}"
            f"  {len(one.undecided):>9}  {one.inapplicable:>12}  {', '.join(one.violated + one.undecided)}"
        ).rstrip()
