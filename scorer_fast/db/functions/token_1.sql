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
