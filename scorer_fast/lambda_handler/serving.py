"""One event of one of the host's Lambda functions: the fast path or the host's own handler, as the flags say.

Everything about flags, circuit, fallback, shadow and figures is the middleware's (``cutover.dispatch``); here a
request comes out of an event, and an answer goes back into its form.

Invariant: nothing of this app runs after the answer: a function is frozen between two events.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, cast

from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from .. import telemetry
from ..cutover import dispatch, figures
from ..cutover.flags import Route
from ..errors import Problem
from ..http import call
from ..http.catalogue import Operation
from . import dialect
from .connections import ready_connections, seconds_left
from .environment import HOST_HANDLER
from .events import Event, EventRequest, HostResponse, answer_to, with_header

FLUSH_SECONDS = 1.0  # left of a function's time; below it figures wait for the next event
HEALTH_CHECK = "ELB-HealthChecker/"


def answer(event: Event, context: Any) -> Any:
    """The answer to ``event``; what the host's handler raises is raised."""
    ready_connections()
    try:
        return _answer(event, context, os.environ.get(HOST_HANDLER, ""))
    finally:
        if seconds_left(context) >= FLUSH_SECONDS:
            figures.flush_if_due()
        close_old_connections()


def _answer(event: Event, context: Any, host_handler: str) -> Any:
    try:
        request = EventRequest(event)
    except (AttributeError, LookupError, TypeError, ValueError):  # no load balancer's: the host will say
        request = None
    operation = None if request is None else dispatch.operation_of(request)
    if request is None or operation is None or operation.id not in dialect.FUNCTIONS:
        return _ask_host(event, context, host_handler) if host_handler else answer_to(event, _no_operation(request))
    telemetry.known_as(request, getattr(context, "aws_request_id", ""))
    front = _Front(operation, event, context, host_handler)
    setattr(request, call.FRONT, front)
    route = dispatch.choose(operation, request)
    if not host_handler:
        response = dispatch.attempt(operation, request).answer if route is Route.FAST else None
        return answer_to(event, front.refuse(Problem.UNAVAILABLE) if response is None else response)
    if route is None:
        return _ask_host(event, context, host_handler)
    response = dispatch.follow(route, operation, request, front.host)
    if not isinstance(response, HostResponse):
        return answer_to(event, response)
    side = response.headers.get(dispatch.HEADER)
    given = response.answer
    return with_header(event, given, dispatch.HEADER, side) if side and isinstance(given, dict) else given


def asked_fast(event: Event, context: Any = None) -> int | None:
    """The status that the fast path answers ``event`` with, whatever the flags say; None where the host would answer.

    Looks at the flags as a request does; counts nothing that is stored.
    """
    request = EventRequest(event)
    operation = dispatch.operation_of(request)
    if operation is None:
        return None
    setattr(request, call.FRONT, _Front(operation, event, context, ""))
    dispatch.choose(operation, request)
    response = dispatch.attempt(operation, request).answer
    return None if response is None else response.status_code


def _no_operation(request: EventRequest | None) -> HttpResponse:
    """Nobody stands behind: a load balancer's health check is well, anything else is not found."""
    if request is None:
        return dialect.error_response(400, "Bad request")
    if request.META.get("HTTP_USER_AGENT", "").startswith(HEALTH_CHECK):
        return dialect.json_response({"status": "ok"})
    return dialect.error_response(404, "Not Found")


class _Front:
    """How one event's request is answered: by the dialect, and by the host's handler with the event as it came."""

    def __init__(self, operation: Operation, event: Event, context: Any, host_handler: str) -> None:
        self._operation, self._event, self._context, self._host_handler = operation, event, context, host_handler

    def answer(self, request: HttpRequest) -> HttpResponse:
        return dialect.answer(self._operation, cast(EventRequest, request))

    def refuse(self, problem: Problem, retry_after: int | None = None) -> HttpResponse:
        return dialect.refuse(self._operation, problem, retry_after)

    def host(self, request: HttpRequest) -> HttpResponse:
        return HostResponse(_ask_host(self._event, self._context, self._host_handler))

    def seconds_left(self) -> float:
        return seconds_left(self._context)


def _ask_host(event: Event, context: Any, name: str) -> Any:
    return _host(name)(event, context)


@cache
def _host(name: str) -> Any:
    """The host's handler, imported when a request needs it."""
    return import_string(name)
