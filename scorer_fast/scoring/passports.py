"""registry_passport: the row whose lock opens a scoring transaction."""

from __future__ import annotations

from ..db.connection import fetch_one, fetch_value

# A transaction-level advisory lock: it holds where there is no row to lock yet, and across communities.
WAIT_IN_QUEUE = """
-- lets one request of an address that met another go on at a time
SELECT pg_advisory_xact_lock(hashtextextended('scorer_fast scoring of ' || %(address)s, 0))
"""


def wait_in_queue(alias: str, address: str) -> None:
    """Wait until no other request is in the queue of ``address``; held until the transaction ends."""
    fetch_one(alias, WAIT_IN_QUEUE, {"address": address})


# NO KEY UPDATE: two scorings exclude each other, while the host's foreign keys to the row go on.
LOCK_PASSPORT_OF = """
-- locks the passport of an address in a community; registry_passport (address, community_id)
SELECT p.id
FROM registry_passport AS p
WHERE p.address = %(address)s
  AND p.community_id = %(community_id)s
FOR NO KEY UPDATE
"""


def lock_passport_of(alias: str, address: str, community_id: int) -> int | None:
    """Wait for the passport's lock; its id, None when there is no such row."""
    value: int | None = fetch_value(alias, LOCK_PASSPORT_OF, {"address": address, "community_id": community_id})
    return value
