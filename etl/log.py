"""What is said on standard error: one chain for us and for libraries, for people or as JSON, no secrets."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, TextIO
from urllib.parse import quote, quote_plus

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from structlog.typing import EventDict, Processor, WrappedLogger

    from etl.settings import LogSettings

MASK = "***"

_OURS = "etl"
_LIBRARIES = ("alembic", "apscheduler", "sqlalchemy", "urllib3")
_PLAIN = (bool, int, float, type(None))
# These are made by the chain itself and so hold no secret; the renderers need them as they are.
_STRUCTURE = frozenset({"level", "timestamp"})


class Redactor:
    """
    Replaces every known secret in a text, also as URLs, JSON and Python would write it.

    Args:
        secrets: What must never be shown. Empty ones are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        # The longest first: one secret may begin with another.
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """Return the text with each secret masked."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def value(self, value: object) -> object:
        """Mask the secrets in a value of an event; what is neither plain nor a container becomes text."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, dict):
            return {self(str(key)): self.value(item) for key, item in value.items()}
        # Exact types: a named tuple such as a slug says best itself how it is written.
        if kind in (list, tuple, set, frozenset):
            return [self.value(item) for item in value]  # type: ignore[attr-defined]
        return self(repr(value) if isinstance(value, BaseException | bytes) else str(value))

    def processor(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Mask the secrets in a whole event, for structlog."""
        return {self(key): item if key in _STRUCTURE else self.value(item) for key, item in event.items()}


def _forms(secret: str) -> Iterator[str]:
    for text in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield text
        yield re.sub("%..", lambda match: match[0].lower(), text)
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]


def configure(log: LogSettings, *, secrets: Iterable[str], stream: TextIO) -> Redactor:
    """
    Send every event, ours and the libraries', to one stream through one chain.

    Args:
        log: Format and level. Libraries are heard from warning on, whatever the level.
        secrets: What must never be shown.
        stream: Where to, as a rule standard error; colours only where it is a terminal.

    Returns:
        The redactor, for text that is shown in other ways.
    """
    redactor = Redactor(secrets)
    handler = _Handler(stream)
    handler.setFormatter(_formatter(redactor, _renderer(log.format, stream)))
    _set_levels(getattr(logging, log.level.upper()))
    logging.getLogger().handlers = [handler]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return redactor


class _Handler(logging.StreamHandler[TextIO]):
    """A handler whose own failure does not print the record: that has been through no redactor."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- The name is logging's.
        try:
            self.stream.write(f"A log record of {record.name} could not be written.\n")
        except (OSError, ValueError):
            # The stream is closed or gone; there is nobody left to tell.
            return


def _set_levels(level: int) -> None:
    logging.getLogger(_OURS).setLevel(level)
    libraries = max(level, logging.WARNING)
    logging.getLogger().setLevel(libraries)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(libraries)


def _formatter(redactor: Redactor, renderer: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, *_common()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Plain tracebacks, because the pretty ones show local variables.
            structlog.processors.format_exc_info,
            redactor.processor,
            renderer,
        ],
    )


def _common() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderer(chosen: str, stream: TextIO) -> Processor:
    is_terminal = stream.isatty()
    if chosen == "json" or (chosen == "auto" and not is_terminal):
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=is_terminal, exception_formatter=structlog.dev.plain_traceback
    )
