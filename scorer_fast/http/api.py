"""The operations as one NinjaAPI with a namespace of its own, so that it lives beside the host's."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.urls import URLPattern
from ninja.parser import Parser

from .. import __version__, arrival, deadline, overload, telemetry
from ..db.faults import is_unready
from ..errors import HandedOver, Problem, Refused
from ..metrics import record as record_duration
from ..outages import is_outage, tell
from ..run import run_of
from . import bodies, ceramic_cache, docs, embed, internal, v2
from .alone import require_alone
from .body import parse
from .catalogue import BY_ID, operation_of
from .problems import problem_response, refused_response
from .routing import where_it_is

View = Callable[..., HttpResponse]


class LenientParser(Parser):
    """JSON as the host reads it: what no table can hold is refused where it would be stored or compared, not here."""

    def parse_body(self, request: HttpRequest) -> Any:
        return parse(request.body)


api = docs.DocumentedAPI(
    title="scorer_fast",
    version=__version__,
    description="Scores of Ethereum addresses from verifiable credentials, and what belongs to them.",
    urls_namespace="scorer_fast",
    docs=docs.LocalSwagger(),
    docs_url=docs.PAGE,
    openapi_url=docs.DOCUMENT,
    parser=LenientParser(),
)
for family in (v2, embed, ceramic_cache, internal):
    api.add_router("", family.router)


@api.exception_handler(Refused)
def _refused(request: HttpRequest, refused: Refused) -> HttpResponse:
    return refused_response(refused)


@api.exception_handler(UnreadablePostError)
def _went_away(request: HttpRequest, error: UnreadablePostError) -> HttpResponse:
    return problem_response(Problem.UNREADABLE_BODY)  # the client hung up while it sent its body


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problem_response(Problem.BODY_TOO_LARGE)  # no length was announced


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    raise error  # to the cutover, which may let the host answer; standing alone, to `_answering`


def _answering(view: View) -> View:
    """The view with its span and its log line; a rehearsal has neither."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        operation = operation_of(request) if run_of(request).is_live else None
        if operation is None:
            return view(request, *args, **kwargs)
        with telemetry.operation(operation.id, request) as running:
            response = view(request, *args, **kwargs)
            running.status = response.status_code
            return response

    return answer


def _standing_alone(view: View) -> View:
    """The view of a service with nobody behind it: within its time, and an unavailable database or didkit is a 503."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        arrived = time.perf_counter() - arrival.queued(request)
        one = operation_of(request)
        if one is None:
            return view(request, *args, **kwargs)
        try:
            with overload.admitted(one.id, request, is_scoring=one.writes), deadline.serving(request):
                bodies.require_small(request)
                response = view(request, *args, **kwargs)
        except Refused as refused:
            response = refused_response(refused)
        except HandedOver:
            response = problem_response(Problem.LINKED)
        except Exception as error:
            # With nobody behind it, a database without its tables or rights is one that cannot be used yet.
            if not is_outage(error) and not is_unready(error):
                raise
            tell(one.id, error, request_id=telemetry.request_id(request))
            response = problem_response(Problem.UNAVAILABLE)
        bodies.leave_unread(request)
        status = response.status_code
        outcome = "ok" if status < 400 else "client_error" if status < 500 else "error"
        record_duration(one.id, one.method, one.path, "fast", time.perf_counter() - arrived, outcome, status)
        return response

    return answer


def _wrapped(patterns: Iterable[Any], wrapper: Callable[[View], View]) -> list[URLPattern]:
    return [URLPattern(p.pattern, wrapper(p.callback), p.default_args, p.name) for p in patterns]


def _for_one_address(view: View) -> View:
    """The view for addresses that stand alone; HandedOver for others, before anything is read or counted."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        operation = operation_of(request)
        if operation is not None:
            require_alone(operation, request, kwargs)
        return view(request, *args, **kwargs)

    return answer


def _as_served(pattern: Any) -> Any:
    """Documents for whom they are meant; an operation where the host's revision has it."""
    if pattern.name in ("openapi-json", "openapi-view"):
        return _wrapped([pattern], docs.guarded)[0]
    operation = BY_ID.get(pattern.name or "")
    if operation is None:
        return pattern
    if operation.writes:
        pattern = _wrapped([pattern], _for_one_address)[0]
    if operation.may_be_missing:
        pattern = _wrapped([pattern], functools.partial(where_it_is, operation))[0]
    return pattern


# Once: Ninja 1.3 registers the API anew each time it is asked.
_URLS = [_as_served(pattern) for pattern in api.urls[0]]
# Every view instrumented; what is unexpected is raised to the caller.
PATTERNS = _wrapped(_URLS, _answering)
# The same for a service of its own, where nobody stands behind it: what an outage is answered is in its line too.
STANDALONE_PATTERNS = _wrapped(_wrapped(_URLS, _standing_alone), _answering)
