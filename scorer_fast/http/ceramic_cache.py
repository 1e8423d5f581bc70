"""``/ceramic-cache``: what the Passport app asks for a signed-in address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Router

from ..lookups import weights
from ..scoring import operations
from ..scoring.payloads import Entry
from . import schemas
from .auth import address_of
from .responses import answered, score_body, stamps_and_score_body, stamps_body, weights_body
from .routing import endpoint

router = Router()


@endpoint(router)
def cache_add_stamps(request: HttpRequest, payload: list[schemas.StampToAdd]) -> HttpResponse:
    """Store stamps of the token's address in place of older ones, and score it."""
    entries = [Entry(item.provider, item.stamp) for item in payload]
    question = operations.cache_add_stamps(address_of(request), entries)
    return answered(request, question, stamps_and_score_body, 201)


@endpoint(router)
def cache_patch_stamps(request: HttpRequest, payload: list[schemas.StampToPatch]) -> HttpResponse:
    """Remove the stamps of every named provider, store those that are brought, and score."""
    entries = [Entry(item.provider, item.stamp) for item in payload]
    question = operations.cache_patch_stamps(address_of(request), entries)
    return answered(request, question, stamps_and_score_body)


@endpoint(router)
def cache_delete_stamps(request: HttpRequest, payload: list[schemas.StampToDelete]) -> HttpResponse:
    """Remove the stamps of the named providers; the score follows, but is not answered."""
    question = operations.cache_delete_stamps(address_of(request), [item.provider for item in payload])
    return answered(request, question, stamps_body)


@endpoint(router)
def cache_get_score(request: HttpRequest, address: str, alternate_scorer_id: int | None = None) -> HttpResponse:
    """The stored score while it has not expired, else a new one."""
    question = operations.cache_get_score(address_of(request), address, alternate_scorer_id)
    return answered(request, question, score_body)


@endpoint(router)
def cache_calc_score(request: HttpRequest, address: str, payload: schemas.AlternateScorer) -> HttpResponse:
    """A new score for another scorer."""
    question = operations.cache_calc_score(address_of(request), address, payload.alternate_scorer_id)
    return answered(request, question, score_body)


@endpoint(router)
def cache_get_stamps(request: HttpRequest, address: str) -> HttpResponse:
    """The stamps of an address; one that was never scored is scored on the way."""
    return answered(request, operations.cache_get_stamps(address), stamps_body)


@endpoint(router)
def cache_weights(request: HttpRequest) -> HttpResponse:
    """The weights of the configured community, customization left out."""
    return answered(request, weights.cache_weights(), weights_body)
