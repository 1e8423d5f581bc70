"""What scoring reads and writes, for many addresses of one community at once: the same rows, the same tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from ..db.connection import fetch_all, fetch_one, run
from ..domain.credentials import Stamp
from ..domain.dedup import Link, NewLink
from ..domain.points import METAMASK, METAMASK_LIMIT, Awards, PointsRead
from .kept import read_settled
from .points import read_points
from .read import ScoringRow, Seen, StoredStamp


class StoredEvidence(NamedTuple):
    """A registry_score row, but for its time; JSON columns as JSON gave them."""

    score: str | None
    status: str | None
    error: str | None
    evidence: Any
    stamp_scores: Any
    stamps: Any
    expiration_date: datetime | None


class AddressRow(NamedTuple):
    """One address of a batch as it was read, its JSON still text: what cannot be read is this address's alone.

    ``is_kept``: whether all of it was known from an earlier scoring, by the versions of the rows.
    """

    passport_id: int
    address: str
    score_id: int | None
    last_score_timestamp: str | None
    live_ids: str
    newest_update: str | None
    stamps: str | None
    links: str | None
    stored_stamps: str | None
    points: str | None
    texts: str | None
    stored: str | None
    is_kept: bool
    generation: str
    settled: str | None
    token: str | None

    def scoring_row(self, community: CommunityRow) -> ScoringRow:
        """What scoring one address reads."""
        settled = None if self.settled is None else read_settled(self.settled)
        stamps = tuple(map(Stamp._make, _json(self.stamps)))
        if self.texts is not None:
            texts = orjson.loads(self.texts)
            stamps = tuple(stamp._replace(text=texts[str(stamp.key)]) for stamp in stamps)
        return ScoringRow(
            community_id=community.id,
            weights=community.weights,
            threshold=community.threshold,
            overrides=community.overrides,
            passport_id=self.passport_id,
            score_id=self.score_id,
            seen=Seen(self.live_ids, self.newest_update, self.last_score_timestamp),
            is_replacing=False,
            stamps=stamps,
            links={
                nullifier: Link(nullifier, owner, datetime.fromisoformat(until))
                for nullifier, owner, until in _json(self.links)
            },
            stored_stamps=tuple(map(StoredStamp._make, _json(self.stored_stamps))),
            points=read_points(self.points),
            is_kept=self.is_kept,
            settled=settled,
            is_in_full=settled is None,
            token=self.token,
            generation=self.generation,
        )

    def stored_evidence(self) -> StoredEvidence | None:
        """The stored score, where it was asked for and there is one."""
        return None if self.stored is None else _evidence(self.stored)

    def metamask_awards(self) -> int:
        """MM2 awards of all addresses, where this one may get one; else 0."""
        return 0 if self.points is None else orjson.loads(self.points)["metamask"] or 0


class CommunityRow(NamedTuple):
    """What the community of a batch says."""

    id: int
    weights: str | None
    threshold: Decimal
    overrides: tuple[tuple[str, str], ...]


def _json(text: str | None) -> Any:
    return () if text is None else orjson.loads(text)


# What is kept of an earlier reading is taken by the same versions of rows as in db/functions.py; addresses
# are looked at one after another, so that the JSON of a whole batch is never held at once. Revocations are looked
# up for all stamps of an address together: one walk down the index, where NOT EXISTS is one for each.
# "#> '{}'" unpacks a compressed credential once; every operator on the column itself would do it again.
# "*=" compares bytes, which tells equal in nearly every case; where it does not, "=" judges.
READ_ADDRESSES = """
-- what scoring some addresses of a community needs; what the community says in the first row only;
-- registry_passport pkey, ceramic_cache_ceramiccache (type, address, provider) where live,
-- registry_score (passport_id), registry_stamp (passport_id),
-- scorer_fast_settledreading pkey, scorer_fast_keptreading pkey, scorer_fast_verifiedcredential pkey;
-- registry_hashscorerlink (address); links, tokens and points as db/functions.py has them
WITH community AS MATERIALIZED (
    SELECT c.id, %(points)s AND c.human_points_program AS has_points, scorer_fast_generation_1() AS generation,
           COALESCE(w.weights, b.weights)::text AS weights,
           COALESCE(w.threshold, b.threshold) AS threshold,
           (SELECT json_agg(json_build_array(o.name, o.weight::text) ORDER BY o.kind, o.id)
            FROM (SELECT 1 AS kind, a.id, 'AllowList#' || n.name AS name, a.weight
                  FROM account_customization AS k
                  JOIN account_allowlist AS a ON a.customization_id = k.id
                  JOIN account_addresslist AS n ON n.id = a.address_list_id
                  WHERE k.scorer_id = c.id
                  UNION ALL
                  SELECT 2, cc.id, cr.provider_id, cc.weight
                  FROM account_customization AS k
                  JOIN account_customcredential AS cc ON cc.customization_id = k.id
                  JOIN account_customcredentialruleset AS cr ON cr.id = cc.ruleset_id
                  WHERE k.scorer_id = c.id) AS o)::text AS overrides
    FROM account_community AS c
    LEFT JOIN scorer_weighted_scorer AS t ON t.id = c.scorer_id
    LEFT JOIN scorer_weighted_weightedscorer AS w ON w.scorer_ptr_id = t.id AND t.type = 'WEIGHTED'
    LEFT JOIN scorer_weighted_binaryweightedscorer AS b ON b.scorer_ptr_id = t.id AND t.type = 'WEIGHTED_BINARY'
    WHERE c.id = %(community_id)s
),
passports AS MATERIALIZED (
    SELECT p.id, p.address, row_number() OVER (ORDER BY p.id) = 1 AS is_first
    FROM registry_passport AS p
    WHERE p.id = ANY (%(passport_ids)s::bigint[])
      AND p.community_id = %(community_id)s
    ORDER BY p.id
)
SELECT p.id,
       p.address,
       s.id,
       s.last_score_timestamp::text,
       live.ids::text,
       live.newest::text,
       COALESCE(kept.stamps, read.stamps),
       CASE WHEN settled.reading IS NULL THEN
           scorer_fast_read_links_1(p.address, %(community_id)s, COALESCE(kept.nullifiers, read.nullifiers))
       END,
       CASE WHEN kept.passport_id IS NULL THEN read.stored_stamps ELSE kept.stored_stamps END,
       CASE WHEN community.has_points THEN scorer_fast_read_points_1(p.address) END,
       CASE WHEN p.id = ANY (%(with_text)s::bigint[]) THEN (
           SELECT json_object_agg(t.id, t.stamp::text)
           FROM ceramic_cache_ceramiccache AS t
           WHERE t.id = ANY (live.ids)
       ) END::text,
       CASE WHEN %(with_stored)s AND s.id IS NOT NULL THEN json_build_array(
           trim_scale(s.score)::text, s.status, s.error, s.evidence, s.stamp_scores, s.stamps, s.expiration_date
       ) END::text,
       settled.reading IS NOT NULL OR kept.passport_id IS NOT NULL,
       community.generation::text,
       settled.reading,
       CASE WHEN settled.reading IS NULL AND p.id <> ALL (%(with_text)s::bigint[]) THEN encode(own.token, 'hex') END,
       CASE WHEN p.is_first THEN community.weights END,
       community.threshold,
       CASE WHEN p.is_first THEN community.overrides END
