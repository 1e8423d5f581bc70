"""The statements of scoring, as functions in the database: PostgreSQL plans them once per session.

Planning the scoring read takes some three times as long as running it. A prepared statement would be
session state, which a transaction pooler (PgBouncer, RDS Proxy) breaks or pins; a PL/pgSQL function keeps
its plans in the server's session by itself. Each statement inside reads like any other of this package.

The functions that are called by statements set ``plan_cache_mode``; those that only they call have it from them.

A function's name ends in its version. What has been released is never changed: a new version gets a new
name and a migration, so that old and new processes can run side by side while a release rolls out.
"""

from __future__ import annotations

from typing import NamedTuple

from .connection import fetch_value, run

# STABLE: all statements inside see one snapshot, the caller's, so it reads like one statement.
# What an earlier request read of a row is taken from what is kept where the row is still the same version of itself
# (id, xmin, ctid): a row that is written again, by whomever and however, gets another. Nothing trusts updated_at.
CREATE_READ_SCORING = """
-- everything that scoring one address for one community needs; account_community pkey and (external_scorer_id),
-- registry_passport (address, community_id), ceramic_cache_ceramiccache (type, address, provider) where live,
-- registry_stamp (passport_id), registry_humanpoints (address), scorer_fast_settledreading pkey,
-- scorer_fast_keptreading pkey, scorer_fast_verifiedcredential pkey
CREATE OR REPLACE FUNCTION scorer_fast_read_scoring_1(
    IN p_scorer_id bigint, IN p_external_id text, IN p_account_id bigint, IN p_address text,
    IN p_verifier text, IN p_rules text, IN p_now timestamptz, IN p_in_full boolean,
    IN p_points boolean, IN p_reverify boolean, IN p_listed boolean,
    IN p_posted jsonb, IN p_replaced text[],
    OUT community_id bigint, OUT weights text, OUT threshold numeric,
    OUT passport_id bigint, OUT score_id bigint, OUT last_score_timestamp timestamptz,
    OUT live_ids bigint[], OUT newest_update timestamptz, OUT is_replacing boolean,
    OUT links text, OUT overrides text, OUT points text,
    OUT stamps text, OUT compared_stamps text, OUT kept_ids bigint[], OUT kept_stamps text, OUT stored_stamps text,
    OUT is_kept boolean, OUT texts text,
    OUT generation text, OUT settled text, OUT token text
)
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
    v_community bigint;
    v_program boolean;
    v_passport bigint;
    v_customization bigint;
    v_generation uuid;
    v_token bytea;
    v_settled text;
    v_kept_live text[];
    v_kept_copies text[];
    v_kept_stored text;
    v_live text[];
    v_copies text[];
    v_links text;
    v_token_is_wanted boolean;
    v_token_now bytea;
    v_nullifiers text[];
    v_unknown bigint[];
BEGIN
    -- One statement: what each costs to begin is more than what it finds.
    SELECT n.id, n.human_points_program,
           COALESCE(w.weights, b.weights)::text, COALESCE(w.threshold, b.threshold),
           p.id, s.id, s.last_score_timestamp, z.id,
           g.value, t.token, t.reading
    INTO v_community, v_program,
         weights, threshold,
         v_passport, score_id, last_score_timestamp, v_customization, v_generation, v_token, v_settled
    FROM (
        SELECT c.id, c.scorer_id, c.human_points_program
        FROM account_community AS c
        WHERE c.account_id = COALESCE(
                  p_account_id, (SELECT named.account_id FROM account_community AS named WHERE named.id = p_scorer_id))
          AND (c.id = p_scorer_id OR c.external_scorer_id = p_external_id)
        ORDER BY COALESCE(c.external_scorer_id = p_external_id, FALSE) DESC
        LIMIT 1
    ) AS n
    CROSS JOIN (
        SELECT COALESCE((SELECT one.value FROM scorer_fast_generation AS one WHERE one.id = 1),
                        '00000000-0000-0000-0000-000000000000') AS value
        OFFSET 0  -- lest it is looked up wherever it is used
    ) AS g
    LEFT JOIN scorer_weighted_scorer AS k ON k.id = n.scorer_id
    LEFT JOIN scorer_weighted_weightedscorer AS w ON w.scorer_ptr_id = k.id AND k.type = 'WEIGHTED'
    LEFT JOIN scorer_weighted_binaryweightedscorer AS b ON b.scorer_ptr_id = k.id AND k.type = 'WEIGHTED_BINARY'
    LEFT JOIN registry_passport AS p ON p.address = p_address AND p.community_id = n.id
    LEFT JOIN registry_score AS s ON s.passport_id = p.id
    LEFT JOIN account_customization AS z ON z.scorer_id = n.id
    LEFT JOIN scorer_fast_settledreading AS t
           ON t.passport_id = p.id
          AND p_rules IS NOT NULL
          AND t.generation = g.value
          AND t.valid_from <= p_now
          AND t.valid_until > p_now
          AND (t.has_marks OR NOT p_points OR NOT n.human_points_program);
    IF v_community IS NULL THEN
        RETURN;
    END IF;
    community_id := v_community;
    passport_id := v_passport;
    generation := v_generation;

    -- Once more one statement: the stamps, as they are and as they were copied, and which links there are.
    -- Revocations are looked up for all stamps together: one walk down the index.
    v_token_is_wanted := p_rules IS NOT NULL AND (v_token IS NOT NULL OR p_posted = '[]' AND p_replaced = '{}');
    WITH live AS MATERIALIZED (
        SELECT c.id, c.updated_at, concat_ws(',', c.id, c.xmin, c.ctid) AS version,
               c.provider = ANY (p_replaced) AS is_replaced
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = p_address
          AND c.type = 1
          AND c.deleted_at IS NULL
        ORDER BY c.id
    ),
    judged AS (
        SELECT l.id, l.updated_at, l.version, l.is_replaced,
               NOT l.is_replaced
               AND l.id <> ALL (ARRAY(
                   SELECT r.ceramic_cache_id
                   FROM ceramic_cache_revocation AS r
                   WHERE r.ceramic_cache_id = ANY (ARRAY(SELECT each.id FROM live AS each)))) AS is_left
        FROM live AS l
        OFFSET 0  -- lest they are looked up wherever it is used
    )
    SELECT COALESCE(array_agg(j.id ORDER BY j.id) FILTER (WHERE j.is_left), '{}'),
           max(j.updated_at) FILTER (WHERE j.is_left),
           COALESCE(bool_or(j.is_replaced), FALSE),
           COALESCE(array_agg(j.version ORDER BY j.id) FILTER (WHERE j.is_left), '{}'),
           (SELECT COALESCE(array_agg(concat_ws(',', r.id, r.xmin, r.ctid) ORDER BY r.id), '{}')
            FROM registry_stamp AS r
            WHERE r.passport_id = v_passport),
           CASE WHEN v_token_is_wanted
               THEN (SELECT l.versions FROM scorer_fast_link_versions_1(p_address, v_community) AS l)
           END
    INTO live_ids, newest_update, is_replacing, v_live, v_copies, v_links
    FROM judged AS j;
    -- All that decides how an address's stamps are deduplicated and copied, down to the versions of its rows: where the
    -- token is as it was, the outcome is. CREATE_KEEP and scoring/rescore_batch.py make the same of the same texts.
    IF v_links IS NOT NULL THEN
        v_token_now := sha256(convert_to(
            p_verifier || p_rules || E'\n' || array_to_string(v_live, ' ') || E'\n'
            || array_to_string(v_copies, ' ') || E'\n' || v_links,
            'UTF8'));
        IF v_token = v_token_now AND NOT is_replacing THEN
            settled := v_settled;
        END IF;
    END IF;

    -- Where the stored stamps are settled only the posted ones are read.
    IF settled IS NOT NULL AND NOT p_in_full THEN
        kept_ids := live_ids;
        v_nullifiers := '{}';
    ELSE
        SELECT k.live_versions, k.stored_versions, k.stored_stamps, k.stamps, k.nullifiers
        INTO v_kept_live, v_kept_copies, v_kept_stored, kept_stamps, v_nullifiers
        FROM scorer_fast_keptreading AS k
        WHERE k.passport_id = v_passport
          AND k.verifier = p_verifier
          AND k.generation = v_generation
          AND NOT p_reverify;
        IF v_live = v_kept_live AND v_copies = v_kept_copies THEN
            kept_ids := live_ids;
            stored_stamps := v_kept_stored;
        ELSE
            kept_ids := ARRAY(
                SELECT split_part(n.version, ',', 1)::bigint FROM unnest(v_live) AS n (version)
                WHERE n.version = ANY (v_kept_live));
            -- Two rows are known to be equal while both are as they were kept.
            SELECT json_agg(e.pair) FILTER (WHERE e.pair IS NOT NULL),
                   array_agg(split_part(n.version, ',', 1)::bigint) FILTER (WHERE e.pair IS NULL)
            INTO stored_stamps, v_unknown
            FROM unnest(v_copies) AS n (version)
            LEFT JOIN json_array_elements(v_kept_stored::json) AS e (pair)
              ON e.pair ->> 1 = n.version
             AND (e.pair ->> 2)::bigint = ANY (kept_ids);
        END IF;
    END IF;
    is_kept := p_posted = '[]' AND v_unknown IS NULL AND cardinality(kept_ids) = cardinality(live_ids);

    -- "#> '{}'" unpacks a compressed credential once; every operator on the column itself would do it again, and so
    -- would whatever uses what stands before an OFFSET 0, without it. PostgreSQL writes no line feed into jsonb's text.
    IF NOT is_kept THEN
        WITH judged AS MATERIALIZED (
            SELECT w.key, w.provider, w.version, w.body,
                   sha256(convert_to(p_verifier || w.body, 'UTF8')) AS digest,
                   w.stamp -> 'issuer' AS issuer,
                   w.stamp -> 'expirationDate' AS expiration_date,
                   w.stamp -> 'credentialSubject' AS subject
            FROM (
                SELECT s.key, s.provider, s.version, s.stamp, s.stamp::text AS body
                FROM (
                    SELECT c.id AS key, c.provider, concat_ws(',', c.id, c.xmin, c.ctid) AS version,
                           c.stamp #> '{}' AS stamp
                    FROM ceramic_cache_ceramiccache AS c
                    WHERE c.id = ANY (live_ids)
                      AND c.id <> ALL (kept_ids)
                    UNION ALL
                    SELECT -e.position, e.entry ->> 'provider', NULL, e.entry -> 'stamp'
                    FROM jsonb_array_elements(p_posted) WITH ORDINALITY AS e (entry, position)
                    OFFSET 0
                ) AS s
                OFFSET 0
            ) AS w
        ),
        named AS (
            SELECT j.subject ->> 'hash' AS nullifier
            FROM judged AS j
            UNION ALL
            SELECT n.nullifier
            FROM judged AS j
            CROSS JOIN LATERAL jsonb_array_elements_text(
                CASE jsonb_typeof(j.subject -> 'nullifiers')
                    WHEN 'array' THEN j.subject -> 'nullifiers'
                    ELSE '[]'::jsonb
                END
            ) AS n (nullifier)
        )
        SELECT said.stamps, said.texts,
               v_nullifiers || ARRAY(SELECT n.nullifier FROM named AS n WHERE n.nullifier IS NOT NULL)
        INTO stamps, texts, v_nullifiers
        FROM (
            SELECT json_agg(json_build_array(
                       j.key, j.provider, j.version, encode(j.digest, 'hex'), v.digest IS NOT NULL, NULL::text,
                       j.issuer, j.expiration_date,
                       j.subject -> 'id', j.subject -> 'provider', j.subject -> 'hash', j.subject -> 'nullifiers')),
                   string_agg(
                       CASE WHEN v.digest IS NULL OR j.version IS NULL OR p_reverify OR p_listed AND kept_ids = '{}'
                           THEN j.body
                           ELSE ''
                       END,
                       E'\n')
            FROM judged AS j
            LEFT JOIN scorer_fast_verifiedcredential AS v ON v.digest = j.digest
        ) AS said (stamps, texts);
    END IF;

    -- "*=" compares bytes, which tells equal in nearly every case; where it does not, "=" judges.
    IF v_unknown IS NOT NULL THEN
        SELECT json_agg(json_build_array(r.id, concat_ws(',', r.id, r.xmin, r.ctid), COALESCE(p.key, c.id)))
        INTO compared_stamps
        FROM registry_stamp AS r
        LEFT JOIN (
            SELECT l.id, l.provider, l.stamp
            FROM ceramic_cache_ceramiccache AS l
            WHERE l.id = ANY (live_ids)
            OFFSET 0
        ) AS c
          ON c.provider = r.provider
         AND (ROW(c.stamp)::record *= ROW(r.credential)::record OR c.stamp = r.credential)
        LEFT JOIN (
            SELECT -e.position AS key, e.entry ->> 'provider' AS provider, e.entry -> 'stamp' AS stamp
            FROM jsonb_array_elements(p_posted) WITH ORDINALITY AS e (entry, position)
            OFFSET 0
        ) AS p
          ON p.provider = r.provider
         AND p.stamp = r.credential
        WHERE r.id = ANY (v_unknown);
    END IF;

    IF v_nullifiers <> '{}' THEN
        links := scorer_fast_read_links_1(p_address, v_community, v_nullifiers);
    END IF;
    IF settled IS NULL AND p_posted = '[]' AND p_replaced = '{}' THEN
        token := encode(v_token_now, 'hex');
    END IF;

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

CREATE_LIST = """
-- stamps as answers list them; ceramic_cache_ceramiccache pkey
CREATE OR REPLACE FUNCTION scorer_fast_list_1(p_ids bigint[])
RETURNS text
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_listed text;
BEGIN
    SELECT json_agg(json_build_object('id', c.id, 'address', c.address, 'provider', c.provider, 'stamp', c.stamp)
                    ORDER BY c.id)
    INTO v_listed
    FROM ceramic_cache_ceramiccache AS c
    WHERE c.id = ANY (p_ids);
    RETURN v_listed;
