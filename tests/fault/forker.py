"""
Start processes of the program in milliseconds: each is a fork of this one, which has imported it all.

Reads an order, one line of JSON, and answers with the id of the process and, when it has ended, with its exit
code as `subprocess` has it. The process stays in the system's table until an empty line dismisses it, so that
whoever sends it a signal never meets another one of the same id.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from typing import Any, Final

from etl.cli import main

_WARM: Final = (
    "etl.commands.documents",
    "etl.commands.oneshot",
    "etl.commands.service",
    "sqlalchemy.dialects.postgresql.psycopg",
)


def _serve() -> int:
    for module in _WARM:
        importlib.import_module(module)
    gc.freeze()
    while order := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            return _become(json.loads(order))
        _say(pid)
        _say(_exit_code(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)))
        sys.stdin.readline()
        os.waitpid(pid, 0)
    return 0


def _exit_code(ended: os.waitid_result | None) -> int:
    if ended is None:
        raise ChildProcessError("the process is not there any more")
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _say(number: int) -> None:
    os.write(1, f"{number}\n".encode())


def _become(order: dict[str, Any]) -> int:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    os.dup2(os.open(order["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["folder"])
    return main(order["argv"])


if __name__ == "__main__":
    sys.exit(_serve())
