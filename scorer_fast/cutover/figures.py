"""What became of each request and how long it took, as histograms that all processes add to.

    record("v2_score", "fast", 0.0031, Outcome.OK, caller)      # in memory: some microseconds, never raises
    read_all(since)["v2_score"]["fast"].percentile(95)

A thread adds what a process has seen to the database every few seconds, off every request's path. A
bucket holds durations that agree in two significant digits of microseconds, so histograms of any
processes and minutes merge by adding, and a percentile read from them is at most 10 % too high.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from django.db import connections, transaction

from ..db import watchdog
from ..settings import conf
from . import figure_queries as sql

logger = logging.getLogger(__name__)

MOST_CELLS = 100_000  # kept while the database is away; beyond it figures are dropped and counted
MOST_CALLERS = 100_000  # remembered within a minute; beyond it a caller's further requests count as new ones
FLUSH_SECONDS = 0.25  # that a request of a process without threads waits for its figures to be stored
JOB_SECONDS = 300.0  # of a job in the background: a server that says nothing is not waited for for ever
SLOWEST = 10**9  # microseconds; what took longer counts as this
BUCKETS_PER_DECADE = 90
CALLER_BITS = 63  # of a set of callers, as it fits a bigint


class Outcome(StrEnum):
    """What became of a request on one side; each is a figure of its own."""

    OK = "ok"  # served, below 400
    CLIENT_ERROR = "client_error"  # served, and the answer is that something is wrong or not there
    ERROR = "error"  # answered 5xx by its own fault
    FALLBACK = "fallback"  # the fast path failed, and the host answered
    CIRCUIT_OPEN = "circuit_open"  # the fast path had failed too often to be asked
    REFUSED = "refused"  # before any work: authentication, form, size, rate limit
    WENT_AWAY = "went_away"  # the client did: a body cut short, a cancelled request
    TIMED_OUT = "timed_out"  # its statement or its request took longer than it may: an answer that was too slow
    INFRASTRUCTURE = "infrastructure"  # the database was lost or read-only, a lock was held, too much was asked
    HANDED_OVER = "handed_over"  # the host's to answer from the start, and no fault
    FIRST_USE = "first_use"  # of an API key in this process, which may cost a slow hash
    STOOD_IN = "stood_in"  # the host answered in place of the fast path

    @classmethod
    def _missing_(cls, value: object) -> Outcome:
        """What a newer release counts beside this one, and this one does not know: it is not compared."""
        return cls.INFRASTRUCTURE


SERVED = frozenset(
    {Outcome.OK, Outcome.CLIENT_ERROR, Outcome.ERROR, Outcome.FALLBACK, Outcome.CIRCUIT_OPEN, Outcome.TIMED_OUT}
)  # what is compared
ERRORS = frozenset({Outcome.ERROR, Outcome.FALLBACK, Outcome.CIRCUIT_OPEN})
ANSWERED = frozenset({Outcome.OK, Outcome.CLIENT_ERROR, Outcome.ERROR, Outcome.TIMED_OUT})  # by this side's own code


# ---- buckets


def bucket(seconds: float) -> int:
    """The bucket of a duration; everything under 10 µs is bucket 0."""
    microseconds = int(seconds * 1_000_000)
    if microseconds <= 10:
        return 0
    microseconds = min(microseconds, SLOWEST)
    decades = len(str(microseconds)) - 2
    digits = int(str(microseconds)[:2])
    return decades * BUCKETS_PER_DECADE + digits - 10


def upper_bound(bucket: int) -> float:
    """The seconds that no duration of a bucket reaches."""
    decades, digits = divmod(bucket, BUCKETS_PER_DECADE)
    return float(f"{digits + 11}e{decades - 6}")


def milliseconds(bucket: int | None) -> float | None:
    """The same in milliseconds, for people; None of no bucket."""
    return None if bucket is None else round(upper_bound(bucket) * 1000, 3)


def percentile(buckets: Mapping[int, float], percent: float) -> int | None:
    """The bucket within which ``percent`` of the requests ended; None without requests."""
    remaining = sum(buckets.values()) * percent / 100
    for index in sorted(buckets):
        remaining -= buckets[index]
        if remaining <= 1e-9:
            return index
    return None


Cells = Mapping[Outcome, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Figures:
    """One side's requests: how many per outcome and bucket of duration."""

    cells: Cells = field(default_factory=dict)

    def count(self, *outcomes: Outcome) -> int:
        """Requests that ended in one of ``outcomes``; all of them without any."""
        return sum(sum(buckets.values()) for outcome, buckets in self.cells.items() if outcome in (outcomes or Outcome))

    @property
    def served(self) -> int:
        """Requests that this side worked on, or should have."""
        return self.count(*SERVED)

    @property
    def errors(self) -> int:
        """Those of them that it failed."""
        return self.count(*ERRORS)

    @property
    def error_percent(self) -> float:
        """Errors in percent of what was served; 0 without requests."""
        served = self.served
        return 100.0 * self.errors / served if served else 0.0

    def histogram(self, outcomes: Iterable[Outcome] = ANSWERED) -> dict[int, int]:
        """Requests per bucket of duration."""
        merged: dict[int, int] = {}
        for outcome in outcomes:
            for index, requests in self.cells.get(outcome, {}).items():
                merged[index] = merged.get(index, 0) + requests
        return merged

    def percentile(self, percent: float, outcomes: Iterable[Outcome] = ANSWERED) -> float | None:
        """The seconds within which ``percent`` of the requests ended; None without requests."""
        index = percentile(self.histogram(outcomes), percent)
        return None if index is None else upper_bound(index)


