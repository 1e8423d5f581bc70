"""The two statements of every scoring, as functions in the database: PostgreSQL plans them once per session.

Planning the scoring read takes some three times as long as running it. A prepared statement would be
session state, which a transaction pooler (PgBouncer, RDS Proxy) breaks or pins; a PL/pgSQL function keeps
its plans in the server's session by itself. Each statement inside reads like any other of this package.

A function's name ends in its version. What has been released is never changed: a new version gets a new
name and a migration, so that old and new processes can run side by side while a release rolls out.
"""

from __future__ import annotations

from typing import NamedTuple

from .connection import fetch_value, run

# STABLE: all statements inside see one snapshot, the caller's, so it reads like one statement.
# Which versions of the rows a reading saw: a row that is written again, by whomever and however, gets another
# xmin or ctid, so what was read of the same versions is still what they say. Nothing here trusts updated_at.
CREATE_READ_SCORING = """
-- everything that scoring one address for one community needs; account_community pkey and (external_scorer_id),
-- registry_passport (address, community_id), ceramic_cache_ceramiccache (type, address, provider) where live,
-- registry_hashscorerlink (hash, community_id), registry_stamp (passport_id), registry_humanpoints (address)
CREATE OR REPLACE FUNCTION scorer_fast_read_scoring_2(
    IN p_scorer_id bigint, IN p_external_id text, IN p_account_id bigint, IN p_address text,
    IN p_verifier text, IN p_points boolean, IN p_with_text boolean, IN p_posted jsonb, IN p_replaced text[],
    OUT community_id bigint, OUT weights text, OUT threshold numeric,
    OUT passport_id bigint, OUT score_id bigint, OUT last_score_timestamp timestamptz,
    OUT live text, OUT stamps text, OUT links text, OUT stored_stamps text, OUT overrides text, OUT points text,
    OUT texts text, OUT nullifiers text[], OUT versions text, OUT is_kept boolean
)
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
    v_community bigint;
    v_scorer bigint;
    v_program boolean;
    v_passport bigint;
    v_customization bigint;
    v_live text;
    v_stored text;
    v_versions text;
    v_nullifiers text[];
BEGIN
    SELECT c.id, c.scorer_id, c.human_points_program
    INTO v_community, v_scorer, v_program
    FROM account_community AS c
    WHERE c.account_id = COALESCE(
              p_account_id, (SELECT named.account_id FROM account_community AS named WHERE named.id = p_scorer_id))
      AND (c.id = p_scorer_id OR c.external_scorer_id = p_external_id)
    ORDER BY COALESCE(c.external_scorer_id = p_external_id, FALSE) DESC
    LIMIT 1;
    IF v_community IS NULL THEN
        RETURN;
    END IF;
    community_id := v_community;

    SELECT COALESCE(w.weights, b.weights)::text, COALESCE(w.threshold, b.threshold)
    INTO weights, threshold
    FROM scorer_weighted_scorer AS t
    LEFT JOIN scorer_weighted_weightedscorer AS w ON w.scorer_ptr_id = t.id AND t.type = 'WEIGHTED'
    LEFT JOIN scorer_weighted_binaryweightedscorer AS b ON b.scorer_ptr_id = t.id AND t.type = 'WEIGHTED_BINARY'
    WHERE t.id = v_scorer;

    SELECT p.id, s.id, s.last_score_timestamp
    INTO v_passport, score_id, last_score_timestamp
    FROM registry_passport AS p
    LEFT JOIN registry_score AS s ON s.passport_id = p.id
    WHERE p.address = p_address
      AND p.community_id = v_community;
    passport_id := v_passport;

    SELECT json_agg(json_build_array(l.id, l.provider, l.updated_at, l.revoked) ORDER BY l.id),
           string_agg(concat_ws(',', l.id, l.version, l.place), ' ' ORDER BY l.id) FILTER (WHERE NOT l.revoked)
    INTO live, v_live
    FROM (
        SELECT c.id, c.provider, c.updated_at, c.xmin AS version, c.ctid AS place,
               EXISTS (SELECT FROM ceramic_cache_revocation AS r WHERE r.ceramic_cache_id = c.id) AS revoked
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = p_address
          AND c.type = 1
          AND c.deleted_at IS NULL
    ) AS l;

    is_kept := FALSE;
    IF p_posted = '[]' AND v_passport IS NOT NULL THEN
        SELECT string_agg(concat_ws(',', r.id, r.xmin, r.ctid), ' ' ORDER BY r.id)
        INTO v_stored
        FROM registry_stamp AS r
        WHERE r.passport_id = v_passport;
        v_versions := concat_ws('|', p_verifier, v_live, '', v_stored);
        SELECT k.stamps, k.stored_stamps, k.nullifiers
        INTO stamps, stored_stamps, v_nullifiers
        FROM scorer_fast_keptreading AS k
        WHERE k.passport_id = v_passport
          AND k.versions = v_versions
          AND p_replaced = '{}'
          AND cardinality(k.digests) = (
              SELECT count(*) FROM scorer_fast_verifiedcredential AS v WHERE v.digest = ANY (k.digests));
        is_kept := FOUND;
        versions := v_versions;
    END IF;

    IF NOT is_kept THEN
        WITH latest AS MATERIALIZED (
            SELECT DISTINCT ON (c.provider) c.id AS key, c.provider, c.updated_at, c.stamp
            FROM ceramic_cache_ceramiccache AS c
            WHERE c.address = p_address
              AND c.type = 1
              AND c.deleted_at IS NULL
              AND NOT EXISTS (SELECT FROM ceramic_cache_revocation AS r WHERE r.ceramic_cache_id = c.id)
              AND c.provider <> ALL (p_replaced)
            ORDER BY c.provider, c.updated_at DESC
        ),
        worded AS MATERIALIZED (
            SELECT s.key, s.provider, s.updated_at, s.stamp, s.stamp::text AS body
            FROM latest AS s
            UNION ALL
            SELECT -e.position, e.entry ->> 'provider', NULL, e.entry -> 'stamp', (e.entry -> 'stamp')::text
            FROM jsonb_array_elements(p_posted) WITH ORDINALITY AS e (entry, position)
        ),
        judged AS MATERIALIZED (
            SELECT w.key, w.provider, w.updated_at, w.stamp, w.body,
                   w.stamp -> 'credentialSubject' AS subject,
                   sha256(convert_to(p_verifier || w.body, 'UTF8')) AS digest
            FROM worded AS w
        ),
        named AS (
            SELECT j.subject ->> 'hash' AS nullifier
            FROM judged AS j
            UNION
            SELECT n.nullifier
            FROM judged AS j
            CROSS JOIN LATERAL jsonb_array_elements_text(
                CASE jsonb_typeof(j.subject -> 'nullifiers')
                    WHEN 'array' THEN j.subject -> 'nullifiers'
                    ELSE '[]'::jsonb
                END
            ) AS n (nullifier)
        )
        SELECT (SELECT json_agg(json_build_array(
                           j.key, j.provider, j.updated_at, encode(j.digest, 'hex'), v.digest IS NOT NULL,
                           CASE WHEN v.digest IS NULL THEN j.body END,
                           j.stamp -> 'issuer', j.stamp -> 'expirationDate',
                           j.subject -> 'id', j.subject -> 'provider', j.subject -> 'hash', j.subject -> 'nullifiers'))
                FROM judged AS j
                LEFT JOIN scorer_fast_verifiedcredential AS v ON v.digest = j.digest),
               ARRAY(SELECT n.nullifier FROM named AS n WHERE n.nullifier IS NOT NULL),
               (SELECT json_agg(json_build_array(
                           r.id,
                           (SELECT j.key FROM judged AS j
                            WHERE j.provider = r.provider AND j.stamp = r.credential LIMIT 1))
                       ORDER BY r.id)
                FROM registry_stamp AS r
                WHERE r.passport_id = v_passport)
        INTO stamps, v_nullifiers, stored_stamps;
    END IF;
    nullifiers := v_nullifiers;

    IF p_with_text THEN
        SELECT json_object_agg(t.key, t.body)
        INTO texts
        FROM (
            SELECT c.id AS key, c.stamp::text AS body
            FROM ceramic_cache_ceramiccache AS c
            WHERE c.address = p_address
              AND c.type = 1
              AND c.deleted_at IS NULL
            UNION ALL
            SELECT -e.position, (e.entry -> 'stamp')::text
            FROM jsonb_array_elements(p_posted) WITH ORDINALITY AS e (entry, position)
        ) AS t;
    END IF;

    SELECT json_agg(json_build_array(h.hash, h.address, h.expires_at))
    INTO links
    FROM registry_hashscorerlink AS h
    WHERE h.community_id = v_community
      AND h.hash = ANY (v_nullifiers);

    SELECT k.id INTO v_customization FROM account_customization AS k WHERE k.scorer_id = v_community;
    IF v_customization IS NOT NULL THEN
        SELECT json_agg(json_build_array(o.name, o.weight::text) ORDER BY o.kind, o.id)
        INTO overrides
        FROM (
            SELECT 1 AS kind, a.id, 'AllowList#' || n.name AS name, a.weight
            FROM account_allowlist AS a
            JOIN account_addresslist AS n ON n.id = a.address_list_id
            WHERE a.customization_id = v_customization
            UNION ALL
            SELECT 2, cc.id, cr.provider_id, cc.weight
            FROM account_customcredential AS cc
            JOIN account_customcredentialruleset AS cr ON cr.id = cc.ruleset_id
            WHERE cc.customization_id = v_customization
        ) AS o;
    END IF;

    IF p_points AND v_program THEN
        points := scorer_fast_read_points_1(p_address);
    END IF;
END
$function$
"""

