"""A load balancer's event as Django's request, and an answer in the event's form.

Events come with one value per header and parameter, or with several (``multiValueHeaders``,
``multiValueQueryStringParameters``); parameters encoded or not; a body as text or in base64; header names in any case.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

from django.http import HttpRequest, HttpResponse, QueryDict, parse_cookie

Event = Mapping[str, Any]
Answer = dict[str, Any]

MANY_HEADERS, ONE_HEADER = "multiValueHeaders", "headers"
MANY_PARAMETERS, ONE_PARAMETER = "multiValueQueryStringParameters", "queryStringParameters"


class EventRequest(HttpRequest):
    """The request of ``event``; no more of Django than what answering an operation asks for.

    ``received``: the headers by their names as they came, one text each. ``parameters``: those of the query, as they
    came, the last value of each. ValueError where the event is no request.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        try:
            self.method = str(event["httpMethod"]).upper()
        except KeyError:
            raise ValueError("the event has no httpMethod") from None
        self.path = self.path_info = unquote(event.get("path") or "/")
        self.received = {
            name: ",".join(values) for name, values in _values(event, MANY_HEADERS, ONE_HEADER).items() if values
        }
        query = _values(event, MANY_PARAMETERS, ONE_PARAMETER)
        self.parameters = {name: values[-1] for name, values in query.items() if values}
        decoded = QueryDict(mutable=True)
        for name, values in query.items():
            decoded.setlist(unquote_plus(name), [unquote_plus(value) for value in values])
        self.GET = decoded  # type: ignore[assignment]  # the stubs want one that cannot be changed
        self.META = {"REQUEST_METHOD": self.method, "QUERY_STRING": decoded.urlencode()}
        for name, value in self.received.items():
            if "_" not in name:  # as servers do: it would read as the name with dashes
                key = name.upper().replace("-", "_")
                self.META[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        self.COOKIES = parse_cookie(self.META["HTTP_COOKIE"]) if "HTTP_COOKIE" in self.META else {}
        self._body = _body(event)


def _values(event: Event, many: str, one: str) -> dict[str, list[str]]:
    several = event.get(many)
    if several is not None:
        return {name: [str(value) for value in values or ()] for name, values in several.items()}
    return {name: [] if value is None else [str(value)] for name, value in (event.get(one) or {}).items()}


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("the event's body is not base64") from None


def answer_to(event: Event, response: HttpResponse) -> Answer:
    """``response`` as the load balancer takes it."""
    headers = dict(response.items())
    written = {name: [value] for name, value in headers.items()} if _is_many(event) else headers
    return {
        "statusCode": response.status_code,
        MANY_HEADERS if _is_many(event) else ONE_HEADER: written,
        "body": response.content.decode(),
        "isBase64Encoded": False,
    }


def with_header(event: Event, answer: Answer, name: str, value: str) -> Answer:
    """``answer``, which somebody else gave, with one header more; what it has is left as it is."""
    is_many = MANY_HEADERS in answer or (ONE_HEADER not in answer and _is_many(event))
    key = MANY_HEADERS if is_many else ONE_HEADER
    return {**answer, key: {**(answer.get(key) or {}), name: [value] if is_many else value}}


def _is_many(event: Event) -> bool:
    return isinstance(event, dict) and event.get(MANY_HEADERS) is not None


class HostResponse(HttpResponse):
    """What the host's handler answered: its ``answer`` as it is, and as a response for who compares."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        known = answer if isinstance(answer, dict) else {}
        body = known.get("body") or ""
        content = base64.b64decode(body) if known.get("isBase64Encoded") else body
        super().__init__(content, status=_status(known.get("statusCode")))


def _status(given: Any) -> int:
    """A status that a response can have; a load balancer answers 502 to one that is none."""
    try:
        status = int(given)
    except (TypeError, ValueError):
        return 502
    return status if 100 <= status <= 599 else 502
