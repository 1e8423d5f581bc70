"""The one read that scoring needs, and the digest of what didkit is given: computed here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import orjson

from ..domain.credentials import Stamp
from ..domain.dedup import Link
from ..domain.points import PointsRead
from .communities import CommunityKey
from .connection import fetch_one
from .points import read_points


class StoredStamp(NamedTuple):
    """A registry_stamp row; ``same_as`` is the key of the stamp it already equals, or None."""

    id: int
    same_as: int | None


class LiveStamp(NamedTuple):
    """A row of the cache that is not deleted, before the request changes anything."""

    id: int
    provider: str
    updated_at: datetime
    revoked: bool


class ScoringRow(NamedTuple):
    """All that is known of an address in a community before it is scored.

    ``live`` and ``last_score_timestamp`` are the token of what was read.
    Ids are None where the row does not exist yet; ``points`` is None outside the points program.
    """

    community_id: int
    weights: str | None
    threshold: Decimal
    overrides: tuple[tuple[str, str], ...]
    passport_id: int | None
    score_id: int | None
    last_score_timestamp: datetime | None
    live: tuple[LiveStamp, ...]
    stamps: tuple[Stamp, ...]
    links: dict[str, Link]
    stored_stamps: tuple[StoredStamp, ...]
    points: PointsRead | None


READ_SCORING = """
-- what scoring an address for a community needs, posted stamps taken in as if they were stored;
-- account_community pkey and external_scorer_id, registry_passport (address, community_id),
-- ceramic_cache_ceramiccache (type, address, provider) where live, registry_hashscorerlink (hash, community_id)
WITH named AS (
    SELECT account_id FROM account_community WHERE id = %(scorer_id)s::bigint
),
community AS (
    SELECT c.id, c.scorer_id, c.human_points_program
    FROM account_community AS c
    WHERE c.account_id = COALESCE(%(account_id)s::bigint, (SELECT account_id FROM named))
      AND (c.id = %(scorer_id)s::bigint OR c.external_scorer_id = %(external_id)s::text)
    ORDER BY COALESCE(c.external_scorer_id = %(external_id)s::text, FALSE) DESC
    LIMIT 1
),
passport AS (
    SELECT p.id AS passport_id, s.id AS score_id, s.last_score_timestamp
    FROM registry_passport AS p
    LEFT JOIN registry_score AS s ON s.passport_id = p.id
    WHERE p.address = %(address)s
      AND p.community_id = (SELECT id FROM community)
),
live AS MATERIALIZED (
    SELECT c.id, c.provider, c.updated_at, c.stamp,
           EXISTS (SELECT FROM ceramic_cache_revocation AS r WHERE r.ceramic_cache_id = c.id) AS revoked
    FROM ceramic_cache_ceramiccache AS c
    WHERE c.address = %(address)s
      AND c.type = 1
      AND c.deleted_at IS NULL
),
stamps AS MATERIALIZED (
    SELECT DISTINCT ON (l.provider) l.id AS key, l.provider, l.updated_at, l.stamp, l.stamp::text AS body
    FROM live AS l
    WHERE NOT l.revoked
      AND l.provider <> ALL (%(replaced)s::text[])
    ORDER BY l.provider, l.updated_at DESC
),
posted AS MATERIALIZED (
    SELECT -e.position AS key, e.entry ->> 'provider' AS provider, NULL::timestamptz AS updated_at,
           e.entry -> 'stamp' AS stamp, (e.entry -> 'stamp')::text AS body
    FROM jsonb_array_elements(%(posted)s::jsonb) WITH ORDINALITY AS e (entry, position)
),
judged AS MATERIALIZED (
    SELECT s.key, s.provider, s.updated_at, s.stamp, s.body,
           sha256(convert_to(%(verifier)s || s.body, 'UTF8')) AS digest
    FROM (SELECT * FROM stamps UNION ALL SELECT * FROM posted) AS s
),
links AS (
    SELECT h.hash, h.address, h.expires_at
    FROM registry_hashscorerlink AS h
    WHERE h.community_id = (SELECT id FROM community)
      AND h.hash IN (
          SELECT j.stamp #>> '{credentialSubject,hash}' FROM judged AS j
          UNION ALL
          SELECT n.nullifier
          FROM judged AS j
          CROSS JOIN LATERAL jsonb_array_elements_text(
              CASE jsonb_typeof(j.stamp #> '{credentialSubject,nullifiers}')
                  WHEN 'array' THEN j.stamp #> '{credentialSubject,nullifiers}'
                  ELSE '[]'::jsonb
              END
          ) AS n (nullifier)
      )
)
SELECT community.id,
       COALESCE(w.weights, b.weights)::text,
       COALESCE(w.threshold, b.threshold),
       passport.passport_id,
       passport.score_id,
       passport.last_score_timestamp,
       (SELECT json_agg(json_build_array(l.id, l.provider, l.updated_at, l.revoked) ORDER BY l.id) FROM live AS l)::text,
       (SELECT json_agg(json_build_array(
                   j.key, j.provider, j.updated_at, encode(j.digest, 'hex'), v.digest IS NOT NULL,
                   CASE WHEN v.digest IS NULL OR %(with_text)s THEN j.body END,
                   j.stamp -> 'issuer', j.stamp -> 'expirationDate',
                   j.stamp #> '{credentialSubject,id}', j.stamp #> '{credentialSubject,provider}',
                   j.stamp #> '{credentialSubject,hash}', j.stamp #> '{credentialSubject,nullifiers}'))
        FROM judged AS j
        LEFT JOIN scorer_fast_verifiedcredential AS v ON v.digest = j.digest)::text,
       (SELECT json_agg(json_build_array(l.hash, l.address, l.expires_at)) FROM links AS l)::text,
       (SELECT json_agg(json_build_array(
                   r.id,
                   (SELECT j.key FROM judged AS j WHERE j.provider = r.provider AND j.stamp = r.credential LIMIT 1))
               ORDER BY r.id)
        FROM registry_stamp AS r
        WHERE r.passport_id = passport.passport_id)::text,
       (SELECT json_agg(json_build_array(o.name, o.weight::text) ORDER BY o.kind, o.id)
        FROM (SELECT 1 AS kind, a.id, 'AllowList#' || n.name AS name, a.weight
              FROM account_customization AS k
              JOIN account_allowlist AS a ON a.customization_id = k.id
              JOIN account_addresslist AS n ON n.id = a.address_list_id
              WHERE k.scorer_id = community.id
              UNION ALL
              SELECT 2, cc.id, cr.provider_id, cc.weight
              FROM account_customization AS k
              JOIN account_customcredential AS cc ON cc.customization_id = k.id
              JOIN account_customcredentialruleset AS cr ON cr.id = cc.ruleset_id
              WHERE k.scorer_id = community.id) AS o)::text,
       CASE WHEN %(points)s AND community.human_points_program THEN json_build_object(
           'rows', (SELECT json_agg(json_build_array(hp.action, hp.provider, hp.tx_hash, hp.chain_id) ORDER BY hp.id)
                    FROM registry_humanpoints AS hp WHERE hp.address = %(address)s),
           'communities', (SELECT json_agg(q.community_id)
                           FROM registry_humanpointscommunityqualifiedusers AS q WHERE q.address = %(address)s),
           'lists', (SELECT json_agg(DISTINCT n.name)
                     FROM account_addresslistmember AS m
                     JOIN account_addresslist AS n ON n.id = m.list_id
                     WHERE m.address = %(address)s),
           'metamask', CASE WHEN EXISTS (
                   SELECT FROM account_addresslistmember AS m
                   JOIN account_addresslist AS n ON n.id = m.list_id
                   WHERE m.address = %(address)s AND n.name = 'MetaMaskOG2')
               AND NOT EXISTS (
                   SELECT FROM registry_humanpoints AS hp
                   WHERE hp.address = %(address)s AND hp.action = 'MM2')
               THEN (SELECT count(*) FROM registry_humanpoints AS hp WHERE hp.action = 'MM2') END,
           'config', (SELECT json_object_agg(g.action, g.points) FROM registry_humanpointsconfig AS g WHERE g.active),
           'multiplier', (SELECT x.multiplier FROM registry_humanpointsmultiplier AS x WHERE x.address = %(address)s)
       ) END::text
FROM community
LEFT JOIN passport ON TRUE
LEFT JOIN scorer_weighted_scorer AS t ON t.id = community.scorer_id
LEFT JOIN scorer_weighted_weightedscorer AS w ON w.scorer_ptr_id = t.id AND t.type = 'WEIGHTED'
LEFT JOIN scorer_weighted_binaryweightedscorer AS b ON b.scorer_ptr_id = t.id AND t.type = 'WEIGHTED_BINARY'
"""


class Posted(NamedTuple):
    """Stamps of a payload: what replaces what. ``entries`` is a JSON array of {provider, stamp}."""

    entries: str
    replaced: Sequence[str]


NOTHING_POSTED = Posted("[]", ())


def read_scoring(
    alias: str,
    community: CommunityKey,
    address: str,
    *,
    verifier: str,
    points: bool,
    with_text: bool = False,
    posted: Posted = NOTHING_POSTED,
) -> ScoringRow | None:
    """What scoring ``address`` needs; None when there is no such community.

    ``with_text``: every stamp with its credential's text, else only those whose signature is unknown.
    """
    row = fetch_one(
        alias,
        READ_SCORING,
        community.parameters()
        | {
            "address": address,
            "verifier": verifier,
            "points": points,
            "with_text": with_text,
            "posted": posted.entries,
            "replaced": list(posted.replaced),
        },
    )
    return None if row is None else _scoring_row(row)


def _scoring_row(row: tuple) -> ScoringRow:
    (community_id, weights, threshold, passport_id, score_id, scored_at) = row[:6]
    live, stamps, links, stored, overrides = map(_json, row[6:11])
    return ScoringRow(
        community_id=community_id,
        weights=weights,
        threshold=threshold,
        overrides=tuple((name, weight) for name, weight in overrides or ()),
        passport_id=passport_id,
        score_id=score_id,
        last_score_timestamp=scored_at,
        live=tuple(LiveStamp(id_, of, datetime.fromisoformat(at), revoked) for id_, of, at, revoked in live or ()),
        stamps=tuple(
            Stamp(key, provider, at and datetime.fromisoformat(at), *rest) for key, provider, at, *rest in stamps or ()
        ),
        links={hash_: Link(hash_, owner, datetime.fromisoformat(until)) for hash_, owner, until in links or ()},
        stored_stamps=tuple(StoredStamp(*stamp) for stamp in stored or ()),
        points=read_points(row[11]),
    )


def _json(text: str | None):
    return None if text is None else orjson.loads(text)
