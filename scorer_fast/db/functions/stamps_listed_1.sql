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
