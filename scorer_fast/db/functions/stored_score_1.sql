-- The stored score of an address in a community, with its human points; no row where there is no such community, and NULL
-- for all of the score where the address has none.
-- Indexes: account_community pkey, registry_passport (address, community_id), registry_score (passport_id), those of
-- scorer_fast_points.
CREATE OR REPLACE FUNCTION scorer_fast_stored_score_1(
    IN p_community_id bigint, IN p_address text, IN p_points boolean,
    OUT score_id bigint, OUT last_score_timestamp text, OUT expiration_date text, OUT error text,
    OUT evidence text, OUT stamps text, OUT points text
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
    SELECT c.human_points_program, s.id, to_json(s.last_score_timestamp) #>> '{}', to_json(s.expiration_date) #>> '{}',
           s.error, s.evidence::text, CASE jsonb_typeof(s.stamps) WHEN 'object' THEN s.stamps END::text
    INTO v_program, score_id, last_score_timestamp, expiration_date, error, evidence, stamps
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
