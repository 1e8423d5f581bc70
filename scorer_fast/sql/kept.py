"""What is remembered of earlier requests: signatures that were good, and readings (see sql/functions.py)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from .connection import fetch_one, run


class Reading(NamedTuple):
    """A row of scorer_fast_keptreading, versions by id; ``stamps`` and ``stored_stamps`` as JSON text,
    ``digests`` (hex) of those it says are remembered.
    """

    passport_id: int
    verifier: str
    live_versions: Sequence[str]
    stamps: str
    stored_versions: Sequence[str]
    stored_stamps: str
    nullifiers: Sequence[str]
    digests: Sequence[str]


class Signature(NamedTuple):
    """A good signature: the digest (hex) of what was verified, and when its credential expires."""

    digest: str
    expires_at: datetime


def signatures_json(signatures: Iterable[Signature]) -> str:
    """Each signature once, as the functions that remember it take them: [[digest, expiry]]."""
    return orjson.dumps(list(dict(signatures).items())).decode()


REMEMBER = """
-- remembers signatures and readings; see sql/functions.py
SELECT scorer_fast_remember_1(
    %(verified)s::jsonb, %(readings)s::jsonb, %(now)s::timestamptz, %(awaited)s::boolean)
"""


def remember(
    alias: str, signatures: Iterable[Signature], readings: Iterable[Reading], now: datetime, *, awaited: bool
) -> None:
    """Remember both. Not ``awaited`` (in autocommit only): answered before it is on disk."""
    fetch_one(
        alias,
        REMEMBER,
        {
            "verified": signatures_json(signatures),
            "readings": orjson.dumps([reading._asdict() for reading in readings]).decode(),
            "now": now,
            "awaited": awaited,
        },
    )


# An array, for a subquery behind IN may be run again for every row, and pick another batch each time.
DELETE_KEPT = """
-- forgets readings kept before a time, a batch at a time; scorer_fast_keptreading (kept_at)
DELETE FROM scorer_fast_keptreading AS k
WHERE k.passport_id = ANY (ARRAY(
    SELECT o.passport_id
    FROM scorer_fast_keptreading AS o
    WHERE o.kept_at < %(before)s
    ORDER BY o.kept_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
))
"""


def delete_kept(alias: str, before: datetime, batch: int = 1000) -> int:
    """Forget at most ``batch`` readings kept before that time; how many went."""
    return run(alias, DELETE_KEPT, {"before": before, "batch": batch})
