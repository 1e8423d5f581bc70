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
