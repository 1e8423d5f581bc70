"""How the host's eleven Lambda functions say things, where that differs from its Django views.

    response = answer(operation, request)        # parse, call the operation, word its answer or its error
    response = refuse(operation, problem)

Headers, keys and texts of errors, 400 for what does not fit the form, and what some operations take or answer
otherwise. The operations themselves know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from django.http import HttpResponse

from .. import telemetry
from ..errors import Problem, Refused
from ..http import analytics
from ..http.body import parse
from ..http.catalogue import Operation
from ..http.problems import PROBLEMS, say_when_to_come_again
from ..http.rate_limit import check_rate_limit
from ..http.responses import stamps_and_score_body, stamps_body
from ..lookups import api_keys, weights
from ..lookups.api_key_queries import ApiKeyRow
from ..scoring import cache, context, embed, score
from ..scoring.payloads import Entry
from ..settings import conf
from .events import EventRequest

JSON = "application/json"
OPEN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Allow-Headers": "Accept,Accept-Encoding,Authorization,Content-Type,Dnt,Origin,User-Agent,"
    "X-Csrftoken,X-Requested-With,X-Api-Key",
}
# Problems that one function words otherwise: status and text.
OWN_WORDS: Mapping[tuple[str, Problem], tuple[int, str]] = {
    ("cache_calc_score", Problem.NOT_FOUND): (400, "An error has occurred"),
}

BAD_REQUEST = "Bad request"
DIGITS = 1000  # characters of a number; one of more is none


class Malformed(Exception):
    """A request that does not fit the form; the text is the client's."""


def answer(operation: Operation, request: EventRequest) -> HttpResponse:
    """The answer of ``operation``, errors included; raises what it did not expect."""
    if not context.is_live():
        return _answered(operation, request)
    with telemetry.operation(operation.id, request) as running:
        response = _answered(operation, request)
        running.status = response.status_code
        return response


def refuse(operation: Operation, problem: Problem, retry_after: int | None = None) -> HttpResponse:
    """The answer to a request that ends with ``problem``; 422 is for too many stamps alone."""
    status, text = OWN_WORDS.get((operation.id, problem)) or PROBLEMS[problem]
    if status == 422 and problem is not Problem.TOO_MANY_STAMPS:
        status = 400
    return error_response(status, text, FUNCTIONS[operation.id].error_key, retry_after)


def error_response(status: int, text: str, key: str = "error", retry_after: int | None = None) -> HttpResponse:
    """An error with all headers; 503 says when to try again."""
    response = json_response({key: text}, status)
    say_when_to_come_again(response, retry_after)
    return response


def json_response(body: Any, status: int = 200, *, is_open: bool = True) -> HttpResponse:
    """``body`` as JSON; ``is_open``: with the headers that let any page of a browser read it."""
    headers = {"Content-Type": JSON, **OPEN} if is_open else {"Content-Type": JSON}
    return HttpResponse(orjson.dumps(body), status=status, headers=headers)


def _answered(operation: Operation, request: EventRequest) -> HttpResponse:
    function = FUNCTIONS[operation.id]
    found = operation.pattern.match(request.path_info)
    try:
        body = function.serve(request, **(found.groupdict() if found else {}))
    except Refused as refused:
        return refuse(operation, refused.problem, refused.retry_after)
    except Malformed as malformed:
        return error_response(400, str(malformed), function.error_key)
    if isinstance(body, HttpResponse):
        return body
    return json_response(body, function.status, is_open=function.is_open)


# ---- what a request brings


def _api_key(request: EventRequest) -> str:
    key: str = request.META.get("HTTP_X_API_KEY", "")
    return key


def _address(request: EventRequest) -> str:
    """The address of the token, which is the last word of ``authorization``."""
    from ..http.auth import token_auth

    words = request.META.get("HTTP_AUTHORIZATION", "").split()
    return token_auth.authenticate(request, words[-1] if words else "").address


def _body(request: EventRequest) -> Any:
    try:
        return parse(request.body)
    except (ValueError, RecursionError):
        raise Refused(Problem.UNREADABLE_BODY) from None


def _object(request: EventRequest) -> dict[str, Any]:
    body = _body(request)
    if not isinstance(body, dict):
        raise Malformed(BAD_REQUEST)
    return body


def _entries(request: EventRequest, *, with_stamp: bool = False) -> list[Entry]:
    """The payload of the ``cache_*_stamps`` operations; ``with_stamp``: each entry brings one."""
    body = _body(request)
    if not isinstance(body, list):
        raise Malformed(BAD_REQUEST)
    return [_entry(item, with_stamp) for item in body]


def _entry(item: Any, with_stamp: bool) -> Entry:
    if not isinstance(item, dict) or not isinstance(item.get("provider"), str) or (with_stamp and "stamp" not in item):
        raise Malformed(BAD_REQUEST)
    if not isinstance(item.get("address"), str | None):
        raise Malformed(BAD_REQUEST)
    return Entry(item["provider"], item.get("stamp"))


