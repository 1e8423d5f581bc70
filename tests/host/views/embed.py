from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from ninja import Router
from ninja.errors import HttpError

from api.account.models import Community, EmbedSectionOrder, EmbedStampPlatform
from api.ceramic_cache.models import CeramicCache
from tests.host import addresses, communities, schemas, scoring, stamps
from tests.host.auth import ApiKey, internal

router = Router()

WEIGHTS_SECONDS = 60


@router.get("/score/{scorer_id}/{address}", response=schemas.StampsAndScore)
def embed_score(request: HttpRequest, scorer_id: int, address: str) -> Any:
    return async_to_sync(_embed_score)(communities.demo_if_negative(scorer_id), address)


async def _embed_score(scorer_id: int, address: str) -> dict[str, Any]:
    community = await communities.by_id(scorer_id)
    if community is None:
        raise HttpError(400, "Invalid scorer_id")
    return await stamps_and_score(addresses.lower_or_400(address), community, scorer_id)


@router.post("/stamps/{address}", response=schemas.StampsAndScore, auth=internal)
def embed_add_stamps(request: HttpRequest, address: str, payload: schemas.EmbedStampsIn) -> Any:
    return async_to_sync(_embed_add_stamps)(address, payload)


async def _embed_add_stamps(address: str, payload: schemas.EmbedStampsIn) -> dict[str, Any]:
    address = addresses.lower_or_400(address)
    if len(payload.stamps) > settings.MAX_BULK_CACHE_SIZE:
        raise HttpError(422, "You have submitted too many stamps.")
    posted = [(stamp["credentialSubject"]["provider"], stamp) for stamp in payload.stamps]
    await stamps.soft_delete(address, [provider for provider, _ in posted])
    await stamps.insert(address, posted, CeramicCache.SourceApp.EMBED, payload.scorer_id)
    community = await Community.objects.select_related("account").aget(id=payload.scorer_id)
    return await stamps_and_score(address, community, payload.scorer_id)


async def stamps_and_score(address: str, community: Community, scorer_id: int) -> dict[str, Any]:
    """The address's stamps and its new score, for what `scorer_id` means to the community's account."""
    meant = await communities.of_account(community.account, scorer_id)
    score = await scoring.score_address(address, meant or community)
    return {"success": True, "stamps": await stamps.listed(address), "score": score}


@router.get("/validate-api-key", response=schemas.EmbedRateLimit, auth=ApiKey(revoked=True))
def embed_validate_api_key(request: HttpRequest) -> Any:
    return {"embed_rate_limit": request.auth.embed_rate_limit}


@router.get("/config", response=schemas.EmbedConfig)
def embed_config(request: HttpRequest, community_id: str) -> Any:
    if not community_id:
        raise HttpError(500, "Unable to retrieve the configuration")
    of_community = weights(community_id)
    sections = EmbedSectionOrder.objects.filter(customization__scorer_id=int(community_id)).order_by("order", "id")
    return {
        "weights": of_community,
        "stamp_sections": [
            {"title": row.section.name, "order": row.order, "items": _items(row)}
            for row in sections.select_related("section")
        ],
    }


def _items(section: EmbedSectionOrder) -> list[dict[str, Any]]:
    shown = EmbedStampPlatform.objects.filter(customization=section.customization_id, section=section.section_id)
    return [
        {"platform_id": row.platform.platform_id, "order": row.order}
        for row in shown.select_related("platform").order_by("order", "id")
    ]


@router.get("/weights", response=dict[str, float])
def embed_weights(request: HttpRequest, community_id: str | None = None) -> Any:
    return weights(community_id)


def weights(community_id: str | None) -> dict[str, float]:
    """Weight per provider without customization, up to a minute old."""
    scorer_id = community_id or settings.CERAMIC_CACHE_SCORER_ID
    try:
        return cache.get_or_set(f"weights:{scorer_id}", lambda: _read_weights(int(scorer_id)), WEIGHTS_SECONDS)
    except Exception as error:
        configured = f"settings.CERAMIC_CACHE_SCORER_ID={settings.CERAMIC_CACHE_SCORER_ID}"
        raise HttpError(500, f"Unable to retrieve configured scorer! {configured}") from error


@async_to_sync
async def _read_weights(scorer_id: int) -> dict[str, float]:
    weighted = await scoring.scorer_of(await Community.objects.aget(id=scorer_id))
    return {provider: float(weight) for provider, weight in weighted.weights.items()}
