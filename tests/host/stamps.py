"""The stamps an address keeps: list, soft-delete, insert."""

from datetime import UTC, datetime
from typing import Any

from api.ceramic_cache.models import CeramicCache


async def listed(address: str) -> list[dict[str, Any]]:
    """The address's stamps that are neither deleted nor revoked, by id."""
    rows = CeramicCache.objects.filter(
        address=address,
        type=CeramicCache.StampType.V1,
        deleted_at__isnull=True,
        revocation__isnull=True,
    )
    return [
        {"id": row.id, "address": row.address, "provider": row.provider, "stamp": row.stamp}
        async for row in rows.order_by("id")
    ]


async def soft_delete(address: str, providers: list[str]) -> int:
    """How many live stamps of these providers were deleted."""
    now = datetime.now(UTC)
    return await CeramicCache.objects.filter(
        address=address,
        type=CeramicCache.StampType.V1,
        deleted_at__isnull=True,
        provider__in=providers,
    ).aupdate(deleted_at=now, updated_at=now)


async def insert(
    address: str, stamps: list[tuple[str, Any]], source_app: int | None, source_scorer_id: int | None
) -> None:
    """A row per (provider, credential)."""
    for provider, credential in stamps:
        await CeramicCache.objects.acreate(
            address=address,
            type=CeramicCache.StampType.V1,
            provider=provider,
            stamp=credential,
            proof_value=credential["proof"]["proofValue"],
            issuance_date=credential.get("issuanceDate"),
            expiration_date=credential.get("expirationDate"),
            compose_db_save_status=CeramicCache.ComposeDBSaveStatus.PENDING,
            source_app=source_app,
            source_scorer_id=source_scorer_id,
        )
