"""One request of an operation: the fast path or the host's own view, and never an error of the former.

    response = dispatch(request, control)     # control: the host's view, request in, response out

Invariant: the host's view answers what the fast path could not, but only where nothing was committed and
the host would fare better. After a COMMIT was sent, or when time or the database is the trouble, the
client gets 503 with Retry-After.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousOperation
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, ResolverMatch, resolve
from django.utils.functional import SimpleLazyObject

from .. import arrival, deadline, metrics, outages, overload, pool, telemetry
from ..db import watchdog
from ..errors import HandedOver, Problem, Refused
from ..http import bodies, call, catalogue
from ..http.catalogue import OPERATIONS, Operation
from ..settings import conf
from . import circuit, figures, flags, outcomes
from .figures import Outcome
from .flags import Route

logger = logging.getLogger(__name__)

HEADER = "X-Scorer-Path"
FAST, LEGACY = "fast", "legacy"
# Of what is left to a front: for the answer's way out, after a database that says nothing was given up.
LAST_SECONDS = 0.5 + watchdog.GRACE_SECONDS + watchdog.TICK_SECONDS
Control = Callable[[HttpRequest], HttpResponse]
AsyncControl = Callable[[HttpRequest], Awaitable[HttpResponse]]

_PREFIXES = tuple({f"/{operation.path.split('/')[1]}/" for operation in OPERATIONS})
_SEEN = "_scorer_fast_dispatched"


# Guard and shadow are imported by who needs them: a process that only serves, a Lambda function say, starts without.


def _judge() -> None:
    from . import guard, rollout

    guard.tick(rollout.advance)


figures.after_flush("guard", _judge)


def dispatch(request: HttpRequest, control: Control) -> HttpResponse:
    """Answer ``request`` by the fast path or by ``control``, as the flags say.

    For code without the middleware, a Lambda handler say; requests of no operation go to ``control``.
    """
    operation = operation_of(request)
    if operation is None:
        return control(request)
    route = choose(operation, request)
    return control(request) if route is None else follow(route, operation, request, control)


def operation_of(request: HttpRequest) -> Operation | None:
    """The operation that ``request`` is for; None also inside a dispatch that is under way."""
    if not request.path_info.startswith(_PREFIXES) or hasattr(request, _SEEN):
        return None
    return catalogue.operation_of(request)


def choose(operation: Operation, request: HttpRequest) -> Route | None:
    """The route of a request; None where this app has nothing to do."""
    try:
        route = flags.choose(operation, request, flags.current())
    except Exception as error:
        _log(logging.ERROR, "the flags could not be applied; the host answers", operation, request, error)
        return None
    return None if route is Route.PLAIN and not conf.measure_legacy else route


def follow(route: Route, operation: Operation, request: HttpRequest, control: Control) -> HttpResponse:
    """Answer ``request`` on ``route``."""
    setattr(request, _SEEN, True)
    arrived = time.perf_counter() - arrival.queued(request)
    if route is Route.PLAIN:
        return _host(operation, request, control, arrived)
    if route is Route.SHADOW:
        return _marked(_shadow(operation, request, control, arrived), LEGACY)
    tried = attempt(operation, request, arrived) if route is Route.FAST else NOT_TRIED
    if tried.answer is not None:
        return _marked(_routed(request, tried.answer), FAST)
    return _marked(_host(operation, request, control, arrived, stands_in=tried.outcome is not None), tried.legacy)


async def follow_async(route: Route, operation: Operation, request: HttpRequest, control: AsyncControl) -> HttpResponse:
    """:func:`follow` on an event loop: what blocks goes to the pool's threads."""
    setattr(request, _SEEN, True)
    arrived = time.perf_counter()
    if route is Route.PLAIN:
        return await _host_async(operation, request, control, arrived)
    if route is Route.SHADOW:
        return _marked(await _shadow_async(operation, request, control, arrived), LEGACY)
    tried = await _attempt_async(operation, request, arrived) if route is Route.FAST else NOT_TRIED
    if tried.answer is not None:
        return _marked(_routed(request, tried.answer), FAST)
    stands_in = tried.outcome is not None
    return _marked(await _host_async(operation, request, control, arrived, stands_in=stands_in), tried.legacy)


async def choose_async(operation: Operation, request: HttpRequest) -> Route | None:
    """:func:`choose` where choosing may ask the database."""
    return await sync_to_async(choose)(operation, request)


# ---- the fast path


class Attempt(NamedTuple):
    """What the fast path made of a request: its answer, None where the host must answer; and what became of it,
    None where it was never the fast path's, ``why`` in a word."""

    answer: HttpResponse | None
    outcome: Outcome | None
    why: str = ""

    @property
    def legacy(self) -> str:
        """How the host's answer is marked."""
        return f"{LEGACY}; {self.why}" if self.why else LEGACY


NOT_TRIED = Attempt(None, None)


