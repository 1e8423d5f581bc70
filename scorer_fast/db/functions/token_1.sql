-- The token that a kept reading is kept under: who reads, where, and the versions of all rows that it depends on.
-- A restored or copied row may have the version of another one; so the cluster and the database are part of the token,
-- and what was kept elsewhere is simply not kept. NULL where the links are.
-- p_reader: format of what is kept, verifier and its options.
CREATE OR REPLACE FUNCTION scorer_fast_token_1(p_reader text, p_live text[], p_copies text[], p_links text[])
RETURNS bytea
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
BEGIN
    RETURN sha256(convert_to(
        concat_ws(
            E'\n',
            (SELECT s.system_identifier FROM pg_control_system() AS s),
            (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
            p_reader)
        || E'\n' || array_to_string(p_live, ' ')
        || E'\n' || array_to_string(p_copies, ' ')
        || E'\n' || array_to_string(p_links, ' '),
        'UTF8'));
END
$function$;
