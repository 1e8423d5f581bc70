"""What may happen to the stamps of ``OWNER``, who has one of Google: every one makes void what was kept of them."""

from django.db import connection

from api.ceramic_cache.models import CeramicCache, Revocation
from scorer_fast.models import VerifiedCredential
from tests.factories import rows

OWNER = rows.OWNER


def write_google(columns: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE ceramic_cache_ceramiccache SET {columns} WHERE provider = 'Google'")


def tamper() -> None:
    write_google("stamp = jsonb_set(stamp, '{credentialSubject,nullifiers,0}', '\"v0.0.0:another\"')")


def write_back() -> None:
    write_google("provider = provider")


def revoke() -> None:
    stamp = CeramicCache.objects.get(provider="Google")
    Revocation.objects.create(proof_value=stamp.proof_value, ceramic_cache=stamp)


def forget_a_signature() -> None:
    VerifiedCredential.objects.first().delete()


def add_a_stamp() -> None:
    rows.stamps(OWNER, "Github")
