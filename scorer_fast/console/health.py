"""Whether this process lives, and whether it can serve: for load balancers, before any other middleware.

    GET /scorer-fast/health      200 while the process answers; asks nobody
    GET /scorer-fast/ready       200, or 503 with what is missing: database, tables, functions, didkit

Neither looks at ``ALLOWED_HOSTS``, is counted in the figures, or says anything that is secret.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import InterfaceError, OperationalError, connections
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from .. import doctor, samples
from ..db import requirements
from ..scoring import verifier
from ..settings import conf

logger = logging.getLogger(__name__)

HEALTH, READY = "/scorer-fast/health", "/scorer-fast/ready"
PATHS = frozenset({HEALTH, READY})
ANSWER_SECONDS = 1.0  # that an answer is given again, so that many probes cost as one
COMPLETE_SECONDS = 300.0  # that tables, functions and didkit, once found good, are not looked at again
DIDKIT_SECONDS = 5.0


class HealthMiddleware:
    """Answers the two paths and nothing else. The app puts it before all other middleware by itself."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info not in PATHS:
            return self.get_response(request)
        return sync_to_async(answer)(request) if self.is_async else answer(request)


def answer(request: HttpRequest) -> HttpResponse:
    """The answer to one of :data:`PATHS`."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    missing = [] if request.path_info == HEALTH else _last.missing()
    status = {"status": "not ready", "missing": missing} if missing else {"status": "ok"}
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "1"} if missing else {})
    return JsonResponse(status, status=503 if missing else 200, headers=headers)


class _Last:
    """What was missing when this process last looked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._missing: list[str] = []
        self._looked_at = self._complete_at = float("-inf")

    def missing(self) -> list[str]:
        with self._lock:  # one looks, those beside it are told the same
            if time.monotonic() - self._looked_at >= ANSWER_SECONDS:
                self._missing = self._look()
                self._looked_at = time.monotonic()
            return self._missing

    def _look(self) -> list[str]:
        alias = conf.database
        try:
            _ping(alias)
            if time.monotonic() - self._complete_at < COMPLETE_SECONDS:
                return []
            found = [*doctor.look_at_statements(alias), *doctor.look_at_own_tables(alias)]
            missing = [f"{one.about}: {one.what}" for one in found if one.level == doctor.REQUIRED]
        except Exception as error:
            logger.warning("not ready: the database %s cannot be asked (%s)", alias, type(error).__name__)
            return [f"database {alias}: it cannot be asked"]
        try:
            if verifier.verify([samples.EIP712], DIDKIT_SECONDS) != [True]:
                missing.append("didkit: it refuses a good signature")
        except Exception as error:
            missing.append(f"didkit: no answer ({type(error).__name__})")
        if not missing:
            self._complete_at = time.monotonic()
        return missing


_last = _Last()


def _ping(alias: str) -> None:
    connection = connections[alias]
    try:
        requirements.get_server_version(alias)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()  # one that died since the last probe is no outage
        requirements.get_server_version(alias)


def reset() -> None:
    """Forget what this process has seen, for tests."""
    global _last
    _last = _Last()