CREATE_READ_POINTS = """
-- what is known of an address's human points; registry_humanpoints (address), (action),
-- registry_humanpointscommunityqualifiedusers (address, community_id), account_addresslistmember (address, list_id)
CREATE OR REPLACE FUNCTION scorer_fast_read_points_1(p_address text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_lists text[];
    v_awards bigint;
BEGIN
    SELECT array_agg(DISTINCT n.name)
    INTO v_lists
    FROM account_addresslistmember AS m
    JOIN account_addresslist AS n ON n.id = m.list_id
    WHERE m.address = p_address;
    IF 'MetaMaskOG2' = ANY (v_lists)
       AND NOT EXISTS (
           SELECT FROM registry_humanpoints AS p WHERE p.address = p_address AND p.action = 'MM2')
    THEN
        SELECT count(*) INTO v_awards FROM registry_humanpoints AS p WHERE p.action = 'MM2';
    END IF;
    RETURN json_build_object(
        'rows', (SELECT json_agg(json_build_array(p.action, p.provider, p.tx_hash, p.chain_id) ORDER BY p.id)
                 FROM registry_humanpoints AS p WHERE p.address = p_address),
        'communities', (SELECT json_agg(q.community_id)
                        FROM registry_humanpointscommunityqualifiedusers AS q WHERE q.address = p_address),
        'lists', v_lists,
        'metamask', v_awards,
        'config', (SELECT json_object_agg(g.action, g.points) FROM registry_humanpointsconfig AS g WHERE g.active),
        'multiplier', (SELECT x.multiplier FROM registry_humanpointsmultiplier AS x WHERE x.address = p_address)
    );
END
$function$
"""

