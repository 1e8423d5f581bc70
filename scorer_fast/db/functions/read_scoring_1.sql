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
