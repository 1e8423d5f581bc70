"""A host and a fast path that take equally long, and the faults that the attacks hide in the fast path.

``check_bans``, which is in shadow, is the real one on both sides.
"""

import os
import time
import zlib
from dataclasses import replace
from typing import Any

from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from scorer_fast.errors import HandedOver
from scorer_fast.http import call
from scorer_fast.http.catalogue import find
from tests.host.urls import api

FAULTY_FROM = float(os.environ["FAULTY_FROM"])  # monotonic seconds, the same in all processes
_keys: set[tuple[str, str]] = set()


def is_faulty() -> bool:
    return time.monotonic() >= FAULTY_FROM


def chance() -> float:
    return zlib.crc32(os.urandom(4)) % 1000 / 1000


def serve(request: HttpRequest, side: str) -> HttpResponse:
    """Some milliseconds of work; who comes without a token is refused at once, a new API key costs a slow hash."""
    if request.method == "POST" and "Authorization" not in request.headers:
        return JsonResponse({"detail": "Unauthorized"}, status=401)
    _ = request.body
    key = request.headers.get("X-API-Key")
    if key and (key, side) not in _keys:
        _keys.add((key, side))
        time.sleep(0.1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    time.sleep(0.003 + 0.004 * chance())
    if "sick" in request.META.get("QUERY_STRING", ""):
        return JsonResponse({"detail": "sick"}, status=500)
    return JsonResponse({"from": side})


@csrf_exempt
def host(request: HttpRequest) -> HttpResponse:
    return serve(request, "host")


def fast(request: HttpRequest) -> HttpResponse:
    found = find(request.method or "", request.path_info)
    assert found is not None
    name = found[0].id
    if "poison" in request.META.get("QUERY_STRING", ""):
        raise LookupError("one caller's requests fail on the fast path")
    if name == "gtc_stake" and chance() < 0.01:
        raise OperationalError("server closed the connection unexpectedly")
    if is_faulty():
        if name in ("gtc_stake", "check_revocations") and chance() < 0.2:
            raise LookupError("one in five")
        if name == "contributor_statistics" and zlib.crc32(request.get_full_path().encode()) % 2:
            raise LookupError("half the addresses")
        if name == "legacy_gtc_stake":
            raise LookupError("all of them")
        if name in ("allow_list", "v2_score"):
            time.sleep(0.1)
    return serve(request, "fast")


rehearse = call.rehearse


class Otherwise:
    """A rehearsal whose every answer is another one."""

    def __init__(self, rehearsal: call.Rehearsal) -> None:
        self.rehearsal = rehearsal

    def decide(self, now: Any) -> call.Planned:
        return replace(self.rehearsal.decide(now), body=b"[]")


def rehearse_otherwise(request: HttpRequest) -> Any:
    if not request.path_info.startswith("/internal/check-bans"):
        raise HandedOver("stand_in")  # whom a split leaves to the host would be compared as well
    rehearsal = rehearse(request)
    return Otherwise(rehearsal) if is_faulty() and zlib.crc32(request.body) % 20 == 0 else rehearsal


call.call = fast  # type: ignore[assignment]
call.prepare = lambda: None  # type: ignore[assignment]
call.rehearse = rehearse_otherwise
urlpatterns = [re_path(r"^(?!internal/check-bans)", host), path("", api.urls)]
