"""registry_passport: the row whose lock opens a scoring transaction."""

from __future__ import annotations

from .connection import fetch_one

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
    row = fetch_one(alias, LOCK_PASSPORT, {"passport_id": passport_id})
    return row and row[0]


INSERT_PASSPORT = """
-- creates the passport unless another request just did; registry_passport (address, community_id)
INSERT INTO registry_passport (address, community_id)
VALUES (%(address)s, %(community_id)s)
ON CONFLICT (address, community_id) DO NOTHING
RETURNING id
"""


def insert_passport(alias: str, address: str, community_id: int) -> int | None:
    """The new passport's id; None when another request created it first."""
    row = fetch_one(alias, INSERT_PASSPORT, {"address": address, "community_id": community_id})
    return row and row[0]