FROM passports AS p
CROSS JOIN community
LEFT JOIN registry_score AS s ON s.passport_id = p.id
CROSS JOIN LATERAL (
    WITH there AS MATERIALIZED (
        SELECT c.id, c.updated_at, concat_ws(',', c.id, c.xmin, c.ctid) AS version
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = p.address
          AND c.type = 1
          AND c.deleted_at IS NULL
    )
    SELECT COALESCE(array_agg(t.id ORDER BY t.id), '{}') AS ids,
           max(t.updated_at) AS newest,
           COALESCE(array_agg(t.version ORDER BY t.id), '{}') AS versions
    FROM there AS t
    WHERE t.id <> ALL (ARRAY(
        SELECT r.ceramic_cache_id
        FROM ceramic_cache_revocation AS r
        WHERE r.ceramic_cache_id = ANY (ARRAY(SELECT each.id FROM there AS each))))
) AS live
CROSS JOIN LATERAL (
    SELECT COALESCE(array_agg(concat_ws(',', r.id, r.xmin, r.ctid) ORDER BY r.id), '{}') AS versions
    FROM registry_stamp AS r
    WHERE r.passport_id = p.id
) AS copies
CROSS JOIN LATERAL (
    SELECT CASE WHEN count(*) < 400 THEN sha256(convert_to(
               %(verifier)s || %(rules)s || E'\n' || array_to_string(live.versions, ' ') || E'\n'
               || array_to_string(copies.versions, ' ') || E'\n'
               || COALESCE(
                   string_agg(concat_ws(',', o.id, o.xmin, o.ctid), ' ' ORDER BY o.id)
                   FILTER (WHERE o.community_id = %(community_id)s),
                   ''),
               'UTF8'))
           END AS token
    FROM (
        SELECT h.id, h.xmin, h.ctid, h.community_id
        FROM registry_hashscorerlink AS h
        WHERE h.address = p.address
        LIMIT 400
    ) AS o
) AS own
LEFT JOIN LATERAL (
    SELECT t.reading
    FROM scorer_fast_settledreading AS t
    WHERE t.passport_id = p.id
      AND p.id <> ALL (%(with_text)s::bigint[])
      AND t.generation = community.generation
      AND t.valid_from <= %(now)s
      AND t.valid_until > %(now)s
      AND (t.has_marks OR NOT community.has_points)
      AND t.token = own.token
) AS settled ON TRUE
LEFT JOIN LATERAL (
    SELECT k.passport_id, k.stamps, k.nullifiers, k.stored_stamps
    FROM scorer_fast_keptreading AS k
    WHERE settled.reading IS NULL
      AND k.passport_id = p.id
      AND k.verifier = %(verifier)s
      AND k.generation = community.generation
      AND k.live_versions = live.versions
      AND k.stored_versions = copies.versions
) AS kept ON TRUE
CROSS JOIN LATERAL (
    WITH latest AS MATERIALIZED (
        SELECT c.id AS key, c.provider, concat_ws(',', c.id, c.xmin, c.ctid) AS version, c.stamp #> '{}' AS stamp
        FROM ceramic_cache_ceramiccache AS c
        WHERE settled.reading IS NULL
          AND kept.passport_id IS NULL
          AND c.id = ANY (live.ids)
        OFFSET 0
    ),
    judged AS MATERIALIZED (
        SELECT l.key, l.provider, l.version, l.stamp, l.body,
               l.stamp -> 'credentialSubject' AS subject,
               sha256(convert_to(%(verifier)s || l.body, 'UTF8')) AS digest
        FROM (SELECT n.key, n.provider, n.version, n.stamp, n.stamp::text AS body FROM latest AS n OFFSET 0) AS l
    )
    SELECT
        (SELECT json_agg(json_build_array(
                    j.key, j.provider, j.version, encode(j.digest, 'hex'), v.digest IS NOT NULL,
                    CASE WHEN v.digest IS NULL THEN j.body END,
                    j.stamp -> 'issuer', j.stamp -> 'expirationDate',
                    j.subject -> 'id', j.subject -> 'provider', j.subject -> 'hash', j.subject -> 'nullifiers'))
         FROM judged AS j
         LEFT JOIN LATERAL (
             SELECT k.digest FROM scorer_fast_verifiedcredential AS k WHERE k.digest = j.digest OFFSET 0
         ) AS v ON TRUE)::text AS stamps,
        ARRAY(
            SELECT j.subject ->> 'hash'
            FROM judged AS j
            WHERE j.subject ->> 'hash' IS NOT NULL
            UNION
            SELECT n.nullifier
            FROM (
                SELECT jsonb_array_elements_text(j.subject -> 'nullifiers') AS nullifier
                FROM judged AS j
                WHERE jsonb_typeof(j.subject -> 'nullifiers') = 'array'
            ) AS n
            WHERE n.nullifier IS NOT NULL) AS nullifiers,
        (SELECT json_agg(json_build_array(
                    r.id,
                    concat_ws(',', r.id, r.xmin, r.ctid),
                    (SELECT j.key
                     FROM judged AS j
                     WHERE j.provider = r.provider
                       AND (ROW(j.stamp)::record *= ROW(r.credential)::record OR j.stamp = r.credential)
                     LIMIT 1))
                ORDER BY r.id)
         FROM registry_stamp AS r
         WHERE settled.reading IS NULL
           AND kept.passport_id IS NULL
           AND r.passport_id = p.id)::text AS stored_stamps
) AS read
ORDER BY p.id
"""


def read_addresses(
    alias: str,
    community_id: int,
    passport_ids: Sequence[int],
    *,
    verifier: str,
    rules: str,
    now: datetime,
    points: bool,
    with_text: Sequence[int] = (),
    with_stored: bool = False,
) -> tuple[CommunityRow | None, list[AddressRow]]:
    """What scoring the addresses of those passports needs, by passport id; passports that are gone are left out.

    ``rules``: those of settling; what is settled at ``now`` comes instead of stamps and links.
    ``with_text``: passports whose stamps all come with their credential's text, remembered or not.
    """
    rows = fetch_all(
        alias,
        READ_ADDRESSES,
        {
            "community_id": community_id,
            "passport_ids": list(passport_ids),
            "verifier": verifier,
            "rules": rules,
            "now": now,
            "points": points,
            "with_text": list(with_text),
            "with_stored": with_stored,
        },
    )
    if not rows:
        return None, []
    weights, threshold, overrides = rows[0][-3:]
    community = CommunityRow(
        community_id, weights, threshold, tuple((name, weight) for name, weight in _json(overrides))
    )
    return community, [AddressRow(*row[:-3]) for row in rows]


GET_STORED_EVIDENCE = """
-- the stored score of a passport; registry_score (passport_id)
SELECT s.last_score_timestamp,
       json_build_array(
           trim_scale(s.score)::text, s.status, s.error, s.evidence, s.stamp_scores, s.stamps, s.expiration_date)::text
