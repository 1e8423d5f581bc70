"""Servers under attack: the commands, their environment, and what a client is told by them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import psutil

from bench.server_environment import environment as of_production
from bench.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
INTERNAL_TOKEN = "test-internal-token"
GUNICORN = (
    "gunicorn", "settings.wsgi", "--bind", "{host}:{port}", "--worker-class", "gthread",
    "--workers", "2", "--threads", "4", "--keep-alive", "75", "--no-control-socket",
)  # fmt: skip
UVICORN = (
    "uvicorn", "settings.asgi:application", "--host", "{host}", "--port", "{port}",
    "--log-level", "warning", "--lifespan", "off", "--timeout-keep-alive", "75",
)  # fmt: skip
SERVERS = {"gunicorn": GUNICORN, "uvicorn": UVICORN}


def environment(url: str, **more: str) -> dict[str, str]:
    """Of a server, and of this program where it asks Django."""
    ours = {"CERAMIC_CACHE_SCORER_ID": "1", "CGRANTS_API_TOKEN": INTERNAL_TOKEN, "LOG_LEVEL": "WARNING"}
    return of_production(url, settings="faults.settings", **(ours | more))


def set_up(url: str) -> None:
    """Migrates the database, and makes this process Django's there."""
    import django

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    os.environ.update(environment(url))
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, check=True)
    django.setup()


def conclude(wrong: list[str]) -> NoReturn:
    """Tell what was wrong, and end with it."""
    print("\n".join(wrong[:40]) or "Nothing was wrong.")
    raise SystemExit(bool(wrong))


@contextmanager
def serving(
    name: str, url: str, *, host: str = "127.0.0.1", where: tuple[str, ...] = (), **variables: str
) -> Iterator[tuple[int, subprocess.Popen[bytes], Path]]:
    """Port, process and log of the server ``name``, which ends with the block; ``where``: how its command begins."""
    port = free_port()
    with tempfile.NamedTemporaryFile("wb", prefix=f"{name}-", suffix=".log", delete=False) as log:
        process = subprocess.Popen(
            [*where, sys.executable, "-m", *(part.format(port=port, host=host) for part in SERVERS[name])],
            cwd=ROOT,
            env=environment(url, **variables),
            stdout=log,
            stderr=log,
        )
    try:
        ends = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((host, port), 0.2).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > ends:
                    raise SystemExit(f"{name} does not start: {log.name}") from None
                time.sleep(0.1)
        yield port, process, Path(log.name)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Told:
    """What clients were told: statuses, the longest wait, and all that must not be."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.statuses: Counter[int] = Counter()
        self.dropped = 0
        self.longest = 0.0
        self.wrong: list[str] = []

    def note(self, what: str, status: int, seconds: float, retry_after: str | None, body: bytes) -> None:
        self.statuses[status] += 1
        self.longest = max(self.longest, seconds)
        if not (200 <= status < 300 or (status == 503 and retry_after)):
            self.wrong.append(f"{what}: {status}, Retry-After {retry_after}: {body[:200]!r}")
        if seconds > self.limit + 1:
            self.wrong.append(f"{what}: {status} after {seconds:.1f} s")

    def line(self) -> str:
        statuses = ", ".join(f"{number} × {status}" for status, number in sorted(self.statuses.items()))
        return f"{statuses}; longest {self.longest:.2f} s; dropped {self.dropped}; wrong {len(self.wrong)}"


class Client:
    """One kept connection; ``ask`` gives status and body, and tells what it saw."""

    def __init__(self, port: int, told: Told, host: str = "127.0.0.1") -> None:
        self.port, self.told, self.host = port, told, host
        self.line = self._new()
        self.path: str | None = None  # who answered last, as X-Scorer-Path has it

    def _new(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def ask(self, what: str, request: Any) -> tuple[int, Any]:
        """Status 0 where the server hung up without an answer."""
        body = None if request.body is None else json.dumps(request.body)
        headers = {"Host": "127.0.0.1", "Content-Type": "application/json", **request.headers}
        started = time.monotonic()
        try:
            self.line.request(request.method, request.path, body, headers)
            answer = self.line.getresponse()
            content = answer.read()
            self.path = answer.getheader("X-Scorer-Path")
        except (OSError, http.client.HTTPException):
            self.told.dropped += 1
            self.line.close()
            self.line = self._new()
            return 0, None
        self.told.note(what, answer.status, time.monotonic() - started, answer.getheader("Retry-After"), content)
        return answer.status, json.loads(content) if answer.status < 500 else None


def kill_a_worker(server: subprocess.Popen[bytes], draw: Any) -> bool:
    """SIGKILL for one of the processes that answer; False where there is but the server's own."""
    children = [child for child in psutil.Process(server.pid).children() if "gunicorn" in " ".join(child.cmdline())]
    if children:
        draw.choice(children).send_signal(signal.SIGKILL)
    return bool(children)
