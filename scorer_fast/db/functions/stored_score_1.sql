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
