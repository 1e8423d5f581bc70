"""registry_passport: the row whose lock opens a scoring transaction."""

from __future__ import annotations

from .connection import fetch_one, fetch_value

# NO KEY UPDATE: two scorings exclude each other, while the host's foreign keys to the row go on.
LOCK_PASSPORT = """
-- locks the passport; registry_passport pkey
SELECT p.id
FROM registry_passport AS p
WHERE p.id = %(passport_id)s
FOR NO KEY UPDATE
"""


def lock_passport(alias: str, passport_id: int) -> int | None:
    """Wait for the passport's lock; None when the row is gone."""
    value: int | None = fetch_value(alias, LOCK_PASSPORT, {"passport_id": passport_id})
    return value


# A transaction-level advisory lock: it holds where there is no row to lock yet, and across communities.
WAIT_IN_QUEUE = """
-- lets one request of an address that met another go on at a time
SELECT pg_advisory_xact_lock(hashtextextended('scorer_fast scoring of ' || %(address)s, 0))
"""


def wait_in_queue(alias: str, address: str) -> None:
    """Wait until no other request is in the queue of ``address``; held until the transaction ends."""
    fetch_one(alias, WAIT_IN_QUEUE, {"address": address})


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


INSERT_PASSPORT = """
-- creates the passport unless another request just did; registry_passport (address, community_id)
INSERT INTO registry_passport (address, community_id)
VALUES (%(address)s, %(community_id)s)
ON CONFLICT (address, community_id) DO NOTHING
RETURNING id
"""


def insert_passport(alias: str, address: str, community_id: int) -> int | None:
    """The new passport's id; None when another request created it first."""
    value: int | None = fetch_value(alias, INSERT_PASSPORT, {"address": address, "community_id": community_id})
    return value