def attempt(operation: Operation, request: HttpRequest, arrived: float | None = None) -> Attempt:
    """The fast path's answer, 503 included, or that the host must answer; recorded with its time from ``arrived``."""
    started = time.perf_counter() if arrived is None else arrived
    try:
        tried = _attempt(operation, request)
    except BaseException as error:
        _record(operation, request, FAST, started, _interrupted(error))
        raise
    _record(operation, request, FAST, started, tried.outcome, tried.answer)
    return tried


def _attempt(operation: Operation, request: HttpRequest) -> Attempt:
    if not bodies.is_had(request):
        return Attempt(None, Outcome.HANDED_OVER)  # the host says why
    left = call.front_of(request).seconds_left()
    if left != float("inf"):
        deadline.limit(request, left - LAST_SECONDS)
    try:
        with overload.admitted(operation.id, request, is_scoring=operation.writes):
            tried = _tried(operation, request)
    except Refused as shed:
        tried = _refused(request, shed)
    if tried.answer is not None:
        bodies.leave_unread(request)
    return tried


def _refused(request: HttpRequest, shed: Refused) -> Attempt:
    return Attempt(call.front_of(request).refuse(shed.problem, shed.retry_after), Outcome.INFRASTRUCTURE)


def _tried(operation: Operation, request: HttpRequest) -> Attempt:
    breaker = circuit.of(operation.id)
    admission = breaker.admit()
    if admission is circuit.Admission.REFUSED:
        _count(operation, "circuit_open")
        # Counted as the doing of those whose requests opened it: one client must not look like many.
        setattr(request, outcomes.CALLER, breaker.culprit())
        return Attempt(None, Outcome.INFRASTRUCTURE if breaker.by_infrastructure else Outcome.CIRCUIT_OPEN)
    try:
        response = _call(request)
        if response.status_code < 500:
            breaker.succeeded(admission)
            return Attempt(response, outcomes.of_answer(operation, request, response.status_code))
        if response.status_code == 503 or call.commit_attempted(request):
            breaker.ended_otherwise(admission)
            outcome = outcomes.of_status(response.status_code)
            return Attempt(
                response if response.status_code == 503 else call.front_of(request).refuse(Problem.UNAVAILABLE), outcome
            )
        _log(logging.ERROR, "the fast path answered %s; the host answers", operation, request, None, response)
    except Refused as error:
        breaker.ended_otherwise(admission)
        response = call.front_of(request).refuse(error.problem, error.retry_after)
        return Attempt(response, outcomes.of_answer(operation, request, response.status_code))
    except HandedOver as handed:
        breaker.ended_otherwise(admission)
        _count(operation, handed.why)
        call.hand_over(request)
        return Attempt(None, Outcome.HANDED_OVER, handed.why)
    except SuspiciousOperation:  # too many parameters, say: the client's doing, and Django says so by itself
        breaker.ended_otherwise(admission)
        call.hand_over(request)
        return Attempt(None, Outcome.HANDED_OVER)
    except Exception as error:
        outage = outages.is_outage(error)
        if outage or call.commit_attempted(request):
            if outcomes.is_verifiers(error) and not call.commit_attempted(request):
                # The host verifies by itself.
                breaker.failed(admission, _caller(operation, request), by_infrastructure=True)
            else:
                breaker.ended_otherwise(admission)
            outages.tell(operation.id, error, request_id=telemetry.request_id(request))
            return Attempt(
                call.front_of(request).refuse(Problem.UNAVAILABLE),
                outcomes.of_outage(error) if outage else Outcome.ERROR,
            )
        _log(logging.ERROR, "the fast path failed; the host answers", operation, request, error)
    except BaseException:
        breaker.ended_otherwise(admission)
        raise
    breaker.failed(admission, _caller(operation, request))
    _count(operation, "fallbacks")
    call.hand_over(request)  # the host counts this request: it must not cost the client twice
    return Attempt(None, Outcome.FALLBACK)


async def _attempt_async(operation: Operation, request: HttpRequest, arrived: float) -> Attempt:
    """:func:`attempt` in a thread of the pool, recorded with the time it waited for one."""
    trying = partial(_attempt, operation, request)
    try:
        tried = await overload.on_a_thread(operation.id, request, trying, is_scoring=operation.writes)
    except Refused as shed:
        tried = _refused(request, shed)
    except BaseException as error:
        _record(operation, request, FAST, arrived, _interrupted(error))
        raise
    _record(operation, request, FAST, arrived, tried.outcome, tried.answer)
    return tried


def _interrupted(error: BaseException) -> Outcome:
    return Outcome.WENT_AWAY if isinstance(error, asyncio.CancelledError) else Outcome.ERROR


def _call(request: HttpRequest) -> HttpResponse:
    alias = conf.database
    with deadline.serving(request):
        bodies.require_small(request)
        if not connections[alias].in_atomic_block:
            return call.call(request)
        # Inside a caller's transaction a failure must leave it as usable as it was, for the host's view.
        with transaction.atomic(using=alias):
            return call.call(request)


