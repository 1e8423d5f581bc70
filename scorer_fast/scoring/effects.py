"""The rows a scoring touches, as the database has them now: what a rehearsal is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from ..db.connection import fetch_one

READ_EFFECTS = """
-- the rows one scoring of an address in a community touches, each table as a JSON array;
-- registry_passport (address, community_id),
-- registry_event (action, address, community_id, created_at), registry_hashscorerlink (hash, community_id)
WITH passport AS (
    SELECT p.id, p.address, p.community_id
    FROM registry_passport AS p
    WHERE p.address = %(address)s
      AND p.community_id = %(community_id)s
)
SELECT json_build_object(
    'registry_passport',
    (SELECT json_agg(json_build_object('address', p.address, 'community_id', p.community_id)) FROM passport AS p),
    'registry_score',
    (SELECT json_agg(json_build_object(
                'score', trim_scale(s.score)::text, 'status', s.status, 'error', s.error, 'evidence', s.evidence,
                'stamp_scores', s.stamp_scores, 'stamps', s.stamps, 'expiration_date', s.expiration_date,
                'last_score_timestamp', s.last_score_timestamp))
     FROM registry_score AS s JOIN passport AS p ON p.id = s.passport_id),
    'registry_stamp',
    (SELECT json_agg(json_build_object(
                'provider', t.provider,
                'credential_digest', encode(sha256(convert_to(%(verifier)s || t.credential::text, 'UTF8')), 'hex')))
     FROM registry_stamp AS t JOIN passport AS p ON p.id = t.passport_id),
    'registry_hashscorerlink',
    (SELECT json_agg(json_build_object('hash', h.hash, 'address', h.address, 'expires_at', h.expires_at))
     FROM registry_hashscorerlink AS h
     WHERE h.community_id = %(community_id)s AND h.hash = ANY (%(hashes)s::text[])),
    'registry_event',
    (SELECT json_agg(json_build_object('action', e.action, 'data', e.data, 'created_at', e.created_at))
     FROM registry_event AS e
     WHERE e.address = %(address)s AND e.community_id = %(community_id)s
       AND e.action IN ('SCU', 'LDP') AND e.created_at >= %(since)s),
    'registry_humanpoints',
    (SELECT json_agg(json_build_object(
                'action', h.action, 'provider', h.provider, 'tx_hash', h.tx_hash, 'chain_id', h.chain_id))
     FROM registry_humanpoints AS h WHERE %(points)s AND h.address = %(address)s),
    'registry_humanpointscommunityqualifiedusers',
    (SELECT json_agg(json_build_object('community_id', q.community_id))
     FROM registry_humanpointscommunityqualifiedusers AS q WHERE %(points)s AND q.address = %(address)s),
    'ceramic_cache_ceramiccache',
    (SELECT json_agg(json_build_object(
                'provider', c.provider,
                'stamp_digest', encode(sha256(convert_to(%(verifier)s || c.stamp::text, 'UTF8')), 'hex')))
     FROM ceramic_cache_ceramiccache AS c
     WHERE %(cache)s AND c.address = %(address)s AND c.type = 1 AND c.deleted_at IS NULL
       AND NOT EXISTS (SELECT FROM ceramic_cache_revocation AS r WHERE r.ceramic_cache_id = c.id)),
    'ceramic_cache_ceramiccache created',
    (SELECT json_agg(json_build_object(
                'provider', c.provider, 'proof_value', c.proof_value, 'source_app', c.source_app,
                'source_scorer_id', c.source_scorer_id, 'issuance_date', c.issuance_date,
                'expiration_date', c.expiration_date, 'compose_db_save_status', c.compose_db_save_status,
                'compose_db_stream_id', c.compose_db_stream_id))
     FROM ceramic_cache_ceramiccache AS c
     WHERE %(cache)s AND c.address = %(address)s AND c.type = 1 AND c.deleted_at IS NULL
       AND c.created_at >= %(since)s)
)::text
"""


def read_effects(
    alias: str,
    address: str,
    community_id: int,
    *,
    hashes: Sequence[str],
    verifier: str,
    points: bool,
    cache: bool,
    since: datetime,
) -> dict[str, list[dict[str, Any]]]:
    """Per table the rows as they are now; ``points`` and ``cache`` say whether those tables are of interest."""
    row = fetch_one(
        alias,
        READ_EFFECTS,
        {
            "address": address,
            "community_id": community_id,
            "hashes": list(hashes),
            "verifier": verifier,
            "points": points,
            "cache": cache,
            "since": since,
        },
    )
    assert row is not None  # an aggregate always has a row
    return {table: rows or [] for table, rows in orjson.loads(row[0]).items()}
