"""Where blocking work goes under ASGI: a few long-lived threads with connections that stay.

:class:`Pool` by itself serves whoever needs threads that stay and a bound (``http/rate_limit.py``).

Django gives every ASGI request a thread of its own, and with it a database connection of its own.
These threads outlive requests, so that a thousand requests need as many connections as there are
threads. Work waits in a bounded queue; beyond it :class:`Full` tells the caller to do without.

Invariant: inside a caller's open transaction work stays on the caller's thread, and so on its connection.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .db.connection import hung_up
from .settings import conf

T = TypeVar("T")


class Full(Exception):
    """Every thread is busy and the queue is at its limit."""


async def run(function: Callable[..., T], *arguments: Any, share: float = 1.0) -> T:
    """``function(*arguments)`` off the event loop; raises :class:`Full` rather than wait without bound.

    ``share``: of the queue, that calls of its kind may fill.
    """
    if await _stays_with_caller():
        return await sync_to_async(function, thread_sensitive=True)(*arguments)
    return await asyncio.wrap_future(_pool().submit(_job, function, arguments, share=share))


async def _stays_with_caller() -> bool:
    if SyncToAsync.thread_sensitive_context.get(None) is None:
        # No server's request but a test client's, say: its thread is the one that holds the transaction.
        return True
    if not getattr(AsyncToSync.executors, "current", None):
        return False  # nothing synchronous above that could have opened one
    return await sync_to_async(_in_transaction, thread_sensitive=True)()


def _in_transaction() -> bool:
    return any(connection.in_atomic_block for connection in connections.all(initialized_only=True))


class Pool:
    """At most ``threads`` daemon threads, started as they are needed, and room for ``queue`` more calls."""

    def __init__(self, threads: int, queue: int, name: str = "scorer-fast-asgi") -> None:
        self._limit = threads
        self._queue = queue
        self._name = name
        self._taken = 0
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0

    def submit(self, function: Callable[..., T], *arguments: Any, share: float = 1.0) -> Future[T]:
        """Have it done in the caller's context; raises :class:`Full`."""
        call = _Call(Future(), contextvars.copy_context(), function, arguments)
        with self._lock:
            if self._taken >= self._limit + int(self._queue * share):
                raise Full
            self._taken += 1
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._limit:
                thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._calls.put(call)
        return call.future

    def end(self) -> None:
        """Finish what was submitted, end the threads and close their connections."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            result: Any = None
            error: BaseException | None = None
            wanted = call.future.set_running_or_notify_cancel()
            if wanted:
                try:
                    result = call.context.run(call.function, *call.arguments)
                except BaseException as raised:
                    error = raised
            with self._lock:
                self._idle += 1
                self._taken -= 1
            if error is not None:
                call.future.set_exception(error)
            elif wanted:
                call.future.set_result(result)
            del call, result, error  # an idle thread keeps no request alive
        connections.close_all()


class _Call(NamedTuple):
    future: Future[Any]
    context: contextvars.Context
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


_lock = threading.Lock()
_current: Pool | None = None


def _pool() -> Pool:
    global _current
    pool = _current
    if pool is None:
        with _lock:
            pool = _current = _current or Pool(conf.asgi_threads, conf.asgi_queue)
    return pool


def busy() -> int:
    """Threads of this process's pool that are at work."""
    pool = _current
    return 0 if pool is None else len(pool._threads) - pool._idle


def waiting() -> int:
    """Calls that wait for one of them."""
    pool = _current
    return 0 if pool is None else pool._calls.qsize()


def reset() -> None:
    """End the pool; the next work starts another, with the settings as they are then."""
    global _current
    with _lock:
        pool, _current = _current, None
    if pool is not None:
        pool.end()


def _after_fork() -> None:
    global _current, _lock
    _current, _lock = None, threading.Lock()  # the parent's threads stayed there


os.register_at_fork(after_in_child=_after_fork)


def _job(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    _ready_connections()
    close_old_connections()
    try:
        return function(*arguments)
    finally:
        close_old_connections()


def _ready_connections() -> None:
    for alias in {conf.database, conf.read_database}:
        connection = connections[alias]
        if connection.connection is None:
            _keep(connection)
        elif hung_up(connection):
            connection.close()


def _keep(connection: BaseDatabaseWrapper) -> None:
    """Let the connection about to be opened outlive the job, where the host's setting would not.

    Hosts set CONN_MAX_AGE to 0 under ASGI because Django's threads come and go there; these do not.
    A driver's own pool keeps connections itself, and Django then insists on 0.
    """
    settings = connection.settings_dict
    if settings["CONN_MAX_AGE"] == 0 and not settings["OPTIONS"].get("pool"):
        connection.settings_dict = {**settings, "CONN_MAX_AGE": conf.asgi_conn_max_age}