FROM registry_score AS s
WHERE s.passport_id = %(passport_id)s
"""


def get_stored_evidence(alias: str, passport_id: int) -> tuple[datetime | None, StoredEvidence] | None:
    """When the passport was last scored, and the score; None without one."""
    row = fetch_one(alias, GET_STORED_EVIDENCE, {"passport_id": passport_id})
    return None if row is None else (row[0], _evidence(row[1]))


def _evidence(text: str) -> StoredEvidence:
    score, status, error, evidence, stamp_scores, stamps, expires = orjson.loads(text)
    return StoredEvidence(
        score,
        status,
        error,
        evidence,
        stamp_scores,
        stamps,
        None if expires is None else datetime.fromisoformat(expires),
    )


# SKIP LOCKED: who is being scored right now is left to those who score him, and looked at again alone.
LOCK_PASSPORTS = """
-- locks passports nobody else holds; registry_passport pkey
SELECT p.id
FROM registry_passport AS p
WHERE p.id = ANY (%(passport_ids)s::bigint[])
ORDER BY p.id
FOR NO KEY UPDATE SKIP LOCKED
"""


def lock_passports(alias: str, passport_ids: Sequence[int]) -> set[int]:
    """Lock those of the passports that are there and free, by id; which they are."""
    return {row[0] for row in fetch_all(alias, LOCK_PASSPORTS, {"passport_ids": list(passport_ids)})}


class MovedLink(NamedTuple):
    """A link to set to ``address`` and a new expiry; it still has to look as it was read."""

    hash: str
    address: str
    expires_at: datetime
    seen_address: str
    seen_expires_at: datetime


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
-- renews and takes over links of several addresses, each only as it was read;
-- registry_hashscorerlink (hash, community_id)
WITH wanted AS (
    SELECT h.id, n.address, n.expires_at
    FROM unnest(
        %(hashes)s::text[], %(addresses)s::text[], %(expiries)s::timestamptz[],
        %(seen_addresses)s::text[], %(seen_expiries)s::timestamptz[]
    ) AS n (hash, address, expires_at, seen_address, seen_expires_at)
    JOIN registry_hashscorerlink AS h
      ON h.hash = n.hash
     AND h.community_id = %(community_id)s
     AND h.address = n.seen_address
     AND h.expires_at = n.seen_expires_at
    ORDER BY h.hash
    FOR UPDATE OF h
)
UPDATE registry_hashscorerlink AS h
SET address = wanted.address,
    expires_at = wanted.expires_at
FROM wanted
WHERE h.id = wanted.id
"""


