"""A pytest plugin: how many faults are tried and from which seed, and the table of what held at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

_QUICK: Final = 6
"""Seeds that are tried unless more are asked for."""

_PROPERTY: Final = "fault"


@dataclass
class Case:
    """
    One fault that is tried, or many at once.

    The test says how many they were, unless it was one, and how long the way back to the truth took, if there
    was one.
    """

    tried: int = 1
    recovery_s: float | None = None


class Row(NamedTuple):
    """What one case adds to the table."""

    tried: int
    held: int
    recovery_s: float | None


Faults = Callable[[str], AbstractContextManager[Case]]
"""Takes the kind, such as `process: killed`; it held if the block ends without an error."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let seeds be chosen: a failure names its own, to be tried again."""
    group = parser.getgroup("faults")
    group.addoption("--fault-seed", type=int, default=1, help="First seed of the faults at random; 1.")
    group.addoption("--fault-count", type=int, default=_QUICK, help=f"How many seeds are tried; {_QUICK}.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `fault_seed` once for each seed."""
    if "fault_seed" in metafunc.fixturenames:
        metafunc.parametrize("fault_seed", _seeds(metafunc.config), ids=lambda seed: f"seed{seed}")


@pytest.fixture
def faults(record_property: Callable[[str, object], None]) -> Faults:
    """Give what counts a fault in the table: `with faults("kind") as case: ...`."""

    @contextmanager
    def tried(kind: str) -> Iterator[Case]:
        case, has_held = Case(), False
        try:
            yield case
            has_held = True
        finally:
            # A plain list, because reports travel between processes as JSON.
            record_property(_PROPERTY, [kind, case.tried, case.tried * has_held, case.recovery_s])

    return tried


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the table of faults, whoever ran them."""
    rows = _rows(terminalreporter)
    if not rows:
        return
    terminalreporter.section("faults")
    for line in _table(rows):
        terminalreporter.write_line(line)
    seeds = _seeds(config)
    terminalreporter.write_line(
        f"Seeds {seeds.start} to {seeds.stop - 1}; one again: --fault-seed N --fault-count 1"
    )


def _seeds(config: pytest.Config) -> range:
    first: int = config.getoption("fault_seed")
    count: int = config.getoption("fault_count")
    return range(first, first + count)


def _rows(reporter: TerminalReporter) -> dict[str, list[Row]]:
    """Gather what the tests recorded, by kind. Reports come from this process or from workers alike."""
    rows = dict[str, list[Row]]()
    reports = [report for several in reporter.stats.values() for report in several]
    for report in reports:
        # The phases of a test share what it recorded: one of them tells it all.
        if getattr(report, "when", None) == "call":
            for kind, tried, held, recovery_s in _recorded(report):
                rows.setdefault(kind, []).append(Row(tried, held, recovery_s))
    return rows


def _recorded(report: pytest.TestReport) -> list[tuple[str, int, int, float | None]]:
    return [value for name, value in report.user_properties if name == _PROPERTY]  # type: ignore[misc]


def _table(rows: dict[str, list[Row]]) -> Iterator[str]:
    width = max(len(kind) for kind in rows)
    yield f"{'kind':<{width}}    tried     held  worst recovery"
    for kind, cases in sorted(rows.items()):
        times = [case.recovery_s for case in cases if case.recovery_s is not None]
        tried, held = sum(case.tried for case in cases), sum(case.held for case in cases)
        worst = f"{max(times):.1f} s" if times else "-"
        yield f"{kind:<{width}}  {tried:>7}  {held:>7}  {worst:>14}"
