"""This app's side of ``opentelemetry-api``: spans, counters, a histogram. Without an SDK nothing happens.

Imported where somebody has loaded the API already (``telemetry.listener``): nobody else could have set up an SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import context, metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)  # of buckets
DURATION = "http.server.request.duration"
COUNTERS = {
    "signatures.verified": "signatures didkit found good",
    "signatures.remembered": "signatures not asked about again",
    "signatures.rejected": "signatures didkit found bad",
    "signatures.strange": "signatures not asked about: the credential's context has no known form (STRICT_CONTEXT)",
    "signatures.lethal": "credentials that ended the process that looked at them",
    "claims.lost": "decisions dropped because a nullifier had an owner by then",
    "writes.retried": "decisions dropped because what was read had changed",
    "stamps.unreadable": "stamps left out because a field is not what the format says",
    "cutover.fallbacks": "requests the host answered because the fast path failed",
    "cutover.circuit_open": "requests the host answered while a circuit was open",
    "cutover.linked": "requests the host answered because it scores linked addresses together",
    "cutover.no_thread": "requests that were not shadowed for want of a thread",
    "overload.shed": "requests that were told to come again before any work was done",
}

tracer = trace.get_tracer("scorer_fast")
meter = metrics.get_meter("scorer_fast")
context.get_current()  # loads the context implementation now, not in the first request


def _histogram() -> metrics.Histogram:
    about = "time from a request's arrival to its answer, on either side"
    try:
        return meter.create_histogram(DURATION, "s", about, explicit_bucket_boundaries_advisory=SECONDS)
    except TypeError:  # an API that knows no advice
        return meter.create_histogram(DURATION, "s", about)


counters = {name: meter.create_counter(f"scorer_fast.{name}", description=text) for name, text in COUNTERS.items()}
durations = _histogram()


class Span:
    """A span that is the current one from here until it ends, where somebody records it."""

    __slots__ = ("_span", "_token")

    def __init__(self, name: str, kind: SpanKind = SpanKind.INTERNAL) -> None:
        self._span = tracer.start_span(f"scorer_fast.{name}", kind=kind)
        self._token = context.attach(trace.set_span_in_context(self._span)) if self._span.is_recording() else None

    def end(self, *, failed: bool, why: BaseException | None, facts: Mapping[str, Any] | None = None) -> None:
        """``facts`` become attributes; of ``why`` it failed, only the exception's kind is told."""
        if self._token is not None:
            self._span.set_attributes({name: value for name, value in (facts or {}).items() if value is not None})
            if failed:
                self._span.set_status(Status(StatusCode.ERROR, type(why).__name__ if why else None))
            context.detach(self._token)
        self._span.end()
