"""ceramic_cache_ceramiccache (what people posted) and registry_stamp (what counts)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from .connection import fetch_all, run


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


DELETE_CACHE_STAMPS = """
-- soft-deletes an address's live stamps of some providers;
-- ceramic_cache_ceramiccache (type, address, provider) where live
UPDATE ceramic_cache_ceramiccache AS c
SET deleted_at = %(now)s,
    updated_at = %(now)s
WHERE c.address = %(address)s
  AND c.type = 1
  AND c.deleted_at IS NULL
  AND c.provider = ANY (%(providers)s::text[])
"""


def delete_cache_stamps(alias: str, address: str, providers: Sequence[str], now: datetime) -> int:
    """Soft-delete; how many stamps were live."""
    return run(alias, DELETE_CACHE_STAMPS, {"address": address, "providers": list(providers), "now": now})


INSERT_CACHE_STAMPS = """
-- stores posted stamps in the order of the payload
INSERT INTO ceramic_cache_ceramiccache (
    address, provider, stamp, created_at, updated_at, type, deleted_at,
    compose_db_save_status, compose_db_stream_id,
    proof_value, issuance_date, expiration_date, source_app, source_scorer_id)
SELECT %(address)s, n.provider, n.stamp::jsonb, %(now)s, %(now)s, 1, NULL,
       'pending', '',
       n.proof_value, n.issuance_date, n.expiration_date, %(source_app)s::integer, %(source_scorer_id)s::bigint
FROM unnest(
    %(providers)s::text[], %(stamps)s::text[], %(proof_values)s::text[],
    %(issuance_dates)s::timestamptz[], %(expiration_dates)s::timestamptz[]
) WITH ORDINALITY AS n (provider, stamp, proof_value, issuance_date, expiration_date, position)
ORDER BY n.position
RETURNING id
"""


def insert_cache_stamps(
    alias: str,
    address: str,
    stamps: Sequence[NewStamp],
    now: datetime,
    *,
    source_app: int | None,
    source_scorer_id: int | None,
) -> list[int]:
    """The new rows' ids, in the order of ``stamps``."""
    rows = fetch_all(
        alias,
        INSERT_CACHE_STAMPS,
        {
            "address": address,
            "now": now,
            "source_app": source_app,
            "source_scorer_id": source_scorer_id,
            "providers": [stamp.provider for stamp in stamps],
            "stamps": [stamp.stamp for stamp in stamps],
            "proof_values": [stamp.proof_value for stamp in stamps],
            "issuance_dates": [stamp.issuance_date for stamp in stamps],
            "expiration_dates": [stamp.expiration_date for stamp in stamps],
        },
    )
    return sorted(row[0] for row in rows)


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


REPLACE_STAMPS = """
-- makes the counting stamps of a passport what they should be: some rows go, others are copied from the cache;
-- registry_stamp pkey, ceramic_cache_ceramiccache pkey
WITH gone AS (
    DELETE FROM registry_stamp AS s
    WHERE s.id = ANY (%(gone)s::bigint[])
    RETURNING s.id
)
INSERT INTO registry_stamp (passport_id, provider, credential)
SELECT %(passport_id)s, c.provider, c.stamp
FROM ceramic_cache_ceramiccache AS c
WHERE c.id = ANY (%(cache_ids)s::bigint[])
ORDER BY c.id
"""


def replace_stamps(alias: str, passport_id: int, *, gone: Sequence[int], cache_ids: Sequence[int]) -> bool:
    """Delete the rows ``gone`` and copy the cache rows; False when a cache row is no longer there."""
    written = run(
        alias,
        REPLACE_STAMPS,
        {"passport_id": passport_id, "gone": list(gone), "cache_ids": list(cache_ids)},
    )
    return written == len(cache_ids)
