"""A host and a fast path that take equally long, and the faults that the attacks hide in the fast path."""

import os
import time
import zlib

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from scorer_fast.http import call
from scorer_fast.http.catalogue import find

FAULTY = set(os.environ.get("FAULTY", "").split(","))  # operations whose fast path is broken
_keys: set[tuple[str, str]] = set()


def serve(request: HttpRequest, side: str) -> HttpResponse:
    """Some milliseconds of work; who comes without a token is refused at once, a new API key costs a slow hash."""
    if request.method == "POST" and "Authorization" not in request.headers:
        return JsonResponse({"detail": "Unauthorized"}, status=401)
    _ = request.body
    key = request.headers.get("X-API-Key")
    if key and (key, side) not in _keys:
        _keys.add((key, side))
        time.sleep(0.1)
    time.sleep(0.003 + 0.004 * (zlib.crc32(os.urandom(4)) % 100) / 100)
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
    if name in FAULTY:
        draw = zlib.crc32(os.urandom(4)) % 100
        if name in ("gtc_stake", "check_revocations") and draw < 20:
            raise LookupError("one in five")
        if name == "contributor_statistics" and zlib.crc32(request.get_full_path().encode()) % 2:
            raise LookupError("half the addresses")
        if name == "legacy_gtc_stake":
            raise LookupError("all of them")
        if name == "allow_list":
            time.sleep(0.02)
    return serve(request, "fast")


call.call = fast  # type: ignore[assignment]
call.prepare = lambda: None  # type: ignore[assignment]
urlpatterns = [re_path(r"", host)]
