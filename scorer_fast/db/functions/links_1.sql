-- Who holds these nullifiers in a community, as JSON: [[nullifier, address, expiry, version]], NULL for none.
-- Indexes: registry_hashscorerlink (address) and (hash, community_id).
-- Most nullifiers are the address's own, and lie side by side in the index of addresses: a tenth of the work of finding
-- them one by one, as whatever is not among its first 400 links is, and as a few are. With its LIMIT the inner query is
-- planned by itself.
CREATE OR REPLACE FUNCTION scorer_fast_links_1(p_address text, p_community_id bigint, p_nullifiers text[])
RETURNS json
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_found text[];
    v_links json[];
    v_others text[];
BEGIN
    IF cardinality(p_nullifiers) > 4 THEN
        SELECT array_agg(o.hash), array_agg(json_build_array(o.hash, o.address, o.expires_at, concat_ws(',', o.id, o.xmin, o.ctid)))
        INTO v_found, v_links
        FROM (
            SELECT h.id, h.xmin, h.ctid, h.hash, h.address, h.expires_at, h.community_id
            FROM registry_hashscorerlink AS h
            WHERE h.address = p_address
            LIMIT 400
        ) AS o
        WHERE o.community_id = p_community_id
          AND o.hash = ANY (p_nullifiers);
    END IF;
    IF cardinality(p_nullifiers) > COALESCE(cardinality(v_found), 0) THEN
        v_others := p_nullifiers;
        IF v_found IS NOT NULL THEN
            v_others := ARRAY(
                SELECT n.nullifier FROM unnest(p_nullifiers) AS n (nullifier)
                EXCEPT
                SELECT f.hash FROM unnest(v_found) AS f (hash));
        END IF;
        v_links := v_links || ARRAY(
            SELECT json_build_array(h.hash, h.address, h.expires_at, concat_ws(',', h.id, h.xmin, h.ctid))
            FROM registry_hashscorerlink AS h
            WHERE h.community_id = p_community_id
              AND h.hash = ANY (v_others));
    END IF;
    RETURN array_to_json(v_links);
END
$function$;
