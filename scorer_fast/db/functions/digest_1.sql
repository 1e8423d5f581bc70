-- The digest by which a signature is remembered: of the verifier and of exactly the text that it is given.
-- domain/credentials.py has the same for a posted stamp, whose text it writes as PostgreSQL would.
CREATE OR REPLACE FUNCTION scorer_fast_digest_1(p_verifier text, p_credential text)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE
SET search_path FROM CURRENT
AS $function$
BEGIN
    RETURN sha256(convert_to(p_verifier || p_credential, 'UTF8'));
END
$function$;
