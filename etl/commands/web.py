"""The command `web`: the status page on its own, for those whose runs are started by cron."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

from etl.commands.assembly import open_database, prepare, utc_now
from etl.commands.signals import stops_on_signal
from etl.web.metrics import LedgerMetrics, registry
from etl.web.reader import Reader
from etl.web.serving import address, listen, serving
from etl.web.site import Site

if TYPE_CHECKING:
    from etl.commands.session import Session
    from etl.settings import WebSettings


def serve(session: Session, host: str | None, port: int | None) -> int:
    """
    Serve the pages until SIGTERM or SIGINT, and return the exit code.

    A database that is away, or at another revision, is no reason to end: the page says so, and waits.

    Args:
        session: The invocation.
        host: Where to listen; None for what the settings say.
        port: The same.

    Raises:
        SettingsError: A setting is wrong, or the address cannot be taken.
    """
    stop = Event()
    with stops_on_signal(stop, session.say, "stopping"):
        settings = session.settings(talk="warning")
        chosen = _chosen(settings.web, host, port)
        with listen(chosen) as listener, open_database(settings, session.environ) as place:
            if place.is_embedded:
                prepare(place)
            site = Site(reader=Reader(place.uri, place.limits), clock=utc_now, registry=registry())
            site.registry.register(LedgerMetrics(site.reader))
            with serving(site, chosen, listener):
                session.say(f"serves the status page at {address(listener)}")
                stop.wait()
    return 0


def _chosen(settings: WebSettings, host: str | None, port: int | None) -> WebSettings:
    given = {"host": host, "port": port}
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})
