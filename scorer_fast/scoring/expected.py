"""A plan's writes as the rows that would be there afterwards, and those rows as the database has them: what shadow
compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from ..db.connection import fetch_one
from ..db.json import loads
from ..domain.score import row_fields
from .plan import Plan
from .verifier import VERIFIER

Rows = Mapping[str, list[dict[str, Any]]]


def expected_rows(plan: Plan) -> Rows:
    """Per table the rows once ``plan`` is written, shaped like :func:`rows_now` reads them.

    Ids that the request itself creates are None.
    """
    change, points = plan.change, plan.points
    events = [{"action": "LDP", "data": data, "created_at": _iso(plan.now)} for data in plan.dedup_events()]
    events.append({"action": "SCU", "data": plan.score_event(), "created_at": _iso(plan.now)})
    rows: dict[str, list[dict[str, Any]]] = {
        "registry_passport": [{"address": plan.address, "community_id": plan.row.community_id}],
        "registry_score": [row_fields(plan.score, plan.now)],
        "registry_stamp": [
            {"provider": stamp.provider, "credential_digest": stamp.digest} for stamp in plan.dedup.counting
        ],
        "registry_hashscorerlink": [
            {"hash": link.hash, "address": link.address, "expires_at": _iso(link.expires_at)}
            for link in plan.links_after()
        ],
        "registry_event": events,
        "registry_humanpoints": [] if points is None else [row._asdict() for row in points.rows],
        "registry_humanpointscommunityqualifiedusers": []
        if points is None
        else [{"community_id": community_id} for community_id in sorted(points.communities)],
        "ceramic_cache_ceramiccache": [
            {"provider": stamp.provider, "stamp_digest": stamp.digest} for stamp in plan.row.stamps
        ]
        if change
        else [],
        "ceramic_cache_ceramiccache created": [
            {
                "provider": posted.stamp.provider,
                "proof_value": posted.proof_value,
                "source_app": change.source_app,
                "source_scorer_id": change.source_scorer_id,
                "issuance_date": _iso(posted.issuance_date),
                "expiration_date": _iso(posted.expiration_date),
                "compose_db_save_status": "pending",
                "compose_db_stream_id": "",
            }
            for posted in change.posted
        ],
    }
    normal: Rows = orjson.loads(orjson.dumps(rows))
    return normal


READ_ROWS_NOW = """
-- the rows one scoring of an address in a community touches, each table as a JSON array;
-- registry_passport (address, community_id),
-- registry_event (action, address, community_id, created_at), registry_hashscorerlink (hash, community_id)
WITH passport AS (
    SELECT p.id, p.address, p.community_id
    FROM registry_passport AS p
    WHERE p.address = %(address)s
      AND p.community_id = %(community_id)s
),
live AS (
    SELECT c.provider, c.stamp, c.proof_value, c.source_app, c.source_scorer_id, c.issuance_date, c.expiration_date,
           c.compose_db_save_status, c.compose_db_stream_id, c.created_at
    FROM scorer_fast_live_1(%(address)s::text, '{}') AS l
    JOIN ceramic_cache_ceramiccache AS c ON c.id = ANY (l.ids)
    WHERE %(cache)s
)
SELECT json_build_object(
    'registry_passport',
    (SELECT json_agg(json_build_object('address', p.address, 'community_id', p.community_id)) FROM passport AS p),
    'registry_score',
    (SELECT json_agg(jsonb_set(
                to_jsonb(s) - 'id' - 'passport_id', '{score}', COALESCE(to_jsonb(trim_scale(s.score)), 'null')))
     FROM registry_score AS s JOIN passport AS p ON p.id = s.passport_id),
    'registry_stamp',
    (SELECT json_agg(json_build_object(
                'provider', t.provider,
                'credential_digest', encode(scorer_fast_digest_1(%(verifier)s, t.credential::text), 'hex')))
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
                'stamp_digest', encode(scorer_fast_digest_1(%(verifier)s, c.stamp::text), 'hex')))
     FROM live AS c),
    'ceramic_cache_ceramiccache created',
    (SELECT json_agg(json_build_object(
                'provider', c.provider, 'proof_value', c.proof_value, 'source_app', c.source_app,
                'source_scorer_id', c.source_scorer_id, 'issuance_date', c.issuance_date,
                'expiration_date', c.expiration_date, 'compose_db_save_status', c.compose_db_save_status,
                'compose_db_stream_id', c.compose_db_stream_id))
     FROM live AS c WHERE c.created_at >= %(since)s)
)::text
"""


def rows_now(alias: str, plan: Plan, since: datetime) -> Rows:
    """Per table the rows that ``plan`` is about, as they are now; events and posted stamps ``since`` then."""
    touched = {name for stamp in plan.dedup.counting for name in stamp.nullifiers} | set(plan.row.links)
    touched |= {name for clash in plan.dedup.clashes for name in clash.nullifiers}
    row = fetch_one(
        alias,
        READ_ROWS_NOW,
        {
            "address": plan.address,
            "community_id": plan.row.community_id,
            "hashes": sorted(touched),
            "verifier": VERIFIER,
            "points": plan.row.points is not None,
            "cache": bool(plan.change),
            "since": since,
        },
    )
    assert row is not None  # an aggregate always has a row
    return {table: rows or [] for table, rows in loads(row[0]).items()}


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()
