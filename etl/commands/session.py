"""One invocation: its environment, its streams, its settings, and how it says that it failed."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import msgspec

from etl.commands.plain import plain_lines
from etl.errors import BatchledgerError
from etl.log import Redactor, configure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from etl.settings import LogSettings, Settings

_FAULT_REMEDY: Final = "report it with what --debug says"
_DEBUG_REMEDY: Final = "run it again with --debug for the traceback, and report it"


class Session:
    """
    What a command is given.

    Args:
        environ: The environment.
        is_debug: Whether failures are shown with their tracebacks.
        cwd: Where `batchledger.toml` is looked for; the working folder unless given.
    """

    def __init__(self, environ: Mapping[str, str], *, is_debug: bool, cwd: Path | None = None) -> None:
        self.environ = environ
        self.cwd = Path.cwd() if cwd is None else cwd
        self.is_debug = is_debug
        self._redact = Redactor(())
        self._consoles: dict[str, Console] = {}

    @property
    def out(self) -> Console:
        """Where results go: standard output."""
        return self._console("stdout")

    @property
    def err(self) -> Console:
        """Where talk goes: standard error."""
        return self._console("stderr")

    def settings(self, *, talk: str = "error") -> Settings:
        """
        Load the settings and start the log.

        Args:
            talk: The least that is logged where the settings do not say. Commands whose result tells
                everything log little.

        Raises:
            SettingsError: Names every fault.
        """
        from etl.config import load, secrets_of  # noqa: PLC0415 - costs 40 MB, which `--help` need not.

        settings = load(self.environ, self.cwd)
        log = settings.log if "level" in settings.log.model_fields_set else _at_level(settings.log, talk)
        self._redact = configure(
            log, secrets=secrets_of(settings, self.environ), stream=cast("TextIO", _Stderr())
        )
        return settings

    def emit(self, document: object) -> None:
        """Print a document as JSON on standard output."""
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")

    def say(self, text: str) -> None:
        """Say something on standard error."""
        print(plain_lines(self._redact(text)), file=sys.stderr, flush=True)  # noqa: T201 - this is how commands talk.

    def fail(self, error: Exception) -> int:
        """Say in one line what failed and in a second one what to do; return the exit code."""
        if self.is_debug:
            self.say("".join(traceback.format_exception(error)).rstrip())
        if isinstance(error, BatchledgerError):
            return self.refuse(str(error), error.remedy, error.exit_code)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return self.refuse(
            f"a fault of batchledger's own: {what}", _FAULT_REMEDY if self.is_debug else _DEBUG_REMEDY, 1
        )

    def refuse(self, what: str, remedy: str, exit_code: int) -> int:
        """Say what is wrong and what would be right; return the exit code."""
        self.say(f"error: {what}")
        if remedy:
            self.say(f"remedy: {remedy}")
        return exit_code

    def _console(self, name: str) -> Console:
        from etl.commands.show import console  # noqa: PLC0415 - Rich is for those who show something.

        if name not in self._consoles:
            self._consoles[name] = console(getattr(sys, name), self.environ)
        return self._consoles[name]


class _Stderr:
    """Standard error as it is at each moment: a progress bar puts itself in front of it for a while."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a stream has.
        return getattr(sys.stderr, name)


def _at_level(log: LogSettings, level: str) -> LogSettings:
    return log.model_copy(update={"level": level})
