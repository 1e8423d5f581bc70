"""One row per authenticated and parsed call of an API key, where ``FF_API_ANALYTICS`` is on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from ..db.connection import sqlstate
from ..errors import Problem, Refused
from ..lookups.api_key_queries import ApiKeyRow, insert_analytics
from ..outages import is_outage
from ..run import run_of
from ..settings import conf
from .problems import PROBLEMS

logger = logging.getLogger("scorer_fast")

MASKED = frozenset({"x-api-key", "authorization", "cookie"})
PATH_LENGTH = 1000  # characters: account_accountapikeyanalytics.path


def recorded(request: HttpRequest, key: ApiKeyRow, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """``answer()``, with a row of what came of it."""
    if not is_recorded(request):
        return answer()
    try:
        response = answer()
    except Refused as refused:
        status, detail = PROBLEMS[refused.problem]
        store(request, key, status, "" if refused.problem is Problem.RATE_LIMITED else detail, None)
        raise
    except Exception as error:
        if not run_of(request).has_host:  # else the host's view may still answer, and record, the call
            status = PROBLEMS[Problem.UNAVAILABLE][0] if is_outage(error) else 500
            store(request, key, status, type(error).__name__, None)
        raise
    store(request, key, response.status_code, None, response.content.decode())
    return response


def is_recorded(request: HttpRequest) -> bool:
    """Whether the call under way is to be stored."""
    return conf.api_analytics and run_of(request).is_live


def store(
    request: HttpRequest,
    key: ApiKeyRow,
    status: int,
    error: str | None,
    response: str | None,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | None = None,
    payload: Any = None,
) -> None:
    """Store a call; a failure is logged and changes nothing else.

    ``headers`` and ``query`` (parameters by name) are the request's unless they are given; secret headers are masked.
    """
    run = run_of(request)
    try:
        row = {
            "created_at": datetime.now(UTC),
            "path": request.path[:PATH_LENGTH],
            "api_key_id": key.id,
            "error": error,
            "headers": _json(_masked(request.headers if headers is None else headers)),
            "path_segments": _json(request.path.split("/")[1:]),
            "query_params": _json(dict(request.GET.lists()) if query is None else query),
            "response": response,
            "status_code": status,
            "payload": None if payload is None else _json(payload),
        }  # fmt: skip
        with transaction.atomic(using=run.database) if run.in_transaction else nullcontext():
            insert_analytics(run.database, row)
    except Exception as error:
        # Not its text: PostgreSQL repeats the row in it, the client's headers and query with it.
        known = {"prefix": key.prefix, "error": type(error).__name__, "sqlstate": sqlstate(error)}
        logger.warning("a call could not be recorded", extra=known)


def _masked(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if name.lower() in MASKED else value for name, value in headers.items()}


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
