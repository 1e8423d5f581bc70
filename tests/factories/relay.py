"""A TCP relay in front of PostgreSQL's unix socket: it may lead elsewhere from now on, or swallow all it is sent."""

import socket
import threading
from contextlib import suppress
from pathlib import Path


class Relay:
    """Listens on a port of ``host``; new connections go to ``target``, those that are there stay where they are.

    While ``speaks`` is not set, nothing passes in either direction and nobody is told: no reset, no refusal.
    """

    def __init__(self, target: Path, host: str = "127.0.0.1") -> None:
        self.target = target
        self.speaks = threading.Event()
        self.speaks.set()
        self._listening = socket.create_server((host, 0), backlog=200)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self.speaks.wait()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self.target / ".s.PGSQL.5432"))
        except OSError:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.speaks.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()
