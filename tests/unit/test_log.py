"""What is said on standard error, and above all what is not."""

from __future__ import annotations

import io
import json
import logging
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
import structlog

from etl.log import Redactor, configure
from etl.records import Slug
from etl.settings import LogSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = 'rf_c4n@ry/"ö 7'
LEVELS = ("debug", "info", "warning", "error", "critical")
LIBRARIES = (
    "alembic.runtime",
    "apscheduler.scheduler",
    "sqlalchemy.engine",
    "urllib3.connectionpool",
    "another",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def said(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def a_log(log_format: str = "json", level: str = "debug", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream if stream is not None else io.StringIO()
    settings = LogSettings.model_validate({"format": log_format, "level": level})
    configure(settings, secrets=[CANARY], stream=stream)
    return stream


def assert_is_silent_about_the_canary(text: str) -> None:
    assert "***" in text
    assert "c4n" not in text


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_secret_is_masked_at_every_level_in_the_text_and_in_every_value(
    log_format: str, level: str
) -> None:
    stream = a_log(log_format)
    log = structlog.get_logger("etl.sync")
    log.log(
        getattr(logging, level.upper()),
        f"sent {CANARY} away",  # noqa: G004 -- So that the secret is in the text itself.
        key=CANARY,
        deep=[{CANARY: (CANARY,)}],
        error=ValueError(CANARY),
    )
    assert "sent *** away" in stream.getvalue()
    assert "ValueError('***')" in stream.getvalue()
    assert_is_silent_about_the_canary(stream.getvalue())


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("name", ["etl.sync", "urllib3.connectionpool"])
def test_a_traceback_hides_a_secret_in_the_error_in_its_causes_and_in_local_variables(
    log_format: str, name: str
) -> None:
    stream = a_log(log_format)
    key = CANARY
    try:
        try:
            raise OSError(f"no route with {key}")  # noqa: TRY301 -- The frame with the local variable is the point.
        except OSError as error:
            raise ValueError(f"bad answer for {key!r}") from error
    except ValueError:
        (structlog.get_logger(name) if name == "etl.sync" else logging.getLogger(name)).exception("it failed")
    assert "no route with ***" in stream.getvalue()
    assert "bad answer for '***'" in stream.getvalue()
    assert_is_silent_about_the_canary(stream.getvalue())


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_secret_in_the_format_arguments_of_a_library_is_masked(log_format: str) -> None:
    stream = a_log(log_format)
    logging.getLogger("apscheduler.executors").warning("Retrying %s?api_key=%s", "/acme", quote(CANARY))
    assert "Retrying /acme?api_key=***" in stream.getvalue()
    assert_is_silent_about_the_canary(stream.getvalue())


@pytest.mark.parametrize(
    "written",
    [
        CANARY,
        quote(CANARY),
        quote(CANARY, safe=""),
        quote_plus(CANARY),
        quote(CANARY, safe="").replace("%2F", "%2f").replace("%C3%B6", "%c3%b6"),
        json.dumps(CANARY)[1:-1],
        repr(CANARY)[1:-1],
    ],
)
def test_a_secret_is_known_in_every_way_that_it_is_written(written: str) -> None:
    redactor = Redactor([CANARY])
    assert redactor(f"<{written}>") == "<***>"


def test_of_two_secrets_the_longer_is_masked_whole() -> None:
    assert Redactor(["key", "keyring"])("a keyring and a key") == "a *** and a ***"


def test_a_secret_is_known_by_its_repr() -> None:
    secret = "a\\b\x07c"
    assert Redactor([secret])(f"{secret!r}") == "'***'"


def test_an_empty_secret_masks_nothing() -> None:
    assert Redactor([""])("nothing to hide") == "nothing to hide"


def test_a_secret_of_special_characters_is_no_pattern() -> None:
    assert Redactor([".*"])("all of it, .* too") == "all of it, *** too"


def test_level_and_time_stay_readable_whatever_the_password_is() -> None:
    stream = io.StringIO()
    configure(LogSettings(format="json"), secrets=["info", "20"], stream=stream)
    structlog.get_logger("etl.sync").info("information")
    (event,) = said(stream)
    assert event["level"] == "info"
    assert event["timestamp"].startswith("20")
    assert event["event"] == "***rmation"


def test_a_record_that_cannot_be_written_is_mentioned_without_its_content() -> None:
    stream = a_log()
    logging.getLogger("apscheduler").warning("%d pieces", CANARY)
    assert stream.getvalue() == "A log record of apscheduler could not be written.\n"


def test_a_closed_stream_stops_nobody() -> None:
    stream = a_log()
    stream.close()
    structlog.get_logger("etl.sync").info("into the void")


def test_run_and_project_are_bound_to_every_line_libraries_included() -> None:
    stream = a_log()
    with structlog.contextvars.bound_contextvars(run=7, project=Slug("acme", "cars")):
        structlog.get_logger("etl.sync").info("read")
        logging.getLogger("apscheduler").warning("retried")
    structlog.get_logger("etl.sync").info("over")
    assert [(event.get("run"), event.get("project")) for event in said(stream)] == [
        (7, "acme/cars"),
        (7, "acme/cars"),
        (None, None),
    ]


def test_threads_that_run_in_a_copy_of_the_context_know_their_run() -> None:
    stream = a_log()
    with structlog.contextvars.bound_contextvars(run=7):
        context = copy_context()
    thread = threading.Thread(target=context.run, args=(structlog.get_logger("etl.sync").info, "read"))
    thread.start()
    thread.join()
    assert said(stream)[0]["run"] == 7


@pytest.mark.parametrize("name", LIBRARIES)
def test_libraries_are_heard_from_warning_on_even_where_debug_was_asked_for(name: str) -> None:
    logging.getLogger(name.partition(".")[0]).setLevel(logging.DEBUG)
    stream = a_log("json", "debug")
    library = logging.getLogger(name)
    if name == "another":
        library.setLevel(logging.NOTSET)
    library.info("chatter")
    library.warning("trouble")
    assert [(event["event"], event["logger"]) for event in said(stream)] == [("trouble", name)]


def test_our_own_level_is_the_one_that_was_set() -> None:
    stream = a_log("json", "error")
    log = structlog.get_logger("etl.sync")
    log.warning("quiet")
    log.error("loud")
    logging.getLogger("apscheduler").warning("quiet")
    assert [event["event"] for event in said(stream)] == ["loud"]


def test_each_json_line_says_when_who_and_how_bad() -> None:
    stream = a_log("json")
    structlog.get_logger("etl.sync").warning("slow", seconds=1.5, name=None)
    (event,) = said(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "slow", "level": "warning", "logger": "etl.sync", "seconds": 1.5, "name": None}


@pytest.mark.parametrize(
    ("log_format", "on_terminal", "is_json", "has_colours"),
    [
        ("console", True, False, True),
        ("console", False, False, False),
        ("json", True, True, False),
        ("json", False, True, False),
        ("auto", True, False, True),
        ("auto", False, True, False),
    ],
)
def test_people_get_lines_machines_get_json_and_only_a_terminal_gets_colours(
    log_format: str, *, on_terminal: bool, is_json: bool, has_colours: bool
) -> None:
    stream = a_log(log_format, stream=Terminal() if on_terminal else io.StringIO())
    structlog.get_logger("etl.sync").info("read")
    assert stream.getvalue().startswith("{") is is_json
    assert ("\x1b[" in stream.getvalue()) is has_colours


def test_configuring_again_says_each_thing_once() -> None:
    a_log()
    stream = a_log()
    structlog.get_logger("etl.sync").info("read")
    assert len(said(stream)) == 1
