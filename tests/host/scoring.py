"""Scoring an address for a community, as the host does it: statement by statement, each of them final.

Whatever fails on the way is written down in the score row, and what was written before it stays.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import didkit
from django.conf import settings
from django.core import serializers
from django.db import IntegrityError

from api.account.models import Community, Customization
from api.ceramic_cache.models import CeramicCache
from api.registry.models import Event, HashScorerLink, Passport, Score, Stamp
from api.scorer_weighted.models import BinaryWeightedScorer, Scorer, WeightedScorer
from tests.host import points

PROOF_OPTIONS = '{"proofPurpose":"assertionMethod"}'
FIVE_PLACES = Decimal("0.00001")
DEFAULT_THRESHOLD = "20.00000"
LINK_ATTEMPTS = 5
LINKS_NOT_SAVED = "Failed to save HashScorerLinks"


class ValidStamp(NamedTuple):
    """A stamp that could count: its row's provider, its credential and when that expires."""

    provider: str
    credential: dict[str, Any]
    expires_at: datetime
    nullifiers: list[str]


class LinksNotSaved(Exception):
    pass


def five_places(value: Any) -> str:
    return str(Decimal(value).quantize(FIVE_PLACES))


async def score_address(address: str, community: Community) -> dict[str, Any]:
    """Score the address anew; the answer without points. `address` is in lower case."""
    passport, _ = await Passport.objects.aget_or_create(address=address, community=community)
    score, _ = await Score.objects.aget_or_create(passport=passport)
    expires_at = None
    try:
        counting, clashing = await _deduplicated(address, community, await _valid_stamps(address))
        await _rewrite_stamps(passport, counting)
        await _calculate(score, community, counting, clashing)
        expires_at = score.expiration_date
        await score.asave()
        await Event.objects.acreate(
            action=Event.Action.SCORE_UPDATE,
            address=address,
            community=community,
            data=json.loads(serializers.serialize("json", [score]))[0],
        )
        if score.score == 1 and points.are_awarded(community):
            await points.award(address, community, {stamp.provider: stamp.credential for stamp in counting})
    except Exception as error:
        _failed(score, str(error))
        await score.asave()
    return answer(score, address, expires_at)


def answer(score: Score, address: str, expires_at: datetime | None) -> dict[str, Any]:
    """A score row as it is told; an error row has the score 0 and the usual threshold."""
    evidence = score.evidence or {"rawScore": "0", "threshold": DEFAULT_THRESHOLD}
    raw, threshold = Decimal(evidence["rawScore"]), Decimal(evidence["threshold"])
    scored_at = score.last_score_timestamp
    return {
        "address": address,
        "score": five_places(raw),
        "passing_score": raw >= threshold,
        "last_score_timestamp": scored_at.isoformat() if scored_at else None,
        "expiration_timestamp": expires_at.isoformat() if expires_at else None,
        "threshold": five_places(threshold),
        "error": score.error,
        "stamps": score.stamps or {},
        "points_data": None,
        "possible_points_data": None,
        "linked_score": None,
    }


async def _valid_stamps(address: str) -> list[ValidStamp]:
    """The address's live stamps that are trusted, unexpired, its own, and well signed; by row id."""
    rows = CeramicCache.objects.filter(
        address=address,
        type=CeramicCache.StampType.V1,
        deleted_at__isnull=True,
        revocation__isnull=True,
    )
    latest = {row.provider: row async for row in rows.order_by("updated_at", "id")}
    valid = []
    for row in sorted(latest.values(), key=lambda row: row.id):
        expires_at = datetime.fromisoformat(row.stamp["expirationDate"])
        if expires_at <= datetime.now(UTC) or not _is_own(row.stamp, address):
            continue
        if await _is_signed(row.stamp):
            valid.append(ValidStamp(row.provider, row.stamp, expires_at, _nullifiers(row.stamp)))
    return valid


def _is_own(credential: dict[str, Any], address: str) -> bool:
    subject = credential["credentialSubject"]
    return bool(
        credential.get("issuer") in settings.TRUSTED_IAM_ISSUERS
        and subject.get("id", "").lower() == f"did:pkh:eip155:1:{address}"
        and subject.get("provider")
        and (subject.get("hash") or subject.get("nullifiers"))
    )


async def _is_signed(credential: dict[str, Any]) -> bool:
    try:
        result = await didkit.verify_credential(json.dumps(credential), PROOF_OPTIONS)
    except Exception:  # what didkit cannot read it raises at: an error of this stamp alone
        return False
    return not json.loads(result)["errors"]


def _nullifiers(credential: dict[str, Any]) -> list[str]:
    subject = credential["credentialSubject"]
    found = [subject["hash"]] if subject.get("hash") else subject["nullifiers"]
    if settings.FF_MULTI_NULLIFIER == "on":
        return found
    return [nullifier for nullifier in found if nullifier.startswith("v0")]


async def _deduplicated(
    address: str, community: Community, stamps: list[ValidStamp]
) -> tuple[list[ValidStamp], list[ValidStamp]]:
    """The stamps that count and those that clash. Who loses the race for a link looks again and clashes."""
    for _ in range(LINK_ATTEMPTS):
        try:
            counting, clashing = await _link(address, community, stamps)
            break
        except IntegrityError:
            continue
    else:
        raise LinksNotSaved(LINKS_NOT_SAVED)
    for stamp in clashing:
        await Event.objects.acreate(
            action=Event.Action.LIFO_DEDUPLICATION,
            address=address,
            community=community,
            data={
                "nullifiers": stamp.nullifiers,
                "provider": stamp.credential["credentialSubject"]["provider"],
                "community_id": community.pk,
            },
        )
    return counting, clashing


