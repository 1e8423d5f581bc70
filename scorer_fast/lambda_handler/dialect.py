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
from ..http.alone import require_alone
from ..http.body import parse
from ..http.catalogue import BY_ID, Operation
from ..http.problems import PROBLEMS, say_when_to_come_again
from ..http.rate_limit import check_rate_limit
from ..http.responses import Question, ask, score_body, stamps_and_score_body, stamps_body
from ..lookups import api_keys, weights
from ..lookups.api_key_queries import ApiKeyRow
from ..run import run_of
from ..scoring import operations
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
    if not run_of(request).is_live:
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
    path = found.groupdict() if found else {}
    try:
        require_alone(operation, request, path)
        served = function.serve(request, **path)
        return served if isinstance(served, HttpResponse) else _asked(operation, request, *served)
    except Refused as refused:
        return refuse(operation, refused.problem, refused.retry_after)
    except Malformed as malformed:
        return error_response(400, str(malformed), function.error_key)


def _asked(operation: Operation, request: EventRequest, question: Question, body: Callable[[Any], Any]) -> HttpResponse:
    """The answer to ``question``; ``body`` makes JSON of what it comes to."""
    function = FUNCTIONS[operation.id]
    return ask(
        request,
        question,
        lambda outcome: json_response(body(outcome), function.status, is_open=function.is_open),
    )


# ---- what a request brings


def _api_key(request: EventRequest) -> str:
    key: str = request.META.get("HTTP_X_API_KEY", "")
    return key


def _address(request: EventRequest) -> str:
    """The address of the token, which is the last word of ``authorization``."""
    from ..http import tokens  # with PyJWT and its cryptography: not for the operations that ask for no token

    words = request.META.get("HTTP_AUTHORIZATION", "").split()
    return tokens.authenticate(words[-1] if words else "")


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


# ---- the functions, each by its operation's name: a question and how its outcome is worded, or the response

Asking = tuple[Question, Callable[[Any], Any]]


def v2_score(request: EventRequest, scorer_id: str, address: str) -> HttpResponse:
    key = api_keys.authenticate(run_of(request), _api_key(request))
    error: str | None = None
    try:
        response = _asked(BY_ID["v2_score"], request, *_v2_score(request, key, scorer_id, address))
    except Refused as refused:
        status, error = PROBLEMS[refused.problem]
        response = error_response(status, error, retry_after=refused.retry_after)
    if analytics.is_recorded(request):
        text = response.content.decode()
        sent = {"headers": request.received, "query": request.parameters, "payload": {}}
        analytics.store(request, key, response.status_code, error, text, **sent)
    return response


def _v2_score(request: EventRequest, key: ApiKeyRow, scorer_id: str, address: str) -> Asking:
    check_rate_limit(request, key)
    api_keys.require_read_scores(key)
    number = _integer(scorer_id)
    if number is None:
        raise Refused(Problem.NO_SCORER)
    return operations.v2_score(key.account_id, number, address), score_body


def embed_score(request: EventRequest, scorer_id: str, address: str) -> Asking:
    number = _integer(scorer_id)
    if number is None:
        raise Refused(Problem.INVALID_SCORER_ID)
    return operations.embed_score(number, address), stamps_and_score_body


def embed_add_stamps(request: EventRequest, address: str) -> Asking:
    body = _object(request)
    number, stamps = _integer(body.get("scorer_id")), body.get("stamps")
    if number is None or not isinstance(stamps, list):
        raise Malformed(BAD_REQUEST)
    return operations.embed_add_stamps(address, number, stamps), stamps_and_score_body


def embed_validate_api_key(request: EventRequest) -> HttpResponse:
    given = _api_key(request)
    if not given:
        raise Malformed(BAD_REQUEST)
    key = api_keys.authenticate(run_of(request), given)
    return json_response({"embed_rate_limit": key.embed_rate_limit}, is_open=False)


def cache_add_stamps(request: EventRequest) -> Asking:
    address = _address(request)
    question = operations.cache_add_stamps(address, _entries(request, with_stamp=True), names_scorer=False)
    return question, stamps_and_score_body


def cache_patch_stamps(request: EventRequest) -> Asking:
    address = _address(request)
    return operations.cache_patch_stamps(address, _entries(request)), stamps_and_score_body


def cache_delete_stamps(request: EventRequest) -> Asking:
    address = _address(request)
    providers = [entry.provider for entry in _entries(request)]
    return operations.cache_delete_stamps(address, providers), stamps_and_score_body


def cache_get_score(request: EventRequest, address: str) -> Asking:
    own = _address(request)
    given = request.GET.get("alternate_scorer_id")
    if not given:
        return operations.cache_get_score(own, own, None), score_body
    number = _integer(given)
    if number is None:
        raise Malformed("Unable to get score for provided scorer.")
    return operations.cache_get_score(own, own, number), score_body


def cache_calc_score(request: EventRequest, address: str) -> Asking:
    own = _address(request)
    given = _object(request).get("alternate_scorer_id")
    number = conf.cache_scorer_id if given is None else _integer(given)
    if number is None:
        raise Malformed(BAD_REQUEST)
    return operations.cache_calc_score(own, address, number), score_body


def cache_get_stamps(request: EventRequest) -> Asking:
    address = request.GET.get("address")
    if not address:
        raise Malformed(BAD_REQUEST)
    return operations.cache_get_stamps(address), stamps_body


def cache_weights(request: EventRequest) -> Asking:
    return weights.cache_weights(), lambda known: orjson.Fragment(known.written)


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
