"""Fills an empty database with something to score, and says how to ask for it."""

import hashlib
import uuid
from argparse import ArgumentParser
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.utils import timezone

from api import demo_tokens
from api.account.models import Account, AccountAPIKey, Community, hash_key_sha256
from api.ceramic_cache.models import CeramicCache
from api.demo_issuer import ISSUERS, Claim, Proof, sign_credentials
from api.registry.models import HashScorerLink, HumanPointsConfig
from api.scorer_weighted.models import BinaryWeightedScorer, WeightedScorer

NAME = "demo"
# Keys for everyone to read: they open nothing but a database that this command filled.
API_KEY = "DemoKey1.OpenToEveryoneOnALocalServer0000"
LIMITED_KEY = "DemoKey2.OpenToEveryoneOnALocalServer0000"
LIMIT = "3/1m"
BINARY_COMMUNITY, WEIGHTED_COMMUNITY = 1, 2
RENEW_BEFORE = timedelta(days=7)
WEIGHTS = {
    "Google": "1.5",
    "Github": "7.123",
    "Discord": "0.69",
    "Linkedin": "3",
    "Ens": "2.5",
    "NFT": "1.032",
    "Biometrics": "16.021",
    "SelfStakingBronze": "0.9",
    "HolonymPhone": "1.5",
    "CleanHands": "6.5",
}
POINTS = {"SCB": 500, "HKY": 100, "ISB": 20, "HPH": 50, "HCH": 75, "HBI": 120, "HIM": 300}


@dataclass(frozen=True)
class Person:
    """An address and the stamps it collected; `nullifiers` replaces the stamp's own, by provider."""

    address: str
    shows: str
    providers: tuple[str, ...]
    nullifiers: dict[str, str] = field(default_factory=dict)
    proof: Proof = "eip712"


PASSING = Person(
    "0x1000000000000000000000000000000000000001",
    "passes, and earns human points",
    ("Google", "Github", "Biometrics", "SelfStakingBronze", "HolonymPhone", "CleanHands"),
)
BELOW = Person("0x2000000000000000000000000000000000000002", "stays below the threshold", ("Google", "Discord"))
LOSING = Person(
    "0x3000000000000000000000000000000000000003",
    f"loses its Google stamp: {PASSING.address} used that account first (LIFO)",
    ("Google", "Ens", "NFT"),
    {"Google": f"v0.0.0:Google:{PASSING.address}"},
)
OLDER = Person(
    "0x4000000000000000000000000000000000000004",
    "holds stamps of the older proof format",
    ("Linkedin", "Ens"),
    proof="ed25519",
)
PEOPLE = (PASSING, BELOW, LOSING, OLDER)


