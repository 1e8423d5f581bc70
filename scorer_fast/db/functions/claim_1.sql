-- Makes links what a scoring decided, all of them or none: an exception SF002 where another request won one.
-- A nullifier is claimed by being the first to insert it, an expired link by finding it as it was read: fewer rows than
-- claims means that another won, perhaps one of the host, which takes none of our locks. Always in the nullifiers' order.
-- p_new: [[nullifier, address, expiry]]; p_changed: [[nullifier, address as read, expiry as read, expiry]].
-- Index: registry_hashscorerlink (hash, community_id).
CREATE OR REPLACE FUNCTION scorer_fast_claim_1(p_address text, p_community_id bigint, p_new jsonb, p_changed jsonb)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_rows bigint;
BEGIN
    IF p_new <> '[]' THEN
        INSERT INTO registry_hashscorerlink (hash, address, expires_at, community_id)
        SELECT n.link ->> 0, n.link ->> 1, (n.link ->> 2)::timestamptz, p_community_id
        FROM jsonb_array_elements(p_new) AS n (link)
        ORDER BY n.link ->> 0
        ON CONFLICT (hash, community_id) DO NOTHING;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows < jsonb_array_length(p_new) THEN
            RAISE EXCEPTION USING ERRCODE = 'SF002', MESSAGE = 'another request claimed a nullifier';
        END IF;
    END IF;
    IF p_changed <> '[]' THEN
        -- Locked in the order of the nullifier before the update: an UPDATE by itself locks in any order.
        WITH wanted AS (
            SELECT h.id, (n.link ->> 3)::timestamptz AS expires_at
            FROM jsonb_array_elements(p_changed) AS n (link)
            JOIN registry_hashscorerlink AS h
              ON h.hash = n.link ->> 0
             AND h.community_id = p_community_id
             AND h.address = n.link ->> 1
             AND h.expires_at = (n.link ->> 2)::timestamptz
            ORDER BY h.hash
            FOR UPDATE OF h
        )
        UPDATE registry_hashscorerlink AS h
        SET address = p_address,
            expires_at = wanted.expires_at
        FROM wanted
        WHERE h.id = wanted.id;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows < jsonb_array_length(p_changed) THEN
            RAISE EXCEPTION USING ERRCODE = 'SF002', MESSAGE = 'another request changed a link';
        END IF;
    END IF;
END
$function$;
