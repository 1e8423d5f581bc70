"""One request of an operation: the fast path or the host's own view, and never an error of the former.

    response = dispatch(request, control)     # control: the host's view, request in, response out

Invariant: the host's view answers what the fast path could not, but only where nothing was committed and
the host would fare better. After a COMMIT was sent, or when time or the database is the trouble, the
client gets 503 with Retry-After.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType

from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousOperation
from django.db import connections, transaction
from django.db.utils import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.urls import Resolver404, ResolverMatch, resolve
from django.utils.functional import SimpleLazyObject

from .. import telemetry
from ..errors import Problem, Refused, VerifierDown
from ..http import call
from ..http.catalogue import OPERATIONS, Operation, find
from ..settings import conf
from . import circuit, experiment, figures, flags, pool
from .flags import Route

logger = logging.getLogger(__name__)

HEADER = "X-Scorer-Path"
FAST, LEGACY = "fast", "legacy"
Control = Callable[[HttpRequest], HttpResponse]
AsyncControl = Callable[[HttpRequest], Awaitable[HttpResponse]]

_PREFIXES = tuple({f"/{operation.path.split('/')[1]}/" for operation in OPERATIONS})
_SEEN = "_scorer_fast_dispatched"


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
    path = request.path_info
    if not path.startswith(_PREFIXES):
        return None
    found = find(request.method or "", path)
    return None if found is None or hasattr(request, _SEEN) else found[0]


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

    def host(request: HttpRequest) -> HttpResponse:
        return _measured(operation, request, control)

    if route is Route.PLAIN:
        return host(request)
    if route is Route.SHADOW:
        return _marked(experiment.shadow(operation, request, host), LEGACY)
    answer = attempt(operation, request) if route is Route.FAST else None
    return _marked(host(request), LEGACY) if answer is None else _marked(_routed(request, answer), FAST)


async def follow_async(route: Route, operation: Operation, request: HttpRequest, control: AsyncControl) -> HttpResponse:
    """:func:`follow` on an event loop: what blocks goes to the pool's threads."""
    setattr(request, _SEEN, True)
    if route is Route.PLAIN:
        return await _measured_async(operation, request, control)
    if route is Route.SHADOW:
        return _marked(await _shadow_async(operation, request, control), LEGACY)
    answer = await _attempt_async(operation, request) if route is Route.FAST else None
    if answer is None:
        return _marked(await _measured_async(operation, request, control), LEGACY)
    return _marked(_routed(request, answer), FAST)


async def choose_async(operation: Operation, request: HttpRequest) -> Route | None:
    """:func:`choose` where choosing may ask the database."""
    return await sync_to_async(choose)(operation, request)


# ---- the fast path


def attempt(operation: Operation, request: HttpRequest) -> HttpResponse | None:
    """The fast path's answer, 503 included; None where the host's view must answer."""
    if not _body_is_kept(request):
        return None
    breaker = circuit.of(operation.id)
    admission = breaker.admit()
    if admission is circuit.Admission.REFUSED:
        _count(operation, "circuit_open")
        return None
    started = time.perf_counter()
    failed = True
    try:
        response = _call(request)
        if response.status_code < 500:
            failed = False
            breaker.succeeded(admission)
            return response
        if response.status_code == 503 or call.commit_attempted(request):
            breaker.ended_otherwise(admission)
            return response if response.status_code == 503 else call.front_of(request).refuse(Problem.UNAVAILABLE)
        _log(logging.ERROR, "the fast path answered %s; the host answers", operation, request, None, response)
    except Refused as error:
        breaker.ended_otherwise(admission)
        response = call.front_of(request).refuse(error.problem)
        failed = response.status_code >= 500
        return response
    except Exception as error:
        if call.commit_attempted(request) or _host_would_fare_no_better(error):
            breaker.ended_otherwise(admission)
            _log(logging.WARNING, "the fast path could not answer; 503", operation, request, error)
            return call.front_of(request).refuse(Problem.UNAVAILABLE)
        _log(logging.ERROR, "the fast path failed; the host answers", operation, request, error)
    except BaseException:
        breaker.ended_otherwise(admission)
        raise
    finally:
        figures.record(operation.id, FAST, time.perf_counter() - started, failed)
    breaker.failed(admission)
    _count(operation, "fallbacks")
    call.hand_over(request)  # the host counts this request: it must not cost the client twice
    return None


async def _attempt_async(operation: Operation, request: HttpRequest) -> HttpResponse | None:
    try:
        return await pool.run(attempt, operation, request)
    except pool.Full:
        _count(operation, "no_thread")
        return None


def _call(request: HttpRequest) -> HttpResponse:
    alias = conf.database
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


def _body_is_kept(request: HttpRequest) -> bool:
    """Read the body so that whoever answers finds it; False where it cannot be had: the host says why."""
    if request.method == "GET":
        return True
    try:
        request.body  # noqa: B018  the request keeps it
    except (SuspiciousOperation, UnreadablePostError, RawPostDataException):
        return False
    return True


def _host_would_fare_no_better(error: BaseException) -> bool:
    """Whether time, the verifier or the database is the trouble, anywhere in the chain of causes."""
    for link in _chain(error):
        if isinstance(link, OperationalError | InterfaceError | VerifierDown | TimeoutError):
            return True
        # The driver's own, where nothing translated it to Django's.
        names = {kind.__name__ for kind in type(link).__mro__ if kind.__module__.startswith("psycopg")}
        if names & {"OperationalError", "InterfaceError"}:
            return True
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


# ---- the host's view


def _measured(operation: Operation, request: HttpRequest, control: Control) -> HttpResponse:
    started = time.perf_counter()
    failed = True
    try:
        response = control(request)
        failed = response.status_code >= 500
        return response
    finally:
        figures.record(operation.id, LEGACY, time.perf_counter() - started, failed)


async def _measured_async(operation: Operation, request: HttpRequest, control: AsyncControl) -> HttpResponse:
    started = time.perf_counter()
    failed = True
    try:
        response = await control(request)
        failed = response.status_code >= 500
        return response
    finally:
        figures.record(operation.id, LEGACY, time.perf_counter() - started, failed)


async def _shadow_async(operation: Operation, request: HttpRequest, control: AsyncControl) -> HttpResponse:
    try:
        handle = await pool.run(experiment.before, operation, request)
    except pool.Full:
        _count(operation, "no_thread")
        handle = None
    started = time.perf_counter()
    response = await _measured_async(operation, request, control)
    if handle is not None:
        experiment.after(handle, response, started, time.perf_counter())
    return response


def _count(operation: Operation, what: str) -> None:
    telemetry.count(f"cutover.{what}")
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
