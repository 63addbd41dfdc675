"""Import what tests need once, then run those of each line in a fork: imports take longer than a test."""

from __future__ import annotations

import json
import os
import sys

import pytest

sys.path.insert(0, os.getcwd())  # noqa: PTH109 - a text, as the others in it.

import tests.conftest
import tests.worlds  # noqa: F401 - imported for those who come after.


def main() -> None:
    """Answer each list of arguments, and the file for what is said, with pytest's exit code."""
    for line in sys.stdin:
        said, arguments = json.loads(line)
        if child := os.fork():
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
        else:
            _say_into(said)
            os._exit(_exit_code(arguments))


def _exit_code(arguments: list[str]) -> int:
    try:
        return pytest.main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _say_into(said: str) -> None:
    with open(os.devnull) as nothing, open(said, "w") as file:  # noqa: PTH123 - descriptors are what counts.
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


if __name__ == "__main__":
    main()
