"""
What requests and urllib3 raise, made an error of ours.

Theirs may quote a URL, and a URL may hold the key: it is named by the operating system's words, or by its
kind.
"""

from __future__ import annotations

import ssl
from collections import deque
from typing import TYPE_CHECKING

import urllib3

from etl.client.key import shown
from etl.client.line import TooLargeError
from etl.errors import PayloadError, RefusedError, SourceError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.client.call import Call, SourceOptions
    from etl.client.key import ApiKey


def failed(call: Call, error: Exception, options: SourceOptions, key: ApiKey) -> SourceError:
    """Say why there was no answer that could be read, without what only requests may know."""
    causes = tuple(_causes_of(error))
    if isinstance(error, TooLargeError):
        return _too_large(call, options)
    if _is_any(causes, urllib3.exceptions.DecodeError):
        message = f"{call.path}: the body is not encoded as its headers say"
        return PayloadError(message, requests=call.requests)
    if _is_any(causes, ssl.SSLCertVerificationError):
        return RefusedError(
            f"{call.path}: the certificate of the source cannot be verified",
            remedy="Check ROBOFLOW_API_URL; behind a proxy that opens TLS, set REQUESTS_CA_BUNDLE.",
            requests=call.requests,
        )
    # Only the outermost: deeper down, a number of the answer that is none is one too.
    if isinstance(error, ValueError):
        return RefusedError(
            f"{call.path}: no request or no answer that HTTP allows",
            remedy="Check ROBOFLOW_API_URL and the proxy settings of the environment.",
            requests=call.requests,
        )
    if _is_any(causes, TimeoutError, urllib3.exceptions.ReadTimeoutError):
        return TransientError(f"{call.path}: no whole answer within its time", requests=call.requests)
    message = f"{call.path}: the connection failed ({shown(_reason(causes), key)})"
    remedy = f"See that {shown(options.base_url, key)} can be reached; ROBOFLOW_API_URL names it."
    return TransientError(message, remedy=remedy, requests=call.requests)


def _too_large(call: Call, options: SourceOptions) -> PayloadError:
    return PayloadError(
        f"{call.path}: the body is larger than {options.max_body_bytes} bytes",
        remedy="If a project is that large, raise `max_body_bytes` in `[source]`.",
        requests=call.requests,
    )


def _causes_of(error: BaseException) -> Iterator[BaseException]:
    """Walk all exceptions that one was made from, outermost first; the libraries nest them in four ways."""
    waiting, seen = deque([error]), set[int]()
    while waiting:
        cause = waiting.popleft()
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            nested = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
            waiting.extend(inner for inner in nested if isinstance(inner, BaseException))


def _is_any(causes: tuple[BaseException, ...], *kinds: type[BaseException]) -> bool:
    """Say whether one of the causes is of these kinds."""
    return any(isinstance(cause, kinds) for cause in causes)


def _reason(causes: tuple[BaseException, ...]) -> str:
    """Name what failed by the operating system's words, else by the innermost kind: texts may hold a URL."""
    told = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return told[-1] if told else type(causes[-1]).__name__
