"""Gauges that a metrics SDK reads now and then: the true state, and what this process is busy with.

The state is that of :mod:`scorer_fast.cutover.state`, read at most every :data:`STATE_SECONDS` in the reader's thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import connections
from opentelemetry.metrics import CallbackOptions, Observation

from .. import pool
from ..otel import meter
from ..settings import conf

if TYPE_CHECKING:  # what they say is read when somebody asks: a process that only serves does without it
    from .state import OperationState, State

logger = logging.getLogger(__name__)

STATE_SECONDS = 15.0

Values = Iterable[tuple[float, dict[str, str]]]
OF_AN_OPERATION: dict[str, tuple[str, str, Callable[[OperationState], Values]]] = {
    "scorer_fast.share.asked": (
        "", "0 to 1: share of subjects that the flag gives to the fast path", lambda one: [(one.asked_share / 100, {})],
    ),
    "scorer_fast.share.measured": (
        "", "0 to 1: share of the last ten minutes' requests that the fast path answered",
        lambda one: [] if one.share is None else [(one.share / 100, {})],
    ),
    "scorer_fast.latched": ("", "1: a latch holds", lambda one: [(float("latch" in one.stopped_by), {})]),
    "scorer_fast.killed": (
        "", "1: a kill switch holds", lambda one: [(float(one.is_killed), {})],
    ),
    "scorer_fast.circuit.open": (
        "", "1: a circuit turned requests away lately", lambda one: [(float(one.circuit.is_open), {})],
    ),
    "scorer_fast.guard.verdict": (
        "", "1 at the guard's newest verdict",
        lambda one: _verdicts(one),
    ),
    "scorer_fast.mismatch.groups": (
        "", "groups of differences seen within the hour",
        lambda one: [(count, {"category": category}) for category, count in one.mismatches.items()],
    ),
    "scorer_fast.consistency": (
        "", "0 to 1: share of the hour's comparisons that agreed",
        lambda one: [] if one.consistency is None else [(one.consistency / 100, {})],
    ),
    "scorer_fast.needs_a_person": ("", "things that a person has to look at", lambda one: [(len(one.needs), {})]),
}  # fmt: skip


def _verdicts(one: OperationState) -> Values:
    from .guard import Verdict

    given = None if one.guard is None else one.guard.verdict
    return [(float(given == verdict.value), {"verdict": verdict.value}) for verdict in Verdict]


class _Last:
    """The state as it was last read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: State | None = None
        self._connections: dict[str, int] = {}
        self._read_at = float("-inf")

    def read(self) -> tuple[State | None, dict[str, int]]:
        with self._lock:
            if time.monotonic() - self._read_at >= STATE_SECONDS:
                self._read_at = time.monotonic()
                from . import state
                from . import state_queries as sql

                try:
                    self._state = state.read(datetime.now(UTC))
                    self._connections = sql.count_connections(conf.database)
                except Exception as error:
                    logger.warning("gauges: the state cannot be read (%s)", type(error).__name__)
                    self._state, self._connections = None, {}
                finally:
                    connection = connections[conf.database]
                    if not connection.in_atomic_block:  # a test's, or a caller's
                        connection.close()
            return self._state, self._connections


_last = _Last()


def reset() -> None:
    """Forget the state, for tests."""
    global _last
    _last = _Last()


def _observing(values: Callable[[OperationState], Values]) -> Callable[[CallbackOptions], list[Observation]]:
    def observe(_: CallbackOptions) -> list[Observation]:
        seen, _connections = _last.read()
        if seen is None:
            return []
        return [
            Observation(value, {"operation": id_, **attributes})
            for id_, one in seen.operations.items()
            for value, attributes in values(one)
        ]

    return observe


def _rollouts(_: CallbackOptions) -> list[Observation]:
    seen, _connections = _last.read()
    return [
        Observation(0.0 if row.steps[row.step] == "shadow" else float(row.steps[row.step]), {"operation": id_})
        for row in (seen.rollouts if seen else ())
        for id_ in row.operations
    ]


def _connections(_: CallbackOptions) -> list[Observation]:
    _seen, counts = _last.read()
    return [
        Observation(count, {"db.client.connection.state": name, "db.client.connection.pool.name": conf.database})
        for name, count in counts.items()
    ]


def _compared_later() -> int:
    from .shadow import run

    return run.waiting()


def _one(value: Callable[[], int]) -> Callable[[CallbackOptions], list[Observation]]:
    return lambda _: [Observation(value())]


def register() -> None:
    """Create the gauges; whoever reads metrics asks them."""
    for name, (unit, about, values) in OF_AN_OPERATION.items():
        meter.create_observable_gauge(name, [_observing(values)], unit, about)
    meter.create_observable_gauge(
        "scorer_fast.rollout.step", [_rollouts], "%", "percentage of a rollout's present step"
    )
    meter.create_observable_gauge(
        "db.client.connection.count", [_connections], "", "connections to the database, by state, of all its clients"
    )
    meter.create_observable_gauge(
        "scorer_fast.pool.threads.busy", [_one(pool.busy)], "", "threads that serve the fast path under ASGI"
    )
    meter.create_observable_gauge(
        "scorer_fast.pool.queue", [_one(pool.waiting)], "", "requests that wait for such a thread"
    )
    meter.create_observable_gauge(
        "scorer_fast.shadow.queue", [_one(_compared_later)], "", "requests that wait to be compared"
    )
