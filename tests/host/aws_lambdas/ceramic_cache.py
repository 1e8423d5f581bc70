"""What a signed-in address asks about its own stamps and score: the seven `cache_*`."""

from tests.host.aws_lambdas import ready  # isort: skip  # first: it sets Django up

import json
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from ninja.errors import HttpError

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from tests.host import addresses, schemas, scoring, stamps
from tests.host.auth import AccessToken
from tests.host.aws_lambdas.dialect import BadRequest, Event, function, header, parameters
from tests.host.views import ceramic_cache

__all__ = [
    "cache_add_stamps",
    "cache_calc_score",
    "cache_delete_stamps",
    "cache_get_score",
    "cache_get_stamps",
    "cache_patch_stamps",
    "cache_weights",
    "ready",
]

signed_in = AccessToken()


@function(status=201)
def cache_add_stamps(event: Event) -> Any:
    return async_to_sync(_cache_add_stamps)(_address(event), _payload(event, schemas.CacheStampIn))


async def _cache_add_stamps(address: str, payload: list[schemas.CacheStampIn]) -> dict[str, Any]:
    posted = [(entry.provider, entry.stamp) for entry in payload]
    await stamps.soft_delete(address, [provider for provider, _ in posted])
    await stamps.insert(address, posted, CeramicCache.SourceApp.PASSPORT, None)
    return await ceramic_cache._stamps_and_score(address, ceramic_cache._scorer_id())


@function()
def cache_patch_stamps(event: Event) -> Any:
    return async_to_sync(ceramic_cache._cache_patch_stamps)(_address(event), _payload(event, schemas.CachePatchIn))


@function()
def cache_delete_stamps(event: Event) -> Any:
    return async_to_sync(_cache_delete_stamps)(_address(event), _payload(event, schemas.CacheDeleteIn))


async def _cache_delete_stamps(address: str, payload: list[schemas.CacheDeleteIn]) -> dict[str, Any]:
    if not await stamps.soft_delete(address, [entry.provider for entry in payload]):
        raise HttpError(404, "Unable to find stamp to delete.")
    return await ceramic_cache._stamps_and_score(address, ceramic_cache._scorer_id())


@function()
def cache_get_score(event: Event) -> Any:
    address, given = _address(event), parameters(event).get("alternate_scorer_id")
    try:
        scorer_id = int(given) if given else None
    except ValueError:
        raise BadRequest("Unable to get score for provided scorer.") from None
    return async_to_sync(ceramic_cache._cache_get_score)(address, scorer_id)


@function()
def cache_calc_score(event: Event) -> Any:
    address, given = _address(event), json.loads(event["body"]).get("alternate_scorer_id")
    return async_to_sync(ceramic_cache._score)(address, int(given or ceramic_cache._scorer_id()))


@function()
def cache_get_stamps(event: Event) -> Any:
    address = parameters(event).get("address")
    if not address:
        raise BadRequest("Bad request")
    return async_to_sync(ceramic_cache._cache_get_stamps)(address.lower())


@function()
def cache_weights(event: Event) -> Any:
    return async_to_sync(_cache_weights)()


async def _cache_weights() -> Any:
    weighted = await scoring.scorer_of(await Community.objects.aget(id=ceramic_cache._scorer_id()))
    return weighted.weights


def _address(event: Event) -> str:
    words = header(event, "authorization").split()
    try:
        address = signed_in.authenticate(HttpRequest(), words[-1] if words else "")
    except ValueError:
        raise HttpError(400, "Invalid address.") from None
    return addresses.lower_or_400(address)


def _payload(event: Event, schema: Any) -> list[Any]:
    payload = [schema(**entry) for entry in json.loads(event["body"])]
    ceramic_cache._check_count(payload)
    return payload
