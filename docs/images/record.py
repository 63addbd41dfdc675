"""Records the demonstration on a terminal and draws an excerpt: `python docs/images/record.py`."""  # noqa: INP001

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PICTURE: Final = Path(__file__).with_name("demo.svg")
COLUMNS: Final = 120
_ROWS: Final = 50
_CUT: Final = "[...]"

_EXCERPTS: Final = (
    ("This is batchledger", "a run a day."),
    ("Two weeks of runs", "Run 1:"),
    ("this machine is off", "the job list of"),
    ("A project, day by day", "11-"),
    ("Is it true?", "batchledger sync"),
)
"""What is shown: from the line that holds the first text to the next one that holds the second."""

_THEME: Final = TerminalTheme(
    (24, 26, 31),
    (212, 215, 221),
    [
        (24, 26, 31),
        (224, 108, 117),
        (152, 195, 121),
        (229, 192, 123),
        (97, 175, 239),
        (198, 120, 221),
        (86, 182, 194),
        (212, 215, 221),
    ],
)

_SVG: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>An excerpt of the output of batchledger demo</title>
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: 21px; white-space: pre;
}}
{styles}
</style>
<defs>{lines}</defs>
<rect width="{width}" height="{height}" rx="8" fill="#181a1f"/>
<g transform="translate(9, 16)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Record, cut and draw."""
    lines = record([sys.executable, "-m", "etl", "demo"])
    PICTURE.write_text(draw(excerpt(lines)), encoding="utf-8")


def record(command: Sequence[str]) -> list[Text]:
    """Return what a command writes to a terminal, line by line, with its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, COLUMNS, 0, 0))
    environ = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environ) as process:  # noqa: S603 - our own.
        os.close(theirs)
        written = b"".join(_chunks(ours))
    os.close(ours)
    if process.returncode:
        raise SystemExit(f"{command[0]} exited with {process.returncode}")
    return [Text.from_ansi(line) for line in written.decode().replace("\r\n", "\n").split("\n")]


def _chunks(terminal: int) -> Iterator[bytes]:
    """Read until the other end of the terminal is closed, which Linux tells as an error."""
    while True:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:
            return
        if not chunk:
            return
        yield chunk


def excerpt(lines: Sequence[Text]) -> list[Text]:
    """Return the lines that are shown, each cut marked as one."""
    shown, at = [Text("$ make demo", style="bold"), Text()], 0
    for first, last in _EXCERPTS:
        begin = _find(lines, first, at)
        end = _find(lines, last, begin)
        between = lines[at:begin]
        is_cut = any(line.plain.strip() for line in between)
        shown += [Text(), Text(_CUT, style="dim"), Text()] if is_cut else between
        shown += lines[begin : end + 1]
        at = end + 1
    return shown


def _find(lines: Sequence[Text], text: str, start: int) -> int:
    found = next((number for number in range(start, len(lines)) if text in lines[number].plain), None)
    if found is None:
        raise SystemExit(f"the demonstration does not say {text!r} any more: change what is shown")
    return found


def draw(lines: Sequence[Text]) -> str:
    """Return the lines as a picture that needs nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line)
    return console.export_svg(theme=_THEME, code_format=_SVG, unique_id="demo", title="")


if __name__ == "__main__":
    main()