EMPTY = Figures()


def read_all(since: datetime) -> dict[str, dict[str, Figures]]:
    """Figures per operation and side (``fast``, ``legacy``, ``shadow``) since ``since``, in one statement.

    Whole minutes by the database's clock, of all processes that have flushed.
    """
    cells: dict[str, dict[str, dict[Outcome, dict[int, int]]]] = {}
    for row in sql.list_buckets(conf.database, since.replace(second=0, microsecond=0)):
        outcomes = cells.setdefault(row.operation, {}).setdefault(row.side, {})
        outcomes.setdefault(Outcome(row.outcome), {})[row.bucket] = row.requests
    return {
        operation: {side: Figures(outcomes) for side, outcomes in sides.items()} for operation, sides in cells.items()
    }


# ---- recording


class Cell(NamedTuple):
    """Where a request counts; ``minute`` since 1970 by this process's clock."""

    operation: str
    side: str
    minute: int
    outcome: Outcome
    bucket: int


Counted = dict[Cell, list[int]]  # requests, callers' first ones among them, bit set of callers
Counts = dict[tuple[str, int, str], list[int]]  # requests, bit set of callers


def caller_bit(caller: int | None) -> int:
    """The bit of a caller in a set of callers: 63 of them tell one caller from several, and no caller's name."""
    return 0 if caller is None else 1 << caller % CALLER_BITS