# The events are inserted from the score row: no row, no event, and the caller is told.
# The token stands in the score row's own UPDATE: under READ COMMITTED a row that another transaction
# just changed is judged again in its new version, so a stale decision never overwrites a newer one.
CREATE_UPDATE_SCORE = """
-- stores a score over the one that was read, with its events, while what was read is still so; registry_score pkey,
-- ceramic_cache_ceramiccache (type, address, provider) where live
CREATE OR REPLACE FUNCTION scorer_fast_update_score_1(
    p_score_id bigint, p_passport_id bigint, p_community_id bigint, p_address text,
    p_now timestamptz, p_score integer, p_expiration_date timestamptz, p_dedup_events jsonb, p_event_fields jsonb,
    p_live_ids bigint[], p_newest_update timestamptz, p_seen_timestamp timestamptz, p_awaited boolean
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_is_same boolean;
BEGIN
    UPDATE registry_score AS s
    SET score = p_score,
        last_score_timestamp = p_now,
        status = 'DONE',
        error = NULL,
        evidence = p_event_fields -> 'evidence',
        stamp_scores = p_event_fields -> 'stamp_scores',
        stamps = p_event_fields -> 'stamps',
        expiration_date = p_expiration_date
    FROM (
        SELECT COALESCE(array_agg(c.id ORDER BY c.id), '{}') AS ids, max(c.updated_at) AS newest
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = p_address
          AND c.type = 1
          AND c.deleted_at IS NULL
          AND NOT EXISTS (SELECT FROM ceramic_cache_revocation AS r WHERE r.ceramic_cache_id = c.id)
    ) AS live
    CROSS JOIN registry_score AS was
    WHERE s.id = p_score_id
      AND was.id = p_score_id
      AND s.passport_id = p_passport_id
      AND s.last_score_timestamp IS NOT DISTINCT FROM p_seen_timestamp
      AND live.ids = p_live_ids
      AND live.newest IS NOT DISTINCT FROM p_newest_update
    RETURNING was.status = 'DONE' AND was.error IS NULL AND was.score = s.score
              AND was.evidence = s.evidence AND was.stamps = s.stamps AND was.stamp_scores = s.stamp_scores
              AND was.expiration_date IS NOT DISTINCT FROM s.expiration_date
    INTO v_is_same;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    -- A score that says what it said before need not wait for the disk. The setting ends with the transaction,
    -- so nothing stays behind in the session: a pooler may hand it to anyone.
    IF v_is_same AND NOT p_awaited THEN
        PERFORM set_config('synchronous_commit', 'off', TRUE);
    END IF;
    INSERT INTO registry_event (action, address, created_at, data, community_id)
    SELECT e.action, p_address, p_now, e.data, p_community_id
    FROM (
        SELECT 0 AS kind, d.position, 'LDP' AS action, d.data
        FROM jsonb_array_elements(p_dedup_events) WITH ORDINALITY AS d (data, position)
        UNION ALL
        SELECT 1, 1, 'SCU', jsonb_build_object(
                   'model', 'registry.score',
                   'pk', p_score_id,
                   'fields', p_event_fields || jsonb_build_object('passport', p_passport_id))
    ) AS e
    ORDER BY e.kind, e.position;
    RETURN TRUE;
END
$function$
"""


