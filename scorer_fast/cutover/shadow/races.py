"""Telling a fault from a race: what other requests of an address explain of a difference.

The host scores an address in several steps that are not atomic: it deletes stamps and inserts them again. A request
that meets another one in between is answered by half of them, and one that is cut off there leaves half of them. So
a difference is no mismatch where the rows say that somebody else scored the address (or a holder of its nullifiers)
at that time, where this process itself saw another request of the address under way, or one that was cut off.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.http import HttpRequest

from ...http import call
from ...http.catalogue import Operation
from ...settings import conf
from .. import split
from ..compare import Answer, Context, Difference, Rows, compare
from . import host_queries as sql
from .handle import HOST_CUT, HOST_RACED, INCONCLUSIVE, TOLERANCE, Handle, Visit, copy_of, reading

SKEW = timedelta(milliseconds=250)  # between the clocks of two servers that write at the same time
DOUBT_SECONDS = 600.0  # how long a doubt, and a request that was cut off, is remembered
MOST_ADDRESSES = 10_000  # whose requests are remembered
MOST_VISITS = 64  # of one address


class Explained(NamedTuple):
    """Which differences remain, which are explained, and by what (an outcome)."""

    mismatches: list[Difference]
    explained: list[Difference]
    by: str


def explain(handle: Handle, control: Answer, candidate: Answer, differences: list[Difference]) -> Explained:
    """Sort out the differences that neither somebody else's writes nor a minute's age explain.

    The answer can only depend on what was written until it was given; the rows were read later.
    """
    operation = handle.operation
    nothing: list[Difference] = []
    if not differences:
        return Explained(nothing, nothing, "")
    if operation.max_age:
        lasts = doubts.lasts((operation.id, _digest(control), _digest(candidate)), operation.max_age)
        return Explained(differences if lasts else nothing, nothing, INCONCLUSIVE)
    if not operation.writes:
        return Explained(nothing if _agrees_now(handle, control) else differences, nothing, INCONCLUSIVE)
    address = split.address(operation, handle.request) or ""
    if traffic.was_cut(address, handle.visit):
        return Explained(nothing, differences, HOST_CUT)
    if handle.visit is not None and traffic.met_others(address, handle.visit):
        return Explained(nothing, differences, HOST_RACED)
    assert handle.ended is not None
    # A row bears the instant at which its writer wrote it: under load, as much later as requests take longer.
    late = SKEW + 2 * (handle.ended - handle.started)
    mismatches, explained = [], []
    for of_rows, until in ((False, handle.ended + late), (True, datetime.now(UTC) + TOLERANCE)):
        some = [each for each in differences if each.path.startswith("rows.") is of_rows]
        if some and _interfered(handle, address, control.rows, candidate.rows, until):
            explained += some
        else:
            mismatches += some
    return Explained(mismatches, explained, HOST_RACED)


# ---- what the rows say


def _interfered(handle: Handle, own: str, control: Rows | None, candidate: Rows | None, until: datetime) -> bool:
    """Whether somebody else scored the address, or a holder of its nullifiers, or changed its stamps."""
    planned = _planned_scorings(candidate)
    touched = _touched(handle, own, control, candidate, until)
    for row in touched:
        if row.address != own and row.scorings:
            return True
        if row.address == own and row.scorings > max(1, planned):
            return True
        if row.address == own and _others_stamps(row.providers, handle):
            return True
    if planned == 0 and any(row.scorings for row in touched):
        # The host's own scoring, or another's? A fault comes again, a race hardly.
        return not doubts.lasts((handle.operation.id, "scored"), 1.0)
    return False


def _planned_scorings(rows: Rows | None) -> int:
    return sum(row.get("action") == "SCU" for row in (rows or {}).get("registry_event", ()))


def _others_stamps(providers: list[str], handle: Handle) -> bool:
    """Whether the cache rows written, by provider, are more than this request itself writes.

    A removed stamp is one row of its provider, a replaced one two; a request names its providers.
    """
    method = handle.recorded.method
    most = {"GET": 0, "DELETE": 1}.get(method, 2)
    body = handle.recorded.body.decode(errors="replace")
    return any(
        number > most or json.dumps(provider)[1:-1] not in body for provider, number in Counter(providers).items()
    )


def _touched(
    handle: Handle, own: str, control: Rows | None, candidate: Rows | None, until: datetime
) -> list[sql.TouchedRow]:
    addresses = {own}
    for rows in (control, candidate):
        for table in ("registry_passport", "registry_hashscorerlink"):
            addresses |= {str(row["address"]) for row in (rows or {}).get(table, ()) if row.get("address")}
    addresses.discard("")
    # A row bears the instant its writer began with, and is seen when that one commits.
    with reading(conf.database):
        return sql.list_touched(conf.database, sorted(addresses), handle.started - TOLERANCE, until)


def _agrees_now(handle: Handle, control: Answer) -> bool:
    """Whether the fast path gives the host's answer on the data as it is now: it changed in between."""
    with reading(conf.read_database):
        again = call.rehearse(copy_of(handle.request, handle.recorded.body))
    planned = again.decide(datetime.now(UTC))
    answers = Answer(control.status, control.body), Answer(planned.status, planned.body)
    return not compare(*answers, Context(handle.operation.id, handle.window)).differences