END
$function$
"""

CREATE_GENERATION = """
-- which generation of remembered signatures it is: another one since each time one was forgotten that still mattered
CREATE OR REPLACE FUNCTION scorer_fast_generation_1()
RETURNS uuid
LANGUAGE plpgsql
STABLE
AS $function$
BEGIN
    RETURN COALESCE(
        (SELECT g.value FROM scorer_fast_generation AS g WHERE g.id = 1),
        '00000000-0000-0000-0000-000000000000');
END
$function$
"""

# Those of expired credentials are forgotten all the time, and matter to nobody.
CREATE_FORGOTTEN = """
-- begins another generation when a signature is forgotten, by whomever
CREATE OR REPLACE FUNCTION scorer_fast_forgotten_1()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
AS $function$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM forgotten AS f WHERE f.expires_at > now()) THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO scorer_fast_generation (id, value)
    VALUES (1, gen_random_uuid())
    ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value;
    RETURN NULL;
END
$function$
"""

CREATE_LINK_VERSIONS = """
-- which versions of which links an address has in a community, NULL where there may be more; see CREATE_READ_LINKS;
-- registry_hashscorerlink (address)
CREATE OR REPLACE FUNCTION scorer_fast_link_versions_1(p_address text, p_community_id bigint)
RETURNS TABLE (versions text)
LANGUAGE sql
STABLE
AS $function$
    SELECT CASE WHEN count(*) < 400 THEN
               COALESCE(string_agg(concat_ws(',', o.id, o.xmin, o.ctid), ' ' ORDER BY o.id)
                            FILTER (WHERE o.community_id = p_community_id), '')
           END
    FROM (
        SELECT h.id, h.xmin, h.ctid, h.community_id
        FROM registry_hashscorerlink AS h
        WHERE h.address = p_address
        LIMIT 400
    ) AS o
