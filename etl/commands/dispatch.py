"""From arguments to exit code: what is asked for is run, and however it ends is told."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import typer

from etl.commands.instants import as_word
from etl.commands.session import Session
from etl.commands.signals import tidy_on_sigterm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXIT_BROKEN_PIPE: Final = 141  # As a process that SIGPIPE ended.


def dispatch(app: typer.Typer, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """
    Run the command that is asked for, or show the help.

    Args:
        app: The commands.
        argv: The arguments.
        environ: The environment.

    Returns:
        The exit code.
    """
    arguments, is_debug = _unmarked(argv)
    session = Session(environ, is_debug=is_debug)
    try:
        with tidy_on_sigterm():
            exit_code = _run(app, session, arguments or ["--help"])
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as ended:
        # Typer and Rich, too, exit from where they noticed that nobody reads the output any more.
        if isinstance(ended, SystemExit) and not isinstance(ended.__context__, BrokenPipeError):
            raise
        return _hushed()
    return exit_code


def _run(app: typer.Typer, session: Session, arguments: Sequence[str]) -> int:
    try:
        # Commands return their exit code; Typer returns that of its own exits, and None for a help page.
        returned: int | None = app(
            args=arguments, prog_name="batchledger", standalone_mode=False, obj=session
        )
    except typer.TyperException as error:
        return session.refuse(error.format_message(), _usage_remedy(error), error.exit_code)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told in one line.
        return session.fail(error)
    return returned or 0


def _hushed() -> int:
    """Let what is still buffered go nowhere, so that it does not complain when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    os.close(nowhere)
    return _EXIT_BROKEN_PIPE


def _unmarked(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Take `--debug` out, and `-1d` for no option, but for what is meant for another program."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    ours = [as_word(argument) for argument in arguments[:end] if argument != "--debug"]
    return [*ours, *arguments[end:]], len(ours) < end


def _usage_remedy(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path if context else 'batchledger'} --help`"
