"""How the pages are served: beside a daemon in a thread of their own, or alone until asked to stop."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

from etl.errors import SettingsError
from etl.web.app import application
from etl.web.connections import Impatient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.settings import WebSettings
    from etl.web.site import Site

_MOST_CONNECTIONS: Final = 64
_KEEP_ALIVE_S: Final = 15
_END_S: Final = 3
"""Longest wait for answers that are being given when all ends."""


def listen(settings: WebSettings) -> socket.socket:
    """
    Take the address, before anything else is done.

    Raises:
        SettingsError: It is taken, or none of this host's.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        # Who writes `::` means every address of this host, those of IPv4 as well.
        is_all = settings.host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((settings.host, settings.port), family=family, dualstack_ipv6=is_all)
    except OSError as error:
        raise SettingsError(
            f"the status page cannot listen on {settings.host} port {settings.port}: "
            f"{error.strerror or error}",
            remedy="set another host or port in [web], or end what holds it",
        ) from None


def address(listener: socket.socket) -> str:
    """Return the address of the first page."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


@contextmanager
def serving(site: Site, settings: WebSettings, listener: socket.socket) -> Iterator[None]:
    """
    Serve the pages in a thread of their own until the block ends.

    Args:
        site: What they are made from.
        settings: By which names they may be asked for.
        listener: As `listen` returns it; it is closed at the end.
    """
    server = uvicorn.Server(_config(site, settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_END_S + 1)
        listener.close()


def _config(site: Site, settings: WebSettings) -> uvicorn.Config:
    # What it says of each request, or warns of, is any client's doing and nobody's news.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    names = {"localhost", settings.host.lower(), *settings.allowed_hosts}
    return uvicorn.Config(
        application(site, names),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http=Impatient,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_END_S,
        proxy_headers=False,
    )
