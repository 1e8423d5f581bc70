"""Signatures of addresses scored lately, verified before the fast path meets them; no score is written.

Only what scoring would ask about is asked: live stamps of trusted issuers that have not expired, within the bounds of
structure, whose signature is not remembered yet. Only good signatures are kept, by the digest that scoring looks for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from ..db.connection import fetch_all, run
from ..domain import bounds, credentials
from ..settings import conf
from . import verifier

ADDRESSES = 50  # a batch
SIGNATURES = 20  # asked about together

LIST_SCORED_LATELY = """
-- addresses in the newest events of scoring since an instant; registry_event pkey, backwards
SELECT e.address
FROM (
    SELECT n.address, n.action, n.created_at
    FROM registry_event AS n
    ORDER BY n.id DESC
    LIMIT %(events)s
) AS e
WHERE e.action = 'SCU'
  AND e.created_at >= %(since)s
GROUP BY e.address
ORDER BY max(e.created_at) DESC
LIMIT %(most)s
"""


def list_scored_lately(alias: str, since: datetime, most: int) -> list[str]:
    """At most ``most`` addresses, newest first; no more than ten events are looked at for each."""
    parameters = {"since": since, "most": most, "events": most * 10}
    return [row[0] for row in fetch_all(alias, LIST_SCORED_LATELY, parameters)]


LIST_UNKNOWN = """
-- live stamps of some addresses whose signature is not remembered, with the digest that scoring looks for;
-- ceramic_cache_ceramiccache (type, address, provider) where live
SELECT d.text, encode(d.digest, 'hex') AS digest
FROM (
    SELECT c.stamp::text AS text,
           sha256(convert_to(%(verifier)s::text || c.stamp::text, 'UTF8')) AS digest
    FROM ceramic_cache_ceramiccache AS c
    WHERE c.address = ANY(%(addresses)s::text[])
      AND c.type = 1
      AND c.deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM ceramic_cache_revocation AS r WHERE r.ceramic_cache_id = c.id)
) AS d
WHERE NOT EXISTS (SELECT FROM scorer_fast_verifiedcredential AS v WHERE v.digest = d.digest)
"""


def list_unknown(alias: str, addresses: Sequence[str]) -> list[tuple[str, str]]:
    """Credentials as PostgreSQL writes them, with their digests (hex)."""
    parameters = {"addresses": list(addresses), "verifier": verifier.VERIFIER}
    return [(row[0], row[1]) for row in fetch_all(alias, LIST_UNKNOWN, parameters)]


REMEMBER_VERIFIED = """
-- keeps good signatures until their credentials expire; scorer_fast_verifiedcredential pkey
INSERT INTO scorer_fast_verifiedcredential (digest, expires_at, verified_at)
SELECT decode(n.digest, 'hex'), n.expires_at, now()
FROM unnest(%(digests)s::text[], %(expiries)s::timestamptz[]) AS n (digest, expires_at)
ORDER BY n.digest
ON CONFLICT (digest) DO NOTHING
"""


class Signature(NamedTuple):
    """A credential to ask about: its text, digest and expiry."""

    text: str
    digest: str
    expires_at: datetime


def remember_verified(alias: str, signatures: Sequence[Signature]) -> int:
    """Keep signatures that are good; how many are news."""
    parameters = {
        "digests": [one.digest for one in signatures],
        "expiries": [one.expires_at for one in signatures],
    }
    return run(alias, REMEMBER_VERIFIED, parameters)


class Warmed(NamedTuple):
    """How far warming is: addresses looked at, signatures asked about, and those that were good."""

    addresses: int = 0
    asked: int = 0
    good: int = 0


def warm(since: datetime, *, now: datetime, most: int, rate: float, report: Callable[[Warmed], None]) -> Warmed:
    """Verify at most ``rate`` signatures a second for at most ``most`` addresses; ``report`` hears of each batch."""
    alias = conf.database
    addresses = list_scored_lately(alias, since, most)
    done = Warmed()
    due = time.monotonic()
    for start in range(0, len(addresses), ADDRESSES):
        batch = addresses[start : start + ADDRESSES]
        unknown = list(_unknown(alias, batch, now))
        for first in range(0, len(unknown), SIGNATURES):
            some = unknown[first : first + SIGNATURES]
            due = max(due, time.monotonic())
            answers = verifier.verify([one.text for one in some], conf.verify_timeout_seconds)
            good = [one for one, answer in zip(some, answers, strict=True) if answer]
            if good:
                remember_verified(alias, good)
            done = done._replace(asked=done.asked + len(some), good=done.good + len(good))
            due += len(some) / rate
            time.sleep(max(due - time.monotonic(), 0))
        done = done._replace(addresses=done.addresses + len(batch))
        report(done)
    return done


def _unknown(alias: str, addresses: Sequence[str], now: datetime) -> Iterator[Signature]:
    for text, digest in dict(list_unknown(alias, addresses)).items():
        expires_at = _expiry(text)
        if expires_at is not None and expires_at > now and bounds.check(text) is None:
            yield Signature(text, digest, expires_at)


def _expiry(text: str) -> datetime | None:
    """When a credential of a trusted issuer expires; None for any other, and for what cannot be read."""
    try:
        credential = json.loads(text)
        if credential["issuer"] not in conf.trusted_issuers:
            return None
        return credentials.read_expiry(credential["expirationDate"])
    except (ValueError, KeyError, TypeError):
        return None
