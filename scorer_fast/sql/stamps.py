"""ceramic_cache_ceramiccache: what people posted."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from .connection import fetch_all


class NewStamp(NamedTuple):
    """A posted stamp as a row; ``stamp`` is JSON text."""

    provider: str
    stamp: str
    proof_value: str
    issuance_date: datetime | None
    expiration_date: datetime | None


class CacheStampRow(NamedTuple):
    """A live stamp as the answers list it; ``stamp`` is JSON text."""

    id: int
    address: str
    provider: str
    stamp: str


LIST_CACHE_STAMPS = """
-- an address's stamps that are neither deleted nor revoked, by id;
-- ceramic_cache_ceramiccache (type, address, provider) where live
SELECT c.id, c.address, c.provider, c.stamp::text
FROM ceramic_cache_ceramiccache AS c
WHERE c.address = %(address)s
  AND c.type = 1
  AND c.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM ceramic_cache_revocation AS r WHERE r.ceramic_cache_id = c.id)
ORDER BY c.id
"""


def list_cache_stamps(alias: str, address: str) -> list[CacheStampRow]:
    """The stamps of an address as the answers list them."""
    return [CacheStampRow(*row) for row in fetch_all(alias, LIST_CACHE_STAMPS, {"address": address})]
