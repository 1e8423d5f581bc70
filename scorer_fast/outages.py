"""What makes a request a 503, and what is logged of it: one line a second and kind with a count, never a traceback."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from .db.faults import Fault, chain, described, fault_of
from .errors import OutOfTime, VerifierDown

logger = logging.getLogger("scorer_fast.outages")

_DRIVERS = {"OperationalError", "InterfaceError"}
_lock = threading.Lock()
_said: dict[str, tuple[float, int]] = {}  # by kind: when a line was written, and how many were not since


def is_outage(error: BaseException) -> bool:
    """Whether time, the verifier or the database is the trouble, anywhere in the chain of causes.

    Then nobody else would fare better now.
    """
    return any(_kind_of(link) is not None for link in chain(error))


def is_out_of_time(error: BaseException) -> bool:
    """Whether the database was there, and nobody's lock was waited for: what was asked of it took too long."""
    return any(isinstance(link, OutOfTime) or fault_of(link) is Fault.CANCELLED for link in chain(error))


def tell(operation_id: str, error: BaseException, **known: Any) -> None:
    """Log that a request to the operation could not be served, unless a line of that kind was written this second."""
    kind = next((found for link in chain(error) if (found := _kind_of(link)) is not None), type(error).__name__)
    tell_kind(operation_id, kind, _words(error), **known)


def tell_kind(operation_id: str, kind: str, words: str, **known: Any) -> None:
    """The same of what is no exception; ``words`` say what it is."""
    count = due(f"{operation_id} {kind}")
    if count:
        logger.warning("%s: 503: %s", operation_id, words, extra={"operation": operation_id, "count": count, **known})


def due(kind: str) -> int:
    """How many of this kind a line of the log would stand for, this one included; 0: one was written this second."""
    now = time.monotonic()
    with _lock:
        written, left_out = _said.get(kind, (float("-inf"), 0))
        if now - written < 1:
            _said[kind] = (written, left_out + 1)
            return 0
        _said[kind] = (now, 0)
        return left_out + 1


def _kind_of(link: BaseException) -> str | None:
    if isinstance(link, OutOfTime | VerifierDown | TimeoutError):
        return type(link).__name__
    fault = fault_of(link)
    if fault is not None:
        return fault.name
    # The driver's own, where nothing translated it to Django's.
    names = {kind.__name__ for kind in type(link).__mro__ if kind.__module__.startswith("psycopg")}
    return Fault.LOST.name if names & _DRIVERS else None


def _words(error: BaseException) -> str:
    for link in chain(error):
        if isinstance(link, OutOfTime):
            return f"its time was over: {link.waited_for}"
        if isinstance(link, VerifierDown | TimeoutError):
            return f"{type(link).__name__}: {link}"
    return described(error)