async def _link(
    address: str, community: Community, stamps: list[ValidStamp]
) -> tuple[list[ValidStamp], list[ValidStamp]]:
    now = datetime.now(UTC)
    links = HashScorerLink.objects.filter(
        community=community, hash__in=[nullifier for stamp in stamps for nullifier in stamp.nullifiers]
    )
    own = {link.hash: link async for link in links.filter(address=address)}
    others = {link.hash: link async for link in links.exclude(address=address)}
    counting, clashing = [], []
    claims: list[HashScorerLink] = []
    backfills: dict[str, HashScorerLink] = {}
    updates: list[HashScorerLink] = []
    for stamp in stamps:
        clash = next(
            (others[name] for name in stamp.nullifiers if name in others and others[name].expires_at > now),
            None,
        )
        if clash is not None:
            clashing.append(stamp)
            for name in stamp.nullifiers:
                if name not in others:
                    backfills.setdefault(name, _new_link(name, clash.address, clash.expires_at, community))
            continue
        counting.append(stamp)
        for name in stamp.nullifiers:
            link = own.get(name) or others.get(name)
            if link is None:
                claims.append(_new_link(name, address, stamp.expires_at, community))
            else:
                link.address, link.expires_at = address, stamp.expires_at
                updates.append(link)
    if len({link.hash for link in claims + updates}) < len(claims) + len(updates):
        raise LinksNotSaved(LINKS_NOT_SAVED)  # two stamps of the address share a nullifier
    claimed = {link.hash for link in claims}
    new = claims + [link for name, link in backfills.items() if name not in claimed]
    if new:
        await HashScorerLink.objects.abulk_create(new)
    if updates:
        await HashScorerLink.objects.abulk_update(updates, ["address", "expires_at"])
    return counting, clashing


def _new_link(name: str, address: str, expires_at: datetime, community: Community) -> HashScorerLink:
    return HashScorerLink(hash=name, address=address, expires_at=expires_at, community=community)


async def _rewrite_stamps(passport: Passport, counting: list[ValidStamp]) -> None:
    await Stamp.objects.filter(passport=passport).adelete()
    for stamp in counting:
        await Stamp.objects.acreate(passport=passport, provider=stamp.provider, credential=stamp.credential)


async def _calculate(
    score: Score, community: Community, counting: list[ValidStamp], clashing: list[ValidStamp]
) -> None:
    """Fill in the score row from the weights of the counting stamps; does not save it."""
    weights, threshold = await _weights(community)
    of_stamp = {stamp.provider: weights.get(stamp.provider, 0) for stamp in counting}
    raw = sum((Decimal(weight) for weight in of_stamp.values()), Decimal(0))
    passing = raw >= threshold
    score.score = Decimal(1 if passing else 0)
    score.status = Score.Status.DONE
    score.error = None
    score.last_score_timestamp = datetime.now(UTC)
    score.evidence = {
        "type": "ThresholdScoreCheck",
        "success": passing,
        "rawScore": str(raw),
        "threshold": str(threshold),
    }
    score.stamp_scores = {provider: float(weight) for provider, weight in of_stamp.items()}
    score.expiration_date = min((stamp.expires_at for stamp in counting), default=None)
    score.stamps = {
        stamp.provider: {
            "score": five_places(float(of_stamp[stamp.provider])),
            "dedup": False,
            "expiration_date": stamp.expires_at.isoformat(),
        }
        for stamp in counting
    }
    for stamp in clashing:
        provider = stamp.credential["credentialSubject"]["provider"]
        counted = score.stamps.get(provider, {"score": "0.00000"})
        score.stamps[provider] = {
            "score": counted["score"],
            "dedup": True,
            "expiration_date": stamp.credential["expirationDate"],
        }


async def _weights(community: Community) -> tuple[dict[str, Any], Decimal]:
    """Weight per provider, customization included, and the threshold."""
    weighted = await scorer_of(community)
    weights = dict(weighted.weights or {})
    customization = await Customization.objects.filter(scorer=community).afirst()
    if customization is not None:
        async for allow_list in customization.allow_lists.select_related("address_list"):
            weights[f"AllowList#{allow_list.address_list.name}"] = allow_list.weight
        async for credential in customization.custom_credentials.select_related("ruleset"):
            weights[credential.ruleset.provider_id] = credential.weight
    return weights, weighted.threshold


async def scorer_of(community: Community) -> WeightedScorer | BinaryWeightedScorer:
    """The row that holds the community's weights and threshold."""
    scorer = await Scorer.objects.aget(id=community.scorer_id)
    kind = WeightedScorer if scorer.type == Scorer.Type.WEIGHTED else BinaryWeightedScorer
    return await kind.objects.aget(scorer_ptr_id=scorer.id)


def _failed(score: Score, error: str) -> None:
    score.status = Score.Status.ERROR
    score.error = error
    score.score = score.last_score_timestamp = score.expiration_date = None
    score.evidence = score.stamp_scores = score.stamps = None