$function$
"""

# Most nullifiers are the address's own, and lie side by side in the index of addresses: a tenth of the work of finding
# them one by one, as whatever is not among its first 400 links is, and as a few are. With its LIMIT the inner query is
# planned by itself.
CREATE_READ_LINKS = """
-- who holds these nullifiers in a community; registry_hashscorerlink (address) and (hash, community_id)
CREATE OR REPLACE FUNCTION scorer_fast_read_links_1(p_address text, p_community_id bigint, p_nullifiers text[])
RETURNS text
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_found text[];
    v_links json[];
    v_others text[];
BEGIN
    IF cardinality(p_nullifiers) > 4 THEN
        SELECT array_agg(o.hash), array_agg(json_build_array(o.hash, o.address, o.expires_at))
        INTO v_found, v_links
        FROM (
            SELECT h.hash, h.address, h.expires_at, h.community_id
            FROM registry_hashscorerlink AS h
            WHERE h.address = p_address
            LIMIT 400
        ) AS o
        WHERE o.community_id = p_community_id
          AND o.hash = ANY (p_nullifiers);
    END IF;
    IF cardinality(p_nullifiers) > COALESCE(cardinality(v_found), 0) THEN
        v_others := p_nullifiers;
        IF v_found IS NOT NULL THEN
            v_others := ARRAY(
                SELECT n.nullifier FROM unnest(p_nullifiers) AS n (nullifier)
                EXCEPT
                SELECT f.hash FROM unnest(v_found) AS f (hash));
        END IF;
        v_links := v_links || ARRAY(
            SELECT json_build_array(h.hash, h.address, h.expires_at)
            FROM registry_hashscorerlink AS h
            WHERE h.community_id = p_community_id
              AND h.hash = ANY (v_others));
    END IF;
    RETURN array_to_json(v_links)::text;
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
BEGIN
    RETURN (SELECT json_build_object(
               'rows', mine.rows,
               'communities', (SELECT json_agg(q.community_id)
                               FROM registry_humanpointscommunityqualifiedusers AS q WHERE q.address = p_address),
               'lists', listed.names,
               'metamask', CASE WHEN 'MetaMaskOG2' = ANY (listed.names) AND NOT mine.has_metamask
                               THEN (SELECT count(*) FROM registry_humanpoints AS p WHERE p.action = 'MM2')
                           END,
               'config', (SELECT json_object_agg(g.action, g.points)
                          FROM registry_humanpointsconfig AS g WHERE g.active),
               'multiplier', (SELECT x.multiplier FROM registry_humanpointsmultiplier AS x WHERE x.address = p_address)
           )
    FROM (
        SELECT json_agg(json_build_array(p.action, p.provider, p.tx_hash, p.chain_id) ORDER BY p.id) AS rows,
               COALESCE(bool_or(p.action = 'MM2'), FALSE) AS has_metamask
        FROM registry_humanpoints AS p
        WHERE p.address = p_address
    ) AS mine
    CROSS JOIN (
        SELECT array_agg(n.name) AS names
        FROM account_addresslistmember AS m
        JOIN account_addresslist AS n ON n.id = m.list_id
        WHERE m.address = p_address
    ) AS listed);
