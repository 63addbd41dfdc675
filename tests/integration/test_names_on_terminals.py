"""What the source calls a batch cannot drive the terminal of those who read of it, whatever they ask for."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.integration.test_confirm import PATH, Desk, desk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["desk"]

HOSTILE: Final = f"front\x1b]0;pwned\x07\x1b[2J\x1b[8m\u202e\x9b1A\r\n\u2028\u2066Believed now{'n' * 5000}"
DRIVES: Final = re.compile(
    "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""All but the ends of lines, which a terminal makes of two characters."""


def on_a_terminal(desk: Desk, *arguments: str) -> str:
    """Run the real program on a terminal without colours, and return what it says."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "etl", *arguments],
        env={**desk.environ, "TERM": "dumb", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        os.write(ours, b"no\n")
        said = b"".join(_chunks(ours))
    os.close(ours)
    return said.decode()


def _chunks(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side of a terminal is closed.
            return


@pytest.mark.parametrize(
    "arguments",
    [
        ("history", "{place}"),
        ("history", "{place}", "--at", "now"),
        ("history", "{place}", "--from", "-1h"),
        ("history", PATH, "--at", "now"),
        ("diff", PATH, "-1d", "now"),
        ("explain", "{place}"),
        ("confirm", PATH),
    ],
    ids=" ".join,
)
def test_a_name_neither_drives_a_terminal_nor_fills_it(desk: Desk, arguments: Sequence[str]) -> None:
    named = next(iter(desk.project.batches))
    desk.project.rename(named, HOSTILE)
    desk.reads()
    if arguments[0] == "confirm":
        desk.loses(8)

    said = on_a_terminal(desk, *(word.format(place=f"{PATH}/{named}") for word in arguments))

    assert "front\N{REPLACEMENT CHARACTER}]0;pwned" in said
    assert DRIVES.findall(said) == []
    assert "\r" not in said.replace("\r\n", "")
    assert 100 < said.count("n") < 3000
    if arguments[0] == "confirm":
        assert said.splitlines()[-2].startswith("Type yes")


def test_what_programs_read_has_the_name_as_it_is(desk: Desk) -> None:
    named = next(iter(desk.project.batches))
    desk.project.rename(named, HOSTILE)
    desk.reads()

    assert desk.types("history", f"{PATH}/{named}", "--json") == 0

    assert json.loads(desk.out)["states"][-1]["name"] == HOSTILE
    assert "\x1b" not in desk.out


def test_where_nobody_looks_a_name_is_whole_but_for_what_drives_a_terminal(desk: Desk) -> None:
    named = next(iter(desk.project.batches))
    desk.project.rename(named, HOSTILE)
    desk.reads()

    assert desk.types("history", f"{PATH}/{named}") == 0

    assert "n" * 5000 in desk.out
    assert DRIVES.findall(desk.out) == []
