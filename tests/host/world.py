"""Rows to ask the host about: an account with a key, a community with weights, addresses with stamps."""

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils.dateparse import parse_datetime

from api.account.models import Account, AccountAPIKey, Community, hash_key_sha256
from api.ceramic_cache.models import CeramicCache
from api.demo_issuer import ISSUERS, Claim, sign_credentials
from api.scorer_weighted.models import BinaryWeightedScorer

API_KEY = "hostKEY1.open-to-every-test-and-to-nothing-else"
REVOKED_KEY = "hostKEY2.revoked-long-ago"
INTERNAL_TOKEN = "test-internal-token"
POINTS = {"SCB": 100, "HKY": 10, "ISB": 50, "HPH": 150, "HCH": 250, "HBI": 350, "HIM": 30}
# What a database of these tests is asked under.
SETTINGS: dict[str, Any] = {
    "CGRANTS_API_TOKEN": INTERNAL_TOKEN,
    "TRUSTED_IAM_ISSUERS": list(ISSUERS.values()),
    "FF_MULTI_NULLIFIER": "on",
    "HUMAN_POINTS_ENABLED": True,
    "HUMAN_POINTS_WRITE_ENABLED": True,
    "CERAMIC_CACHE_SCORER_ID": "1",
}


def address(number: int) -> str:
    return f"0x{number:040x}"


def providers(count: int) -> list[str]:
    return [f"Provider{number:02}" for number in range(count)]


def make_account() -> Account:
    """An account and its key, `API_KEY`, without a rate limit."""
    user = get_user_model().objects.create(username="host", password="!")
    account = Account.objects.create(user=user, address=address(0xACC))
    prefix = API_KEY.partition(".")[0]
    AccountAPIKey.objects.create(
        id=f"{prefix}.{hash_key_sha256(API_KEY)}",
        prefix=prefix,
        hashed_key=hash_key_sha256(API_KEY),
        hashed_key_sha256=hash_key_sha256(API_KEY),
        name="host",
        account=account,
        rate_limit="",
    )
    return account


def make_community(
    account: Account,
    number: int,
    weights: dict[str, Any],
    *,
    threshold: str = "20",
    in_program: bool = False,
    external_id: str | None = None,
) -> Community:
    """A community of this id, with binary scores."""
    scorer = BinaryWeightedScorer.objects.create(weights=weights, threshold=Decimal(threshold))
    return Community.objects.create(
        pk=number,
        name=f"Community {number}",
        account=account,
        scorer=scorer,
        human_points_program=in_program,
        external_scorer_id=external_id,
    )


def give(claims: Iterable[Claim]) -> list[CeramicCache]:
    """Signed stamps in the cache."""
    claims = list(claims)
    return CeramicCache.objects.bulk_create(
        stamp_row(claim.address.lower(), claim.provider, credential)
        for claim, credential in zip(claims, sign_credentials(claims), strict=True)
    )


def stamp_row(owner: str, provider: str, credential: dict[str, Any]) -> CeramicCache:
    proof = credential["proof"]
    return CeramicCache(
        address=owner,
        provider=provider,
        stamp=credential,
        proof_value=proof.get("proofValue") or proof["jws"],
        issuance_date=parse_datetime(credential["issuanceDate"]),
        expiration_date=parse_datetime(credential["expirationDate"]),
        compose_db_save_status=CeramicCache.ComposeDBSaveStatus.PENDING,
        source_app=CeramicCache.SourceApp.PASSPORT,
    )


def token(owner: str) -> str:
    """An access token of the address, good for an hour."""
    claims = {
        "token_type": "access",
        "exp": int(time.time()) + 3600,
        "jti": "0" * 32,
        "did": f"did:pkh:eip155:1:{owner}",
    }
    return jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")
