"""The thread that compares: a bounded queue before it, and a breaker that spares a database in trouble."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from django.db import close_old_connections, connections

from ...settings import conf
from .handle import Handle

IDLE_SECONDS = 2.0  # after which the comparing thread gives its connections back
FAILURES_TO_PAUSE = 5  # reads that failed one after the other
PAUSE_SECONDS = 10.0


class Worker:
    """A bounded queue and the one daemon thread that empties it, started with the first item."""

    def __init__(self, process: Callable[[Handle], None]) -> None:
        self._process = process  # which never raises
        self._queue: queue.Queue[Handle] | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._ending = False

    def put(self, handle: Handle) -> bool:
        """Whether there was room."""
        waiting = self._start()
        try:
            waiting.put_nowait(handle)
        except queue.Full:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._queue is not None and self._queue.unfinished_tasks:
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def end(self, seconds: float = 2.0) -> None:
        self._ending = True
        if self._thread is not None:
            self._thread.join(seconds)

    def _start(self) -> queue.Queue[Handle]:
        waiting, thread = self._queue, self._thread
        if waiting is not None and thread is not None and thread.is_alive():
            return waiting
        with self._lock:
            if self._queue is None:
                self._queue = queue.Queue(max(1, conf.shadow_queue))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="scorer-fast-shadow", daemon=True)
                self._thread.start()
            return self._queue

    def _run(self) -> None:
        assert self._queue is not None
        idle_since: float | None = time.monotonic()
        while not self._ending:
            try:
                handle = self._queue.get(timeout=0.2)
            except queue.Empty:
                if idle_since is not None and time.monotonic() - idle_since > IDLE_SECONDS:
                    with suppress(Exception):
                        connections.close_all()
                    idle_since = None
                continue
            try:
                close_old_connections()
                self._process(handle)
            finally:
                self._queue.task_done()
            idle_since = time.monotonic()
        with suppress(Exception):
            connections.close_all()


class Breaker:
    """Stops the extra reads for a while when the database cannot take them: the host comes first."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    def is_open(self) -> bool:
        return self._failures >= FAILURES_TO_PAUSE and time.monotonic() < self._until

    def failed(self) -> None:
        self._failures += 1
        self._until = time.monotonic() + PAUSE_SECONDS

    def succeeded(self) -> None:
        self._failures = 0
