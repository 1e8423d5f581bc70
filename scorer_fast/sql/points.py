"""registry_humanpoints: awards. Invariant: what no constraint holds (one HKY ever, 5000 MM2) a lock holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import orjson

from ..domain.points import METAMASK, METAMASK_LIMIT, Awards, PointsRead, PointsRow
from .connection import fetch_one, fetch_value


def read_points(text: str | None) -> PointsRead | None:
    """The points object that scoring and stored-score reads carry; None outside the points program."""
    if text is None:
        return None
    read = orjson.loads(text)
    return PointsRead(
        rows=tuple(PointsRow(*row) for row in read["rows"] or ()),
        communities=frozenset(read["communities"] or ()),
        lists=frozenset(read["lists"] or ()),
        metamask_full=(read["metamask"] or 0) >= METAMASK_LIMIT,
        active=read["config"] or {},
        multiplier=1 if read["multiplier"] is None else read["multiplier"],
    )


# Transaction-level advisory locks: released at COMMIT, safe behind a transaction pooler. The cap's lock is
# taken second by everybody, so that the two can never wait for each other.
LOCK_POINTS = """
-- excludes other awards to the address, and, for MM2, to anybody
SELECT pg_advisory_xact_lock(hashtextextended('scorer_fast points of ' || %(address)s, 0))
"""

LOCK_METAMASK = """
-- excludes other MM2 awards
SELECT pg_advisory_xact_lock(hashtextextended('scorer_fast MM2 awards', 0))
"""


def lock_points(alias: str, address: str, *, metamask: bool) -> None:
    """Wait until no other request awards points to ``address`` (nor MM2 to anybody)."""
    fetch_one(alias, LOCK_POINTS, {"address": address})
    if metamask:
        lock_metamask(alias)


def lock_metamask(alias: str) -> None:
    """Wait until no other request awards MM2; taken after the locks of addresses."""
    fetch_one(alias, LOCK_METAMASK, {})


INSERT_AWARDS = """
-- awards points where nothing changed since they were decided;
-- registry_humanpoints (address, action, chain_id, provider, tx_hash),
-- registry_humanpointscommunityqualifiedusers (address, community_id)
WITH unchanged AS (
    SELECT
    WHERE (SELECT count(*) FROM registry_humanpoints AS p WHERE p.address = %(address)s) = %(seen_rows)s
      AND (SELECT count(*) FROM registry_humanpointscommunityqualifiedusers AS q
           WHERE q.address = %(address)s) = %(seen_communities)s
      AND (NOT %(metamask)s OR (SELECT count(*) FROM registry_humanpoints AS p WHERE p.action = 'MM2') < %(limit)s)
),
qualified AS (
    INSERT INTO registry_humanpointscommunityqualifiedusers (address, community_id)
    SELECT %(address)s, %(community_id)s
    FROM unchanged
    WHERE %(qualifies)s
    ON CONFLICT (address, community_id) DO NOTHING
    RETURNING id
),
awarded AS (
    INSERT INTO registry_humanpoints (address, action, "timestamp", tx_hash, chain_id, provider)
    SELECT %(address)s, n.action, %(now)s, n.tx_hash, n.chain_id, n.provider
    FROM unchanged
    CROSS JOIN unnest(
        %(actions)s::text[], %(providers)s::text[], %(tx_hashes)s::text[], %(chain_ids)s::integer[]
    ) AS n (action, provider, tx_hash, chain_id)
    ON CONFLICT (address, action, chain_id, provider, tx_hash) DO NOTHING
    RETURNING id
)
SELECT (SELECT count(*) FROM qualified) + (SELECT count(*) FROM awarded)
"""


def insert_awards(
    alias: str,
    address: str,
    community_id: int,
    awards: Awards,
    read: PointsRead,
    now: datetime,
    *,
    limit: int,
) -> bool:
    """Write ``awards`` all together; False when the address's points are no longer as ``read``."""
    rows: Sequence[PointsRow] = awards.rows
    written = fetch_value(
        alias,
        INSERT_AWARDS,
        {
            "address": address,
            "community_id": community_id,
            "now": now,
            "seen_rows": len(read.rows),
            "seen_communities": len(read.communities),
            "metamask": any(award.action == METAMASK for award in rows),
            "limit": limit,
            "qualifies": awards.qualifies,
            "actions": [award.action for award in rows],
            "providers": [award.provider for award in rows],
            "tx_hashes": [award.tx_hash for award in rows],
            "chain_ids": [award.chain_id for award in rows],
        },
    )
    return bool(written == len(rows) + awards.qualifies)
