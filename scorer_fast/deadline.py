"""How long one request may take, counted from its arrival: what all its waits share.

Whoever serves a request says so once (``with deadline.serving(request):``); whatever waits below asks
``deadline.current()`` for what is left: ``check(…)`` before each attempt, ``lock_timeout()`` with each statement that
may wait for a lock, ``seconds()`` for signatures. Work without a request (commands, background) has no end.

A function in the database that waits for locks takes ``lock_timeout()`` as a parameter: ``SET lock_timeout = '2s'`` in
its head, so that the session gets its own back, and ``PERFORM set_config('lock_timeout', p_lock_timeout, TRUE)`` first.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest

from . import arrival
from .db import watchdog
from .errors import OutOfTime, Problem, Refused
from .settings import conf

PATIENCE_SECONDS = 1.0  # that requests wait for another of their process and address; a scoring takes a hundredth of it
SLOW_ADDRESSES = 1000  # that are remembered at most
_ENDS = "_scorer_fast_ends"


class Deadline:
    """When the time of a request is over, in monotonic seconds."""

    __slots__ = ("_ends",)

    def __init__(self, ends: float = float("inf")) -> None:
        self._ends = ends

    def seconds(self) -> float:
        """What is left; 0 when it is over, infinite for work that has no end."""
        return max(self._ends - time.monotonic(), 0.0)

    def check(self, waited_for: str) -> None:
        """OutOfTime where it is over; ``waited_for``: what the log says the time went to."""
        if time.monotonic() >= self._ends:
            raise OutOfTime(waited_for)

    def lock_timeout(self) -> str:
        """For ``set_config('lock_timeout', …)``: LOCK_TIMEOUT_MS, or what is left where that is less."""
        most = conf.lock_timeout_ms
        left = self.seconds() * 1000
        # 0 would mean to wait for ever: so does a setting of 0, for work that has no end.
        return f"{max(int(min(most or left, left)), 1)}ms" if most or left != float("inf") else "0"


ENDLESS = Deadline()
_current: ContextVar[Deadline] = ContextVar("scorer_fast_deadline", default=ENDLESS)


def current() -> Deadline:
    """The deadline of the request that this thread serves; one without an end where it serves none."""
    return _current.get()


def limit(request: HttpRequest, seconds: float) -> None:
    """Let ``request``, which begins now, end in ``seconds`` at the latest: as what runs it will (Lambda)."""
    arrival.is_now(request)
    setattr(request, _ENDS, time.monotonic() + seconds)


@contextmanager
def serving(request: HttpRequest) -> Iterator[Deadline]:
    """Serve ``request`` within REQUEST_DEADLINE_SECONDS of its arrival, and of its limit.

    A database that says nothing until then is not waited for any longer.
    """
    ends = min(arrival.of(request) + conf.request_deadline_seconds, getattr(request, _ENDS, float("inf")))
    deadline = Deadline(ends)
    token = _current.set(deadline)
    try:
        with watchdog.until(ends, *{conf.database, conf.read_database}):
            yield deadline
    finally:
        _current.reset(token)


# ---- one request of a process waits for an address


class _Holder:
    __slots__ = ("depth", "since", "thread")

    def __init__(self) -> None:
        self.thread, self.since, self.depth = threading.get_ident(), time.monotonic(), 0

    def patience(self) -> float:
        """The seconds that others still wait for it."""
        return self.since + PATIENCE_SECONDS - time.monotonic()


_changed = threading.Condition()
_holders: dict[str, _Holder] = {}
_slow: set[str] = set()  # whose last holder outlasted the patience of the others


@contextmanager
def waiting_for(address: str) -> Iterator[None]:
    """Around statements that may wait for locks of an address: one thread of the process at a time.

    The next one waits while they are quick. Once the one before it has taken PATIENCE_SECONDS, somebody outside holds
    the address: every other request for it is Refused, and from then on at once, until one is quick again. So one
    stuck address costs one thread.
    """
    me = threading.get_ident()
    with _changed:
        while (holder := _holders.get(address)) is not None and holder.thread != me:
            patience = min(holder.patience(), current().seconds())
            if patience <= 0 or address in _slow:
                raise Refused(Problem.BUSY)
            _changed.wait(patience)
        if holder is None:
            holder = _holders[address] = _Holder()
        holder.depth += 1
    try:
        yield
    finally:
        with _changed:
            holder.depth -= 1
            if holder.depth == 0:
                del _holders[address]
                if holder.patience() > 0:
                    _slow.discard(address)
                elif len(_slow) < SLOW_ADDRESSES:
                    _slow.add(address)
                _changed.notify_all()


def _after_fork() -> None:
    global _changed
    _changed = threading.Condition()
    _holders.clear()
    _slow.clear()


os.register_at_fork(after_in_child=_after_fork)
