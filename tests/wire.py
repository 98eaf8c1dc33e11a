"""What stands between a client of PostgreSQL and its server in tests: it speaks TLS, or listens."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

ASKS_FOR_TLS, ASKS_FOR_GSS = (80877103).to_bytes(4, "big"), (80877104).to_bytes(4, "big")
GOES = b"X\0\0\0\4"


@dataclass
class Door:
    """A port on loopback that leads to another one.

    Attributes:
        tls: what it shows to clients; without it, it speaks none.
        lingers: for how many seconds the server does not hear that a client went, as behind a
            pooler.
        asked: what clients sent, as (kind, content) of the protocol's messages; without TLS only.
    """

    to: int
    tls: ssl.SSLContext | None = None
    port: int = 0
    lingers: float = 0.0
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    def let_in(self, client: socket.socket) -> None:
        """Lead one client to the server, until one of them goes."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.to)) as server:
            client, first = self._begun(client)
            server.sendall(first)
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            self._listen(client, server)
            back.join()

    def _begun(self, client: socket.socket) -> tuple[socket.socket, bytes]:
        """The client, behind TLS by now when it asked for it, and its first message."""
        while True:
            size = client.recv(4)
            if not size:
                raise OSError("it went away")
            rest = client.recv(int.from_bytes(size, "big") - 4)
            if rest == ASKS_FOR_TLS and self.tls:
                client.sendall(b"S")
                client = self.tls.wrap_socket(client, server_side=True)
            elif rest in (ASKS_FOR_TLS, ASKS_FOR_GSS):
                client.sendall(b"N")
            else:
                return client, size + rest

    def _listen(self, client: socket.socket, server: socket.socket) -> None:
        buffer = b""
        while part := client.recv(1 << 16):
            if part == GOES:
                time.sleep(self.lingers)
            server.sendall(part)
            buffer += part
            while len(buffer) >= 5 and len(buffer) > (size := int.from_bytes(buffer[1:5], "big")):
                self.asked.append((chr(buffer[0]), buffer[5 : size + 1]))
                buffer = buffer[size + 1 :]
        server.shutdown(socket.SHUT_WR)


@contextmanager
def door(to: int, tls: ssl.SSLContext | None = None) -> Iterator[Door]:
    """A door that is open for the time being."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Door(to, tls, listening.getsockname()[1])

        def wait() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    threading.Thread(target=made.let_in, args=(client,), daemon=True).start()

        threading.Thread(target=wait, daemon=True).start()
        yield made
        listening.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(1 << 16):
            target.sendall(part)
        target.shutdown(socket.SHUT_RDWR)
