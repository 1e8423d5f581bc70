"""How long requests take, as OpenTelemetry's histogram of HTTP servers; without an SDK nothing happens.

An operation's name is the label ``operation``. All attributes are bounded: no address, key or path of a request.
"""

from __future__ import annotations

from functools import lru_cache

from opentelemetry import metrics
from opentelemetry.util.types import AttributeValue

meter = metrics.get_meter("scorer_fast")
NAME = "http.server.request.duration"
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)  # seconds


def _histogram() -> metrics.Histogram:
    about = "time from a request's arrival to its answer, on either side"
    try:
        return meter.create_histogram(NAME, "s", about, explicit_bucket_boundaries_advisory=BOUNDS)
    except TypeError:  # an API that knows no advice
        return meter.create_histogram(NAME, "s", about)


_durations = _histogram()


@lru_cache(maxsize=4096)
def _attributes(
    operation: str, method: str, route: str, side: str, status_class: str, outcome: str
) -> dict[str, AttributeValue]:
    return {
        "http.request.method": method,
        "http.route": route,
        "operation": operation,
        "side": side,
        "status_class": status_class,
        "outcome": outcome,
    }


def record(
    operation: str, method: str, route: str, side: str, seconds: float, outcome: str, status: int | None
) -> None:
    """One request of a side; ``status`` None where this side gave no answer."""
    status_class = "none" if status is None else f"{status // 100}xx"
    _durations.record(seconds, _attributes(operation, method, route, side, status_class, outcome))
