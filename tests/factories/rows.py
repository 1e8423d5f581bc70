"""Builders of rows; every one writes at once and returns what it wrote."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from api.account.models import (
    Account,
    AccountAPIKey,
    AddressList,
    AddressListMember,
    AllowList,
    Community,
    CustomCredential,
    CustomCredentialRuleset,
    Customization,
    CustomPlatform,
    hash_key_sha256,
)
from api.ceramic_cache.models import Ban, CeramicCache, Revocation
from api.demo_issuer import Claim
from api.registry.models import HashScorerLink, HumanPointsConfig
from tests.host import world
from tests.host.world import address as address

OWNER = address(0xA11CE)
RIVAL = address(0xB0B)
HEX40 = OWNER.removeprefix("0x")
FAR = datetime(2099, 1, 1, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
API_KEY = world.API_KEY
INTERNAL_TOKEN = world.INTERNAL_TOKEN
WEIGHTS: dict[str, Any] = {"Google": "1.5", "Github": "7.123", "Ens": "12.5", "Biometrics": "16.021", "NFT": 1.032}


class QuickPBKDF2(PBKDF2PasswordHasher):
    """Takes the slow path, with few enough iterations for tests."""

    iterations = 1_000


def account(number: int = 1) -> Account:
    """An account without a key."""
    user = get_user_model().objects.create(username=f"account{number}", password="!")
    return Account.objects.create(pk=number, user=user, address=address(0xACC0 + number))


def world_of_one(**community_options: Any) -> Community:
    """An account with the key ``API_KEY``, and its community 1 with ``WEIGHTS``."""
    return community(world.make_account(), 1, **community_options)


def community(owner: Account, number: int, weights: dict[str, Any] | None = None, **options: Any) -> Community:
    """A community of this id; ``WEIGHTS`` and a threshold of 20 unless told otherwise."""
    return world.make_community(owner, number, WEIGHTS if weights is None else weights, **options)


def hashed(key: str, kind: str) -> dict[str, str | None]:
    """The two hash columns of a key as each way of storing it writes them."""
    sha512 = "sha512$$" + hashlib.sha512(key.encode()).hexdigest()
    return {
        "sha256 column": {"hashed_key": "unused", "hashed_key_sha256": hash_key_sha256(key)},
        "sha256": {"hashed_key": hash_key_sha256(key), "hashed_key_sha256": None},
        "pbkdf2": {
            "hashed_key": QuickPBKDF2().encode(key, "salt"),
            "hashed_key_sha256": None,
        },
        "sha512": {"hashed_key": sha512, "hashed_key_sha256": ""},
    }[kind]


def api_key(owner: Account, key: str, kind: str = "sha256 column", **columns: Any) -> AccountAPIKey:
    """A key row. ``id`` is no function of the prefix: whoever looks keys up by it finds none."""
    return AccountAPIKey.objects.create(
        id=f"id-{hashlib.sha1(key.encode()).hexdigest()}",
        prefix=key.partition(".")[0],
        name="test",
        account=owner,
        rate_limit=columns.pop("rate_limit", ""),
        **hashed(key, kind),
        **columns,
    )


def stamps(owner: str, *providers: str, **claim: Any) -> list[CeramicCache]:
    """Signed stamps in the cache, one a provider."""
    return world.give(Claim(owner, provider, **claim) for provider in providers)


def stored(owner: str, provider: str, credential: Any, **columns: Any) -> CeramicCache:
    """A stamp in the cache with this credential, whatever it is."""
    return CeramicCache.objects.create(
        address=owner, provider=provider, stamp=credential, proof_value="proof", **columns
    )


def revoked(stamp: CeramicCache) -> Revocation:
    return Revocation.objects.create(proof_value=stamp.proof_value, ceramic_cache=stamp)


def link(nullifier: str, owner: str, expires_at: datetime = FAR, community_id: int = 1) -> HashScorerLink:
    return HashScorerLink.objects.create(
        hash=nullifier, address=owner, expires_at=expires_at, community_id=community_id
    )


def ban(**columns: Any) -> Ban:
    return Ban.objects.create(**columns)


def listed(name: str, *members: str) -> AddressList:
    """A list with these members."""
    made, _ = AddressList.objects.get_or_create(name=name)
    AddressListMember.objects.bulk_create(AddressListMember(list=made, address=member) for member in members)
    return made


def ruleset(provider_id: str, definition: Any) -> CustomCredentialRuleset:
    return CustomCredentialRuleset.objects.create(provider_id=provider_id, name=provider_id[:64], definition=definition)


def customized(
    community: Community, *, lists: dict[str, str] | None = None, credentials: dict[str, str] | None = None
) -> Customization:
    """A customization that gives weights to lists and custom credentials."""
    made = Customization.objects.create(path=f"path-{community.pk}", partner_name="Partner", scorer=community)
    for name, weight in (lists or {}).items():
        AllowList.objects.create(customization=made, address_list=listed(name), weight=Decimal(weight))
    for provider_id, weight in (credentials or {}).items():
        CustomCredential.objects.create(
            customization=made,
            platform=CustomPlatform.objects.create(name=f"platform of {provider_id}"),
            ruleset=ruleset(provider_id, {}),
            display_name=provider_id,
            weight=Decimal(weight),
        )
    return made


def points_config(points: dict[str, int] | None = None, *, inactive: Iterable[str] = ()) -> None:
    """What actions are worth; ``world.POINTS`` unless told otherwise."""
    off = set(inactive)
    HumanPointsConfig.objects.bulk_create(
        HumanPointsConfig(action=action, points=worth, active=action not in off)
        for action, worth in (points or world.POINTS).items()
    )


def soon(seconds: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
