-- What scoring reads of a passport's stamps, as JSON: {stamps, copies, links}. The same text may be kept, and is then taken
-- while its token holds (scorer_fast_token).
-- stamps: one array a live stamp, by the row's id; its order is known here and to domain/credentials.py (Stamp). copies: for each row of registry_stamp, by id, the
-- place of the stamp that it equals, from 1 on, or null. links: scorer_fast_links of all nullifiers that the stamps name.
-- Indexes: ceramic_cache_ceramiccache pkey, registry_stamp (passport_id), scorer_fast_verifiedcredential pkey.
-- p_texts: every stamp with its text; else only those whose signature is not remembered.
CREATE OR REPLACE FUNCTION scorer_fast_reading_1(
    p_address text, p_community_id bigint, p_passport_id bigint, p_live_ids bigint[], p_verifier text, p_texts boolean
)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_stamps json;
    v_nullifiers text[];
    v_copies json;
BEGIN
    -- "#> '{}'" unpacks a compressed credential once; every operator on the column itself would do it again, and so would
    -- whatever uses what stands before an OFFSET 0, without it.
    WITH judged AS MATERIALIZED (
        SELECT w.id, w.provider, w.body, w.stamp, scorer_fast_digest_1(p_verifier, w.body) AS digest,
               w.stamp -> 'credentialSubject' AS subject
        FROM (
            SELECT s.id, s.provider, s.stamp, s.stamp::text AS body
            FROM (
                SELECT c.id, c.provider, c.stamp #> '{}' AS stamp
                FROM ceramic_cache_ceramiccache AS c
                WHERE c.id = ANY (p_live_ids)
                OFFSET 0
            ) AS s
            OFFSET 0
        ) AS w
    )
    SELECT (SELECT json_agg(
                       json_build_array(
                           j.provider, encode(j.digest, 'hex'), v.digest IS NOT NULL,
                           CASE WHEN v.digest IS NULL OR p_texts THEN j.body END,
                           j.stamp -> 'issuer', j.stamp -> 'expirationDate',
                           j.subject -> 'id', j.subject -> 'provider', j.subject -> 'hash', j.subject -> 'nullifiers')
                       ORDER BY j.id)
            FROM judged AS j
            LEFT JOIN scorer_fast_verifiedcredential AS v ON v.digest = j.digest),
           ARRAY(
               SELECT j.subject ->> 'hash'
               FROM judged AS j
               WHERE j.subject ->> 'hash' IS NOT NULL
               UNION ALL
               SELECT n.nullifier
               FROM judged AS j
               CROSS JOIN LATERAL jsonb_array_elements_text(
                   CASE jsonb_typeof(j.subject -> 'nullifiers') WHEN 'array' THEN j.subject -> 'nullifiers' ELSE '[]' END
               ) AS n (nullifier)
               WHERE n.nullifier IS NOT NULL)
    INTO v_stamps, v_nullifiers;
    IF p_passport_id IS NOT NULL THEN
        -- "*=" compares bytes, which tells equal in nearly every case; where it does not, "=" judges.
        SELECT json_agg(array_position(p_live_ids, c.id) ORDER BY r.id)
        INTO v_copies
        FROM registry_stamp AS r
        LEFT JOIN (
            SELECT l.id, l.provider, l.stamp
            FROM ceramic_cache_ceramiccache AS l
            WHERE l.id = ANY (p_live_ids)
            OFFSET 0
        ) AS c
          ON c.provider = r.provider
         AND (ROW(c.stamp)::record *= ROW(r.credential)::record OR c.stamp = r.credential)
        WHERE r.passport_id = p_passport_id;
    END IF;
    RETURN json_build_object(
        'stamps', v_stamps,
        'copies', v_copies,
        'links', CASE WHEN v_nullifiers <> '{}' THEN scorer_fast_links_1(p_address, p_community_id, v_nullifiers) END
    )::text;
END
$function$;
