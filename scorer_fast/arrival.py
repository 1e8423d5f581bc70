"""When a request arrived, as far as anybody can tell: queues in front of this process count.

The largest age of: ``X-Request-Start`` (a proxy's clock: ``t=`` seconds, milliseconds or microseconds), the seconds
in ``X-Amzn-Trace-Id`` (the load balancer's own part, ``Self``, before ``Root``, which a caller may have made long
ago), and under gunicorn what the kernel knows of the socket: how long ago its last bytes came.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
import time

from django.http import HttpRequest

CREDIBLE_SECONDS = 3600.0  # an age above it, or below zero, is a clock that is wrong
STEP_SECONDS = 0.01  # in which the kernel may count what it tells of a socket (Linux with HZ=100)
_ARRIVED = "_scorer_fast_arrived"
_began: float | None = None  # when this process came to its first request
_NUMBER = re.compile(r"(?:t=)?(\d{9,17}(?:\.\d{1,9})?)\Z")
_AMAZON = {word: re.compile(rf"(?:^|;)\s*{word}=1-([0-9a-fA-F]{{8}})-") for word in ("Self", "Root")}
_LAST_DATA_RECEIVED = 52  # bytes into Linux's struct tcp_info: milliseconds, as an unsigned 32-bit number


def is_now(request: HttpRequest) -> None:
    """Say that nothing queued before this process, whatever headers say: in Lambda the start of the process would."""
    setattr(request, _ARRIVED, time.monotonic())


def of(request: HttpRequest) -> float:
    """Monotonic seconds of the request's arrival; found out once."""
    known: float | None = getattr(request, _ARRIVED, None)
    if known is None:
        known = time.monotonic() - _age(request)
        setattr(request, _ARRIVED, known)
    return known


def age(request: HttpRequest) -> float:
    """Seconds since the request arrived."""
    return time.monotonic() - of(request)


def queued(request: HttpRequest) -> float:
    """Seconds that ``request`` waited under gunicorn for a thread, at the least: without a step of the kernel's clock.

    For figures, which say what its client waited. Headers are not asked: they are by other clocks.
    """
    return max(_by_socket(request) - STEP_SECONDS, 0.0)


def _age(request: HttpRequest) -> float:
    ages = [_by_socket(request)]
    now = time.time()
    if given := request.META.get("HTTP_X_REQUEST_START"):
        ages.append(now - _seconds(given, now))
    if given := request.META.get("HTTP_X_AMZN_TRACE_ID"):
        found = _AMAZON["Self"].search(given) or _AMAZON["Root"].search(given)
        if found:
            ages.append(now - int(found[1], 16) - 1)  # whole seconds: it may have been the end of that one
    return max((age for age in ages if 0 <= age <= CREDIBLE_SECONDS), default=0.0)


def _seconds(given: str, now: float) -> float:
    """Unix seconds of the header; ``now`` where it is no number. Nobody says in which unit: their sizes tell."""
    found = _NUMBER.match(given.strip())
    if found is None:
        return now
    value = float(found[1])
    return value / 1e6 if value > 1e14 else value / 1e3 if value > 1e11 else value


def _by_socket(request: HttpRequest) -> float:
    global _began
    connection = request.META.get("gunicorn.socket")
    if _began is None:
        _began = time.monotonic()
    if connection is None or sys.platform != "linux":
        return 0.0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED + 4)
        waited = float(struct.unpack_from("I", info, _LAST_DATA_RECEIVED)[0]) / 1000
        return min(waited, time.monotonic() - _began)  # what the first request loads is no queue
    except (OSError, AttributeError, struct.error):  # no TCP: a unix socket
        return 0.0