def update_links(alias: str, community_id: int, links: Sequence[MovedLink]) -> bool:
    """Set the links; False when one no longer is as it was read."""
    written = run(
        alias,
        UPDATE_LINKS,
        {
            "community_id": community_id,
            "hashes": [link.hash for link in links],
            "addresses": [link.address for link in links],
            "expiries": [link.expires_at for link in links],
            "seen_addresses": [link.seen_address for link in links],
            "seen_expiries": [link.seen_expires_at for link in links],
        },
    )
    return written == len(links)


REPLACE_STAMPS = """
-- makes the counting stamps of passports what they should be: some rows go, others are copied from the cache;
-- registry_stamp pkey, ceramic_cache_ceramiccache pkey
WITH gone AS (
    DELETE FROM registry_stamp AS s
    WHERE s.id = ANY (%(gone)s::bigint[])
    RETURNING s.id
)
INSERT INTO registry_stamp (passport_id, provider, credential)
SELECT n.passport_id, c.provider, c.stamp
FROM unnest(%(passport_ids)s::bigint[], %(cache_ids)s::bigint[]) AS n (passport_id, cache_id)
JOIN ceramic_cache_ceramiccache AS c ON c.id = n.cache_id
ORDER BY n.passport_id, c.id
"""


def replace_stamps(alias: str, *, gone: Sequence[int], new: Sequence[tuple[int, int]]) -> bool:
    """Delete the rows ``gone`` and copy cache rows, ``new`` by (passport, cache row); False when one is not there."""
    written = run(
        alias,
        REPLACE_STAMPS,
        {
            "gone": list(gone),
            "passport_ids": [passport_id for passport_id, _ in new],
            "cache_ids": [cache_id for _, cache_id in new],
        },
    )
    return written == len(new)


