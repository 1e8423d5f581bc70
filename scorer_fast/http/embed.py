"""``/internal/embed``: what the embedded widget asks."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Router

from ..lookups import weights
from ..scoring import operations
from . import schemas
from .auth import key_of
from .responses import answered, embed_config_body, json_response, stamps_and_score_body, weights_body
from .routing import endpoint

router = Router()


@endpoint(router)
def embed_score(request: HttpRequest, scorer_id: int, address: str) -> HttpResponse:
    """The stamps of an address and its score, decided anew."""
    return answered(request, operations.embed_score(scorer_id, address), stamps_and_score_body)


@endpoint(router)
def embed_add_stamps(request: HttpRequest, address: str, payload: schemas.EmbedStamps) -> HttpResponse:
    """Store stamps under the providers their subjects name, in place of older ones, and score."""
    question = operations.embed_add_stamps(address, payload.scorer_id, payload.stamps)
    return answered(request, question, stamps_and_score_body)


@endpoint(router)
def embed_validate_api_key(request: HttpRequest) -> HttpResponse:
    """Whether the partner's API key is good, and how often its widget may ask."""
    return json_response({"embed_rate_limit": key_of(request).embed_rate_limit})


@endpoint(router)
def embed_config(request: HttpRequest, community_id: str) -> HttpResponse:
    """The weights of a community, customization left out, and the sections that its widget shows, in order."""
    return answered(request, weights.embed_config(community_id), embed_config_body)


@endpoint(router)
def embed_weights(request: HttpRequest, community_id: str | None = None) -> HttpResponse:
    """The weights of a community, customization left out; of the configured one where none is named."""
    return answered(request, weights.embed_weights(community_id), weights_body)
