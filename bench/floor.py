"""The floor: what any Ninja endpoint that asks the database once costs in this server."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest
from ninja import NinjaAPI

api = NinjaAPI(urls_namespace="bench", docs_url=None, openapi_url=None)


@api.get("/select-1")
def floor(request: HttpRequest) -> dict[str, int]:
    """Bare: ``SELECT 1`` and its answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return {"answer": cursor.fetchone()[0]}


@api.post("/forget-weights")
def forget_weights(request: HttpRequest) -> dict[str, bool]:
    """Makes the next request for weights the first one of its process."""
    from django.core.cache import cache

    from scorer_fast.lookups import weights

    weights.forget()
    cache.clear()
    return {"forgotten": True}


@api.get("/cpu")
def cpu(request: HttpRequest) -> dict[str, float]:
    """CPU seconds of the answering process so far."""
    import time

    return {"seconds": time.process_time()}