END
$function$
"""

CREATE_READ_CONTRIBUTIONS = """
-- what an address gave to grants and to the protocol, whose squelched rounds are left out;
-- cgrants_grantcontributionindex (contributor_address), cgrants_contribution pkey,
-- cgrants_protocolcontributions (contributor), cgrants_squelchedaccounts (address), cgrants_roundmapping (round_number)
CREATE OR REPLACE FUNCTION scorer_fast_read_contributions_1(
    IN p_address text, OUT grants bigint, OUT amount numeric, OUT projects bigint, OUT contributed numeric
)
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
BEGIN
    SELECT count(DISTINCT i.grant_id), COALESCE(sum(i.amount), 0)
    INTO grants, amount
    FROM cgrants_grantcontributionindex AS i
    JOIN cgrants_contribution AS c ON c.id = i.contribution_id
    WHERE i.contributor_address = p_address
      AND c.success;
    SELECT count(DISTINCT x.project), COALESCE(sum(x.amount), 0)
    INTO projects, contributed
    FROM cgrants_protocolcontributions AS x
    WHERE x.contributor = p_address
      AND x.amount >= 0.95
      AND NOT EXISTS (
          SELECT
          FROM cgrants_squelchedaccounts AS q
          JOIN cgrants_roundmapping AS m ON m.round_number = q.round_number
          WHERE q.address = p_address
            AND m.round_eth_address = x.round);
