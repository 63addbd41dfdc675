"""
Serve a world on a real socket, in a thread of its own.

Built on the standard library's `ThreadingHTTPServer`: it parses requests and keeps connections alive, needs
nothing else installed, and leaves the socket to us, which the faults need: a framework or an event loop would
put its own buffers and its own manners between a fault and the wire.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, SHUT_WR, socket
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

from etl.simulator import admin
from etl.simulator.answer import Request, conditional
from etl.simulator.api import Api, default_key
from etl.simulator.delivery import Wire, is_reset
from etl.simulator.faults import Delivery, Faults

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from etl.simulator.world import World

_POLL_S = 0.02
_KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """
    How a world is served.

    Args:
        host: The address to listen on; others than loopback reach everybody who can reach this machine.
        port: The port; 0 picks a free one.
        keys: Keys by workspace; a workspace without one gets a key that is the same at every start.
        has_etags: Whether answers carry an ETag and conditional requests are honoured.
        has_admin: Whether `/_sim/` is there, by which another process evolves the world. It needs no key.
        is_warm: Whether every list is rendered before a client can ask for it.
    """

    host: str = "127.0.0.1"
    port: int = 0
    keys: Mapping[str, str] = field(default_factory=dict)
    has_etags: bool = False
    has_admin: bool = False
    is_warm: bool = False


class Requests:
    """What has arrived: a count for each path, and the latest ten thousand requests themselves."""

    def __init__(self) -> None:
        self.latest: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def record(self, request: Request) -> None:
        """Remember a request."""
        with self._lock:
            self.counts[request.path] += 1
            self.latest.append(request)

    def count(self, path: str) -> int:
        """How many requests asked for this path."""
        return self.counts[path]

    @property
    def total(self) -> int:
        """How many requests there were."""
        with self._lock:
            return self.counts.total()

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self.counts.clear()
            self.latest.clear()


class Simulator:
    """
    A simulated Roboflow API, from `with` to the end of its block.

    Args:
        world: What it serves.
        settings: How it serves it.

    Attributes:
        url: Where it listens, such as `http://127.0.0.1:40123`.
        keys: The key of each workspace.
        world: What it serves; change it only with `lock` held.
        lock: Held while an answer is made.
        faults: What is to go wrong.
        requests: What has arrived.
    """

    def __init__(self, world: World, settings: ServerSettings | None = None) -> None:
        self.settings = settings or ServerSettings()
        self.world = world
        self.keys = {one: self.settings.keys.get(one) or default_key(one) for one in world.workspaces}
        self.lock = threading.RLock()
        self.faults = Faults()
        self.requests = Requests()
        self.closing = threading.Event()
        self._api = Api(world, self.keys, has_etags=self.settings.has_etags)
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="simulator", daemon=True
        )
        self.url = f"http://{self.settings.host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self.warm()
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End: whoever stalls wakes up, every connection is closed and every thread joined."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def warm(self) -> None:
        """Render what has changed, if the settings ask for that."""
        if self.settings.is_warm:
            with self.lock:
                self._api.warm()

    def handle(self, request: Request, wire: Wire) -> bool:
        """Answer one request, and say whether its connection can go on."""
        if self.settings.has_admin and request.path.startswith(admin.PREFIX):
            return wire.deliver(admin.answer(self, request), Delivery.PLAIN, None)
        self.requests.record(request)
        fault = self.faults.take(request.path)
        with self.lock:
            answer = self._api.answer(request)
        if fault is None:
            return wire.deliver(conditional(answer, request), Delivery.PLAIN, None)
        return wire.deliver(conditional(fault.apply(answer), request), fault.delivery, fault.seconds)


class _Server(ThreadingHTTPServer):
    """Keeps account of its connections, so that an end is an end."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._open: set[socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((simulator.settings.host, simulator.settings.port), _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which nobody needs and which can take seconds."""
        TCPServer.server_bind(self)

    def hang_up(self) -> None:
        """Wake every thread that waits for its connection's next request."""
        with self._open_lock:
            for connection in self._open:
                _shut(connection, SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited.
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as inherited.
        """Close; a connection that is to be reset must not say farewell before."""
        with self._open_lock:
            self._open.discard(request)
        if not is_reset(request):
            _shut(request, SHUT_WR)
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited.
        """A client that went away is its own affair; anything else is a mistake of ours, and shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, hands them over."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        simulator = cast("_Server", self.server).simulator
        is_open = simulator.handle(self._request(), Wire(self.connection, simulator.closing))
        self.close_connection = self.close_connection or not is_open

    do_POST = do_GET  # noqa: N815 - as the base class finds it.
    do_DELETE = do_GET  # noqa: N815 - the same.

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited.
        """Say nothing: what arrived is in `Simulator.requests`."""

    def _request(self) -> Request:
        target = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        return Request(
            method=self.command,
            path=target.path,
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
            arrived_at_s=time.monotonic(),
        )


def _shut(connection: socket, how: int) -> None:
    try:
        connection.shutdown(how)
    except OSError:
        # The other side was first, or reset it: there is nothing left to shut.
        return