class Command(BaseCommand):
    help = (
        "Fills the database with demo data (an account, API keys, scorers, addresses with signed stamps) and "
        "prints requests to try. Safe to repeat: it adds what is missing and renews stamps about to expire."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--migrate", action="store_true", help="migrate the database first")
        parser.add_argument("--port", default="8000", help="the local port to print in the requests")

    def handle(self, *args: Any, **options: Any) -> None:
        if not set(ISSUERS.values()) <= set(settings.TRUSTED_IAM_ISSUERS):
            raise CommandError(
                "These settings do not trust the demo issuer, so this is no server for demo data: its keys "
                "are public. Use settings.local (unset TRUSTED_IAM_ISSUERS there)."
            )
        if options["migrate"]:
            call_command("migrate", verbosity=0)
        with transaction.atomic():
            account = seed_account()
            seed_communities(account)
            signed = seed_stamps(PEOPLE)
            seed_links()
            reset_identities(Community)
        self.stdout.write(f"Demo data is in place ({signed} stamps signed now).\n\n")
        self.stdout.write(requests_to_try(f"http://127.0.0.1:{options['port']}"))


def seed_account() -> Account:
    user, _ = get_user_model().objects.get_or_create(username=NAME, defaults={"password": "!"})
    account, _ = Account.objects.get_or_create(user=user, defaults={"address": "0x" + "de" * 20})
    for key, rate_limit in ((API_KEY, ""), (LIMITED_KEY, LIMIT)):
        prefix = key.partition(".")[0]
        hashed = f"sha512$${hashlib.sha512(key.encode()).hexdigest()}"
        AccountAPIKey.objects.get_or_create(
            prefix=prefix,
            defaults={
                "id": f"{prefix}.{hashed}",
                "hashed_key": hashed,
                "hashed_key_sha256": hash_key_sha256(key),
                "name": f"{NAME} ({rate_limit or 'no limit'})",
                "account": account,
                "rate_limit": rate_limit,
            },
        )
    return account


def seed_communities(account: Account) -> None:
    """Two communities by fixed ids: settings.local names the first as the stamp cache's."""
    kinds: Iterable[tuple[int, str, type[WeightedScorer] | type[BinaryWeightedScorer], Decimal, bool]] = (
        (BINARY_COMMUNITY, "Demo, binary", BinaryWeightedScorer, Decimal("20"), True),
        (WEIGHTED_COMMUNITY, "Demo, weighted", WeightedScorer, Decimal("15.5"), False),
    )
    for number, name, kind, threshold, in_program in kinds:
        present = Community.objects.filter(pk=number).first()
        if present is None:
            Community.objects.create(
                pk=number,
                name=name,
                account=account,
                scorer=kind.objects.create(weights=WEIGHTS, threshold=threshold),
                human_points_program=in_program,
            )
        elif present.account_id != account.pk:
            raise CommandError(
                f"Community {number} of this database is not the demo's. Use an empty database "
                "(make db-reset empties the embedded one)."
            )
    for action, points in POINTS.items():
        HumanPointsConfig.objects.get_or_create(action=action, defaults={"points": points})


def seed_stamps(people: Iterable[Person]) -> int:
    """Signs and stores what the people lack or what expires soon; the number of stamps signed."""
    now = timezone.now()
    live = CeramicCache.objects.filter(type=CeramicCache.StampType.V1, deleted_at__isnull=True)
    claims = []
    for person in people:
        mine = live.filter(address=person.address)
        fresh = set(
            mine.filter(
                expiration_date__gt=now + RENEW_BEFORE, stamp__issuer__in=settings.TRUSTED_IAM_ISSUERS
            ).values_list("provider", flat=True)
        )
        wanted = [provider for provider in person.providers if provider not in fresh]
        mine.filter(provider__in=wanted).update(deleted_at=now, updated_at=now)
        claims += [claim(person, provider) for provider in wanted]
    CeramicCache.objects.bulk_create(
        CeramicCache(
            address=wanted_claim.address,
            provider=wanted_claim.provider,
            stamp=credential,
            compose_db_save_status=CeramicCache.ComposeDBSaveStatus.PENDING,
            issuance_date=datetime.fromisoformat(credential["issuanceDate"]),
            expiration_date=datetime.fromisoformat(credential["expirationDate"]),
            proof_value=(credential["proof"].get("proofValue") or credential["proof"]["jws"])[:256],
            source_app=CeramicCache.SourceApp.PASSPORT,
        )
        for wanted_claim, credential in zip(claims, sign_credentials(claims), strict=True)
    )
    return len(claims)


def claim(person: Person, provider: str) -> Claim:
    if person.proof == "ed25519":
        return Claim(person.address, provider, hash=f"v0.0.0:{provider}:{person.address}", proof="ed25519")
    own = person.nullifiers.get(provider)
    return Claim(person.address, provider, nullifiers=[own] if own else None)


def seed_links() -> None:
    """The nullifier that two addresses share belongs to the first, whichever is scored first."""
    for mark in LOSING.nullifiers.values():
        for community in (BINARY_COMMUNITY, WEIGHTED_COMMUNITY):
            HashScorerLink.objects.update_or_create(
                hash=mark,
                community_id=community,
                defaults={
                    "address": PASSING.address,
                    "expires_at": CeramicCache.objects.get(
                        address=PASSING.address,
                        provider="Google",
                        type=CeramicCache.StampType.V1,
                        deleted_at__isnull=True,
                    ).expiration_date,
                },
            )


def reset_identities(*tables: type[models.Model]) -> None:
    """Rows with given ids leave the identity behind; the next insert would take one of theirs."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(tables)):
            cursor.execute(statement)


def access_token(address: str) -> str:
    """A day's access token for the address, as the host's sign-in would give it."""
    if settings.SIWE_JWT_PUBLIC_KEY and demo_tokens.public_key(demo_tokens.KEY_FILE) == settings.SIWE_JWT_PUBLIC_KEY:
        return demo_tokens.access_token(demo_tokens.KEY_FILE, address)
    key = getattr(settings, "NINJA_JWT", {}).get("SIGNING_KEY") or settings.SECRET_KEY
    claims = {
        "token_type": "access",
        "exp": datetime.now(UTC) + timedelta(days=1),
        "jti": uuid.uuid4().hex,
        "did": f"did:pkh:eip155:1:{address}",
    }
    return jwt.encode(claims, key, algorithm="HS256")


def requests_to_try(server: str) -> str:
    by_key = f"-H 'X-API-Key: {API_KEY}'"
    by_token = f"-H 'Authorization: Bearer {access_token(PASSING.address)}'"
    internal = f"-H 'Authorization: {settings.CGRANTS_API_TOKEN}'"
    score = f"{server}/v2/stamps/{BINARY_COMMUNITY}/score"
    tries = [
        *((person.shows, f"curl {by_key} {score}/{person.address}") for person in PEOPLE),
        (
            "the same address, sum of weights instead of pass or fail",
            f"curl {by_key} {server}/v2/stamps/{WEIGHTED_COMMUNITY}/score/{PASSING.address}",
        ),
        (
            f"a key with a rate limit ({LIMIT}): the fourth request in a minute is refused",
            f"curl -H 'X-API-Key: {LIMITED_KEY}' {score}/{PASSING.address}",
        ),
        (
            "the same score for internal callers",
            f"curl {internal} {server}/internal/score/v2/{BINARY_COMMUNITY}/{PASSING.address}",
        ),
        (
            "the stored score with human points, with a person's token (valid for a day)",
            f"curl {by_token} {server}/ceramic-cache/score/{PASSING.address}",
        ),
        (
            "the stamps behind it",
            f"curl '{server}/ceramic-cache/stamp?address={PASSING.address}'",
        ),
        ("what each stamp is worth", f"curl {server}/ceramic-cache/weights"),
    ]
    lines = "\n".join(f"# {meaning}\n{line}\n" for meaning, line in tries)
    return f"Try:\n\n{lines}\nEvery operation with an example of it: {server}/scorer-fast/docs\n"
