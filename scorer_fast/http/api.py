"""The twenty operations as one NinjaAPI with a namespace of its own, so that it lives beside the host's."""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from ninja import NinjaAPI
from ninja.parser import Parser

from .. import __version__, telemetry
from ..errors import Problem, Refused
from ..scoring import context
from . import ceramic_cache, embed, internal, v2
from .catalogue import find
from .problems import OUTAGES, problem_response

logger = logging.getLogger("scorer_fast")
View = Callable[..., HttpResponse]

_ESCAPES = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # NUL, or a surrogate that may stand alone
_DEPTH = 200  # brackets of a body that are not looked at; nesting beyond it is refused


class StrictParser(Parser):
    """JSON as the tables can hold it: no NUL, no lone surrogate, no NaN or Infinity, no endless nesting."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = request.body
        # Strictly: json.loads would let bytes that stand for a lone surrogate pass.
        text = body.decode(json.detect_encoding(body))
        value = _STRICT.decode(text)
        if text.count("[") + text.count("{") > _DEPTH:
            _check_depth(value)
        if _ESCAPES.search(text):
            written = json.dumps(value, ensure_ascii=False)
            written.encode()  # a lone surrogate cannot be encoded
            if re.search(r"(?<!\\)(?:\\\\)*\\u0000", written):
                raise ValueError("NUL")
        return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(digits)
    return number


_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth > _DEPTH:
            raise ValueError("nesting")
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]


api = NinjaAPI(
    title="scorer_fast",
    version=__version__,
    description="Scores of Ethereum addresses from verifiable credentials, and what belongs to them.",
    urls_namespace="scorer_fast",
    docs_url="/scorer-fast/docs",
    openapi_url="/scorer-fast/openapi.json",
    parser=StrictParser(),
)
for family in (v2, embed, ceramic_cache, internal):
    api.add_router("", family.router)


@api.exception_handler(Refused)
def _refused(request: HttpRequest, refused: Refused) -> HttpResponse:
    return problem_response(refused.problem)


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    raise error  # to the cutover, which may let the host answer; standing alone, to `_answering`


def _answering(view: View) -> View:
    """The view with its span and its log line; a rehearsal has neither."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        found = find(request.method or "", request.path_info) if context.is_live() else None
        if found is None:
            return view(request, *args, **kwargs)
        with telemetry.operation(found[0].id, request) as running:
            response = view(request, *args, **kwargs)
            running.status = response.status_code
            return response

    return answer


def _standing_alone(view: View) -> View:
    """The view of a service with nobody behind it: an unavailable database or didkit is a 503."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except OUTAGES:
            known = {"request_id": telemetry.request_id(request)}
            logger.warning("the database or didkit is not available", extra=known, exc_info=True)
            return problem_response(Problem.UNAVAILABLE)

    return answer


def _wrapped(patterns: Iterable[Any], wrapper: Callable[[View], View]) -> list[URLPattern]:
    return [URLPattern(p.pattern, wrapper(p.callback), p.default_args, p.name) for p in patterns]


_URLS = api.urls[0]  # once: Ninja 1.3 registers the API anew each time it is asked
# Every view instrumented; what is unexpected is raised to the caller.
PATTERNS = _wrapped(_URLS, _answering)
# The same for a service of its own, where nobody stands behind it: what an outage is answered is in its line too.
STANDALONE_PATTERNS = _wrapped(_wrapped(_URLS, _standing_alone), _answering)
