"""scorer_fast_keptreading: what was read of stamps whose rows have not been written since (see sql/functions.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from .connection import run
from .scoring import ToKeep

UPSERT_KEPT = """
-- keeps a reading in place of an older one; scorer_fast_keptreading pkey
INSERT INTO scorer_fast_keptreading AS k (
    passport_id, versions, stamps, stored_stamps, nullifiers, digests, kept_at)
SELECT %(passport_id)s, %(versions)s, %(stamps)s, %(stored_stamps)s, %(nullifiers)s::text[],
       ARRAY(SELECT decode(d.digest, 'hex') FROM unnest(%(digests)s::text[]) AS d (digest)), %(now)s
ON CONFLICT (passport_id) DO UPDATE
SET versions = EXCLUDED.versions,
    stamps = EXCLUDED.stamps,
    stored_stamps = EXCLUDED.stored_stamps,
    nullifiers = EXCLUDED.nullifiers,
    digests = EXCLUDED.digests,
    kept_at = EXCLUDED.kept_at
"""


def upsert_kept(alias: str, passport_id: int, reading: ToKeep, digests: Sequence[str], now: datetime) -> int:
    """Keep ``reading``; ``digests`` (hex): the signatures it says are remembered."""
    return run(
        alias,
        UPSERT_KEPT,
        {
            "passport_id": passport_id,
            "versions": reading.versions,
            "stamps": reading.stamps,
            "stored_stamps": reading.stored_stamps,
            "nullifiers": list(reading.nullifiers),
            "digests": list(digests),
            "now": now,
        },
    )


DELETE_KEPT = """
-- forgets readings kept before a time, a batch at a time; scorer_fast_keptreading (kept_at)
DELETE FROM scorer_fast_keptreading AS k
WHERE k.passport_id IN (
    SELECT o.passport_id
    FROM scorer_fast_keptreading AS o
    WHERE o.kept_at < %(before)s
    ORDER BY o.kept_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
"""


def delete_kept(alias: str, before: datetime, batch: int = 1000) -> int:
    """Forget at most ``batch`` readings kept before that time; how many went."""
    return run(alias, DELETE_KEPT, {"before": before, "batch": batch})
