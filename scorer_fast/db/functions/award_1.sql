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
