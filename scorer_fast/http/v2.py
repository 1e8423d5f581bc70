"""``/v2``: what API keys ask."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Router

from ..lookups import api_keys
from ..scoring import operations
from .analytics import recorded
from .auth import key_of
from .rate_limit import check_rate_limit
from .responses import answered, score_body
from .routing import endpoint

router = Router()


@endpoint(router)
def v2_score(request: HttpRequest, scorer_id: int, address: str) -> HttpResponse:
    """The score of an address, decided anew; a negative scorer id means the demo scorer."""
    key = key_of(request)

    def answer() -> HttpResponse:
        check_rate_limit(request, key)
        api_keys.require_read_scores(key)
        return answered(request, operations.v2_score(key.account_id, scorer_id, address), score_body)

    return recorded(request, key, answer)