END
$function$
"""

# What is called for its effect is assigned to a variable of no value: PERFORM would be a statement of its own.
CREATE_INSERT_EVENTS = """
-- tells of a score and of the stamps that do not count
CREATE OR REPLACE FUNCTION scorer_fast_insert_events_1(
    p_community_id bigint, p_address text, p_now timestamptz, p_dedup_events jsonb, p_score_event jsonb
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
BEGIN
    IF p_dedup_events <> '[]' THEN
        INSERT INTO registry_event (action, address, created_at, data, community_id)
        SELECT 'LDP', p_address, p_now, d.data, p_community_id
        FROM jsonb_array_elements(p_dedup_events) WITH ORDINALITY AS d (data, position)
        ORDER BY d.position;
    END IF;
    INSERT INTO registry_event (action, address, created_at, data, community_id)
    VALUES ('SCU', p_address, p_now, p_score_event, p_community_id);
END
$function$
"""

# Sorted: two that remember the same signatures wait for each other in one order.
CREATE_INSERT_VERIFIED = """
-- remembers good signatures until their credential expires; scorer_fast_verifiedcredential pkey
CREATE OR REPLACE FUNCTION scorer_fast_insert_verified_1(p_verified jsonb, p_now timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
BEGIN
    INSERT INTO scorer_fast_verifiedcredential (digest, expires_at, verified_at)
    SELECT decode(n.pair ->> 0, 'hex'), (n.pair ->> 1)::timestamptz, p_now
    FROM jsonb_array_elements(p_verified) AS n (pair)
    ORDER BY n.pair ->> 0
    ON CONFLICT (digest) DO UPDATE SET verified_at = EXCLUDED.verified_at;
END
$function$
"""

CREATE_READ_STORED_SCORE = """
-- the stored score of an address in a community, with points; account_community pkey,
-- registry_passport (address, community_id), registry_score (passport_id), registry_humanpoints (address)
CREATE OR REPLACE FUNCTION scorer_fast_read_stored_score_1(
    IN p_community_id bigint, IN p_address text, IN p_points boolean,
    OUT community_id bigint, OUT score_id bigint, OUT last_score_timestamp timestamptz,
    OUT expiration_date timestamptz, OUT error text, OUT evidence text, OUT stamps text, OUT points text
)
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
    v_program boolean;
BEGIN
    SELECT c.id, c.human_points_program, s.id, s.last_score_timestamp, s.expiration_date, s.error,
           s.evidence::text, CASE jsonb_typeof(s.stamps) WHEN 'object' THEN s.stamps END::text
    INTO community_id, v_program, score_id, last_score_timestamp, expiration_date, error, evidence, stamps
    FROM account_community AS c
    LEFT JOIN registry_passport AS p ON p.community_id = c.id AND p.address = p_address
    LEFT JOIN registry_score AS s ON s.passport_id = p.id
    WHERE c.id = p_community_id;
    IF p_points AND v_program THEN
        points := scorer_fast_read_points_1(p_address);
    END IF;
END
$function$
"""

CREATE_LIVE = """
-- the token over an address's stamps: which are live, and when the newest was updated;
-- ceramic_cache_ceramiccache (type, address, provider) where live, ceramic_cache_revocation (ceramic_cache_id)
CREATE OR REPLACE FUNCTION scorer_fast_live_1(p_address text)
RETURNS TABLE (ids bigint[], newest timestamptz)
LANGUAGE sql
STABLE
AS $function$
    WITH there AS MATERIALIZED (
        SELECT c.id, c.updated_at
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = p_address
          AND c.type = 1
          AND c.deleted_at IS NULL
    )
    SELECT COALESCE(array_agg(t.id ORDER BY t.id), '{}'), max(t.updated_at)
    FROM there AS t
    WHERE t.id <> ALL (ARRAY(
        SELECT r.ceramic_cache_id
        FROM ceramic_cache_revocation AS r
        WHERE r.ceramic_cache_id = ANY (ARRAY(SELECT each.id FROM there AS each))))
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
    p_now timestamptz, p_score integer, p_expiration_date timestamptz, p_dedup_events jsonb, p_score_event jsonb,
    p_live_ids bigint[], p_newest_update timestamptz, p_seen_timestamp timestamptz, p_awaited boolean
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_is_same boolean;
    v_done text;
BEGIN
    UPDATE registry_score AS s
    SET score = p_score,
        last_score_timestamp = p_now,
        status = 'DONE',
        error = NULL,
        evidence = p_score_event #> '{fields,evidence}',
        stamp_scores = p_score_event #> '{fields,stamp_scores}',
        stamps = p_score_event #> '{fields,stamps}',
        expiration_date = p_expiration_date
    FROM scorer_fast_live_1(p_address) AS live
    LEFT JOIN registry_score AS was ON was.id = p_score_id AND NOT p_awaited
    WHERE s.id = p_score_id
      AND s.passport_id = p_passport_id
      AND s.last_score_timestamp IS NOT DISTINCT FROM p_seen_timestamp
      AND live.ids = p_live_ids
      AND live.newest IS NOT DISTINCT FROM p_newest_update
    RETURNING NOT p_awaited
              AND was.status = 'DONE' AND was.error IS NULL AND was.score = s.score
              AND was.evidence = s.evidence AND was.stamps = s.stamps AND was.stamp_scores = s.stamp_scores
              AND was.expiration_date IS NOT DISTINCT FROM s.expiration_date
    INTO v_is_same;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    -- A score that says what it said before need not wait for the disk. The setting ends with the transaction,
    -- so nothing stays behind in the session: a pooler may hand it to anyone.
    IF v_is_same THEN
        v_done := set_config('synchronous_commit', 'off', TRUE);
    END IF;
    v_done := scorer_fast_insert_events_1(p_community_id, p_address, p_now, p_dedup_events, p_score_event);
    RETURN TRUE;
END
$function$
"""

# Until the transaction ends nobody else can write these rows, so the versions are those of what was written. That is so
# of those links only that were written here: p_settled is given where no other one matters.
CREATE_KEEP = """
-- keeps for the next scoring what was read, with what was written on top: ids and versions of posted stamps and copies;
-- ceramic_cache_ceramiccache pkey, registry_stamp pkey, scorer_fast_keptreading pkey, scorer_fast_settledreading pkey
CREATE OR REPLACE FUNCTION scorer_fast_keep_1(
    p_passport_id bigint, p_community_id bigint, p_address text, p_now timestamptz,
    p_kept jsonb, p_stamps text, p_settled jsonb, p_new bigint[], p_copies bigint[], p_copied bigint[]
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_live text[];
    v_stamps text := p_stamps;
    v_stored text[];
    v_equals text;
    v_links text;
BEGIN
    v_live := ARRAY(SELECT l.version FROM jsonb_array_elements_text(p_kept -> 'live') AS l (version));
    IF p_new <> '{}' THEN
        SELECT array_agg(n.version ORDER BY n.id),
               concat_ws(',', NULLIF(p_stamps, ''),
                         string_agg(concat('[', n.id, ',', n.head, ',"', n.version, '",', n.tail, ']'), ','
                                    ORDER BY n.id))
        INTO v_stored, v_stamps
        FROM (
            SELECT c.id, concat_ws(',', c.id, c.xmin, c.ctid) AS version,
                   p.stamp ->> 0 AS head, p.stamp ->> 1 AS tail
            FROM jsonb_array_elements(p_kept -> 'posted') WITH ORDINALITY AS p (stamp, position)
            JOIN ceramic_cache_ceramiccache AS c ON c.id = p_new[p.position]
        ) AS n;
        v_live := ARRAY(
            SELECT l.version FROM unnest(v_live || v_stored) AS l (version)
            ORDER BY split_part(l.version, ',', 1)::bigint);
    END IF;
    SELECT COALESCE(array_agg(e.version ORDER BY e.id), '{}'),
           COALESCE(json_agg(json_build_array(e.id, e.version, e.key) ORDER BY e.id), '[]')
    INTO v_stored, v_equals
    FROM (
        SELECT s.id, concat_ws(',', s.id, s.xmin, s.ctid) AS version, c.id AS key
        FROM registry_stamp AS s
        JOIN ceramic_cache_ceramiccache AS c ON c.id = ANY (p_copied) AND c.provider = s.provider
        WHERE s.id = ANY (p_copies)
        UNION ALL
        SELECT k.id, k.equal ->> 1, COALESCE(p_new[-k.key], k.key)
        FROM (
            SELECT (o.equal ->> 0)::bigint AS id, o.equal, (o.equal ->> 2)::bigint AS key
            FROM jsonb_array_elements(p_kept -> 'stored') AS o (equal)
        ) AS k
    ) AS e;
    INSERT INTO scorer_fast_keptreading (
        passport_id, verifier, live_versions, stamps, stored_versions, stored_stamps, nullifiers, generation, kept_at)
    VALUES (
        p_passport_id, p_kept ->> 'verifier', v_live, concat('[', v_stamps, ']'), v_stored, v_equals,
        ARRAY(SELECT n.nullifier FROM jsonb_array_elements_text(p_kept -> 'nullifiers') AS n (nullifier)),
        (p_kept ->> 'generation')::uuid, p_now)
    ON CONFLICT (passport_id) DO UPDATE
    SET (verifier, live_versions, stamps, stored_versions, stored_stamps, nullifiers, generation, kept_at)
        = (EXCLUDED.verifier, EXCLUDED.live_versions, EXCLUDED.stamps, EXCLUDED.stored_versions,
           EXCLUDED.stored_stamps, EXCLUDED.nullifiers, EXCLUDED.generation, EXCLUDED.kept_at);
    IF p_settled IS NOT NULL THEN
        SELECT l.versions INTO v_links FROM scorer_fast_link_versions_1(p_address, p_community_id) AS l;
        IF v_links IS NOT NULL THEN
            INSERT INTO scorer_fast_settledreading (
                passport_id, token, generation, valid_from, valid_until, has_marks, reading, kept_at)
            VALUES (
                p_passport_id,
                sha256(convert_to(
                    (p_settled ->> 'rules') || E'\n' || array_to_string(v_live, ' ') || E'\n'
                    || array_to_string(v_stored, ' ') || E'\n' || v_links,
                    'UTF8')),
                (p_kept ->> 'generation')::uuid, (p_settled ->> 'valid_from')::timestamptz,
                (p_settled ->> 'valid_until')::timestamptz, (p_settled ->> 'has_marks')::boolean,
                p_settled ->> 'reading', p_now)
            ON CONFLICT (passport_id) DO UPDATE
            SET (token, generation, valid_from, valid_until, has_marks, reading, kept_at)
                = (EXCLUDED.token, EXCLUDED.generation, EXCLUDED.valid_from, EXCLUDED.valid_until,
                   EXCLUDED.has_marks, EXCLUDED.reading, EXCLUDED.kept_at);
        END IF;
    END IF;
END
$function$
"""

# Lock order: passport, stamps of the cache, links by nullifier, registry_stamp, points, score, signatures by digest,
# what is kept.
# An exception undoes all of it: SF001 where what was read is no longer so, SF002 where another request won a claim. A
# nullifier is claimed by being the first to insert it, an expired link by finding it as it was read: fewer rows than
# claims means that another won, perhaps one of the host, which takes none of these locks.
# What no constraint holds (one HKY ever, 5000 MM2) an advisory lock holds, that of the cap always second.
CREATE_WRITE_SCORING = """
-- writes a whole plan, or nothing of it, while what was read is still so; registry_passport (address, community_id),
-- ceramic_cache_ceramiccache (type, address, provider) where live, registry_hashscorerlink (hash, community_id),
-- registry_stamp pkey, registry_humanpoints (address, action, chain_id, provider, tx_hash),
-- registry_score (passport_id), scorer_fast_verifiedcredential pkey
CREATE OR REPLACE FUNCTION scorer_fast_write_scoring_1(
    p_passport_id bigint, p_score_id bigint, p_community_id bigint, p_address text, p_now timestamptz,
    p_replaced text[], p_posted jsonb, p_source_app integer, p_source_scorer_id bigint,
    p_new_links jsonb, p_changed_links jsonb, p_gone bigint[], p_counting bigint[], p_awards jsonb,
    p_score integer, p_expiration_date timestamptz, p_dedup_events jsonb, p_score_event jsonb,
    p_live_ids bigint[], p_newest_update timestamptz, p_seen_timestamp timestamptz,
    p_verified jsonb, p_kept jsonb, p_kept_stamps text, p_settled jsonb
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_passport bigint;
    v_new bigint[] := '{}';
    v_counting bigint[] := '{}';
    v_copies bigint[] := '{}';
    v_live bigint[];
    v_newest timestamptz := p_newest_update;
    v_score bigint;
    v_rows bigint;
    v_state text;
    v_done text;
BEGIN
    IF p_passport_id IS NULL THEN
        INSERT INTO registry_passport (address, community_id)
        VALUES (p_address, p_community_id)
        ON CONFLICT (address, community_id) DO NOTHING
        RETURNING id INTO v_passport;
    ELSE
        SELECT p.id INTO v_passport FROM registry_passport AS p WHERE p.id = p_passport_id FOR NO KEY UPDATE;
    END IF;
    IF v_passport IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'another request created or removed the passport';
    END IF;

    IF p_replaced <> '{}' THEN
        UPDATE ceramic_cache_ceramiccache AS c
        SET deleted_at = p_now,
            updated_at = p_now
        WHERE c.address = p_address
          AND c.type = 1
          AND c.deleted_at IS NULL
          AND c.provider = ANY (p_replaced);
    END IF;
    IF p_posted <> '[]' THEN
        WITH stored AS (
            INSERT INTO ceramic_cache_ceramiccache (
                address, provider, stamp, created_at, updated_at, type, deleted_at,
                compose_db_save_status, compose_db_stream_id,
                proof_value, issuance_date, expiration_date, source_app, source_scorer_id)
            SELECT p_address, n.entry ->> 'provider', n.entry -> 'stamp', p_now, p_now, 1, NULL,
                   'pending', '',
                   n.entry ->> 'proof_value', (n.entry ->> 'issuance_date')::timestamptz,
                   (n.entry ->> 'expiration_date')::timestamptz, p_source_app, p_source_scorer_id
            FROM jsonb_array_elements(p_posted) WITH ORDINALITY AS n (entry, position)
            ORDER BY n.position
            RETURNING id
        )
        SELECT array_agg(s.id ORDER BY s.id) INTO v_new FROM stored AS s;
        v_newest := GREATEST(p_newest_update, p_now);
    END IF;

    IF p_new_links <> '[]' THEN
        INSERT INTO registry_hashscorerlink (hash, address, expires_at, community_id)
        SELECT n.link ->> 0, n.link ->> 1, (n.link ->> 2)::timestamptz, p_community_id
        FROM jsonb_array_elements(p_new_links) AS n (link)
        ORDER BY n.link ->> 0
        ON CONFLICT (hash, community_id) DO NOTHING;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows < jsonb_array_length(p_new_links) THEN
            RAISE EXCEPTION USING ERRCODE = 'SF002', MESSAGE = 'another request claimed a nullifier';
        END IF;
    END IF;
    IF p_changed_links <> '[]' THEN
        -- Locked in the order of the nullifier before the update: an UPDATE by itself locks in any order.
        WITH wanted AS (
            SELECT h.id, (n.link ->> 3)::timestamptz AS expires_at
            FROM jsonb_array_elements(p_changed_links) AS n (link)
            JOIN registry_hashscorerlink AS h
              ON h.hash = n.link ->> 0
             AND h.community_id = p_community_id
             AND h.address = n.link ->> 1
             AND h.expires_at = (n.link ->> 2)::timestamptz
            ORDER BY h.hash
            FOR UPDATE OF h
        )
        UPDATE registry_hashscorerlink AS h
        SET address = p_address,
            expires_at = wanted.expires_at
        FROM wanted
        WHERE h.id = wanted.id;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows < jsonb_array_length(p_changed_links) THEN
            RAISE EXCEPTION USING ERRCODE = 'SF002', MESSAGE = 'another request changed a link';
        END IF;
    END IF;

    IF p_gone <> '{}' THEN
        DELETE FROM registry_stamp AS s WHERE s.id = ANY (p_gone);
    END IF;
    IF p_counting <> '{}' THEN
        v_counting := ARRAY(SELECT CASE WHEN k.key < 0 THEN v_new[-k.key] ELSE k.key END
                            FROM unnest(p_counting) AS k (key));
        WITH copied AS (
            INSERT INTO registry_stamp (passport_id, provider, credential)
            SELECT v_passport, c.provider, c.stamp
            FROM ceramic_cache_ceramiccache AS c
            WHERE c.id = ANY (v_counting)
            ORDER BY c.id
            RETURNING id
        )
        SELECT COALESCE(array_agg(s.id), '{}') INTO v_copies FROM copied AS s;
        IF cardinality(v_copies) < cardinality(v_counting) THEN
            RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'a stamp is no longer there';
        END IF;
    END IF;

    IF p_awards IS NOT NULL THEN
        v_done := pg_advisory_xact_lock(hashtextextended('scorer_fast points of ' || p_address, 0));
        IF (p_awards ->> 'metamask_limit') IS NOT NULL THEN
            v_done := pg_advisory_xact_lock(hashtextextended('scorer_fast MM2 awards', 0));
        END IF;
        IF (SELECT count(*) FROM registry_humanpoints AS p WHERE p.address = p_address)
               <> (p_awards ->> 'seen_rows')::bigint
           OR (SELECT count(*) FROM registry_humanpointscommunityqualifiedusers AS q WHERE q.address = p_address)
               <> (p_awards ->> 'seen_communities')::bigint
           OR (SELECT count(*) FROM registry_humanpoints AS p
               WHERE (p_awards ->> 'metamask_limit') IS NOT NULL AND p.action = 'MM2')
               >= (p_awards ->> 'metamask_limit')::bigint
        THEN
            RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'the points are no longer as they were read';
        END IF;
        IF (p_awards ->> 'qualifies')::boolean THEN
            INSERT INTO registry_humanpointscommunityqualifiedusers (address, community_id)
            VALUES (p_address, p_community_id)
            ON CONFLICT (address, community_id) DO NOTHING;
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            IF v_rows = 0 THEN
                RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'another request qualified the address';
            END IF;
        END IF;
        INSERT INTO registry_humanpoints (address, action, "timestamp", tx_hash, chain_id, provider)
        SELECT p_address, n.award ->> 0, p_now, n.award ->> 2, (n.award ->> 3)::integer, n.award ->> 1
        FROM jsonb_array_elements(p_awards -> 'rows') AS n (award)
        ON CONFLICT (address, action, chain_id, provider, tx_hash) DO NOTHING;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows < jsonb_array_length(p_awards -> 'rows') THEN
            RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'another request awarded the same';
        END IF;
    END IF;

    v_live := p_live_ids || v_new;
    IF v_new[1] < p_live_ids[cardinality(p_live_ids)] THEN  -- ids that somebody chose
        v_live := ARRAY(SELECT l.id FROM unnest(v_live) AS l (id) ORDER BY l.id);
    END IF;
    IF p_score_id IS NOT NULL THEN
        IF NOT scorer_fast_update_score_1(
            p_score_id, v_passport, p_community_id, p_address, p_now, p_score, p_expiration_date,
            p_dedup_events, p_score_event, v_live, v_newest, p_seen_timestamp, TRUE)
        THEN
            RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'stamps or score are no longer as they were read';
        END IF;
    ELSE
        INSERT INTO registry_score (
            passport_id, score, last_score_timestamp, status, error,
            evidence, stamp_scores, stamps, expiration_date)
        SELECT v_passport, p_score, p_now, 'DONE', NULL,
               p_score_event #> '{fields,evidence}', p_score_event #> '{fields,stamp_scores}',
               p_score_event #> '{fields,stamps}',
               p_expiration_date
        FROM scorer_fast_live_1(p_address) AS live
        WHERE live.ids = v_live
          AND live.newest IS NOT DISTINCT FROM v_newest
        ON CONFLICT (passport_id) DO NOTHING
        RETURNING id INTO v_score;
        IF v_score IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'stamps or score are no longer as they were read';
        END IF;
        v_done := scorer_fast_insert_events_1(
            p_community_id, p_address, p_now, p_dedup_events,
            jsonb_set(jsonb_set(p_score_event, '{pk}', to_jsonb(v_score)), '{fields,passport}', to_jsonb(v_passport)));
    END IF;

    -- Last of all locks, and never a reason for the score not to be written.
    IF p_verified <> '[]' THEN
        BEGIN
            v_done := scorer_fast_insert_verified_1(p_verified, p_now);
        EXCEPTION WHEN OTHERS THEN
            v_state := SQLSTATE;
        END;
    END IF;
    IF p_kept IS NOT NULL AND v_state IS NULL THEN  -- it says of signatures that they are remembered
        BEGIN
            v_done := scorer_fast_keep_1(
                v_passport, p_community_id, p_address, p_now, p_kept, p_kept_stamps, p_settled,
                v_new, v_copies, v_counting);
        EXCEPTION WHEN OTHERS THEN
            v_state := SQLSTATE;
        END;
    END IF;
    RETURN json_build_array(v_passport, v_new, v_state);
END
$function$
"""

# Not awaited: a crash of the database may lose the last of it, and the next request verifies and reads again.
CREATE_REMEMBER = """
-- remembers good signatures until their credential expires, and readings in place of older ones;
-- scorer_fast_verifiedcredential pkey, scorer_fast_keptreading pkey, scorer_fast_settledreading pkey
CREATE OR REPLACE FUNCTION scorer_fast_remember_1(
    p_verified jsonb, p_readings jsonb, p_settled jsonb, p_now timestamptz, p_awaited boolean
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_done text;
BEGIN
    IF NOT p_awaited THEN
        v_done := set_config('synchronous_commit', 'off', TRUE);
    END IF;
    IF p_verified <> '[]' THEN
        v_done := scorer_fast_insert_verified_1(p_verified, p_now);
    END IF;
    IF p_readings <> '[]' THEN
        INSERT INTO scorer_fast_keptreading (
            passport_id, verifier, live_versions, stamps, stored_versions, stored_stamps, nullifiers, generation,
            kept_at)
        SELECT n.passport_id, n.verifier, n.live_versions, n.stamps, n.stored_versions, n.stored_stamps, n.nullifiers,
               n.generation, p_now
        FROM jsonb_to_recordset(p_readings) AS n (
            passport_id bigint, verifier text, live_versions text[], stamps text, stored_versions text[],
            stored_stamps text, nullifiers text[], generation uuid)
        ORDER BY n.passport_id
        ON CONFLICT (passport_id) DO UPDATE
        SET (verifier, live_versions, stamps, stored_versions, stored_stamps, nullifiers, generation, kept_at)
            = (EXCLUDED.verifier, EXCLUDED.live_versions, EXCLUDED.stamps, EXCLUDED.stored_versions,
               EXCLUDED.stored_stamps, EXCLUDED.nullifiers, EXCLUDED.generation, EXCLUDED.kept_at);
    END IF;
    IF p_settled <> '[]' THEN
        INSERT INTO scorer_fast_settledreading (
            passport_id, token, generation, valid_from, valid_until, has_marks, reading, kept_at)
        SELECT n.passport_id, decode(n.token, 'hex'), n.generation, n.valid_from, n.valid_until, n.has_marks,
               n.reading, p_now
        FROM jsonb_to_recordset(p_settled) AS n (
            passport_id bigint, token text, generation uuid, valid_from timestamptz, valid_until timestamptz,
            has_marks boolean, reading text)
        ORDER BY n.passport_id
        ON CONFLICT (passport_id) DO UPDATE
        SET (token, generation, valid_from, valid_until, has_marks, reading, kept_at)
            = (EXCLUDED.token, EXCLUDED.generation, EXCLUDED.valid_from, EXCLUDED.valid_until,
               EXCLUDED.has_marks, EXCLUDED.reading, EXCLUDED.kept_at);
    END IF;
END
$function$
"""


class Function(NamedTuple):
    """A function of this app in the database: how it is called, made and dropped."""

    signature: str
    create: str

    @property
    def drop(self) -> str:
        return f"DROP FUNCTION IF EXISTS {self.signature}"


FUNCTIONS = (
    Function(
        "scorer_fast_list_1(bigint[])",
        CREATE_LIST,
    ),
    Function(
        "scorer_fast_generation_1()",
        CREATE_GENERATION,
    ),
    Function(
        "scorer_fast_forgotten_1()",
        CREATE_FORGOTTEN,
    ),
    Function(
        "scorer_fast_link_versions_1(text, bigint)",
        CREATE_LINK_VERSIONS,
    ),
    Function(
        "scorer_fast_insert_events_1(bigint, text, timestamptz, jsonb, jsonb)",
        CREATE_INSERT_EVENTS,
    ),
    Function(
        "scorer_fast_insert_verified_1(jsonb, timestamptz)",
        CREATE_INSERT_VERIFIED,
    ),
    Function(
        "scorer_fast_live_1(text)",
        CREATE_LIVE,
    ),
    Function(
        "scorer_fast_read_links_1(text, bigint, text[])",
        CREATE_READ_LINKS,
    ),
    Function(
        "scorer_fast_read_points_1(text)",
        CREATE_READ_POINTS,
    ),
    Function(
        "scorer_fast_read_scoring_1(bigint, text, bigint, text, text, text, timestamptz, boolean, "
        "boolean, boolean, boolean, jsonb, text[])",
        CREATE_READ_SCORING,
    ),
    Function(
        "scorer_fast_update_score_1(bigint, bigint, bigint, text, timestamptz, integer, timestamptz, "
        "jsonb, jsonb, bigint[], timestamptz, timestamptz, boolean)",
        CREATE_UPDATE_SCORE,
    ),
    Function(
        "scorer_fast_keep_1(bigint, bigint, text, timestamptz, jsonb, text, jsonb, bigint[], bigint[], bigint[])",
        CREATE_KEEP,
    ),
    Function(
        "scorer_fast_write_scoring_1(bigint, bigint, bigint, text, timestamptz, text[], jsonb, integer, bigint, "
        "jsonb, jsonb, bigint[], bigint[], jsonb, integer, timestamptz, jsonb, jsonb, "
        "bigint[], timestamptz, timestamptz, jsonb, jsonb, text, jsonb)",
        CREATE_WRITE_SCORING,
    ),
    Function(
        "scorer_fast_read_stored_score_1(bigint, text, boolean)",
        CREATE_READ_STORED_SCORE,
    ),
    Function(
        "scorer_fast_read_contributions_1(text)",
        CREATE_READ_CONTRIBUTIONS,
    ),
    Function(
        "scorer_fast_remember_1(jsonb, jsonb, jsonb, timestamptz, boolean)",
        CREATE_REMEMBER,
    ),
)

CREATE_FORGOTTEN_TRIGGER = """
-- begins another generation when signatures are deleted; see scorer_fast_forgotten
CREATE TRIGGER scorer_fast_forgotten
AFTER DELETE ON scorer_fast_verifiedcredential
REFERENCING OLD TABLE AS forgotten
FOR EACH STATEMENT EXECUTE FUNCTION scorer_fast_forgotten_1()
"""

CREATE_ALL_FORGOTTEN_TRIGGER = """
-- begins another generation when all signatures are; see scorer_fast_forgotten
CREATE TRIGGER scorer_fast_all_forgotten
AFTER TRUNCATE ON scorer_fast_verifiedcredential
FOR EACH STATEMENT EXECUTE FUNCTION scorer_fast_forgotten_1()
"""


class Trigger(NamedTuple):
    """A trigger on a table of this app's, with which it goes."""

    name: str
    table: str
    create: str

    @property
    def drop(self) -> str:
        return f"DROP TRIGGER IF EXISTS {self.name} ON {self.table}"


TRIGGERS = (
    Trigger("scorer_fast_forgotten", "scorer_fast_verifiedcredential", CREATE_FORGOTTEN_TRIGGER),
    Trigger("scorer_fast_all_forgotten", "scorer_fast_verifiedcredential", CREATE_ALL_FORGOTTEN_TRIGGER),
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


HAS_TRIGGER = """
-- whether a table has a trigger of that name
SELECT EXISTS (
    SELECT
    FROM pg_trigger AS t
    WHERE t.tgrelid = to_regclass(%(table)s)
      AND t.tgname = %(name)s
      AND t.tgenabled <> 'D'
)
"""


def has_trigger(alias: str, trigger: Trigger) -> bool:
    """Whether the database has the trigger, and it is enabled."""
    return bool(fetch_value(alias, HAS_TRIGGER, {"table": trigger.table, "name": trigger.name}))


def create_missing(alias: str) -> int:
    """Create the functions and triggers that are not there, where this app's tables are; how many were missing."""
    if not has_tables(alias):
        return 0
    missing = [each.create for each in FUNCTIONS if not has_function(alias, each)]
    missing += [each.create for each in TRIGGERS if not has_trigger(alias, each)]
    for create in missing:
        run(alias, create, {})
    return len(missing)
