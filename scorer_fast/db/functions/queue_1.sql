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