def _digest(answer: Answer) -> str:
    return hashlib.sha256(b"%d " % answer.status + answer.body).hexdigest()


# ---- what this process saw


class _Traffic:
    """Which requests of an address the host has, and which of them were cut off; bounded."""

    def __init__(self) -> None:
        self._visits: dict[str, deque[Visit]] = {}
        self._cut: dict[str, Visit] = {}
        self._lock = threading.Lock()

    def enter(self, operation: Operation, request: HttpRequest) -> Visit | None:
        """Note that the host begins; None for requests about no address."""
        address = split.address(operation, request)
        if address is None:
            return None
        visit = Visit(address, time.monotonic())
        with self._lock:
            if address not in self._visits and len(self._visits) >= MOST_ADDRESSES:
                self._visits.pop(next(iter(self._visits)))
            self._visits.setdefault(address, deque(maxlen=MOST_VISITS)).append(visit)
        return visit

    def leave(self, visit: Visit | None, *, cut: bool) -> None:
        """Note that the host has ended, or was cut off (it raised, was cancelled, or failed half-way)."""
        if visit is None:
            return
        visit.ended = time.monotonic()
        if cut:
            with self._lock:
                if len(self._cut) >= MOST_ADDRESSES:
                    self._cut.pop(next(iter(self._cut)))
                self._cut[visit.address] = visit

    def met_others(self, address: str, visit: Visit) -> bool:
        """Whether another request of the address was under way at the same time."""
        ended = visit.ended or time.monotonic()
        with self._lock:
            others = [one for one in self._visits.get(address, ()) if one is not visit]
        return any(one.started <= ended and (one.ended is None or one.ended >= visit.started) for one in others)

    def was_cut(self, address: str, visit: Visit | None) -> bool:
        """Whether another request of the address was cut off lately: the host may have left half of its rows."""
        cut = self._cut.get(address)
        return cut is not None and cut is not visit and time.monotonic() - (cut.ended or 0.0) < DOUBT_SECONDS


class _Doubts:
    """Differences that are findings only when they come again."""

    def __init__(self) -> None:
        self._seen: dict[Any, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def lasts(self, key: Any, seconds: float) -> bool:
        """Whether ``key`` was first seen at least ``seconds`` ago, and was not forgotten since."""
        now = time.monotonic()
        with self._lock:
            self._seen = {k: times for k, times in self._seen.items() if now - times[1] < DOUBT_SECONDS}
            first, _ = self._seen.get(key, (now, now))
            self._seen[key] = (first, now)
            return now - first >= seconds


traffic = _Traffic()
doubts = _Doubts()


def reset() -> None:
    """Forget what was seen, as after a fork."""
    global traffic, doubts
    traffic, doubts = _Traffic(), _Doubts()
