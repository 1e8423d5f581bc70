-- The functions of 0.1.0, frozen. What has been released is never changed: a new version has a new name.
-- Names are found in the schemas that are searched now, whatever a caller's search_path is.
SELECT set_config('search_path', (SELECT string_agg(quote_ident(s.name), ', ')
                                  FROM unnest(current_schemas(FALSE)) AS s (name)), TRUE);

-- Which stamps of an address are live: type V1, not deleted, not revoked, by id; and which version of its row each is.
-- The one place of this rule. A version is `id,xmin,ctid`: a row that is written again, by whomever, has another.
-- Indexes: ceramic_cache_ceramiccache (type, address, provider) where live, ceramic_cache_revocation (ceramic_cache_id).
-- p_without: rows that are left out, those that the caller has just inserted.
CREATE OR REPLACE FUNCTION scorer_fast_live_1(
    IN p_address text, IN p_without bigint[],
    OUT ids bigint[], OUT versions text[], OUT providers text[]
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
    -- Revocations are looked up for all stamps together: one walk down the index.
    WITH there AS MATERIALIZED (
        SELECT c.id, c.provider, concat_ws(',', c.id, c.xmin, c.ctid) AS version
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = p_address
          AND c.type = 1
          AND c.deleted_at IS NULL
          AND c.id <> ALL (p_without)
    )
    SELECT COALESCE(array_agg(t.id ORDER BY t.id), '{}'),
           COALESCE(array_agg(t.version ORDER BY t.id), '{}'),
           COALESCE(array_agg(t.provider::text ORDER BY t.id), '{}')
    INTO ids, versions, providers
    FROM there AS t
    WHERE t.id <> ALL (ARRAY(
        SELECT r.ceramic_cache_id
        FROM ceramic_cache_revocation AS r
        WHERE r.ceramic_cache_id = ANY (ARRAY(SELECT each.id FROM there AS each))));
END
$function$;

-- The versions of all rows that a reading of a passport depends on: live stamps, their copies, links.
-- Indexes: those of scorer_fast_live, registry_stamp (passport_id), registry_hashscorerlink (address) and
-- (hash, community_id).
-- p_others: nullifiers of the stamps that the address does not hold; whoever holds them, or that nobody does, counts too.
-- links is NULL where the address has 400 links or more: nothing is kept of it.
CREATE OR REPLACE FUNCTION scorer_fast_versions_1(
    IN p_address text, IN p_community_id bigint, IN p_passport_id bigint, IN p_others text[],
    OUT live_ids bigint[], OUT live text[], OUT providers text[], OUT copies text[], OUT links text[]
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
BEGIN
    SELECT l.ids, l.versions, l.providers,
           ARRAY(
               SELECT concat_ws(',', r.id, r.xmin, r.ctid)
               FROM registry_stamp AS r
               WHERE r.passport_id = p_passport_id
               ORDER BY r.id),
           (SELECT CASE WHEN count(*) < 400 THEN
                       COALESCE(array_agg(concat_ws(',', o.id, o.xmin, o.ctid) ORDER BY o.id)
                                    FILTER (WHERE o.community_id = p_community_id), '{}')
                   END
            FROM (
                SELECT h.id, h.xmin, h.ctid, h.community_id
                FROM registry_hashscorerlink AS h
                WHERE h.address = p_address
                LIMIT 400
            ) AS o)
    INTO live_ids, live, providers, copies, links
    FROM scorer_fast_live_1(p_address, '{}') AS l;
    IF p_others <> '{}' THEN
        links := links || ARRAY(
            SELECT concat_ws(',', h.id, h.xmin, h.ctid)
            FROM registry_hashscorerlink AS h
            WHERE h.community_id = p_community_id
              AND h.hash = ANY (p_others)
              AND h.address <> p_address
            ORDER BY h.id);
    END IF;
END
$function$;

-- The token that a kept reading is kept under: who reads, where, and the versions of all rows that it depends on.
-- A restored or copied row may have the version of another one; so the cluster and the database are part of the token,
-- and what was kept elsewhere is simply not kept. NULL where the links are.
-- Which they are is looked up once a session, in a setting of it: PostgreSQL reads and checks a file for it, and that takes a
-- tenth of a steady score's read. It is true for as long as the session lives, whoever has it from a pooler.
-- p_reader: format of what is kept, verifier and its options. The others: versions between blanks.
CREATE OR REPLACE FUNCTION scorer_fast_token_1(p_reader text, p_live text, p_copies text, p_links text)
RETURNS bytea
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_here text := current_setting('scorer_fast.here', TRUE);
BEGIN
    IF v_here IS NULL OR v_here = '' THEN
        SELECT set_config('scorer_fast.here', concat_ws(E'\n', s.system_identifier, d.oid), FALSE) INTO v_here
        FROM pg_control_system() AS s
        JOIN pg_database AS d ON d.datname = current_database();
    END IF;
    RETURN sha256(convert_to(
        v_here || E'\n' || p_reader || E'\n' || p_live || E'\n' || p_copies || E'\n' || p_links, 'UTF8'));
END
$function$;

-- The digest by which a signature is remembered: of the verifier and of exactly the text that it is given.
-- domain/credentials.py has the same for a posted stamp, whose text it writes as PostgreSQL would.
CREATE OR REPLACE FUNCTION scorer_fast_digest_1(p_verifier text, p_credential text)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE
SET search_path FROM CURRENT
AS $function$
BEGIN
    RETURN sha256(convert_to(p_verifier || p_credential, 'UTF8'));
END
$function$;

-- Who holds these nullifiers in a community, as JSON: [[nullifier, address, expiry, version]], NULL for none.
-- Indexes: registry_hashscorerlink (address) and (hash, community_id).
-- Most nullifiers are the address's own, and lie side by side in the index of addresses: a tenth of the work of finding
-- them one by one, as whatever is not among its first 400 links is, and as a few are. With its LIMIT the inner query is
-- planned by itself.
CREATE OR REPLACE FUNCTION scorer_fast_links_1(p_address text, p_community_id bigint, p_nullifiers text[])
RETURNS json
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_found text[];
    v_links json[];
    v_others text[];
BEGIN
    IF cardinality(p_nullifiers) > 4 THEN
        SELECT array_agg(o.hash), array_agg(json_build_array(o.hash, o.address, o.expires_at, concat_ws(',', o.id, o.xmin, o.ctid)))
        INTO v_found, v_links
        FROM (
            SELECT h.id, h.xmin, h.ctid, h.hash, h.address, h.expires_at, h.community_id
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
            SELECT json_build_array(h.hash, h.address, h.expires_at, concat_ws(',', h.id, h.xmin, h.ctid))
            FROM registry_hashscorerlink AS h
            WHERE h.community_id = p_community_id
              AND h.hash = ANY (v_others));
    END IF;
    RETURN array_to_json(v_links);
END
$function$;

-- Weights (JSON) and threshold of a scorer, whichever of the two kinds it is; NULL for both where it is neither.
-- Indexes: scorer_weighted_scorer pkey, scorer_weighted_weightedscorer pkey, scorer_weighted_binaryweightedscorer pkey.
CREATE OR REPLACE FUNCTION scorer_fast_weights_1(IN p_scorer_id bigint, OUT weights text, OUT threshold text)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
    SELECT COALESCE(w.weights, b.weights)::text, COALESCE(w.threshold, b.threshold)::text
    INTO weights, threshold
    FROM scorer_weighted_scorer AS t
    LEFT JOIN scorer_weighted_weightedscorer AS w ON w.scorer_ptr_id = t.id AND t.type = 'WEIGHTED'
    LEFT JOIN scorer_weighted_binaryweightedscorer AS b ON b.scorer_ptr_id = t.id AND t.type = 'WEIGHTED_BINARY'
    WHERE t.id = p_scorer_id;
END
$function$;

-- What is known of an address's human points, as JSON; scoring/read.py (read_points) is the other end.
-- Indexes: registry_humanpoints (address), (action), registry_humanpointscommunityqualifiedusers (address, community_id),
-- account_addresslistmember (address, list_id).
CREATE OR REPLACE FUNCTION scorer_fast_points_1(p_address text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
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
$function$;

-- Stamps as the answers list them, by id, as JSON: [{id, address, provider, stamp}].
-- Index: ceramic_cache_ceramiccache pkey.
CREATE OR REPLACE FUNCTION scorer_fast_stamps_listed_1(p_ids bigint[])
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
    RETURN COALESCE((
        SELECT json_agg(json_build_object('id', c.id, 'address', c.address, 'provider', c.provider, 'stamp', c.stamp)
                        ORDER BY c.id)
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.id = ANY (p_ids))::text, '[]');
END
$function$;

-- What scoring reads of a passport's stamps, as JSON: {stamps, copies, links}. The same text may be kept, and is then taken
-- while its token holds (scorer_fast_token).
-- stamps: one array a live stamp, by the row's id; its order is known here and to domain/credentials.py (Stamp). copies: for each row of registry_stamp, by id, the
-- place of the stamp that it equals, from 1 on, or null. links: scorer_fast_links of all nullifiers that the stamps name.
-- Indexes: ceramic_cache_ceramiccache pkey, registry_stamp (passport_id), scorer_fast_verifiedcredential pkey.
-- p_texts: every stamp with its text; else only those whose signature is not remembered.
CREATE OR REPLACE FUNCTION scorer_fast_reading_1(
    p_address text, p_community_id bigint, p_passport_id bigint, p_live_ids bigint[], p_verifier text, p_texts boolean
)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_stamps json;
    v_nullifiers text[];
    v_copies json;
BEGIN
    -- "#> '{}'" unpacks a compressed credential once; every operator on the column itself would do it again, and so would
    -- whatever uses what stands before an OFFSET 0, without it.
    WITH judged AS MATERIALIZED (
        SELECT w.id, w.provider, w.body, w.stamp, scorer_fast_digest_1(p_verifier, w.body) AS digest,
               w.stamp -> 'credentialSubject' AS subject
        FROM (
            SELECT s.id, s.provider, s.stamp, s.stamp::text AS body
            FROM (
                SELECT c.id, c.provider, c.stamp #> '{}' AS stamp
                FROM ceramic_cache_ceramiccache AS c
                WHERE c.id = ANY (p_live_ids)
                OFFSET 0
            ) AS s
            OFFSET 0
        ) AS w
    )
    SELECT (SELECT json_agg(
                       json_build_array(
                           j.provider, encode(j.digest, 'hex'), v.digest IS NOT NULL,
                           CASE WHEN v.digest IS NULL OR p_texts THEN j.body END,
                           j.stamp -> 'issuer', j.stamp -> 'expirationDate',
                           j.subject -> 'id', j.subject -> 'provider', j.subject -> 'hash', j.subject -> 'nullifiers')
                       ORDER BY j.id)
            FROM judged AS j
            LEFT JOIN scorer_fast_verifiedcredential AS v ON v.digest = j.digest),
           ARRAY(
               SELECT j.subject ->> 'hash'
               FROM judged AS j
               WHERE j.subject ->> 'hash' IS NOT NULL
               UNION ALL
               SELECT n.nullifier
               FROM judged AS j
               CROSS JOIN LATERAL jsonb_array_elements_text(
                   CASE jsonb_typeof(j.subject -> 'nullifiers') WHEN 'array' THEN j.subject -> 'nullifiers' ELSE '[]' END
               ) AS n (nullifier)
               WHERE n.nullifier IS NOT NULL)
    INTO v_stamps, v_nullifiers;
    IF p_passport_id IS NOT NULL THEN
        -- "*=" compares bytes, which tells equal in nearly every case; where it does not, "=" judges.
        SELECT json_agg(array_position(p_live_ids, c.id) ORDER BY r.id)
        INTO v_copies
        FROM registry_stamp AS r
        LEFT JOIN (
            SELECT l.id, l.provider, l.stamp
            FROM ceramic_cache_ceramiccache AS l
            WHERE l.id = ANY (p_live_ids)
            OFFSET 0
        ) AS c
          ON c.provider = r.provider
         AND (ROW(c.stamp)::record *= ROW(r.credential)::record OR c.stamp = r.credential)
        WHERE r.passport_id = p_passport_id;
    END IF;
    RETURN json_build_object(
        'stamps', v_stamps,
        'copies', v_copies,
        'links', CASE WHEN v_nullifiers <> '{}' THEN scorer_fast_links_1(p_address, p_community_id, v_nullifiers) END
    )::text;
END
$function$;

-- Everything that scoring one address for one community needs, in one snapshot (STABLE: all statements inside see the
-- caller's); community_id is NULL where there is no such community.
-- A function, because PostgreSQL plans it once a session: planning takes three times as long as running. A prepared
-- statement would be session state, which a transaction pooler breaks or pins.
-- Indexes: account_community pkey and (external_scorer_id), registry_passport (address, community_id),
-- registry_score (passport_id), account_customization (scorer_id), account_allowlist (customization_id),
-- account_customcredential (customization_id), scorer_fast_keptreading pkey, scorer_fast_verifiedcredential pkey.
--
-- p_scorer_id, p_external_id, p_account_id: which community is meant (scoring/read.py, CommunityKey).
-- p_reader, p_verifier: format of what is kept with the verifier, and the verifier alone.
-- p_texts: every stamp with its text, and nothing that is kept. p_points: with human points. p_listed: with the list of
-- stamps that answers show. p_replaced: providers whose stamps the request takes away. p_digests (hex): of posted stamps;
-- known_digests are those that are remembered. p_nullifiers: those that posted stamps name.
CREATE OR REPLACE FUNCTION scorer_fast_read_scoring_1(
    IN p_scorer_id bigint, IN p_external_id text, IN p_account_id bigint, IN p_address text,
    IN p_reader text, IN p_verifier text, IN p_texts boolean, IN p_points boolean, IN p_listed boolean,
    IN p_replaced text[], IN p_digests text[], IN p_nullifiers text[],
    OUT community_id bigint, OUT weights text, OUT threshold text, OUT overrides text,
    OUT passport_id bigint, OUT score_id bigint, OUT last_score_timestamp text,
    OUT live text, OUT copies text, OUT links text, OUT is_replacing boolean,
    OUT reading text, OUT is_kept boolean, OUT posted_links text, OUT known_digests text[],
    OUT listed text, OUT points text
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '2s'
AS $function$
#variable_conflict use_column
DECLARE
    v_community bigint;
    v_passport bigint;
    v_program boolean;
    v_customization bigint;
    v_kept_token bytea;
    v_kept_reading text;
    v_kept_verified bytea[];
    v_others text[];
    v_live_ids bigint[];
    v_live text[];
    v_providers text[];
    v_copies text[];
    v_links text[];
BEGIN
    -- One statement: what each costs to begin is more than what it finds.
    SELECT n.id, n.human_points_program,
           w.weights, w.threshold,
           p.id, s.id, to_json(s.last_score_timestamp) #>> '{}', z.id,
           k.token, k.reading, k.verified, k.others
    INTO v_community, v_program, weights, threshold, v_passport, score_id, last_score_timestamp, v_customization,
         v_kept_token, v_kept_reading, v_kept_verified, v_others
    FROM (
        SELECT c.id, c.scorer_id, c.human_points_program
        FROM account_community AS c
        WHERE c.account_id = COALESCE(
                  p_account_id, (SELECT named.account_id FROM account_community AS named WHERE named.id = p_scorer_id))
          AND (c.id = p_scorer_id OR c.external_scorer_id = p_external_id)
        ORDER BY COALESCE(c.external_scorer_id = p_external_id, FALSE) DESC
        LIMIT 1
    ) AS n
    CROSS JOIN scorer_fast_weights_1(n.scorer_id) AS w
    LEFT JOIN registry_passport AS p ON p.address = p_address AND p.community_id = n.id
    LEFT JOIN registry_score AS s ON s.passport_id = p.id
    LEFT JOIN account_customization AS z ON z.scorer_id = n.id
    LEFT JOIN scorer_fast_keptreading AS k ON k.passport_id = p.id AND NOT p_texts;
    IF v_community IS NULL THEN
        RETURN;
    END IF;
    community_id := v_community;
    passport_id := v_passport;

    SELECT v.live_ids, v.live, v.providers, v.copies, v.links
    INTO v_live_ids, v_live, v_providers, v_copies, v_links
    FROM scorer_fast_versions_1(p_address, v_community, v_passport, COALESCE(v_others, '{}')) AS v;
    live := array_to_string(v_live, ' ');
    copies := array_to_string(v_copies, ' ');
    links := array_to_string(v_links, ' ');

    is_kept := v_kept_token IS NOT NULL
        AND COALESCE(v_kept_token = scorer_fast_token_1(p_reader, live, copies, links), FALSE);
    IF is_kept THEN  -- it says of signatures that they are remembered: each of them must still be
        is_kept := cardinality(v_kept_verified)
            = (SELECT count(*) FROM scorer_fast_verifiedcredential AS c WHERE c.digest = ANY (v_kept_verified));
    END IF;
    IF is_kept THEN
        reading := v_kept_reading;
    ELSE
        reading := scorer_fast_reading_1(p_address, v_community, v_passport, v_live_ids, p_verifier, p_texts);
    END IF;

    is_replacing := p_replaced <> '{}' AND EXISTS (  -- a revoked stamp can be taken away too
        SELECT
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = p_address
          AND c.type = 1
          AND c.deleted_at IS NULL
          AND c.provider = ANY (p_replaced));
    IF p_digests <> '{}' THEN
        known_digests := ARRAY(
            SELECT encode(c.digest, 'hex')
            FROM scorer_fast_verifiedcredential AS c
            WHERE c.digest = ANY (ARRAY(SELECT decode(d.digest, 'hex') FROM unnest(p_digests) AS d (digest))));
    END IF;
    IF p_nullifiers <> '{}' THEN
        posted_links := scorer_fast_links_1(p_address, v_community, p_nullifiers)::text;
    END IF;
    IF p_listed THEN
        listed := scorer_fast_stamps_listed_1(ARRAY(
            SELECT l.id
            FROM unnest(v_live_ids, v_providers) AS l (id, provider)
            WHERE l.provider <> ALL (p_replaced)));
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
        points := scorer_fast_points_1(p_address);
    END IF;
END
$function$;

-- Makes links what a scoring decided, all of them or none: an exception SF002 where another request won one.
-- A nullifier is claimed by being the first to insert it, an expired link by finding it as it was read: fewer rows than
-- claims means that another won, perhaps one of the host, which takes none of our locks. Always in the nullifiers' order.
-- p_new: [[nullifier, address, expiry]]; p_changed: [[nullifier, address as read, expiry as read, expiry]].
-- Index: registry_hashscorerlink (hash, community_id).
CREATE OR REPLACE FUNCTION scorer_fast_claim_1(p_address text, p_community_id bigint, p_new jsonb, p_changed jsonb)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_rows bigint;
BEGIN
    IF p_new <> '[]' THEN
        INSERT INTO registry_hashscorerlink (hash, address, expires_at, community_id)
        SELECT n.link ->> 0, n.link ->> 1, (n.link ->> 2)::timestamptz, p_community_id
        FROM jsonb_array_elements(p_new) AS n (link)
        ORDER BY n.link ->> 0
        ON CONFLICT (hash, community_id) DO NOTHING;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows < jsonb_array_length(p_new) THEN
            RAISE EXCEPTION USING ERRCODE = 'SF002', MESSAGE = 'another request claimed a nullifier';
        END IF;
    END IF;
    IF p_changed <> '[]' THEN
        -- Locked in the order of the nullifier before the update: an UPDATE by itself locks in any order.
        WITH wanted AS (
            SELECT h.id, (n.link ->> 3)::timestamptz AS expires_at
            FROM jsonb_array_elements(p_changed) AS n (link)
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
        IF v_rows < jsonb_array_length(p_changed) THEN
            RAISE EXCEPTION USING ERRCODE = 'SF002', MESSAGE = 'another request changed a link';
        END IF;
    END IF;
END
$function$;

-- Writes human points of one address, all of them or none: an exception SF001 where they are no longer as they were read.
-- What no constraint holds (one HKY ever, 5000 MM2) advisory locks hold: that of the address first, that of the cap second.
-- p_awards: {seen_rows, seen_communities, qualifies, metamask_limit, rows: [[action, provider, tx_hash, chain_id]]}.
-- Indexes: registry_humanpoints (address), (action), (address, action, chain_id, provider, tx_hash),
-- registry_humanpointscommunityqualifiedusers (address, community_id).
CREATE OR REPLACE FUNCTION scorer_fast_award_1(
    p_address text, p_community_id bigint, p_now timestamptz, p_awards jsonb
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_limit bigint := (p_awards ->> 'metamask_limit')::bigint;
    v_rows bigint;
    v_done text;
BEGIN
    v_done := pg_advisory_xact_lock(hashtextextended('scorer_fast points of ' || p_address, 0));
    IF v_limit IS NOT NULL THEN
        v_done := pg_advisory_xact_lock(hashtextextended('scorer_fast MM2 awards', 0));
    END IF;
    IF (SELECT count(*) FROM registry_humanpoints AS p WHERE p.address = p_address)
           <> (p_awards ->> 'seen_rows')::bigint
       OR (SELECT count(*) FROM registry_humanpointscommunityqualifiedusers AS q WHERE q.address = p_address)
           <> (p_awards ->> 'seen_communities')::bigint
       OR (SELECT count(*) FROM registry_humanpoints AS p WHERE v_limit IS NOT NULL AND p.action = 'MM2') >= v_limit
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
END
$function$;

-- Remembers good signatures until their credential expires, and forgets those that no longer check out.
-- In the order of the digests: two that remember the same signatures wait for each other in one order.
-- p_verified: [[digest (hex), expiry]]; p_forgotten: [digest (hex)].
-- Index: scorer_fast_verifiedcredential pkey.
CREATE OR REPLACE FUNCTION scorer_fast_remember_1(p_verified jsonb, p_forgotten jsonb, p_now timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
BEGIN
    INSERT INTO scorer_fast_verifiedcredential (digest, expires_at, verified_at)
    SELECT decode(n.pair ->> 0, 'hex'), (n.pair ->> 1)::timestamptz, p_now
    FROM jsonb_array_elements(p_verified) AS n (pair)
    ORDER BY n.pair ->> 0
    ON CONFLICT (digest) DO UPDATE SET verified_at = EXCLUDED.verified_at;
    IF p_forgotten <> '[]' THEN
        DELETE FROM scorer_fast_verifiedcredential AS v
        WHERE v.digest = ANY (ARRAY(
            SELECT decode(d.digest, 'hex') FROM jsonb_array_elements_text(p_forgotten) AS d (digest)));
    END IF;
END
$function$;

-- Keeps a reading for the next scoring, as it is once the caller's writes are done; whether it was kept.
-- Invariant: every row the reading depends on is as the reader saw it, or was written by this very transaction: so nothing
-- is kept that another one has changed since. In a subtransaction (a savepoint, a batch) what was written does not show as
-- this transaction's, and is not kept.
-- p_seen: versions that were read. p_kept: {reader, reading, others, verified (hex), copy_ids, live_ids}: the ids that the
-- reading's stamps and copies are those of, in their order.
-- Index: scorer_fast_keptreading pkey.
CREATE OR REPLACE FUNCTION scorer_fast_keep_1(
    p_passport_id bigint, p_community_id bigint, p_address text, p_now timestamptz, p_seen text[],
    p_kept jsonb, p_live_ids bigint[], p_copy_ids bigint[]
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_others text[] := ARRAY(SELECT o.nullifier FROM jsonb_array_elements_text(p_kept -> 'others') AS o (nullifier));
    v_rows record;
    v_mine text := ',' || pg_current_xact_id()::xid::text || ',';
BEGIN
    SELECT v.live_ids, v.live, v.copies, v.links INTO v_rows
    FROM scorer_fast_versions_1(p_address, p_community_id, p_passport_id, v_others) AS v;
    IF v_rows.links IS NULL
       OR v_rows.live_ids <> p_live_ids
       OR ARRAY(SELECT split_part(c.version, ',', 1)::bigint
                FROM unnest(v_rows.copies) WITH ORDINALITY AS c (version, position)
                ORDER BY c.position) <> p_copy_ids
       OR EXISTS (
           SELECT
           FROM unnest(v_rows.live || v_rows.copies || v_rows.links) AS n (version)
           WHERE n.version <> ALL (p_seen)
             AND strpos(n.version, v_mine) = 0)
    THEN
        RETURN FALSE;
    END IF;
    INSERT INTO scorer_fast_keptreading (passport_id, token, reading, others, verified, kept_at)
    VALUES (
        p_passport_id,
        scorer_fast_token_1(
            p_kept ->> 'reader',
            array_to_string(v_rows.live, ' '), array_to_string(v_rows.copies, ' '), array_to_string(v_rows.links, ' ')),
        p_kept ->> 'reading',
        v_others,
        ARRAY(SELECT decode(d.digest, 'hex') FROM jsonb_array_elements_text(p_kept -> 'verified') AS d (digest)),
        p_now)
    ON CONFLICT (passport_id) DO UPDATE
    SET (token, reading, others, verified, kept_at)
        = (EXCLUDED.token, EXCLUDED.reading, EXCLUDED.others, EXCLUDED.verified, EXCLUDED.kept_at);
    RETURN TRUE;
END
$function$;

-- Lets one request of an address that met another go on at a time: until its transaction ends nothing of this app changes
-- the passport or the score of the address in that community but the caller.
-- Lock order: the queue of the address (an advisory lock: it holds where there is no row to lock yet, and across
-- communities); passport; score. NO KEY UPDATE: two scorings exclude each other, the host's foreign keys to the row go on.
-- p_lock_timeout: how long each lock is waited for at most; SQLSTATE 55P03 then.
-- Indexes: registry_passport (address, community_id), registry_score (passport_id).
CREATE OR REPLACE FUNCTION scorer_fast_queue_1(p_address text, p_community_id bigint, p_lock_timeout text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '2s'
AS $function$
DECLARE
    v_done text := set_config('lock_timeout', p_lock_timeout, TRUE);
    v_passport bigint;
BEGIN
    v_done := pg_advisory_xact_lock(hashtextextended('scorer_fast scoring of ' || p_address, 0));
    SELECT p.id
    INTO v_passport
    FROM registry_passport AS p
    WHERE p.address = p_address
      AND p.community_id = p_community_id
    FOR NO KEY UPDATE;
    PERFORM s.id FROM registry_score AS s WHERE s.passport_id = v_passport FOR NO KEY UPDATE;
END
$function$;

-- Writes a scoring with everything that changes by it, or nothing of it, and only while what was read is still so.
-- SQLSTATE SF001: what was read is no longer so. SF002: another request won a claim. Both: read and decide again.
--
-- Lock order: passport; stamps of the cache; links by nullifier; registry_stamp; points, then the cap of MM2; score;
-- signatures by digest; what is kept.
--
-- p_plan, by name (scoring/write.py makes it): passport_id, score_id (null where there is none yet), community_id, address,
-- now, only_the_score (nothing else changes), live (versions of the live stamps as read), last_score_timestamp (as read),
-- replaced, posted, source_app, source_scorer_id, new_links, changed_links, gone (ids of registry_stamp), counting (ids of
-- stamps to copy; negative: the posted one of that place), awards, score, expiration_date, event ({model, pk, fields}),
-- dedup_events, awaited, unless_same, verified, forgotten, seen, kept, lock_timeout (how long a lock is waited for at
-- most; SQLSTATE 55P03 then). A name that is missing is null: older processes may
-- leave out what newer ones send.
--
-- Result: the passport, the ids of the posted stamps in their order, whether the score was left as it is (unless_same and
-- it already says so), and the SQLSTATE for which signatures were not remembered or the reading not kept: that never fails
-- the scoring, for each stands in a block of its own.
--
-- Indexes: registry_passport pkey and (address, community_id), registry_score pkey and (passport_id), registry_stamp pkey,
-- ceramic_cache_ceramiccache (type, address, provider) where live.
CREATE OR REPLACE FUNCTION scorer_fast_write_scoring_1(
    IN p_plan jsonb,
    OUT passport_id bigint, OUT new_ids bigint[], OUT is_left boolean, OUT not_remembered text
)
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '2s'
AS $function$
#variable_conflict use_column
DECLARE
    v_address text := p_plan ->> 'address';
    v_community bigint := (p_plan ->> 'community_id')::bigint;
    v_now timestamptz := (p_plan ->> 'now')::timestamptz;
    v_passport bigint := (p_plan ->> 'passport_id')::bigint;
    v_score bigint := (p_plan ->> 'score_id')::bigint;
    v_live text[] := string_to_array(p_plan ->> 'live', ' ');
    v_fields jsonb := p_plan #> '{event,fields}';
    v_event jsonb := p_plan -> 'event';
    v_new bigint[] := '{}';
    v_replaced bigint[];
    v_counting bigint[] := '{}';
    v_copies bigint[] := '{}';
    v_is_all boolean := COALESCE((p_plan ->> 'only_the_score')::boolean, FALSE);  -- the score is all that is written
    v_is_same boolean;
    v_done text := set_config('lock_timeout', COALESCE(p_plan ->> 'lock_timeout', '2s'), TRUE);
BEGIN
    is_left := FALSE;
    IF NOT v_is_all THEN
        IF v_passport IS NULL THEN
            INSERT INTO registry_passport (address, community_id)
            VALUES (v_address, v_community)
            ON CONFLICT (address, community_id) DO NOTHING
            RETURNING id INTO v_passport;
        ELSE
            SELECT p.id INTO v_passport FROM registry_passport AS p WHERE p.id = v_passport FOR NO KEY UPDATE;
        END IF;
        IF v_passport IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'another request created or removed the passport';
        END IF;

        IF p_plan -> 'replaced' <> '[]' THEN
            WITH gone AS (
                UPDATE ceramic_cache_ceramiccache AS c
                SET deleted_at = v_now,
                    updated_at = v_now
                WHERE c.address = v_address
                  AND c.type = 1
                  AND c.deleted_at IS NULL
                  AND c.provider = ANY (ARRAY(SELECT r.name FROM jsonb_array_elements_text(p_plan -> 'replaced') AS r (name)))
                RETURNING c.id
            )
            SELECT array_agg(g.id) INTO v_replaced FROM gone AS g;
            v_live := ARRAY(
                SELECT l.version
                FROM unnest(v_live) WITH ORDINALITY AS l (version, position)
                WHERE split_part(l.version, ',', 1)::bigint <> ALL (COALESCE(v_replaced, '{}'))
                ORDER BY l.position);
        END IF;
        IF p_plan -> 'posted' <> '[]' THEN
            WITH stored AS (
                INSERT INTO ceramic_cache_ceramiccache (
                    address, provider, stamp, created_at, updated_at, type, deleted_at,
                    compose_db_save_status, compose_db_stream_id,
                    proof_value, issuance_date, expiration_date, source_app, source_scorer_id)
                SELECT v_address, n.entry ->> 'provider', n.entry -> 'stamp', v_now, v_now, 1, NULL,
                       'pending', '',
                       n.entry ->> 'proof_value', (n.entry ->> 'issuance_date')::timestamptz,
                       (n.entry ->> 'expiration_date')::timestamptz,
                       (p_plan ->> 'source_app')::integer, (p_plan ->> 'source_scorer_id')::bigint
                FROM jsonb_array_elements(p_plan -> 'posted') WITH ORDINALITY AS n (entry, position)
                ORDER BY n.position
                RETURNING id
            )
            SELECT array_agg(s.id ORDER BY s.id) INTO v_new FROM stored AS s;
        END IF;

        IF p_plan -> 'new_links' <> '[]' OR p_plan -> 'changed_links' <> '[]' THEN
            v_done := scorer_fast_claim_1(v_address, v_community, p_plan -> 'new_links', p_plan -> 'changed_links');
        END IF;

        IF p_plan -> 'gone' <> '[]' THEN
            DELETE FROM registry_stamp AS s
            WHERE s.id = ANY (ARRAY(SELECT g.id::bigint FROM jsonb_array_elements_text(p_plan -> 'gone') AS g (id)));
        END IF;
        IF p_plan -> 'counting' <> '[]' THEN
            v_counting := ARRAY(
                SELECT CASE WHEN k.key::bigint < 0 THEN v_new[-k.key::bigint] ELSE k.key::bigint END
                FROM jsonb_array_elements_text(p_plan -> 'counting') AS k (key));
            WITH copied AS (
                INSERT INTO registry_stamp (passport_id, provider, credential)
                SELECT v_passport, c.provider, c.stamp
                FROM ceramic_cache_ceramiccache AS c
                WHERE c.id = ANY (v_counting)
                ORDER BY c.id
                RETURNING id
            )
            SELECT COALESCE(array_agg(s.id ORDER BY s.id), '{}') INTO v_copies FROM copied AS s;
            IF cardinality(v_copies) < cardinality(v_counting) THEN
                RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'a stamp is no longer there';
            END IF;
        END IF;

        IF p_plan -> 'awards' <> 'null' THEN
            v_done := scorer_fast_award_1(v_address, v_community, v_now, p_plan -> 'awards');
        END IF;
    END IF;

    -- What was read stands in the statement that writes the score: under READ COMMITTED a row that another transaction just
    -- changed is judged again in its new version, so a stale decision never overwrites a newer one.
    IF v_score IS NOT NULL THEN
        SELECT s.status = 'DONE' AND s.error IS NULL AND s.score = (p_plan ->> 'score')::integer
               AND s.evidence = v_fields -> 'evidence' AND s.stamp_scores = v_fields -> 'stamp_scores'
               AND s.stamps = v_fields -> 'stamps'
               AND s.expiration_date IS NOT DISTINCT FROM (p_plan ->> 'expiration_date')::timestamptz
        INTO v_is_same
        FROM registry_score AS s
        WHERE s.id = v_score
          AND v_is_all;
        IF v_is_same AND (p_plan ->> 'unless_same')::boolean THEN
            is_left := TRUE;
            v_score := (
                SELECT s.id
                FROM registry_score AS s
                CROSS JOIN scorer_fast_live_1(v_address, v_new) AS live
                WHERE s.id = v_score
                  AND s.last_score_timestamp IS NOT DISTINCT FROM (p_plan ->> 'last_score_timestamp')::timestamptz
                  AND live.versions = v_live);
        ELSE
            UPDATE registry_score AS s
            SET score = (p_plan ->> 'score')::integer,
                last_score_timestamp = v_now,
                status = 'DONE',
                error = NULL,
                evidence = v_fields -> 'evidence',
                stamp_scores = v_fields -> 'stamp_scores',
                stamps = v_fields -> 'stamps',
                expiration_date = (p_plan ->> 'expiration_date')::timestamptz
            FROM scorer_fast_live_1(v_address, v_new) AS live
            WHERE s.id = v_score
              AND s.passport_id = v_passport
              AND s.last_score_timestamp IS NOT DISTINCT FROM (p_plan ->> 'last_score_timestamp')::timestamptz
              AND live.versions = v_live
            RETURNING s.id INTO v_score;
        END IF;
    ELSE
        INSERT INTO registry_score (
            passport_id, score, last_score_timestamp, status, error,
            evidence, stamp_scores, stamps, expiration_date)
        SELECT v_passport, (p_plan ->> 'score')::integer, v_now, 'DONE', NULL,
               v_fields -> 'evidence', v_fields -> 'stamp_scores', v_fields -> 'stamps',
               (p_plan ->> 'expiration_date')::timestamptz
        FROM scorer_fast_live_1(v_address, v_new) AS live
        WHERE live.versions = v_live
        ON CONFLICT (passport_id) DO NOTHING
        RETURNING id INTO v_score;
        v_event := jsonb_set(jsonb_set(v_event, '{pk}', to_jsonb(v_score)), '{fields,passport}', to_jsonb(v_passport));
    END IF;
    IF v_score IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'stamps or score are no longer as they were read';
    END IF;
    IF NOT is_left AND p_plan -> 'dedup_events' <> '[]' THEN
        INSERT INTO registry_event (action, address, created_at, data, community_id)
        SELECT 'LDP', v_address, v_now, d.data, v_community
        FROM jsonb_array_elements(p_plan -> 'dedup_events') WITH ORDINALITY AS d (data, position)
        ORDER BY d.position;
    END IF;
    IF NOT is_left THEN
        INSERT INTO registry_event (action, address, created_at, data, community_id)
        VALUES ('SCU', v_address, v_now, v_event, v_community);
    END IF;
    -- A score that says what it said before need not wait for the disk. The setting ends with the transaction, so nothing
    -- stays behind in the session: a pooler may hand it to anyone.
    IF v_is_same AND NOT COALESCE((p_plan ->> 'awaited')::boolean, TRUE) THEN
        v_done := set_config('synchronous_commit', 'off', TRUE);
    END IF;

    -- Last of all locks, and never a reason for the score not to be written.
    IF p_plan -> 'verified' <> '[]' OR p_plan -> 'forgotten' <> '[]' THEN
        BEGIN
            v_done := scorer_fast_remember_1(p_plan -> 'verified', p_plan -> 'forgotten', v_now);
        EXCEPTION WHEN OTHERS THEN
            not_remembered := SQLSTATE;
        END;
    END IF;
    IF p_plan -> 'kept' <> 'null' AND not_remembered IS NULL THEN  -- it says of signatures that they are remembered
        BEGIN
            v_done := scorer_fast_keep_1(
                v_passport, v_community, v_address, v_now, string_to_array(p_plan ->> 'seen', ' '), p_plan -> 'kept',
                ARRAY(SELECT k.id::bigint FROM jsonb_array_elements_text(p_plan #> '{kept,live_ids}') AS k (id)) || v_new,
                ARRAY(SELECT k.id::bigint FROM jsonb_array_elements_text(p_plan #> '{kept,copy_ids}') AS k (id)) || v_copies);
        EXCEPTION WHEN OTHERS THEN
            not_remembered := SQLSTATE;
        END;
    END IF;
    passport_id := v_passport;
    new_ids := v_new;
END
$function$;

-- Writes the scorings of many addresses of one community, each as a request would: by scorer_fast_write_scoring, in a
-- subtransaction of its own, so that what is no longer as it was read costs that address alone another round.
-- Passports are locked first, by id, those that somebody else holds left out (SKIP LOCKED): who is being scored right now
-- is scored again later. So nobody who waits for a passport of the batch holds one of it.
-- Result, by place of the plan: whether the score was left as it is, and a SQLSTATE where nothing was written
-- (55P03: the passport is held by somebody else, or is gone).
CREATE OR REPLACE FUNCTION scorer_fast_write_batch_1(p_plans jsonb)
RETURNS TABLE (place integer, is_left boolean, state text, message text)
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_free bigint[];
    v_plan jsonb;
BEGIN
    v_free := ARRAY(
        SELECT p.id
        FROM registry_passport AS p
        WHERE p.id = ANY (ARRAY(SELECT (e.plan ->> 'passport_id')::bigint FROM jsonb_array_elements(p_plans) AS e (plan)))
        ORDER BY p.id
        FOR NO KEY UPDATE SKIP LOCKED);
    place := 0;
    FOR v_plan IN SELECT e.plan FROM jsonb_array_elements(p_plans) WITH ORDINALITY AS e (plan, position) ORDER BY e.position
    LOOP
        is_left := FALSE;
        state := NULL;
        message := NULL;
        IF (v_plan ->> 'passport_id')::bigint = ANY (v_free) THEN
            BEGIN
                SELECT w.is_left INTO is_left FROM scorer_fast_write_scoring_1(v_plan) AS w;
            EXCEPTION WHEN OTHERS THEN
                state := SQLSTATE;
                message := SQLERRM;
            END;
        ELSE
            state := '55P03';
        END IF;
        RETURN NEXT;
        place := place + 1;
    END LOOP;
END
$function$;

-- The stored score of an address in a community, with its human points; no row where there is no such community, and NULL
-- for the score where the address has none.
-- score: the columns that answers show, by name, as JSON (domain/score.py, StoredScore). Its stamps stand by themselves, as
-- they are shown, and are NULL where they are no object.
-- Indexes: account_community pkey, registry_passport (address, community_id), registry_score (passport_id), those of
-- scorer_fast_points.
CREATE OR REPLACE FUNCTION scorer_fast_stored_score_1(
    IN p_community_id bigint, IN p_address text, IN p_points boolean,
    OUT score text, OUT stamps text, OUT points text
)
RETURNS SETOF record
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '2s'
AS $function$
#variable_conflict use_column
DECLARE
    v_program boolean;
BEGIN
    SELECT c.human_points_program,
           CASE WHEN s.id IS NOT NULL THEN json_build_object(
               'last_score_timestamp', s.last_score_timestamp,
               'expiration_date', s.expiration_date,
               'error', s.error,
               'evidence', s.evidence)
           END,
           CASE jsonb_typeof(s.stamps) WHEN 'object' THEN s.stamps END
    INTO v_program, score, stamps
    FROM account_community AS c
    LEFT JOIN registry_passport AS p ON p.community_id = c.id AND p.address = p_address
    LEFT JOIN registry_score AS s ON s.passport_id = p.id
    WHERE c.id = p_community_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF p_points AND v_program THEN
        points := scorer_fast_points_1(p_address);
    END IF;
    RETURN NEXT;
END
$function$;

-- What an address gave to grants and to the protocol, whose squelched rounds are left out.
-- Indexes: cgrants_grantcontributionindex (contributor_address), cgrants_contribution pkey,
-- cgrants_protocolcontributions (contributor), cgrants_squelchedaccounts (address), cgrants_roundmapping (round_number).
CREATE OR REPLACE FUNCTION scorer_fast_contributions_1(
    IN p_address text, OUT grants bigint, OUT amount numeric, OUT projects bigint, OUT contributed numeric
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '2s'
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
$function$;

-- All that decides who answers, as JSON: {flags: [[operation, mode, percent, allow, deny]], killed: [target], latched:
-- [operation]}; the flags of operations that have one, kill switches that are on, latches that nobody has lifted.
-- No lock is waited for longer than a fifth of a second, which is less than deadlock_timeout: whoever empties or alters the
-- three tables in another order never meets a deadlock with it.
-- Sequential scans of some twenty rows; scorer_fast_latch_open (operation) WHERE lifted_at IS NULL.
CREATE OR REPLACE FUNCTION scorer_fast_flags_1()
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET lock_timeout = '200ms'
AS $function$
DECLARE
    v_flags json;
    v_killed json;
    v_latched json;
BEGIN
    v_flags := (
        SELECT json_agg(json_build_array(f.operation, f.mode, f.percent::text, f.allow, f.deny) ORDER BY f.operation)
        FROM scorer_fast_operationflag AS f);
    v_killed := (SELECT json_agg(k.target ORDER BY k.target) FROM scorer_fast_killswitch AS k WHERE k.active);
    v_latched := (
        SELECT json_agg(l.operation ORDER BY l.operation) FROM scorer_fast_latch AS l WHERE l.lifted_at IS NULL);
    RETURN json_build_object(
        'flags', COALESCE(v_flags, '[]'), 'killed', COALESCE(v_killed, '[]'), 'latched', COALESCE(v_latched, '[]'));
END
$function$;
