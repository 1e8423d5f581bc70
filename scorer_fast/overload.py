"""Sheds load before any work is done: what cannot be answered in time is told so at once.

Two bounds, both per process: how many requests are in progress, and how long a request has waited before this process
came to it. Scorings are shed first, look-ups later, health never (it is no operation).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.http import HttpRequest

from . import arrival, pool
from .errors import Problem, Refused
from .outages import tell_kind
from .settings import conf
from .telemetry import count, request_id

T = TypeVar("T")

SCORINGS = 0.75  # of the places are theirs at most; of the age a look-up may have, half
_lock = threading.Lock()
_in_progress = 0


@contextmanager
def admitted(operation_id: str, request: HttpRequest, *, is_scoring: bool) -> Iterator[None]:
    """Serve ``request`` among those in progress; Refused(OVERLOADED) where there are too many, or it is too old."""
    global _in_progress
    places = conf.max_in_progress
    if is_scoring:
        places = places and max(int(places * SCORINGS), 1)
    require_young(operation_id, request, is_scoring=is_scoring)
    with _lock:
        is_admitted = not places or _in_progress < places
        _in_progress += is_admitted
    if not is_admitted:
        raise shed(operation_id, request, f"{places} requests are in progress")
    try:
        yield
    finally:
        with _lock:
            _in_progress -= 1


def require_young(operation_id: str, request: HttpRequest, *, is_scoring: bool) -> None:
    """Refused(OVERLOADED) where ``request`` has waited so long that its answer would come too late."""
    oldest = conf.shed_after_seconds * (1 if is_scoring else 2)
    age = arrival.age(request)
    if oldest and age > oldest:
        raise shed(operation_id, request, f"it arrived {age:.1f} s ago")


async def on_a_thread(operation_id: str, request: HttpRequest, call: Callable[[], T], *, is_scoring: bool) -> T:
    """``call()`` on a thread of the pool, under ASGI; Refused(OVERLOADED) where no more may wait for one."""
    arrival.of(request)  # the time in the queue counts
    try:
        return await pool.run(call, share=SCORINGS if is_scoring else 1)
    except pool.Full:
        raise shed(operation_id, request, "every thread is busy, and the queue is full") from None


def shed(name: str, request: HttpRequest | None, why: str) -> Refused:
    """What to raise for a request that is not begun; it is counted and logged. ``name``: its operation's, or the place
    that refuses it before it is a request of Django's."""
    count("overload.shed")
    known = {} if request is None else {"request_id": request_id(request)}
    tell_kind(name, "OVERLOADED", f"overload: {why}", **known)
    return Refused(Problem.OVERLOADED)


def _after_fork() -> None:
    global _lock, _in_progress
    _lock, _in_progress = threading.Lock(), 0


os.register_at_fork(after_in_child=_after_fork)
