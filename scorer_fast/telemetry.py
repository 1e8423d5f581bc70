"""Spans, counters and the one log line per request, the same for all operations.

Spans and counters go through ``opentelemetry-api`` (``otel.py``), once somebody has loaded it. The log line is
a stdlib record of the logger ``scorer_fast.request`` with its facts in ``extra``. No header, key, token or
body ever becomes a fact.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar
from types import ModuleType, TracebackType
from typing import Any

from django.http import HttpRequest

from .errors import HandedOver

logger = logging.getLogger("scorer_fast.request")
# Of a request's facts, those that the message itself bears: a host's log format need not print ``extra``.
IN_LINE = ("operation", "status", "duration_ms", "outcome", "request_id")
LINE = " ".join(f"{name}=%s" for name in IN_LINE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}\Z")
_REQUEST_ID_SEEN = "_scorer_fast_request_id"
_facts: ContextVar[dict[str, Any] | None] = ContextVar("scorer_fast_facts", default=None)
_otel: ModuleType | None = None


def listener() -> Any:
    """The module ``otel``, once somebody has loaded OpenTelemetry's API; None before: then no SDK is there to listen.

    Loading it takes a cold start as long as a tenth of this app's imports.
    """
    global _otel
    if _otel is None and "opentelemetry" in sys.modules:
        from . import otel

        _otel = otel
    return _otel


def count(name: str, amount: int = 1, *, operation: str | None = None) -> None:
    """Add to a counter of ``otel.COUNTERS``, and to the request's log line.

    The counter's attribute ``operation``: that of the request under way, where it is not given.
    """
    if amount:
        facts = _facts.get()
        if (otel := listener()) is not None:
            of = operation or (facts or {}).get("operation")
            otel.counters[name].add(amount, {"operation": of} if of else None)
        if facts is not None:
            facts[name] = facts.get(name, 0) + amount


def note(**facts: Any) -> None:
    """Facts of the request under way: attributes of its span and fields of its log line."""
    current = _facts.get()
    if current is not None:
        current.update(facts)


class step:
    """A span around one step that costs (auth, read, verify, decide, write); its milliseconds reach the log line."""

    __slots__ = ("_name", "_span", "_started")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._span = None if (otel := listener()) is None else otel.Span(self._name)
        self._started = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        milliseconds = (time.perf_counter() - self._started) * 1000
        facts = _facts.get()
        if facts is not None:
            field = f"{self._name}_ms"
            facts[field] = round(facts.get(field, 0.0) + milliseconds, 3)
        if self._span is not None:
            self._span.end(failed=error is not None, why=error)


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

    __slots__ = ("_facts", "_id", "_reset", "_span", "_started", "status")

    def __init__(self, operation_id: str, request: HttpRequest) -> None:
        self._id = operation_id
        self._facts: dict[str, Any] = {
            "operation": operation_id,
            "side": "fast",
            "request_id": request_id(request),
        }
        self.status: int | None = None

    def __enter__(self) -> operation:
        self._span = None if (otel := listener()) is None else otel.Span(self._id, otel.SpanKind.SERVER)
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
        if self._span is not None:
            self._span.end(failed=error is not None or (self.status or 0) >= 500, why=error, facts=facts)
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