def _routed(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """``answer``, its request with the route that middleware around us (metrics, say) expects there by then.

    Looked up only for who asks: the host's own, or this app's where the host has none.
    """

    def match() -> ResolverMatch:
        try:
            return resolve(request.path_info, getattr(request, "urlconf", None))
        except Resolver404:
            return resolve(request.path_info, call.URLCONF)

    if request.resolver_match is None:
        request.resolver_match = SimpleLazyObject(match)  # type: ignore[assignment]
    return answer


# ---- the host's view


def _host(
    operation: Operation, request: HttpRequest, control: Control, arrived: float, *, stands_in: bool = False
) -> HttpResponse:
    try:
        response = control(request)
    except BaseException as error:
        _record_host(operation, request, arrived, error, stands_in)
        raise
    _record_host(operation, request, arrived, response, stands_in)
    return response


async def _host_async(
    operation: Operation, request: HttpRequest, control: AsyncControl, arrived: float, *, stands_in: bool = False
) -> HttpResponse:
    try:
        response = await control(request)
    except BaseException as error:
        _record_host(operation, request, arrived, error, stands_in)
        raise
    _record_host(operation, request, arrived, response, stands_in)
    return response


def _record_host(
    operation: Operation, request: HttpRequest, arrived: float, end: HttpResponse | BaseException, stands_in: bool
) -> None:
    if stands_in:
        outcome = Outcome.STOOD_IN
    elif isinstance(end, BaseException):
        outcome = _interrupted(end)
    else:
        outcome = outcomes.of_the_host(operation, request, end.status_code)
    _record(operation, request, LEGACY, arrived, outcome, None if isinstance(end, BaseException) else end)


def _record(
    operation: Operation,
    request: HttpRequest,
    side: str,
    arrived: float,
    outcome: Outcome | None,
    answer: HttpResponse | None = None,
) -> None:
    """Count a request with its time from arrival; never raises."""
    if outcome is not None:
        seconds = time.perf_counter() - arrived
        status = None if answer is None else answer.status_code
        metrics.record(operation.id, operation.method, operation.path, side, seconds, outcome.value, status)
        figures.record(operation.id, side, seconds, outcome, _caller(operation, request))
        if side == LEGACY:
            telemetry.log_host(operation.id, request, seconds, outcome.value, status)


def _caller(operation: Operation, request: HttpRequest) -> int | None:
    try:
        return outcomes.caller(operation, request)
    except Exception:
        return None


def _shadow(operation: Operation, request: HttpRequest, control: Control, arrived: float) -> HttpResponse:
    from .shadow import run as shadow

    # The shadow's read would open the connection that the host's view opens otherwise: it is the host's time.
    with suppress(Exception):
        connections[conf.database].ensure_connection()
    so_far = time.perf_counter() - arrived
    return shadow.shadow(
        operation, request, lambda request: _host(operation, request, control, time.perf_counter() - so_far)
    )


async def _shadow_async(
    operation: Operation, request: HttpRequest, control: AsyncControl, arrived: float
) -> HttpResponse:
    from .shadow import run as shadow
    from .shadow.handle import HOST_RAISED, WENT_AWAY

    ticket = shadow.Ticket()
    try:
        handle = await pool.run(ticket.before, operation, request)
    except pool.Full:
        _count(operation, "no_thread")
        handle = None
    except BaseException as error:  # the client is gone; its reads may still be under way
        ticket.abandon()
        _record(operation, request, LEGACY, arrived, _interrupted(error))
        raise
    visit = shadow.enter(operation, request, handle)
    try:
        response = await _host_async(operation, request, control, time.perf_counter())
    except BaseException as error:
        gone = isinstance(error, asyncio.CancelledError)
        shadow.leave(visit, cut=True)
        shadow.abandon(handle, WENT_AWAY if gone else HOST_RAISED)
        raise
    shadow.leave(visit, cut=response.status_code >= 500)
    if handle is not None:
        shadow.after(handle, response)
    return response


def _count(operation: Operation, what: str) -> None:
    telemetry.count(f"cutover.{what}", operation=operation.id)
    figures.count(operation.id, what)


def _marked(response: HttpResponse, side: str) -> HttpResponse:
    response.headers[HEADER] = side
    return response


# ---- the log


class Withheld(Exception):
    """Stands in a log for an exception whose text held a secret of the request."""


def _log(
    level: int,
    text: str,
    operation: Operation,
    request: HttpRequest,
    error: BaseException | None,
    *arguments: object,
) -> None:
    logger.log(
        level,
        f"{operation.id}: {text}",
        *arguments,
        exc_info=None if error is None else _loggable(error, request),
        extra={"operation": operation.id, "request_id": telemetry.request_id(request)},
    )


def _loggable(
    error: BaseException, request: HttpRequest
) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """``exc_info`` of ``error``, its text withheld where it repeats a header that is secret."""
    given = [request.headers.get(name, "") for name in ("X-API-Key", "Authorization")]
    secrets = [word for word in " ".join(given).replace(".", " ").split() if len(word) > 5]
    secrets += [value for value in request.COOKIES.values() if len(value) > 5]
    text = "".join(traceback.format_exception(error))
    if not any(secret in text for secret in secrets):
        return type(error), error, error.__traceback__
    stand_in = Withheld(type(error).__name__)
    return Withheld, stand_in, error.__traceback__
