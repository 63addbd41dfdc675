"""How what others have named is written: before people, where it drives no terminal, and for a shell."""

from __future__ import annotations

import re
import shlex
from typing import Final

_LOOKLESS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What has no look of its own, breaks a line, drives a terminal, or turns the direction of what follows."""


def plain(text: str) -> str:
    """Write one line of text as what can be seen of it, each character that drives something as a mark."""
    return _LOOKLESS.sub("\N{REPLACEMENT CHARACTER}", text)


def plain_lines(text: str) -> str:
    """Write text of several lines, each of which is plain."""
    return "\n".join(map(plain, text.split("\n")))


def operand(name: str, *options: str) -> str:
    """Write what a command is about, and its options, as a shell takes it; no name is an option."""
    quoted = shlex.quote(name)
    return " ".join([*options, "--", quoted] if name.startswith("-") else [quoted, *options])
