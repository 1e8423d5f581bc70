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
from typing import Any, NamedTuple

from django.db import connections

logger = logging.getLogger("scorer_fast.outages")

NAME = "scorer-fast-watchdog"  # of the thread, which has something to do only while a request waits
TICK_SECONDS = 0.25
GRACE_SECONDS = 0.25  # PostgreSQL's own time-outs go first: what they say is known
_CUT = "_scorer_fast_cut"


class _Wait(NamedTuple):
    ends: float
    connections: tuple[Any, ...]


_waits: dict[int, _Wait] = {}
_thread: threading.Thread | None = None
_lock = threading.Lock()


@contextmanager
def until(ends: float, *aliases: str) -> Iterator[None]:
    """What this thread asks of ``aliases`` meanwhile is cut off at ``ends`` (monotonic seconds), and a little later."""
    waited = tuple(connections[alias] for alias in aliases)
    for connection in waited:
        setattr(connection, _CUT, False)
    wait = _Wait(ends + GRACE_SECONDS, waited)
    _waits[id(wait)] = wait
    if _thread is None:
        _start()
    try:
        yield
    finally:
        del _waits[id(wait)]


def has_cut(connection: Any) -> bool:
    """Whether it was lost by being cut off: then there is no time to ask again."""
    return bool(getattr(connection, _CUT, False))


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
                for connection in wait.connections:
                    _cut(connection)


def _cut(connection: Any) -> None:
    raw = connection.connection
    if raw is None:
        return
    try:
        # A second name for the socket: the thread that uses it closes its own.
        with socket.socket(fileno=os.dup(raw.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
    except Exception:
        return  # closed meanwhile, or cut before
    if not has_cut(connection):
        setattr(connection, _CUT, True)
        logger.warning("a connection was cut: the database said nothing until the time was over")


def _after_fork() -> None:
    global _thread, _lock
    _thread, _lock = None, threading.Lock()
    _waits.clear()


os.register_at_fork(after_in_child=_after_fork)