class _Recorder:
    """What this process has seen since its last flush, and the thread that flushes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.figures: Counted = {}
        self.counts: Counts = {}
        self.dropped = 0
        self.flushed_at = float("-inf")  # monotonic seconds; of a process that never did, it is due
        self._ahead = time.time() - time.monotonic()  # what our clock said; steps of it move no minute
        self._callers: set[tuple[str, str, bool, int]] = set()
        self._callers_of = 0  # the minute
        self._flushing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._ending = False

    def record(self, operation: str, side: str, seconds: float, outcome: Outcome, caller: int | None) -> None:
        minute = self._minute()
        key = Cell(operation, side, minute, outcome, bucket(seconds))
        with self.lock:
            cell = self.figures.get(key)
            if cell is None:
                if len(self.figures) >= MOST_CELLS:
                    self.dropped += 1
                    return
                cell = self.figures[key] = [0, 0, 0]
            cell[0] += 1
            cell[1] += self._is_first(minute, operation, side, outcome, caller)
            cell[2] |= caller_bit(caller)
        self.start()

    def _is_first(self, minute: int, operation: str, side: str, outcome: Outcome, caller: int | None) -> bool:
        if outcome not in SERVED:
            return False
        if caller is None:
            return True
        if minute != self._callers_of:
            self._callers_of = minute
            self._callers.clear()
        key = (operation, side, outcome in ERRORS, caller)
        if key in self._callers:
            return False
        if len(self._callers) < MOST_CALLERS:
            self._callers.add(key)
        return True

    def count(self, operation: str, outcome: str, amount: int, caller: int | None) -> None:
        key = (operation, self._minute(), outcome)
        with self.lock:
            if key in self.counts or len(self.counts) < MOST_CELLS:
                cell = self.counts.setdefault(key, [0, 0])
                cell[0] += amount
                cell[1] |= caller_bit(caller)
        self.start()

    def _minute(self) -> int:
        return int((time.monotonic() + self._ahead) // 60)

    def start(self) -> None:
        """Make sure that the thread runs, where threads are wanted."""
        thread = self._thread
        if (thread is None or not thread.is_alive()) and not self._ending and conf.runs_threads:
            with self.lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="scorer-fast-figures", daemon=True)
                    self._thread.start()

    def flush(self) -> int:
        """Add what was seen to the database; how many rows. What cannot be written is kept."""
        with self._flushing:
            with self.lock:
                figures, self.figures = self.figures, {}
                counts, self.counts = self.counts, {}
                self.flushed_at = time.monotonic()
            if not figures and not counts:
                return 0
            try:
                with transaction.atomic(using=conf.database):
                    # Minutes are the database's: servers' own clocks may be hours apart.
                    late = sql.get_clock(conf.database).timestamp() - time.monotonic() - self._ahead
                    return _write(figures, counts, minutes_late=round(late / 60))
            except Exception:
                self._take_back(figures, counts)
                raise

    def has_something(self) -> bool:
        """Whether anything waits to be flushed."""
        return bool(self.figures or self.counts)

    def _take_back(self, figures: Counted, counts: Counts) -> None:
        with self.lock:
            for key, (requests, distinct, callers) in figures.items():
                cell = self.figures.setdefault(key, [0, 0, 0])
                cell[0] += requests
                cell[1] += distinct
                cell[2] |= callers
            for name, (requests, callers) in counts.items():
                counted = self.counts.setdefault(name, [0, 0])
                counted[0] += requests
                counted[1] |= callers

    def forget(self) -> None:
        """Drop what was seen and not flushed."""
        with self.lock:
            self.figures, self.counts = {}, {}

    def end(self, seconds: float = 2.0) -> None:
        """End the thread, once it has flushed what is left."""
        self._ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _is_ending(self) -> bool:
        return self._ending  # another thread sets it

    def _run(self) -> None:
        away: set[str] = set()
        while not self._is_ending():
            self._wake.wait(max(conf.figures_flush_seconds, 0.05))
            for what, job in [("figures", self.flush), *_afterwards.items()]:
                if what != "figures" and self._is_ending():
                    break  # whoever goes on does it
                try:
                    with watchdog.until(time.monotonic() + JOB_SECONDS, conf.database):
                        job()
                    away.discard(what)
                except Exception as error:
                    if what not in away:
                        logger.warning("%s: the database cannot be used (%s)", what, type(error).__name__)
                    away.add(what)
            # No connection waits idle for the next flush: each worker would hold one.
            with suppress(Exception):
                connections[conf.database].close()


_recorder = _Recorder()
_afterwards: dict[str, Callable[[], object]] = {}


def after_flush(name: str, job: Callable[[], object]) -> None:
    """Have the flushing thread do ``job`` too, after each flush; it may raise what the database raises."""
    _afterwards[name] = job


def record(operation_id: str, side: str, seconds: float, outcome: Outcome, caller: int | None = None) -> None:
    """Count one request of a side (``fast``, ``legacy``, ``shadow``); in memory, never raises.

    ``caller``: a number that stands for who asked; None where that is not known.
    """
    with suppress(Exception):
        _recorder.record(operation_id, side, seconds, outcome, caller)


def count(operation_id: str, outcome: str, amount: int = 1, caller: int | None = None) -> None:
    """Count an outcome of the shadow; in memory, never raises."""
    with suppress(Exception):
        _recorder.count(operation_id, outcome, amount, caller)


def flush() -> int:
    """Add what this process has seen to the database now; how many rows. Raises what the database raises."""
    return _recorder.flush()


def flush_if_due() -> None:
    """:func:`flush` where the last one is old enough, for processes without threads; never raises.

    A request waits for it, but no longer than ``FLUSH_SECONDS``: what could not be stored then waits for the next.
    """
    if not _recorder.has_something() or time.monotonic() - _recorder.flushed_at < conf.figures_flush_seconds:
        return
    alias = conf.database
    try:
        # Inside a caller's transaction a failure must leave it as usable as it was, and no limit may outlive us.
        is_own = not connections[alias].in_atomic_block
        with transaction.atomic(using=alias):
            if is_own:
                sql.limit_writing(alias, FLUSH_SECONDS)
            flush()
    except Exception as error:
        logger.warning("figures cannot be stored; they are kept (%s)", type(error).__name__)


def reset() -> None:
    """Forget what this process has seen and not flushed, as after a fork."""
    global _recorder
    _recorder.forget()
    _recorder.end()
    _recorder = _Recorder()


def _after_fork() -> None:
    global _recorder
    _recorder = _Recorder()  # the parent's thread and lock stayed there, and it flushes its own figures


os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _recorder.end())  # no flush may be under way while the interpreter is torn down


def _write(figures: Counted, counts: Counts, minutes_late: int) -> int:
    alias = conf.database
    rows = 0

    def at(minute: int) -> datetime:
        return datetime.fromtimestamp((minute + minutes_late) * 60, UTC)

    if figures:
        rows += sql.add_figures(
            alias,
            [
                sql.FigureRow(
                    cell.operation[:64], cell.side[:8], at(cell.minute), cell.outcome.value, cell.bucket, *counted
                )
                for cell, counted in figures.items()
            ],
        )
    if counts:
        rows += sql.add_counts(
            alias,
            [
                sql.CountRow(operation[:64], at(minute), outcome[:32], *counted)
                for (operation, minute, outcome), counted in counts.items()
            ],
        )
    return rows
