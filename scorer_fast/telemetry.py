"""Spans, counters and the one log line per request, the same for all operations.

Spans and counters go through ``opentelemetry-api`` alone: without an SDK nothing happens. The log line is
a stdlib record of the logger ``scorer_fast.request`` with its facts in ``extra``. No header, key, token or
body ever becomes a fact.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from django.http import HttpRequest
from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.trace import Status, StatusCode

from .errors import HandedOver

logger = logging.getLogger("scorer_fast.request")
# Of a request's facts, those that the message itself bears: a host's log format need not print ``extra``.
IN_LINE = ("operation", "status", "duration_ms", "outcome", "request_id")
LINE = " ".join(f"{name}=%s" for name in IN_LINE)
_tracer = trace.get_tracer("scorer_fast")
_meter = metrics.get_meter("scorer_fast")
otel_context.get_current()  # loads the context implementation now, not in the first request

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
_counters = {name: _meter.create_counter(f"scorer_fast.{name}", description=text) for name, text in COUNTERS.items()}

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}\Z")
_REQUEST_ID_SEEN = "_scorer_fast_request_id"
_facts: ContextVar[dict[str, Any] | None] = ContextVar("scorer_fast_facts", default=None)


def count(name: str, amount: int = 1, *, operation: str | None = None) -> None:
    """Add to a counter of :data:`COUNTERS`, and to the request's log line.

    The counter's attribute ``operation``: that of the request under way, where it is not given.
    """
    if amount:
        facts = _facts.get()
        of = operation or (facts or {}).get("operation")
        _counters[name].add(amount, {"operation": of} if of else None)
        if facts is not None:
            facts[name] = facts.get(name, 0) + amount


def note(**facts: Any) -> None:
    """Facts of the request under way: attributes of its span and fields of its log line."""
    current = _facts.get()
    if current is not None:
        current.update(facts)


class step:
    """A span around one step that costs (auth, read, verify, decide, write); its milliseconds reach the log line."""

    __slots__ = ("_name", "_span", "_started", "_token")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._span = _tracer.start_span(f"scorer_fast.{self._name}")
        self._token = otel_context.attach(trace.set_span_in_context(self._span)) if self._span.is_recording() else None
        self._started = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        milliseconds = (time.perf_counter() - self._started) * 1000
        facts = _facts.get()
        if facts is not None:
            field = f"{self._name}_ms"
            facts[field] = round(facts.get(field, 0.0) + milliseconds, 3)
        if self._token is not None:
            if error is not None:
                self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            otel_context.detach(self._token)
        self._span.end()


def request_id(request: HttpRequest) -> str:
    """The caller's ``X-Request-ID`` where it is harmless text, else a new one; the same in every line of a request."""
    known: str | None = getattr(request, _REQUEST_ID_SEEN, None)
    if known is None:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        known = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        setattr(request, _REQUEST_ID_SEEN, known)
    return known


def known_as(request: HttpRequest, identifier: str) -> None:
    """What the request is called where its caller gave it no ``X-Request-ID``: by the server, say."""
    if not _REQUEST_ID.match(request.META.get("HTTP_X_REQUEST_ID", "")) and _REQUEST_ID.match(identifier):
        setattr(request, _REQUEST_ID_SEEN, identifier)


class operation:
    """The span and the log line of one request to one operation."""

    __slots__ = ("_facts", "_id", "_reset", "_span", "_started", "_token", "status")

    def __init__(self, operation_id: str, request: HttpRequest) -> None:
        self._id = operation_id
        self._facts: dict[str, Any] = {
            "operation": operation_id,
            "side": "fast",
            "request_id": request_id(request),
        }
        self.status: int | None = None

    def __enter__(self) -> operation:
        self._span = _tracer.start_span(f"scorer_fast.{self._id}", kind=trace.SpanKind.SERVER)
        self._token = otel_context.attach(trace.set_span_in_context(self._span)) if self._span.is_recording() else None
        self._reset = _facts.set(self._facts)
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, HandedOver):
            error = None
        facts = self._facts
        facts["duration_ms"] = round((time.perf_counter() - self._started) * 1000, 3)
        facts["status"] = self.status
        facts.setdefault("outcome", _outcome(self.status, error))
        _facts.reset(self._reset)
        if self._token is not None:
            self._span.set_attributes({name: value for name, value in facts.items() if value is not None})
            if error is not None or (self.status or 0) >= 500:
                self._span.set_status(Status(StatusCode.ERROR, type(error).__name__ if error else None))
            otel_context.detach(self._token)
        self._span.end()
        if logger.isEnabledFor(logging.INFO):
            logger.info(LINE, *(facts[name] for name in IN_LINE), extra=facts)


def log_host(operation_id: str, request: HttpRequest, seconds: float, outcome: str, status: int | None) -> None:
    """The host's answer as a line with the fields of the fast path's."""
    if logger.isEnabledFor(logging.INFO):
        facts = {
            "operation": operation_id,
            "side": "legacy",
            "request_id": request_id(request),
            "duration_ms": round(seconds * 1000, 3),
            "status": status,
            "outcome": outcome,
        }
        logger.info(LINE, *(facts[name] for name in IN_LINE), extra=facts)


def _outcome(status: int | None, error: BaseException | None) -> str:
    if error is not None or status is None:
        return "exception"
    return "answered" if status < 400 else "refused" if status < 500 else "failed"
