"""Servers as production would start them, and what their processes spend."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.database import ROOT
from bench.server_environment import environment
from bench.stamps import DATA

THREADS = 2  # per worker: more of them wait for its GIL, and each has a connection that grows cold
START_SECONDS = 60


@dataclass(frozen=True)
class Kind:
    """A way to serve: the command after ``python -m``, with ``{port}`` in it, and the settings."""

    name: str
    command: str
    settings: str = "bench.settings"
    more: tuple[tuple[str, str], ...] = ()


GTHREAD = (
    "gunicorn bench.wsgi --bind 127.0.0.1:{port} --worker-class gthread "
    f"--workers 1 --threads {THREADS} --keep-alive 75"
)
GUNICORN = Kind("gunicorn gthread", GTHREAD)
HOST = Kind("slow host", GTHREAD, "bench.host_settings")
INSTALLED = Kind("gunicorn gthread, in the host by its middleware", GTHREAD, "bench.installed_settings")
GRANIAN = Kind(
    "granian",
    "granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 "
    f"--blocking-threads {THREADS} --no-access-log bench.wsgi:application",
)
UVICORN = Kind(
    "uvicorn (ASGI)",
    "uvicorn bench.asgi:application --host 127.0.0.1 --port {port} --workers 1 --no-access-log --log-level warning",
    "bench.installed_settings",
)


class Server:
    """A running server of the checkout ``root``; a context manager that ends it. ``more``: of its environment."""

    def __init__(self, kind: Kind, database_url: str, root: Path = ROOT, **more: str) -> None:
        self.kind = kind
        self.port = free_port()
        self.log = DATA / "log" / f"{kind.settings}-{self.port}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", *kind.command.format(port=self.port).split()]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=root,
                env=environment(database_url, settings=kind.settings, **dict(kind.more), **more),
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Server:
        self.wait("/bench/select-1")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for old in sorted(self.log.parent.glob("*.log"), key=os.path.getmtime)[:-20]:
            old.unlink()

    def wait(self, path: str, headers: dict[str, str] | None = None) -> None:
        """Until the server answers ``path`` with 200; SystemExit with its log when it does not."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers or {})
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
                    answer.read()
                    return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(
                        f"{self.kind.name} does not answer ({error}):\n{self.log.read_text()[-3000:]}"
                    ) from None
                time.sleep(0.005)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        process = psutil.Process(self._process.pid)
        return process.children() or [process]

    def cpu_seconds(self) -> float:
        """CPU that the server's processes have spent so far."""
        process = psutil.Process(self._process.pid)
        return sum(_cpu(one) for one in [process, *process.children(recursive=True)])

    def resident_mb(self) -> float:
        """Resident memory of the largest worker, in MB of 2^20 bytes."""
        return max(worker.memory_info().rss for worker in self.workers()) / 2**20


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def postgres_cpu_seconds(data: Path) -> float:
    """CPU that the processes of the database server on ``data`` have spent so far, those that ended included."""
    leader = int((data / "postmaster.pid").read_text().split()[0])
    process = psutil.Process(leader)
    times = process.cpu_times()
    return times.children_user + times.children_system + sum(_cpu(one) for one in process.children())
