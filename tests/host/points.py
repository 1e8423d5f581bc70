"""Human points: what a passing address earns, and what it is told of it."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from api.account.models import AddressListMember, Community
from api.registry.models import (
    HumanPoints,
    HumanPointsCommunityQualifiedUsers,
    HumanPointsConfig,
    HumanPointsMultiplier,
)

ACTION_OF_PROVIDER = {
    "SelfStakingBronze": "ISB",
    "SelfStakingSilver": "ISS",
    "SelfStakingGold": "ISG",
    "BeginnerCommunityStaker": "CSB",
    "ExperiencedCommunityStaker": "CSE",
    "TrustedCitizen": "CST",
    "HolonymGovIdProvider": "HGO",
    "HolonymPhone": "HPH",
    "CleanHands": "HCH",
    "Biometrics": "HBI",
}
ACTION_OF_LIST = {"MetaMaskOG2": "MM2", "SeasonedPassportOGs": "SOG", "TheChosenOnes": "TCO"}
COMMUNITIES_FOR_BONUS = 4
METAMASK_OGS = 5000


def are_awarded(community: Community) -> bool:
    return settings.HUMAN_POINTS_WRITE_ENABLED and community.human_points_program


def are_told(community: Community) -> bool:
    return settings.HUMAN_POINTS_ENABLED and community.human_points_program


async def award(address: str, community: Community, stamps: dict[str, dict[str, Any]]) -> None:
    """What the counting stamps (by their row's provider) and the lists of a passing address earn."""
    if datetime.now(UTC).timestamp() < settings.HUMAN_POINTS_START_TIMESTAMP:
        return
    qualified = HumanPointsCommunityQualifiedUsers.objects
    await qualified.aget_or_create(address=address, community=community)
    for provider, credential in stamps.items():
        subject = credential["credentialSubject"]
        nullifiers = [nullifier for nullifier in subject.get("nullifiers") or [] if nullifier]
        if nullifiers:
            await _award_key(address, subject["provider"], nullifiers[-1])
        if provider in ACTION_OF_PROVIDER:
            await _award_once(address, ACTION_OF_PROVIDER[provider])
    if await qualified.filter(address=address).acount() >= COMMUNITIES_FOR_BONUS:
        await _award_once(address, "SCB")
    for name, action in ACTION_OF_LIST.items():
        if action == "MM2" and not await _metamask_open():
            continue
        if await AddressListMember.objects.filter(list__name=name, address=address).aexists():
            await _award_once(address, action)


async def _award_key(address: str, provider: str, nullifier: str) -> None:
    if not await HumanPoints.objects.filter(address=address, action="HKY", provider=provider).aexists():
        await HumanPoints.objects.aget_or_create(
            address=address, action="HKY", provider=provider, chain_id=0, tx_hash=nullifier
        )


async def _award_once(address: str, action: str) -> None:
    if not await HumanPoints.objects.filter(address=address, action=action).aexists():  # on any chain
        award = HumanPoints(address=address, action=action, tx_hash="", provider="", chain_id=0)
        await HumanPoints.objects.abulk_create([award], ignore_conflicts=True)


async def _metamask_open() -> bool:
    if not settings.HUMAN_POINTS_MTA_ENABLED:
        return False
    return await HumanPoints.objects.filter(action="MM2").acount() < METAMASK_OGS


async def told(address: str, community: Community) -> dict[str, Any]:
    """`points_data` and `possible_points_data` of an answer; both null outside the program."""
    if not are_told(community):
        return {"points_data": None, "possible_points_data": None}
    points = {
        action: points
        async for action, points in HumanPointsConfig.objects.filter(active=True).values_list("action", "points")
    }
    breakdown: dict[str, int] = defaultdict(int)
    total = 0
    async for action, chain in HumanPoints.objects.filter(address=address).values_list("action", "chain_id"):
        if action == "HIM" or action not in points:
            continue
        total += points[action]
        breakdown[action] += points[action]
        if chain:
            breakdown[f"{action}_{chain}"] += points[action]
    multiplier = 1
    if breakdown:
        row = await HumanPointsMultiplier.objects.filter(address=address).afirst()
        multiplier = row.multiplier if row else 1
    eligible = await HumanPointsCommunityQualifiedUsers.objects.filter(address=address).aexists()
    return {
        "points_data": _points(total, breakdown, multiplier, eligible),
        "possible_points_data": _points(0, points, multiplier, False),
    }


def _points(total: int, breakdown: dict[str, int], multiplier: int, eligible: bool) -> dict[str, Any]:
    return {
        "total_points": total,
        "is_eligible": eligible,
        "multiplier": multiplier,
        "breakdown": dict(breakdown),
    }