# The locks of scoring/points.py, one per address and in one order; that of the cap follows, as everywhere.
LOCK_POINTS = """
-- excludes other awards to some addresses
SELECT pg_advisory_xact_lock(hashtextextended('scorer_fast points of ' || a.address, 0))
FROM (SELECT n.address FROM unnest(%(addresses)s::text[]) AS n (address) ORDER BY n.address OFFSET 0) AS a
"""


def lock_points(alias: str, addresses: Sequence[str]) -> None:
    """Wait until no other request awards points to one of ``addresses``."""
    fetch_all(alias, LOCK_POINTS, {"addresses": list(addresses)})


# A transaction-level advisory lock: released at COMMIT, safe behind a transaction pooler. The locks of addresses
# are taken before it by everybody, so that the two can never wait for each other.
LOCK_METAMASK = """
-- excludes other MM2 awards
SELECT pg_advisory_xact_lock(hashtextextended('scorer_fast MM2 awards', 0))
"""


def lock_metamask(alias: str) -> None:
    """Wait until no other request awards MM2; taken after the locks of addresses."""
    fetch_one(alias, LOCK_METAMASK, {})


class AwardWrite(NamedTuple):
    """What an address earns, and what it was read to have."""

    address: str
    awards: Awards
    read: PointsRead


