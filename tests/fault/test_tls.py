"""TLS to Postgres follows libpq's parameters: a real handshake, before a server that itself knows no TLS."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.logins import WRITER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fault.harness import Scene

CERTIFICATE: Final = Path(__file__).with_name("self_signed.pem")
ASKS_FOR_TLS: Final = struct.pack("!ii", 8, 80877103)
ROOT: Final = f"sslrootcert={CERTIFICATE}"


class Front:
    """
    What stands before Postgres, on TCP: it ends TLS as a managed database does, or refuses it.

    Args:
        uri: The server behind it, on its socket.
        has_tls: Whether it agrees to TLS. If it does, it lets nobody in without.
    """

    def __init__(self, uri: str, *, has_tls: bool) -> None:
        params = conninfo_to_dict(uri)
        self._behind = f"{params['host']}/.s.PGSQL.{params['port']}"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATE)
        self._has_tls = has_tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"postgresql://{WRITER}@127.0.0.1:{self._listener.getsockname()[1]}/{params['dbname']}"
        self.protocols = list[str | None]()

    def serve(self) -> None:
        with suppress(OSError):  # The end closes the listener.
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._attend, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _attend(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if client.recv(8) != ASKS_FOR_TLS:
                return
            if not self._has_tls:
                client.sendall(b"N")
                return
            client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as secured:
                self.protocols.append(secured.version())
                self._pass_on(secured)

    def _pass_on(self, client: ssl.SSLSocket) -> None:
        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(self._behind)
            others: dict[socket.socket, socket.socket] = {client: behind, behind: client}
            while True:
                ready = [client] if client.pending() else select.select(list(others), [], [])[0]
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    others[one].sendall(data)


@contextmanager
def front(uri: str, *, has_tls: bool = True) -> Iterator[Front]:
    opened = Front(uri, has_tls=has_tls)
    thread = threading.Thread(target=opened.serve)
    thread.start()
    try:
        yield opened
    finally:
        opened.close()
        thread.join(10)


@pytest.mark.parametrize(
    "parameters", ["sslmode=require", f"sslmode=verify-full&{ROOT}", f"sslmode=verify-ca&{ROOT}"]
)
def test_a_run_goes_through_tls_as_the_address_asks(scene: Scene, parameters: str) -> None:
    with front(scene.database) as served:
        exit_code, process = scene.sync(DATABASE_URL=f"{served.uri}?{parameters}")

    assert exit_code == 0, process.said
    assert served.protocols
    assert set(served.protocols) <= {"TLSv1.2", "TLSv1.3"}
    scene.is_the_truth()


def test_a_run_goes_through_tls_as_the_environment_asks(scene: Scene) -> None:
    with front(scene.database) as served:
        environ = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(CERTIFICATE)}
        exit_code, process = scene.sync(DATABASE_URL=served.uri, **environ)

    assert exit_code == 0, process.said
    assert served.protocols


@pytest.mark.parametrize(
    ("parameters", "has_tls", "words"),
    [
        ("sslmode=require", False, "server does not support SSL, but SSL was required"),
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.pem", True, "/nowhere/ca.pem"),
        ("sslmode=verify-full&sslrootcert=system", True, "certificate verify failed"),
        (f"sslmode=verify-full&{ROOT}&hostaddr=127.0.0.1&host=db.example", True, "does not match host name"),
    ],
)
def test_a_server_that_is_not_what_the_address_asks_for_is_refused_in_one_line(
    scene: Scene, parameters: str, words: str, *, has_tls: bool
) -> None:
    with front(scene.database, has_tls=has_tls) as served:
        exit_code, process = scene.sync(DATABASE_URL=f"{served.uri}?{parameters}")

    (error,) = [line for line in process.said.splitlines() if line.startswith("error: ")]
    assert exit_code == 1
    assert words in error
    assert "Traceback" not in process.said
    assert scene.rows("SELECT * FROM ledger.run") == []