def _integer(value: Any) -> int | None:
    """A whole number, or a text or a float that is one; None for anything else."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    try:
        return int(value) if isinstance(value, int | str) and len(str(value)) < DIGITS else None
    except ValueError:
        return None


# ---- the functions, each by its operation's name


def v2_score(request: EventRequest, scorer_id: str, address: str) -> HttpResponse:
    key = api_keys.authenticate(_api_key(request))
    error: str | None = None
    try:
        response = json_response(_v2_score(request, key, scorer_id, address))
    except Refused as refused:
        response, error = error_response(*PROBLEMS[refused.problem]), PROBLEMS[refused.problem][1]
    if analytics.is_recorded():
        text = response.content.decode()
        sent = {"headers": request.received, "query": request.parameters, "payload": {}}
        analytics.store(request, key, response.status_code, error, text, **sent)
    return response


def _v2_score(request: EventRequest, key: ApiKeyRow, scorer_id: str, address: str) -> Any:
    check_rate_limit(request, key)
    api_keys.require_read_scores(key)
    number = _integer(scorer_id)
    if number is None:
        raise Refused(Problem.NO_SCORER)
    return score.v2_score(key.account_id, number, address)


def embed_score(request: EventRequest, scorer_id: str, address: str) -> Any:
    number = _integer(scorer_id)
    if number is None:
        raise Refused(Problem.INVALID_SCORER_ID)
    return stamps_and_score_body(embed.embed_score(number, address))


def embed_add_stamps(request: EventRequest, address: str) -> Any:
    body = _object(request)
    number, stamps = _integer(body.get("scorer_id")), body.get("stamps")
    if number is None or not isinstance(stamps, list):
        raise Malformed(BAD_REQUEST)
    return stamps_and_score_body(embed.embed_add_stamps(address, number, stamps))


def embed_validate_api_key(request: EventRequest) -> Any:
    given = _api_key(request)
    if not given:
        raise Malformed(BAD_REQUEST)
    return {"embed_rate_limit": api_keys.authenticate(given).embed_rate_limit}


def cache_add_stamps(request: EventRequest) -> Any:
    address = _address(request)
    entries = _entries(request, with_stamp=True)
    return stamps_and_score_body(cache.cache_add_stamps(address, entries, names_scorer=False))


def cache_patch_stamps(request: EventRequest) -> Any:
    address = _address(request)
    return stamps_and_score_body(cache.cache_patch_stamps(address, _entries(request)))


def cache_delete_stamps(request: EventRequest) -> Any:
    address = _address(request)
    providers = [entry.provider for entry in _entries(request)]
    return stamps_and_score_body(cache.cache_delete_stamps(address, providers))


def cache_get_score(request: EventRequest, address: str) -> Any:
    own = _address(request)
    given = request.GET.get("alternate_scorer_id")
    if not given:
        return cache.cache_get_score(own, own, None)
    number = _integer(given)
    if number is None:
        raise Malformed("Unable to get score for provided scorer.")
    return cache.cache_get_score(own, own, number)


def cache_calc_score(request: EventRequest, address: str) -> Any:
    own = _address(request)
    given = _object(request).get("alternate_scorer_id")
    number = conf.cache_scorer_id if given is None else _integer(given)
    if number is None:
        raise Malformed(BAD_REQUEST)
    return cache.cache_calc_score(own, address, number)


def cache_get_stamps(request: EventRequest) -> Any:
    address = request.GET.get("address")
    if not address:
        raise Malformed(BAD_REQUEST)
    return stamps_body(cache.cache_get_stamps(address))


def cache_weights(request: EventRequest) -> Any:
    return orjson.Fragment(weights.cache_weights_as_written())


class Function(NamedTuple):
    """How one of the host's functions answers: by whom, with which status, and how its errors look.

    ``is_open``: whether a good answer, too, has the headers that let any page of a browser read it.
    """

    serve: Callable[..., Any]
    status: int = 200
    error_key: str = "error"
    is_open: bool = True


FUNCTIONS: dict[str, Function] = {
    "v2_score": Function(v2_score),
    "embed_score": Function(embed_score, error_key="detail", is_open=False),
    "embed_add_stamps": Function(embed_add_stamps, error_key="detail", is_open=False),
    "embed_validate_api_key": Function(embed_validate_api_key, error_key="detail", is_open=False),
    "cache_add_stamps": Function(cache_add_stamps, 201),
    "cache_patch_stamps": Function(cache_patch_stamps),
    "cache_delete_stamps": Function(cache_delete_stamps),
    "cache_get_score": Function(cache_get_score),
    "cache_calc_score": Function(cache_calc_score),
    "cache_get_stamps": Function(cache_get_stamps),
    "cache_weights": Function(cache_weights),
}