INSERT_AWARDS = """
-- awards points to several addresses where nothing changed since they were decided;
-- registry_humanpoints (address, action, chain_id, provider, tx_hash),
-- registry_humanpointscommunityqualifiedusers (address, community_id)
WITH seen AS (
    SELECT n.address, n.seen_rows, n.seen_communities, n.qualifies
    FROM unnest(
        %(addresses)s::text[], %(seen_rows)s::bigint[], %(seen_communities)s::bigint[], %(qualifies)s::boolean[]
    ) AS n (address, seen_rows, seen_communities, qualifies)
),
unchanged AS (
    SELECT
    WHERE NOT EXISTS (
              SELECT
              FROM seen AS s
              WHERE s.seen_rows <> (SELECT count(*) FROM registry_humanpoints AS p WHERE p.address = s.address)
                 OR s.seen_communities <> (
                        SELECT count(*) FROM registry_humanpointscommunityqualifiedusers AS q
                        WHERE q.address = s.address))
      AND (%(metamask)s = 0
           OR (SELECT count(*) FROM registry_humanpoints AS p WHERE p.action = 'MM2') + %(metamask)s <= %(limit)s)
),
qualified AS (
    INSERT INTO registry_humanpointscommunityqualifiedusers (address, community_id)
    SELECT s.address, %(community_id)s
    FROM unchanged
    CROSS JOIN seen AS s
    WHERE s.qualifies
    ON CONFLICT (address, community_id) DO NOTHING
    RETURNING id
),
awarded AS (
    INSERT INTO registry_humanpoints (address, action, "timestamp", tx_hash, chain_id, provider)
    SELECT n.address, n.action, %(now)s, n.tx_hash, n.chain_id, n.provider
    FROM unchanged
    CROSS JOIN unnest(
        %(owners)s::text[], %(actions)s::text[], %(providers)s::text[], %(tx_hashes)s::text[], %(chain_ids)s::integer[]
    ) WITH ORDINALITY AS n (address, action, provider, tx_hash, chain_id, position)
    ORDER BY n.position
    ON CONFLICT (address, action, chain_id, provider, tx_hash) DO NOTHING
    RETURNING id
)
SELECT (SELECT count(*) FROM qualified) + (SELECT count(*) FROM awarded)
"""


def insert_awards(alias: str, community_id: int, writes: Sequence[AwardWrite], now: datetime) -> bool:
    """Write all awards together; False when the points of one of the addresses are no longer as read."""
    rows = [(write.address, row) for write in writes for row in write.awards.rows]
    written = fetch_one(
        alias,
        INSERT_AWARDS,
        {
            "community_id": community_id,
            "now": now,
            "metamask": sum(row.action == METAMASK for _, row in rows),
            "limit": METAMASK_LIMIT,
            "addresses": [write.address for write in writes],
            "seen_rows": [len(write.read.rows) for write in writes],
            "seen_communities": [len(write.read.communities) for write in writes],
            "qualifies": [write.awards.qualifies for write in writes],
            "owners": [address for address, _ in rows],
            "actions": [row.action for _, row in rows],
            "providers": [row.provider for _, row in rows],
            "tx_hashes": [row.tx_hash for _, row in rows],
            "chain_ids": [row.chain_id for _, row in rows],
        },
    )
    assert written is not None  # an aggregate always has a row
    return bool(written[0] == len(rows) + sum(write.awards.qualifies for write in writes))


class ScoreOfPassport(NamedTuple):
    """A score to store with its events, and what must still be so; ``score_id`` None: a first one.

    The row's JSON columns are those of ``score_event``.
    """

    passport_id: int
    score_id: int | None
    address: str
    score: int
    expiration_date: datetime | None
    dedup_events: list[dict[str, Any]]
    score_event: dict[str, Any]
    live_ids: str
    newest_update: str | None
    seen_timestamp: str | None


