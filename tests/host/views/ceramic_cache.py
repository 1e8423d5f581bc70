import logging
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest
from ninja import Router
from ninja.errors import HttpError

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.registry.models import Score
from tests.host import addresses, communities, points, schemas, scoring, stamps
from tests.host.auth import AccessToken
from tests.host.views.embed import weights

log = logging.getLogger(__name__)
router = Router()
signed_in = AccessToken()


@router.post("/stamps/bulk", response={201: schemas.StampsAndScore}, auth=signed_in)
def cache_add_stamps(request: HttpRequest, payload: list[schemas.CacheStampIn]) -> Any:
    _check_count(payload)
    return async_to_sync(_cache_add_stamps)(request.auth, payload)


async def _cache_add_stamps(address: str, payload: list[schemas.CacheStampIn]) -> dict[str, Any]:
    scorer_id = _scorer_id()
    posted = [(entry.provider, entry.stamp) for entry in payload]
    await stamps.soft_delete(address, [provider for provider, _ in posted])
    await stamps.insert(address, posted, CeramicCache.SourceApp.PASSPORT, scorer_id)
    return await _stamps_and_score(address, scorer_id)


@router.patch("/stamps/bulk", response=schemas.StampsAndScore, auth=signed_in)
def cache_patch_stamps(request: HttpRequest, payload: list[schemas.CachePatchIn]) -> Any:
    try:
        _check_count(payload)
        return async_to_sync(_cache_patch_stamps)(request.auth, payload)
    except Exception as error:
        log.exception("patching stamps of %s", request.auth)
        raise HttpError(500, "An internal server error has occurred.") from error


async def _cache_patch_stamps(address: str, payload: list[schemas.CachePatchIn]) -> dict[str, Any]:
    await stamps.soft_delete(address, [entry.provider for entry in payload])
    posted = [(entry.provider, entry.stamp) for entry in payload if entry.stamp]
    await stamps.insert(address, posted, None, None)
    return await _stamps_and_score(address, _scorer_id())


@router.delete("/stamps/bulk", response=schemas.Stamps, auth=signed_in)
def cache_delete_stamps(request: HttpRequest, payload: list[schemas.CacheDeleteIn]) -> Any:
    _check_count(payload)
    return async_to_sync(_cache_delete_stamps)(request.auth, payload)


async def _cache_delete_stamps(address: str, payload: list[schemas.CacheDeleteIn]) -> dict[str, Any]:
    if not await stamps.soft_delete(address, [entry.provider for entry in payload]):
        raise HttpError(404, "Unable to find stamp to delete.")
    await _score(address, _scorer_id())
    return {"success": True, "stamps": await stamps.listed(address)}


@router.get("/score/{address}", response=schemas.Score, auth=signed_in)
def cache_get_score(request: HttpRequest, address: str, alternate_scorer_id: int | None = None) -> Any:
    return async_to_sync(_cache_get_score)(addresses.lower_or_400(address), alternate_scorer_id)


async def _cache_get_score(address: str, alternate_scorer_id: int | None) -> dict[str, Any]:
    scorer_id = _scorer_id() if alternate_scorer_id is None else alternate_scorer_id
    community = await communities.by_id(scorer_id)
    if community is None:
        raise HttpError(
            404,
            "Community matching the configured scorer id does not exist! This is probably a misconfiguration!",
        )
    stored = await Score.objects.filter(passport__address=address, passport__community_id=scorer_id).afirst()
    if stored and (stored.expiration_date is None or stored.expiration_date > datetime.now(UTC)):
        score = scoring.answer(stored, address, stored.expiration_date)
        return {**score, **await points.told(address, community)}
    return await _score(address, scorer_id)


@router.post("/score/{address}", response=schemas.Score, auth=signed_in)
def cache_calc_score(request: HttpRequest, address: str, payload: schemas.CalcScoreIn) -> Any:
    return async_to_sync(_cache_calc_score)(address, payload.alternate_scorer_id)


async def _cache_calc_score(address: str, scorer_id: int | None) -> dict[str, Any]:
    if scorer_id is None:
        raise HttpError(500, "Scorer ID not set")
    if not await Community.objects.filter(id=scorer_id).aexists():
        raise HttpError(404, "Not Found")
    return await _score(addresses.lower_or_400(address), scorer_id)


@router.get("/stamp", response=schemas.Stamps)
def cache_get_stamps(request: HttpRequest, address: str) -> Any:
    return async_to_sync(_cache_get_stamps)(address.lower())


async def _cache_get_stamps(address: str) -> dict[str, Any]:
    scorer_id = _scorer_id()
    scored = Score.objects.filter(passport__address=address, passport__community_id=scorer_id)
    if not await scored.aexists():
        await _score(addresses.lower_or_400(address), scorer_id)
    return {"success": True, "stamps": await stamps.listed(address)}


@router.get("/weights", response=dict[str, float])
def cache_weights(request: HttpRequest) -> Any:
    return weights(None)


def _scorer_id() -> int:
    return int(settings.CERAMIC_CACHE_SCORER_ID)


def _check_count(payload: list[Any]) -> None:
    if len(payload) > settings.MAX_BULK_CACHE_SIZE:
        raise HttpError(422, "You have submitted too many stamps.")


async def _stamps_and_score(address: str, scorer_id: int) -> dict[str, Any]:
    score = await _score(address, scorer_id)
    return {"success": True, "stamps": await stamps.listed(address), "score": score}


async def _score(address: str, scorer_id: int) -> dict[str, Any]:
    """A new score, without points, for what the id means to the account that owns the community."""
    community = await Community.objects.select_related("account").aget(id=scorer_id)
    meant = await communities.of_account(community.account, scorer_id) or community
    return await scoring.score_address(address, meant)
