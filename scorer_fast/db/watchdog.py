"""Ends waits for a server that is there and says nothing.

PostgreSQL that is stopped, a proxy that swallows, a COMMIT that waits for a standby that is away: the kernel notices
only a network that is dead, and PostgreSQL's own time-outs need a PostgreSQL that runs. Here a thread of the process
shuts the socket once the time is over, and the driver says that the connection is lost.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

logger = logging.getLogger("scorer_fast.outages")

NAME = "scorer-fast-watchdog"  # of the thread, which has something to do only while a request waits
TICK_SECONDS = 0.25
GRACE_SECONDS = 0.25  # PostgreSQL's own time-outs go first: what they say is known


class _Wait:
    __slots__ = ("connections", "ends", "is_cut")

    def __init__(self, ends: float, waited: tuple[Any, ...]) -> None:
        self.ends, self.connections, self.is_cut = ends, waited, False


_waits: dict[int, _Wait] = {}
_of_thread = threading.local()
_thread: threading.Thread | None = None
_lock = threading.Lock()


@contextmanager
def until(ends: float, *aliases: str) -> Iterator[None]:
    """What this thread asks of ``aliases`` meanwhile is cut off at ``ends`` (monotonic seconds), and a little later."""
    wait = _Wait(ends + GRACE_SECONDS, tuple(connections[alias] for alias in aliases))
    around = getattr(_of_thread, "wait", None)
    _waits[id(wait)] = _of_thread.wait = wait
    if _thread is None:
        _start()
    try:
        yield
    finally:
        del _waits[id(wait)]
        _of_thread.wait = around


def has_cut() -> bool:
    """Whether this thread was cut off: then there is no time to ask again, or for a new connection."""
    wait: _Wait | None = getattr(_of_thread, "wait", None)
    return wait is not None and wait.is_cut


def _start() -> None:
    global _thread
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_watch, name=NAME, daemon=True)
            _thread.start()


def _watch() -> None:
    while True:
        time.sleep(TICK_SECONDS)
        now = time.monotonic()
        for wait in tuple(_waits.values()):
            if now >= wait.ends:
                is_first, wait.is_cut = not wait.is_cut, True  # before its thread hears of it
                cut = [_cut(connection) for connection in wait.connections]
                if is_first and any(cut):
                    logger.warning("a connection was cut: the database said nothing until the time was over")


def _cut(connection: Any) -> bool:
    """Whether there was something to cut."""
    try:
        # A second name for the socket: the thread that uses it closes its own.
        with socket.socket(fileno=os.dup(connection.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
    except Exception:
        return False  # there is none, or it is closed
    return True


def _after_fork() -> None:
    global _thread, _lock
    _thread, _lock = None, threading.Lock()
    _waits.clear()


os.register_at_fork(after_in_child=_after_fork)
