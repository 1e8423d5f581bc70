"""How long requests take: OpenTelemetry's histogram of HTTP servers, where somebody listens, and the host's log line.

An operation's name is the label ``operation``. All attributes are bounded: no address, key or path of a request.
"""

from __future__ import annotations

from functools import lru_cache

from .telemetry import listener


@lru_cache(maxsize=4096)
def _attributes(operation: str, method: str, route: str, side: str, status_class: str, outcome: str) -> dict[str, str]:
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
    if (otel := listener()) is None:
        return
    status_class = "none" if status is None else f"{status // 100}xx"
    otel.durations.record(seconds, _attributes(operation, method, route, side, status_class, outcome))
