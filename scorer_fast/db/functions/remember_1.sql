-- Remembers good signatures until their credential expires, and forgets those that no longer check out.
-- In the order of the digests: two that remember the same signatures wait for each other in one order.
-- p_verified: [[digest (hex), expiry]]; p_forgotten: [digest (hex)].
-- Index: scorer_fast_verifiedcredential pkey.
CREATE OR REPLACE FUNCTION scorer_fast_remember_1(p_verified jsonb, p_forgotten jsonb, p_now timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
BEGIN
    INSERT INTO scorer_fast_verifiedcredential (digest, expires_at, verified_at)
    SELECT decode(n.pair ->> 0, 'hex'), (n.pair ->> 1)::timestamptz, p_now
    FROM jsonb_array_elements(p_verified) AS n (pair)
    ORDER BY n.pair ->> 0
    ON CONFLICT (digest) DO UPDATE SET verified_at = EXCLUDED.verified_at;
    IF p_forgotten <> '[]' THEN
        DELETE FROM scorer_fast_verifiedcredential AS v
        WHERE v.digest = ANY (ARRAY(
            SELECT decode(d.digest, 'hex') FROM jsonb_array_elements_text(p_forgotten) AS d (digest)));
    END IF;
END
$function$;
