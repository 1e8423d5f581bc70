"""A circuit per operation and process: after a series of failures the host answers for a while.

Closed: the fast path serves. Open: the host does, until the cool-down is over. Half open: one request
tries: its success closes the circuit, its failure opens it again, after any other end the next one tries.
A trial that does not end is one that failed, once it has taken a request's time and a cool-down.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

from ..settings import conf
from . import figures

logger = logging.getLogger(__name__)


class Admission(Enum):
    """Whether a request may take the fast path, and what hangs on how it goes."""

    REFUSED = "the host answers"
    REGULAR = "the circuit is closed"
    TRIAL = "this request decides whether it closes"


class Circuit:
    """Counts the unexpected failures of one operation; ``clock`` says monotonic seconds."""

    def __init__(self, operation_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._operation_id = operation_id
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: deque[float] = deque()
        self._opened_at: float | None = None
        self.by_infrastructure = False  # what it fails by is no fault of the operation's
        self._culprits: deque[int | None] = deque(maxlen=16)  # whose requests failed of late
        self._tried_at: float | None = None  # since when a trial is under way

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    def admit(self) -> Admission:
        """Ask before each attempt; every TRIAL must be ended by one of the three methods below."""
        if not self.is_open:
            return Admission.REGULAR
        with self._lock:
            if self._opened_at is None:
                return Admission.REGULAR
            now, cooldown = self._clock(), conf.circuit_cooldown_seconds
            if now - self._opened_at < cooldown:
                return Admission.REFUSED
            if self._tried_at is not None and now - self._tried_at < cooldown + conf.request_deadline_seconds:
                return Admission.REFUSED
            self._tried_at = now
            return Admission.TRIAL

    def succeeded(self, admission: Admission) -> None:
        # A request let in before the circuit opened may still end well: it proves nothing now.
        if admission is not Admission.TRIAL:
            return
        with self._lock:
            self._opened_at = self._tried_at = None
            self._failures.clear()
        logger.warning("circuit closed: %s is on the fast path again", self._operation_id)

    def culprit(self) -> int | None:
        """One of the callers whose requests opened the circuit, each in turn: what it costs others is their doing."""
        with self._lock:
            self._culprits.rotate(1)
            return self._culprits[0] if self._culprits else None

    def failed(self, admission: Admission, caller: int | None = None, *, by_infrastructure: bool = False) -> None:
        """Count one unexpected failure, of ``caller``; opens the circuit when there are enough in the window."""
        now, enough = self._clock(), conf.circuit_failures
        with self._lock:
            self.by_infrastructure = by_infrastructure
            self._culprits.append(caller)
            if admission is Admission.TRIAL:
                self._opened_at, self._tried_at = now, None
                figures.count(self._operation_id, "circuit_opened")
                return
            if enough <= 0 or self._opened_at is not None:
                return
            self._failures.append(now)
            while now - self._failures[0] > conf.circuit_window_seconds:
                self._failures.popleft()
            if len(self._failures) < enough:
                return
            self._opened_at = now
            self._failures.clear()
        figures.count(self._operation_id, "circuit_opened")
        logger.error("circuit open: the host answers %s", self._operation_id)

    def ended_otherwise(self, admission: Admission) -> None:
        """The attempt said nothing of the fast path's health: the next request tries."""
        if admission is Admission.TRIAL:
            self._tried_at = None


_circuits: dict[str, Circuit] = {}


def of(operation_id: str) -> Circuit:
    """The circuit of an operation in this process."""
    found = _circuits.get(operation_id)
    return found if found is not None else _circuits.setdefault(operation_id, Circuit(operation_id))


def reset() -> None:
    """Close every circuit and forget all failures."""
    _circuits.clear()


os.register_at_fork(after_in_child=reset)
