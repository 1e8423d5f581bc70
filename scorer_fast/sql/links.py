"""registry_hashscorerlink: claims. Invariant: fewer rows than claims means that another request won."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.dedup import ChangedLink, NewLink
from .connection import run

INSERT_LINKS = """
-- claims nullifiers nobody holds; registry_hashscorerlink (hash, community_id)
INSERT INTO registry_hashscorerlink (hash, address, expires_at, community_id)
SELECT n.hash, n.address, n.expires_at, %(community_id)s
FROM unnest(%(hashes)s::text[], %(addresses)s::text[], %(expiries)s::timestamptz[]) AS n (hash, address, expires_at)
ORDER BY n.hash
ON CONFLICT (hash, community_id) DO NOTHING
"""


def insert_links(alias: str, community_id: int, links: Sequence[NewLink]) -> bool:
    """Claim in sorted order; False when one of the nullifiers has an owner by now."""
    written = run(
        alias,
        INSERT_LINKS,
        {
            "community_id": community_id,
            "hashes": [link.hash for link in links],
            "addresses": [link.address for link in links],
            "expiries": [link.expires_at for link in links],
        },
    )
    return written == len(links)


# Locked in the order of the nullifier before the update: an UPDATE by itself locks in any order.
UPDATE_LINKS = """
-- renews own links and takes over expired ones, each only as it was read; registry_hashscorerlink (hash, community_id)
WITH wanted AS (
    SELECT h.id, n.expires_at
    FROM unnest(
        %(hashes)s::text[], %(seen_addresses)s::text[],
        %(seen_expiries)s::timestamptz[], %(expiries)s::timestamptz[]
    ) AS n (hash, seen_address, seen_expires_at, expires_at)
    JOIN registry_hashscorerlink AS h
      ON h.hash = n.hash
     AND h.community_id = %(community_id)s
     AND h.address = n.seen_address
     AND h.expires_at = n.seen_expires_at
    ORDER BY h.hash
    FOR UPDATE OF h
)
UPDATE registry_hashscorerlink AS h
SET address = %(address)s,
    expires_at = wanted.expires_at
FROM wanted
WHERE h.id = wanted.id
"""


def update_links(alias: str, community_id: int, address: str, links: Sequence[ChangedLink]) -> bool:
    """Set the links to ``address`` and their new expiry; False when one no longer is as it was read."""
    written = run(
        alias,
        UPDATE_LINKS,
        {
            "community_id": community_id,
            "address": address,
            "hashes": [link.hash for link in links],
            "seen_addresses": [link.seen_address for link in links],
            "seen_expiries": [link.seen_expires_at for link in links],
            "expiries": [link.expires_at for link in links],
        },
    )
    return written == len(links)
