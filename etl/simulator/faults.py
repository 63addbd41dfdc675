"""Faults on demand: what may go wrong with an answer, and a queue that says for which requests it does."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from etl.simulator.answer import JSON, Answer, etag_of
from etl.simulator.bodies import error

if TYPE_CHECKING:
    from collections.abc import Callable

_MEBIBYTE = 1 << 20
_LISTS = ("batches", "jobs", "projects")
_OPENING = b'{"batches": ['


class Delivery(StrEnum):
    """How an answer travels, or does not."""

    PLAIN = "plain"
    HANG_UP = "hang_up"
    RESET_BEFORE = "reset_before"
    RESET_DURING = "reset_during"
    RESET_AFTER = "reset_after"
    STALL_BEFORE = "stall_before"
    STALL_DURING = "stall_during"
    TRICKLE = "trickle"
    TRUNCATED = "truncated"
    ENDLESS = "endless"
    RAW = "raw"


class Shape(StrEnum):
    """In what way the true document is changed."""

    TRUE = "true"
    EMPTY_LIST = "empty_list"
    PARTIAL_LIST = "partial_list"
    WITHOUT = "without"
    MISSING_KEY = "missing_key"
    BARE_LIST = "bare_list"
    WRAPPED = "wrapped"
    WITH_FIELDS = "with_fields"


class Fault(msgspec.Struct, frozen=True):
    """
    One thing that goes wrong; made by the functions below, which say what each field means.

    The true answer is changed by `shape`, replaced by `code`, `headers`, `body` and `filler` where they are
    given, and travels by `delivery`.
    """

    shape: Shape = Shape.TRUE
    share: float = 0.0
    ids: tuple[str, ...] = ()
    fields: Mapping[str, Any] = {}
    code: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    filler: bytes = b""
    fillers: int = 0
    delivery: Delivery = Delivery.PLAIN
    seconds: float | None = None

    @staticmethod
    def status(
        code: int, body: bytes | str | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Fault:
        """Answer with a status; without a body, with the documented shape of an error."""
        given = error(code, f"simulated {code}", "SimulatedError", "") if body is None else _bytes(body)
        return Fault(code=code, body=given, headers={"Content-Type": JSON, **(headers or {})})

    @staticmethod
    def missing_scope() -> Fault:
        """The 404 that means a missing scope, not an absence."""
        hint = "Check the scopes of your API key."
        return Fault.status(404, error(404, "Unsupported get request.", "GraphMethodException", hint))

    @staticmethod
    def literal(body: bytes | str, *, content_type: str = JSON) -> Fault:
        """Answer 200 with this very body: not JSON, the wrong JSON, an `error` key, anything."""
        return Fault(code=200, body=_bytes(body), headers={"Content-Type": content_type})

    @staticmethod
    def html(code: int = 200) -> Fault:
        """Answer with a page for people, as a proxy or a sign-in portal does."""
        page = "<!DOCTYPE html><html><body><h1>Please wait</h1></body></html>"
        return Fault.status(code, page, headers={"Content-Type": "text/html; charset=utf-8"})

    @staticmethod
    def error_key() -> Fault:
        """Answer 200 with a body that says it failed."""
        return Fault.literal('{"error": "Something went wrong", "hint": "Try again later."}')

    @staticmethod
    def redirect(location: str, code: int = 302) -> Fault:
        """Send the client elsewhere."""
        return Fault.status(code, b"", headers={"Location": location})

    @staticmethod
    def huge(mebibytes: int) -> Fault:
        """Answer 200 with a list that opens and is followed by so much white space."""
        return Fault(
            code=200,
            body=_OPENING,
            headers={"Content-Type": JSON},
            filler=b" " * _MEBIBYTE,
            fillers=mebibytes,
        )

    @staticmethod
    def gzip_bomb(mebibytes: int) -> Fault:
        """The same compressed a thousandfold: one gzip member for each MiB, so that it costs us nothing."""
        return Fault(
            code=200,
            body=gzip.compress(_OPENING),
            headers={"Content-Type": JSON, "Content-Encoding": "gzip"},
            filler=gzip.compress(b" " * _MEBIBYTE),
            fillers=mebibytes,
        )

    @staticmethod
    def endless() -> Fault:
        """Answer 200 with a chunked body that never ends, a MiB at a time."""
        return Fault(
            code=200,
            body=_OPENING,
            headers={"Content-Type": JSON},
            filler=b" " * _MEBIBYTE,
            delivery=Delivery.ENDLESS,
        )

    @staticmethod
    def hang_up() -> Fault:
        """Answer rightly, then close the connection without having said so: the next request on it fails."""
        return Fault(delivery=Delivery.HANG_UP)

    @staticmethod
    def reset(*, is_during_body: bool = False) -> Fault:
        """Reset the connection instead of answering, or when half of the body is sent."""
        return Fault(delivery=Delivery.RESET_DURING if is_during_body else Delivery.RESET_BEFORE)

    @staticmethod
    def reset_after() -> Fault:
        """Answer rightly, then reset the connection: the next request on it fails."""
        return Fault(delivery=Delivery.RESET_AFTER)

    @staticmethod
    def raw(content: bytes) -> Fault:
        """Send these very bytes, head and body, and close: no HTTP, or an answer of the wrong measure."""
        return Fault(body=content, delivery=Delivery.RAW)

    @staticmethod
    def stall(seconds: float | None = None, *, is_during_body: bool = False) -> Fault:
        """Fall silent before the answer, or in the middle of the body, and then go on; `None` is for ever."""
        delivery = Delivery.STALL_DURING if is_during_body else Delivery.STALL_BEFORE
        return Fault(delivery=delivery, seconds=seconds)

    @staticmethod
    def trickle(seconds: float = 0.05) -> Fault:
        """Send the body a byte at a time, at this interval."""
        return Fault(delivery=Delivery.TRICKLE, seconds=seconds)

    @staticmethod
    def truncated() -> Fault:
        """Promise the whole body, send half of it and close."""
        return Fault(delivery=Delivery.TRUNCATED)

    @staticmethod
    def empty_list() -> Fault:
        """Answer with a list of nothing."""
        return Fault(shape=Shape.EMPTY_LIST)

    @staticmethod
    def partial_list(share: float) -> Fault:
        """Leave out that share of the rows, the last ones."""
        return Fault(shape=Shape.PARTIAL_LIST, share=share)

    @staticmethod
    def without(*ids: str) -> Fault:
        """Leave these rows out."""
        return Fault(shape=Shape.WITHOUT, ids=ids)

    @staticmethod
    def missing_key() -> Fault:
        """Answer with the document less its list."""
        return Fault(shape=Shape.MISSING_KEY)

    @staticmethod
    def bare_list() -> Fault:
        """Answer with the list itself instead of the document around it."""
        return Fault(shape=Shape.BARE_LIST)

    @staticmethod
    def wrapped() -> Fault:
        """Answer a single batch or job as `{"batch": {...}}` or `{"job": {...}}`."""
        return Fault(shape=Shape.WRAPPED)

    @staticmethod
    def with_fields(**fields: object) -> Fault:
        """Give every row these fields too, or instead of its own."""
        return Fault(shape=Shape.WITH_FIELDS, fields=fields)

    def apply(self, answer: Answer) -> Answer:
        """The answer as this fault lets it be; how it travels is for `delivery` to say."""
        if answer.status == 200 and self.shape is not Shape.TRUE:  # noqa: PLR2004 - OK.
            answer = _reshaped(self, answer)
        return self._replaced(answer)

    def _replaced(self, answer: Answer) -> Answer:
        body = answer.body if self.body is None else self.body
        return Answer(
            status=self.code or answer.status,
            body=body,
            headers=answer.headers if self.headers is None else self.headers,
            etag=etag_of(body) if answer.etag else "",
            filler=self.filler,
            fillers=self.fillers,
        )


class Rule(msgspec.Struct, frozen=True):
    """
    For which requests a fault holds.

    Args:
        fault: What goes wrong.
        path: Shell pattern of the request's path; `*` also matches `/`.
        times: For how many requests; `None` is for all until it is cleared.
        skip: How many matching requests are answered rightly first.
    """

    fault: Fault
    path: str = "*"
    times: int | None = 1
    skip: int = 0


class Faults:
    """The rules in force; the first that matches a request is used, and used up. Safe across threads."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault, *, path: str = "*", times: int | None = 1, skip: int = 0) -> None:
        """Add a rule after those in force; see `Rule`."""
        self.add_rule(Rule(fault, path, times, skip))

    def add_rule(self, rule: Rule) -> None:
        """The same for a rule made elsewhere."""
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Let everything be answered rightly again."""
        with self._lock:
            self._rules.clear()

    @property
    def pending(self) -> tuple[Rule, ...]:
        """The rules that are not used up. A test that needed its faults to happen finds none at its end."""
        with self._lock:
            return tuple(self._rules)

    def take(self, path: str) -> Fault | None:
        """The fault for one request of this path, if there is any."""
        with self._lock:
            for index, rule in enumerate(self._rules):
                if fnmatchcase(path, rule.path):
                    return self._use(index, rule)
        return None

    def _use(self, index: int, rule: Rule) -> Fault | None:
        if rule.skip:
            self._rules[index] = replace(rule, skip=rule.skip - 1)
            return None
        if rule.times is not None:
            left = [replace(rule, times=rule.times - 1)] if rule.times > 1 else []
            self._rules[index : index + 1] = left
        return rule.fault


def _reshaped(fault: Fault, answer: Answer) -> Answer:
    document = msgspec.json.decode(answer.body)
    return replace(answer, body=msgspec.json.encode(_SHAPES[fault.shape](fault, document)))


def _partial(fault: Fault, rows: list[Any]) -> list[Any]:
    return rows[: len(rows) - round(len(rows) * fault.share)]


def _without(fault: Fault, rows: list[Any]) -> list[Any]:
    return [row for row in rows if row["id"] not in fault.ids]


def _on_rows(change: Callable[[Fault, list[Any]], list[Any]]) -> Callable[[Fault, Any], Any]:
    """A change of a list as a change of the document around it; others stay as they are."""

    def changed(fault: Fault, document: Any) -> Any:  # noqa: ANN401 - a JSON document.
        if not isinstance(document, dict):
            return document
        return {
            key: change(fault, value) if key in _LISTS else changed(fault, value)
            for key, value in document.items()
        }

    return changed


def _with_fields(fault: Fault, document: Any) -> Any:  # noqa: ANN401 - a JSON document.
    if "id" in document:
        return {**document, **fault.fields}
    return _on_rows(lambda _fault, rows: [{**row, **fault.fields} for row in rows])(fault, document)


def _bare_list(_fault: Fault, document: Any) -> Any:  # noqa: ANN401 - a JSON document.
    return next((document[key] for key in _LISTS if key in document), document)


def _missing_key(_fault: Fault, document: Any) -> Any:  # noqa: ANN401 - a JSON document.
    return {key: value for key, value in document.items() if key not in _LISTS}


def _wrapped(_fault: Fault, document: Any) -> Any:  # noqa: ANN401 - a JSON document.
    if "id" not in document:
        return document
    return {"job" if "sourceBatch" in document else "batch": document}


_SHAPES: dict[Shape, Callable[[Fault, Any], Any]] = {
    Shape.EMPTY_LIST: _on_rows(lambda _fault, _rows: []),
    Shape.PARTIAL_LIST: _on_rows(_partial),
    Shape.WITHOUT: _on_rows(_without),
    Shape.WITH_FIELDS: _with_fields,
    Shape.BARE_LIST: _bare_list,
    Shape.MISSING_KEY: _missing_key,
    Shape.WRAPPED: _wrapped,
}


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body
