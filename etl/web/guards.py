"""What stands before every page: names that are not ours are refused; the browser is told its limits."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Final = (
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
"""Nothing from elsewhere or written into the page itself, no frame around it, no word of it to others."""


class OwnNames:
    """
    Answers only who asks for us by a name of ours.

    A page of somebody else can give its own name our address, and would then read us as if we were its own:
    DNS rebinding. An IP address is nobody's name, so it is let through.

    Args:
        app: What is guarded.
        names: Our names, in small letters.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app, self._names = app, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 421 (misdirected)."""
        if scope["type"] == "http" and not is_own(Headers(scope=scope).get("host", ""), self._names):
            refusal = PlainTextResponse("This name is not in allowed_hosts of [web].\n", status_code=421)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Limits:
    """
    Puts on every answer what a browser may do with it.

    Args:
        app: What is guarded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers put on."""

        async def limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(dict(HEADERS))
                headers.setdefault("Cache-Control", _keeping(scope["path"]))
            await send(message)

        await self._app(scope, receive, limited)


def _keeping(path: str) -> str:
    """Say what may be kept. A page is of its moment; a file may be kept, but asked after: it has an ETag."""
    return "no-cache" if path.startswith("/static/") else "no-store"


def is_own(host: str, names: Collection[str]) -> bool:
    """
    Say whether the value of a Host header is a name of ours or an IP address.

    Args:
        host: As sent, perhaps with a port.
        names: Our names, in small letters.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and ":" in host else host
    name = name.lower().rstrip(".")
    return name in names or _is_address(name.removeprefix("[").removesuffix("]"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
