"""The load generator: a process of its own that spends little, so that it measures the server and not itself.

One JSON job a line in, one JSON result a line out. Plain sockets with keep-alive, no threads: at concurrency 1
a blocking socket, above it one loop over all connections. What it spends itself is in every result.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench.server_environment import environment

TIMEOUT = 60.0  # seconds for one answer
READ = 1 << 16


@dataclass
class Job:
    """Requests to send in turn until ``count`` were sent or ``seconds`` have passed, whichever is first.

    ``before`` is sent ahead of each request, neither timed nor counted.
    """

    port: int
    concurrency: int
    requests: list[str]
    seconds: float
    count: int
    before: str = ""


@dataclass
class Result:
    """Milliseconds of every request; ``seconds`` all of them took; ``cpu_seconds`` the generator's own."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Load:
    """The generator's process, from the side that gives it jobs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"],
            cwd=Path(__file__).resolve().parent.parent,
            env=environment(""),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, job: Job) -> Result:
        """Send the job's requests; SystemExit where the generator failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job.__dict__).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("The load generator ended: see above.")
        return Result(**json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Connection:
    """One kept-alive connection; reads answers that carry a Content-Length."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = self._connect()
        self.buffer = b""
        self.started = 0.0
        self.timed = True

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def send(self, request: bytes) -> None:
        self.buffer = b""
        self.started = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> str | None:
        """Read what is there; the status once the answer is complete, else None."""
        part = self.socket.recv(READ)
        if not part:
            raise ConnectionError("the server closed the connection")
        self.buffer += part
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            raise ValueError(f"no Content-Length in {head!r}")
        length = int(head[at + 15 : (head.find(b"\r\n", at) + 1 or end + 1) - 1])
        return self.buffer[9:12].decode() if len(self.buffer) >= end + 4 + length else None


def run(job: Job) -> Result:
    requests = cycle([request.encode("latin-1") for request in job.requests])
    before = job.before.encode("latin-1")
    result, statuses = Result(), Counter[str]()
    connections = [Connection(job.port) for _ in range(job.concurrency)]
    cpu, started = time.process_time(), time.perf_counter()
    deadline = started + job.seconds
    if job.concurrency == 1:
        _one(connections[0], islice(requests, job.count), before, deadline, result, statuses)
    else:
        _several(connections, islice(requests, job.count), before, deadline, result, statuses)
    result.seconds = time.perf_counter() - started
    result.cpu_seconds = time.process_time() - cpu
    result.statuses = dict(statuses)
    for connection in connections:
        connection.socket.close()
    return result


def _one(
    connection: Connection, requests: Any, before: bytes, deadline: float, result: Result, statuses: Counter[str]
) -> None:
    for request in requests:
        if before:
            connection.send(before)
            while connection.receive() is None:
                pass
        connection.send(request)
        while (status := connection.receive()) is None:
            pass
        now = time.perf_counter()
        result.milliseconds.append((now - connection.started) * 1000)
        statuses[status] += 1
        if now > deadline:
            break


def _several(
    connections: list[Connection],
    requests: Any,
    before: bytes,
    deadline: float,
    result: Result,
    statuses: Counter[str],
) -> None:
    selector = selectors.DefaultSelector()
    active = 0

    def give(connection: Connection) -> bool:
        """The connection's next request; False when there is none."""
        if before and connection.timed:
            connection.timed = False
            connection.send(before)
            return True
        if time.perf_counter() > deadline or (request := next(requests, None)) is None:
            return False
        connection.timed = True
        connection.send(request)
        return True

    for connection in connections:
        if give(connection):
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            active += 1
    while active:
        ready = selector.select(TIMEOUT)
        if not ready:
            raise TimeoutError(f"no answer within {TIMEOUT} seconds")
        for key, _ in ready:
            connection = key.data
            status = connection.receive()
            if status is None:
                continue
            if connection.timed:
                result.milliseconds.append((time.perf_counter() - connection.started) * 1000)
                statuses[status] += 1
            if not give(connection):
                selector.unregister(connection.socket)
                active -= 1
    selector.close()


def main() -> None:
    for line in sys.stdin:
        result = run(Job(**json.loads(line)))
        sys.stdout.write(json.dumps(result.__dict__) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
