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