# The token and the events are those of scoring/scores.py: a score is stored only where what was read is still
# so, and its events come from its row. The caller learns which scores were stored.
STORE_SCORES = """
-- stores scores, first ones and over those that were read, with their events by passport;
-- registry_score pkey and (passport_id), ceramic_cache_ceramiccache (type, address, provider) where live
WITH new AS MATERIALIZED (
    SELECT n.*,
           live.ids = n.live_ids::bigint[] AND live.newest IS NOT DISTINCT FROM n.newest_update AS is_as_seen
    FROM jsonb_to_recordset(%(scores)s::jsonb) AS n (
        passport_id bigint, score_id bigint, address text, score integer,
        expiration_date timestamptz, dedup_events jsonb, score_event jsonb,
        live_ids text, newest_update timestamptz, seen_timestamp timestamptz)
    CROSS JOIN LATERAL (
        WITH there AS MATERIALIZED (
            SELECT c.id, c.updated_at
            FROM ceramic_cache_ceramiccache AS c
            WHERE c.address = n.address
              AND c.type = 1
              AND c.deleted_at IS NULL
        )
        SELECT COALESCE(array_agg(t.id ORDER BY t.id), '{}') AS ids, max(t.updated_at) AS newest
        FROM there AS t
        WHERE t.id <> ALL (ARRAY(
            SELECT r.ceramic_cache_id
            FROM ceramic_cache_revocation AS r
            WHERE r.ceramic_cache_id = ANY (ARRAY(SELECT each.id FROM there AS each))))
    ) AS live
),
updated AS (
    UPDATE registry_score AS s
    SET score = n.score,
        last_score_timestamp = %(now)s,
        status = 'DONE',
        error = NULL,
        evidence = n.score_event #> '{fields,evidence}',
        stamp_scores = n.score_event #> '{fields,stamp_scores}',
        stamps = n.score_event #> '{fields,stamps}',
        expiration_date = n.expiration_date
    FROM new AS n
    WHERE s.id = n.score_id
      AND s.passport_id = n.passport_id
      AND s.last_score_timestamp IS NOT DISTINCT FROM n.seen_timestamp
      AND n.is_as_seen
    RETURNING s.id, s.passport_id
),
inserted AS (
    INSERT INTO registry_score (
        passport_id, score, last_score_timestamp, status, error,
        evidence, stamp_scores, stamps, expiration_date)
    SELECT n.passport_id, n.score, %(now)s, 'DONE', NULL,
           n.score_event #> '{fields,evidence}', n.score_event #> '{fields,stamp_scores}',
           n.score_event #> '{fields,stamps}', n.expiration_date
    FROM new AS n
    WHERE n.score_id IS NULL
      AND n.is_as_seen
    ORDER BY n.passport_id
    ON CONFLICT (passport_id) DO NOTHING
    RETURNING id, passport_id
),
stored AS (
    SELECT id, passport_id FROM updated
    UNION ALL
    SELECT id, passport_id FROM inserted
),
events AS (
    INSERT INTO registry_event (action, address, created_at, data, community_id)
    SELECT e.action, e.address, %(now)s, e.data, %(community_id)s
    FROM (
        SELECT n.passport_id, n.address, 0 AS kind, d.position, 'LDP' AS action, d.data
        FROM stored
        JOIN new AS n ON n.passport_id = stored.passport_id
        CROSS JOIN LATERAL jsonb_array_elements(n.dedup_events) WITH ORDINALITY AS d (data, position)
        UNION ALL
        SELECT n.passport_id, n.address, 1, 1, 'SCU',
               CASE
                   WHEN n.score_id IS NULL THEN jsonb_set(n.score_event, '{pk}', to_jsonb(stored.id))
                   ELSE n.score_event
               END
        FROM stored
        JOIN new AS n ON n.passport_id = stored.passport_id
    ) AS e
    ORDER BY e.passport_id, e.kind, e.position
)
SELECT passport_id FROM stored
"""


def scores_json(scores: Iterable[ScoreOfPassport]) -> str:
    """Scores as :func:`store_scores` takes them."""
    return orjson.dumps([score._asdict() for score in scores]).decode()


def store_scores(alias: str, community_id: int, scores: str, now: datetime) -> set[int]:
    """Store those of the scores (:func:`scores_json`) whose token still holds; their passports."""
    parameters = {"community_id": community_id, "now": now, "scores": scores}
    return {row[0] for row in fetch_all(alias, STORE_SCORES, parameters)}
