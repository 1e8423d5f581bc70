"""What each side took, as histograms that all processes add to.

    record("v2_score", "fast", 0.0031, failed=False)      # in memory: some microseconds, never raises

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
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connections, transaction

from ..settings import conf
from . import experiment_queries as sql

logger = logging.getLogger(__name__)

MOST_CELLS = 100_000  # kept while the database is away; beyond it figures are dropped and counted
SLOWEST = 10**9  # microseconds; what took longer counts as this
BUCKETS_PER_DECADE = 90


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


class Histogram(NamedTuple):
    """A merged histogram: requests per bucket, and how many of them failed."""

    buckets: Mapping[int, int]
    errors: int

    @property
    def requests(self) -> int:
        return sum(self.buckets.values())

    @property
    def error_percent(self) -> float:
        """Failed requests in percent; 0 without requests."""
        return 100.0 * self.errors / self.requests if self.requests else 0.0

    def percentile(self, percent: float) -> float | None:
        """The seconds within which ``percent`` of the requests ended; None without requests."""
        remaining = self.requests * percent / 100
        for index in sorted(self.buckets):
            remaining -= self.buckets[index]
            if remaining <= 1e-9:
                return upper_bound(index)
        return None


EMPTY = Histogram({}, 0)


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """The histogram of all requests together."""
    buckets: dict[int, int] = {}
    errors = 0
    for histogram in histograms:
        errors += histogram.errors
        for index, count in histogram.buckets.items():
            buckets[index] = buckets.get(index, 0) + count
    return Histogram(buckets, errors)


def read(operation_id: str, since: datetime) -> dict[str, Histogram]:
    """The operation's histogram per side since ``since`` (whole minutes), of all processes that flushed."""
    sides: dict[str, list[Histogram]] = {}
    for row in sql.list_buckets(conf.database, operation_id, since):
        sides.setdefault(row.side, []).append(Histogram({row.bucket: row.requests}, row.errors))
    return {side: merge(parts) for side, parts in sides.items()}


# ---- recording

Figures = dict[tuple[str, str, int, int], list[int]]
Counts = dict[tuple[str, int, str], int]


class _Recorder:
    """What this process has seen since its last flush, and the thread that flushes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.figures: Figures = {}
        self.counts: Counts = {}
        self.dropped = 0
        self.flushed_at = time.monotonic()
        self._flushing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._ending = False

    def record(self, operation: str, side: str, seconds: float, failed: bool) -> None:
        key = (operation, side, int(time.time() // 60), bucket(seconds))
        with self.lock:
            cell = self.figures.get(key)
            if cell is None:
                if len(self.figures) >= MOST_CELLS:
                    self.dropped += 1
                    return
                cell = self.figures[key] = [0, 0]
            cell[0] += 1
            cell[1] += failed
        self.start()

    def count(self, operation: str, outcome: str, amount: int) -> None:
        key = (operation, int(time.time() // 60), outcome)
        with self.lock:
            if key in self.counts or len(self.counts) < MOST_CELLS:
                self.counts[key] = self.counts.get(key, 0) + amount
        self.start()

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
                return _write(figures, counts)
            except Exception:
                self._take_back(figures, counts)
                raise

    def _take_back(self, figures: Figures, counts: Counts) -> None:
        with self.lock:
            for key, (count, errors) in figures.items():
                cell = self.figures.setdefault(key, [0, 0])
                cell[0] += count
                cell[1] += errors
            for name, amount in counts.items():
                self.counts[name] = self.counts.get(name, 0) + amount

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
        from . import guard  # which reads figures

        away: set[str] = set()
        while not self._is_ending():
            self._wake.wait(max(conf.figures_flush_seconds, 0.05))
            for what, job in (("figures", self.flush), ("guard", guard.after_flush)):
                if what == "guard" and self._is_ending():
                    break  # whoever goes on judges
                try:
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


def record(operation_id: str, side: str, seconds: float, failed: bool) -> None:
    """Count one request of a side (``fast``, ``legacy``); in memory, never raises."""
    with suppress(Exception):
        _recorder.record(operation_id, side, seconds, failed)


def count(operation_id: str, outcome: str, amount: int = 1) -> None:
    """Count an outcome of the shadow; in memory, never raises."""
    with suppress(Exception):
        _recorder.count(operation_id, outcome, amount)


def flush() -> int:
    """Add what this process has seen to the database now; how many rows. Raises what the database raises."""
    return _recorder.flush()


def flush_if_due() -> None:
    """:func:`flush` where the last one is old enough, for processes without threads; never raises."""
    if time.monotonic() - _recorder.flushed_at >= conf.figures_flush_seconds:
        try:
            # Inside a caller's transaction a failure must leave it as usable as it was.
            with transaction.atomic(using=conf.database):
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


def _write(figures: Figures, counts: Counts) -> int:
    alias = conf.database
    rows = 0
    with transaction.atomic(using=alias):
        if figures:
            cells = [
                sql.FigureRow(operation[:64], side[:8], _minute(minute), index, count, errors)
                for (operation, side, minute, index), (count, errors) in figures.items()
            ]
            rows += sql.add_figures(alias, cells)
        if counts:
            rows += sql.add_counts(
                alias,
                [
                    sql.CountRow(operation[:64], _minute(minute), outcome[:32], count)
                    for (operation, minute, outcome), count in counts.items()
                ],
            )
    return rows


def _minute(number: int) -> datetime:
    return datetime.fromtimestamp(number * 60, UTC)
