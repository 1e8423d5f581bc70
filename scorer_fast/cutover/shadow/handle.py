"""One request on its way through shadow, how it may end, and the read-only transactions it is given."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO

from django.db import connections, transaction
from django.http import HttpRequest

from ...http import call
from ...http.catalogue import Operation
from ...settings import conf
from ..compare import Answer
from ..deliberate import RecordedRequest
from . import host_queries as sql

TOLERANCE = timedelta(seconds=2)  # between this process's clock and the one that stamped the host's rows

# Outcomes, one per request that shadow looked at.
MATCHED = "matched"
MISMATCHED = "mismatched"
DELIBERATE = "deliberate"
HOST_FAILED = "host_failed"
HOST_RACED = "host_raced"  # another request of the address explains the difference
HOST_CUT = "host_cut"  # a request of the host that was cut off explains it
INCONCLUSIVE = "inconclusive"  # what was read changed in between, or may be a minute old
WENT_AWAY = "went_away"  # the client did, before the host had answered
RATE_LIMITED = "rate_limited"  # the rehearsal leaves the client's budget alone, so it cannot run out of it
NOT_COMPARABLE = "not_comparable"  # a streamed answer, a body that cannot be read
HOST_RAISED = "host_raised"
QUEUE_FULL = "queue_full"
TOO_LATE = "too_late"
PAUSED = "paused"
UNAVAILABLE = "unavailable"  # the database was lost or too slow
FAILED = "failed"  # a fault of this module
AA_MATCHED = "aa_matched"
AA_DIFFERED = "aa_differed"


class TooLate(Exception):
    """The comparison's own deadline has passed."""


@dataclass(slots=True, eq=False)
class Visit:
    """One request about an address while the host answers it; monotonic seconds."""

    address: str
    started: float
    ended: float | None = None


@dataclass(slots=True)
class Handle:
    """A request whose reads are taken, on its way to being compared."""

    operation: Operation
    request: HttpRequest
    recorded: RecordedRequest
    started: datetime
    rehearsal: call.Rehearsal | None = None
    error: Exception | None = None
    answer: Answer | None = None
    ended: datetime | None = None
    deadline: float = field(default=0.0)  # monotonic seconds
    caller: int | None = None
    visit: Visit | None = None  # when the host had it, as this process saw it

    @property
    def window(self) -> tuple[datetime, datetime]:
        """The request's time, and what clocks may be apart."""
        return self.started - TOLERANCE, (self.ended or self.started) + TOLERANCE

    def check_time(self) -> None:
        """TooLate once the deadline has passed."""
        if time.monotonic() > self.deadline:
            raise TooLate


def copy_of(request: HttpRequest, body: bytes) -> HttpRequest:
    """The request as the rehearsal's own: what the host's view does to its request is not seen here."""
    twin = copy.copy(request)
    twin._stream = BytesIO(body)
    return twin


@contextmanager
def reading(alias: str, seconds: float | None = None) -> Iterator[None]:
    limit = conf.shadow_read_timeout_seconds if seconds is None else seconds
    nested = connections[alias].in_atomic_block
    # Inside a caller's transaction a failure must leave it as usable as it was, and no limit may outlive us.
    with transaction.atomic(using=alias):
        if not nested:
            sql.limit_reading(alias, limit)
        yield
