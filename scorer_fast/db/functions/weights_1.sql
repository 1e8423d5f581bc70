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
