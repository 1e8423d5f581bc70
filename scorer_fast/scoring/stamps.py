"""ceramic_cache_ceramiccache: what people posted."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ..db.connection import fetch_all, fetch_value


class NewStamp(NamedTuple):
    """A posted stamp as a row; ``stamp`` is JSON text."""

    provider: str
    stamp: str
    proof_value: str
    issuance_date: datetime | None
    expiration_date: datetime | None


LIST_CACHE_STAMPS = """
-- an address's stamps that are neither deleted nor revoked, by id, as the answers list them;
-- ceramic_cache_ceramiccache (type, address, provider) where live
SELECT json_agg(json_build_object('id', c.id, 'address', c.address, 'provider', c.provider, 'stamp', c.stamp)
                ORDER BY c.id)::text
FROM ceramic_cache_ceramiccache AS c
WHERE c.address = %(address)s
  AND c.type = 1
  AND c.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM ceramic_cache_revocation AS r WHERE r.ceramic_cache_id = c.id)
"""


def list_cache_stamps(alias: str, address: str) -> str:
    """The stamps of an address: a JSON array of {id, address, provider, stamp}."""
    return fetch_value(alias, LIST_CACHE_STAMPS, {"address": address}, repeatable=True) or "[]"


LIST_LIVE_PROVIDERS = """
-- the providers of an address's stamps that are not deleted, revoked ones too;
-- ceramic_cache_ceramiccache (type, address, provider) where live
SELECT c.provider
FROM ceramic_cache_ceramiccache AS c
WHERE c.address = %(address)s
  AND c.type = 1
  AND c.deleted_at IS NULL
"""


def list_live_providers(alias: str, address: str) -> set[str]:
    """What an address has stamps of."""
    return {row[0] for row in fetch_all(alias, LIST_LIVE_PROVIDERS, {"address": address})}