class Function(NamedTuple):
    """A function of this app in the database: how it is called, made and dropped."""

    signature: str
    create: str
    drop: str


FUNCTIONS = (
    Function(
        "scorer_fast_read_points_1(text)",
        CREATE_READ_POINTS,
        "DROP FUNCTION IF EXISTS scorer_fast_read_points_1(text)",
    ),
    Function(
        "scorer_fast_read_scoring_2(bigint, text, bigint, text, text, boolean, boolean, jsonb, text[])",
        CREATE_READ_SCORING,
        "DROP FUNCTION IF EXISTS "
        "scorer_fast_read_scoring_2(bigint, text, bigint, text, text, boolean, boolean, jsonb, text[])",
    ),
    Function(
        "scorer_fast_update_score_1(bigint, bigint, bigint, text, timestamptz, integer, timestamptz, "
        "jsonb, jsonb, bigint[], timestamptz, timestamptz, boolean)",
        CREATE_UPDATE_SCORE,
        "DROP FUNCTION IF EXISTS "
        "scorer_fast_update_score_1(bigint, bigint, bigint, text, timestamptz, integer, timestamptz, "
        "jsonb, jsonb, bigint[], timestamptz, timestamptz, boolean)",
    ),
)

HAS_TABLES = """
-- whether this app's tables are there
SELECT to_regclass('scorer_fast_verifiedcredential') IS NOT NULL
"""


def has_tables(alias: str) -> bool:
    """Whether this app is migrated in the database, and was not taken out again."""
    return bool(fetch_value(alias, HAS_TABLES, {}))


HAS_FUNCTION = """
-- whether a function of that signature is there
SELECT to_regprocedure(%(signature)s) IS NOT NULL
"""


def has_function(alias: str, function: Function) -> bool:
    """Whether the database has the function."""
    return bool(fetch_value(alias, HAS_FUNCTION, {"signature": function.signature}))


def create_missing(alias: str) -> int:
    """Create the functions that are not there, where this app's tables are; how many were missing."""
    if not has_tables(alias):
        return 0
    missing = [function for function in FUNCTIONS if not has_function(alias, function)]
    for function in missing:
        run(alias, function.create, {})
    return len(missing)
