"""How these functions take an event and word an answer."""

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import close_old_connections
from ninja.errors import HttpError

log = logging.getLogger(__name__)

Event = dict[str, Any]
HEADERS = {
    "Content-Type": "application/json",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Allow-Headers": "Accept,Accept-Encoding,Authorization,Content-Type,Dnt,Origin,User-Agent,"
    "X-Csrftoken,X-Requested-With,X-Api-Key",
}


class BadRequest(Exception):
    """Something that the function's form does not allow; the text is the client's."""


def function(
    *, status: int = 200, error_key: str = "error", is_open: bool = True
) -> Callable[[Callable[[Event], Any]], Callable[[Event, Any], dict[str, Any]]]:
    """A Lambda handler around what turns an event into a body."""

    def wrap(serve: Callable[[Event], Any]) -> Callable[[Event, Any], dict[str, Any]]:
        @wraps(serve)
        def handler(event: Event, context: Any) -> dict[str, Any]:
            close_old_connections()
            try:
                headers = HEADERS if is_open else {"Content-Type": "application/json"}
                return _answer(status, serve(event), headers)
            except HttpError as error:
                return _answer(error.status_code, {error_key: str(error)}, HEADERS)
            except BadRequest as error:
                return _answer(400, {error_key: str(error)}, HEADERS)
            except Exception:
                log.exception("the function failed")
                return _answer(400, {error_key: "An error has occurred"}, HEADERS)
            finally:
                close_old_connections()

        return handler

    return wrap


def _answer(status: int, body: Any, headers: dict[str, str]) -> dict[str, Any]:
    return {"statusCode": status, "headers": headers, "body": json.dumps(body), "isBase64Encoded": False}


def header(event: Event, name: str) -> str:
    """A header by its name in small letters; empty without it."""
    return (event.get("headers") or {}).get(name, "")


def segment(event: Event, number: int) -> str:
    """A part of the path, from its end."""
    return event["path"].split("/")[-number]


def parameters(event: Event) -> dict[str, str]:
    return event.get("queryStringParameters") or {}
