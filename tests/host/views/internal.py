import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db.models import Q, Sum
from django.http import HttpRequest
from ninja import Router
from ninja.errors import HttpError

from api.account.models import AddressListMember, CustomCredentialRuleset
from api.ceramic_cache.models import Ban, Revocation
from api.cgrants.models import GrantContributionIndex, ProtocolContributions, RoundMapping, SquelchedAccounts
from api.registry.models import GTCStakeEvent
from api.stake.models import Stake
from tests.host import addresses, communities, schemas, scoring
from tests.host.auth import internal

log = logging.getLogger(__name__)
router = Router(auth=internal)

LEAST_CONTRIBUTION = Decimal("0.95")


@router.get("/score/v2/{scorer_id}/{address}", response=schemas.Score)
def internal_score(request: HttpRequest, scorer_id: int, address: str) -> Any:
    return async_to_sync(_internal_score)(scorer_id, address)


async def _internal_score(scorer_id: int, address: str) -> dict[str, Any]:
    community = await communities.by_id(scorer_id)
    if community is None:
        raise HttpError(404, "No Community matches the given query.")
    return await scoring.score_address(addresses.lower_or_400(address), community)


@router.post("/check-bans", response=list[schemas.BanCheck])
def check_bans(request: HttpRequest, payload: list[schemas.Credential]) -> Any:
    subjects = [credential.credentialSubject for credential in payload]
    if not subjects:
        raise HttpError(400, "Must provide valid credential(s)")
    if len({subject.id for subject in subjects}) > 1:
        raise HttpError(400, "All credentials must be issued to the same address")
    try:
        return async_to_sync(_check_bans)(subjects)
    except Exception as error:
        log.exception("checking bans")
        raise HttpError(500, "Failed to check bans") from error


async def _check_bans(subjects: list[schemas.CredentialSubject]) -> list[schemas.BanCheck]:
    address = subjects[0].id.split(":")[-1].lower()
    running = Q(end_time__isnull=True) | Q(end_time__gt=datetime.now(UTC))
    of_address = Q(address=address) & ~Q(address="")
    of_hashes = Q(hash__in=[subject.hash for subject in subjects]) & ~Q(hash="")
    bans = [ban async for ban in Ban.objects.filter(running, of_address | of_hashes).order_by("id")]
    return [_ban_check(subject, address, bans) for subject in subjects]


def _ban_check(subject: schemas.CredentialSubject, address: str, bans: list[Ban]) -> schemas.BanCheck:
    for ban in bans:
        if _fits(ban, subject, address):
            return schemas.BanCheck(
                hash=subject.hash,
                is_banned=True,
                ban_type=ban.type,
                end_time=ban.end_time,
                reason=ban.reason,
            )
    return schemas.BanCheck(hash=subject.hash)


def _fits(ban: Ban, subject: schemas.CredentialSubject, address: str) -> bool:
    if ban.type == Ban.Type.HASH:
        return bool(ban.hash) and ban.hash == subject.hash
    if not ban.address or ban.address != address:
        return False
    if ban.type == Ban.Type.ACCOUNT:
        return not ban.provider
    return ban.provider == subject.provider


@router.post("/check-revocations", response=list[schemas.RevocationCheck])
def check_revocations(request: HttpRequest, payload: schemas.ProofValues) -> Any:
    if len(payload.proof_values) > settings.MAX_BULK_CACHE_SIZE:
        raise HttpError(422, "You have submitted too many stamps.")
    return async_to_sync(_check_revocations)(payload.proof_values)


async def _check_revocations(proof_values: list[str]) -> list[dict[str, Any]]:
    found = Revocation.objects.filter(proof_value__in=proof_values)
    revoked = {value async for value in found.values_list("proof_value", flat=True)}
    return [{"proof_value": value, "is_revoked": value in revoked} for value in proof_values]


@router.get("/allow-list/{list}/{address}", response=schemas.Membership)
def allow_list(request: HttpRequest, list: str, address: str) -> Any:
    members = AddressListMember.objects.filter(list__name=list, address=address.lower())
    return {"is_member": async_to_sync(members.aexists)()}


@router.get("/customization/credential/{provider_id}", response=schemas.Ruleset)
def credential_definition(request: HttpRequest, provider_id: str) -> Any:
    rulesets = CustomCredentialRuleset.objects.filter(provider_id=provider_id.replace("%23", "#"))
    found = async_to_sync(rulesets.afirst)()
    if found is None:
        raise HttpError(404, "Not Found")
    return {"ruleset": found.definition}


@router.get("/stake/gtc/{address}", response=schemas.Stakes)
def gtc_stake(request: HttpRequest, address: str) -> Any:
    return async_to_sync(_gtc_stake)(addresses.checked_or_400(address))


async def _gtc_stake(address: str) -> dict[str, Any]:
    found = Stake.objects.filter(Q(staker=address) | Q(stakee=address)).order_by("id")
    return {
        "items": [
            {
                "chain": stake.chain,
                "lock_time": stake.lock_time.isoformat(),
                "unlock_time": stake.unlock_time.isoformat(),
                "last_updated_in_block": int(stake.last_updated_in_block),
                "staker": stake.staker,
                "stakee": stake.stakee,
                "amount": f"{stake.current_amount:.18f}",
            }
            async for stake in found
        ]
    }


@router.get("/stake/legacy-gtc/{address}/{round_id}", response=schemas.StakeEvents)
def legacy_gtc_stake(request: HttpRequest, address: str, round_id: int) -> Any:
    return async_to_sync(_legacy_gtc_stake)(addresses.lower_or_400(address), round_id)


async def _legacy_gtc_stake(address: str, round_id: int) -> dict[str, Any]:
    found = GTCStakeEvent.objects.filter(Q(staker=address) | Q(address=address), round_id=round_id)
    return {"results": [{**values, "amount": str(values["amount"])} async for values in found.order_by("id").values()]}


@router.get("/cgrants/contributor_statistics", response=schemas.ContributorStatistics)
def contributor_statistics(request: HttpRequest, address: str) -> Any:
    return async_to_sync(_contributor_statistics)(addresses.checked_or_400(address))


async def _contributor_statistics(address: str) -> dict[str, float]:
    squelched = SquelchedAccounts.objects.filter(address=address).values_list("round_number", flat=True)
    squelched_rounds = [number async for number in squelched]
    mapped = RoundMapping.objects.filter(round_number__in=squelched_rounds)
    without = [round async for round in mapped.values_list("round_eth_address", flat=True)]
    grants = GrantContributionIndex.objects.filter(contributor_address=address, contribution__success=True)
    protocol = ProtocolContributions.objects.filter(contributor=address, amount__gte=LEAST_CONTRIBUTION).exclude(
        round__in=without
    )
    number = await grants.values("grant_id").distinct().acount()
    number += await protocol.values("project").distinct().acount()
    in_grants = (await grants.aaggregate(total=Sum("amount")))["total"] or Decimal(0)
    in_protocol = (await protocol.aaggregate(total=Sum("amount")))["total"] or Decimal(0)
    total = in_grants + round(in_protocol, 3)
    return {"num_grants_contribute_to": float(number), "total_contribution_amount": float(round(total, 2))}
