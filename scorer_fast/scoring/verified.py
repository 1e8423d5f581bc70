"""scorer_fast_verifiedcredential: signatures that didkit found good. Only good ones are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..db.connection import run

DELETE_VERIFIED = """
-- forgets signatures that no longer check out; scorer_fast_verifiedcredential pkey
DELETE FROM scorer_fast_verifiedcredential AS v
WHERE v.digest = ANY (SELECT decode(d.digest, 'hex') FROM unnest(%(digests)s::text[]) AS d (digest))
"""


def delete_verified(alias: str, digests: Sequence[str]) -> int:
    """Forget ``digests`` (hex); how many were known."""
    return run(alias, DELETE_VERIFIED, {"digests": list(digests)})


# An array, for a subquery behind IN may be run again for every row, and pick another batch each time.
DELETE_EXPIRED = """
-- forgets signatures of expired credentials, a batch at a time; scorer_fast_verifiedcredential (expires_at)
DELETE FROM scorer_fast_verifiedcredential AS v
WHERE v.digest = ANY (ARRAY(
    SELECT e.digest
    FROM scorer_fast_verifiedcredential AS e
    WHERE e.expires_at <= %(now)s
    ORDER BY e.expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
))
"""


def delete_expired(alias: str, now: datetime, batch: int = 1000) -> int:
    """Forget at most ``batch`` signatures whose credential has expired; how many went."""
    return run(alias, DELETE_EXPIRED, {"now": now, "batch": batch})
