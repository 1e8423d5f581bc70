-- Keeps a reading for the next scoring, as it is once the caller's writes are done; whether it was kept.
-- Invariant: every row the reading depends on is as the reader saw it, or was written by this very transaction: so nothing
-- is kept that another one has changed since. In a subtransaction (a savepoint, a batch) what was written does not show as
-- this transaction's, and is not kept.
-- p_seen: versions that were read. p_kept: {reader, reading, others, verified (hex), copy_ids, live_ids}: the ids that the
-- reading's stamps and copies are those of, in their order.
-- Index: scorer_fast_keptreading pkey.
CREATE OR REPLACE FUNCTION scorer_fast_keep_1(
    p_passport_id bigint, p_community_id bigint, p_address text, p_now timestamptz, p_seen text[],
    p_kept jsonb, p_live_ids bigint[], p_copy_ids bigint[]
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_others text[] := ARRAY(SELECT o.nullifier FROM jsonb_array_elements_text(p_kept -> 'others') AS o (nullifier));
    v_rows record;
    v_mine text := ',' || pg_current_xact_id()::xid::text || ',';
BEGIN
    SELECT v.live_ids, v.live, v.copies, v.links INTO v_rows
    FROM scorer_fast_versions_1(p_address, p_community_id, p_passport_id, v_others) AS v;
    IF v_rows.links IS NULL
       OR v_rows.live_ids <> p_live_ids
       OR ARRAY(SELECT split_part(c.version, ',', 1)::bigint
                FROM unnest(v_rows.copies) WITH ORDINALITY AS c (version, position)
                ORDER BY c.position) <> p_copy_ids
       OR EXISTS (
           SELECT
           FROM unnest(v_rows.live || v_rows.copies || v_rows.links) AS n (version)
           WHERE n.version <> ALL (p_seen)
             AND strpos(n.version, v_mine) = 0)
    THEN
        RETURN FALSE;
    END IF;
    INSERT INTO scorer_fast_keptreading (passport_id, token, reading, others, verified, kept_at)
    VALUES (
        p_passport_id,
        scorer_fast_token_1(
            p_kept ->> 'reader',
            array_to_string(v_rows.live, ' '), array_to_string(v_rows.copies, ' '), array_to_string(v_rows.links, ' ')),
        p_kept ->> 'reading',
        v_others,
        ARRAY(SELECT decode(d.digest, 'hex') FROM jsonb_array_elements_text(p_kept -> 'verified') AS d (digest)),
        p_now)
    ON CONFLICT (passport_id) DO UPDATE
    SET (token, reading, others, verified, kept_at)
        = (EXCLUDED.token, EXCLUDED.reading, EXCLUDED.others, EXCLUDED.verified, EXCLUDED.kept_at);
    RETURN TRUE;
END
$function$;
