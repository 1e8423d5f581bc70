-- The versions of all rows that a reading of a passport depends on: live stamps, their copies, links.
-- Indexes: those of scorer_fast_live, registry_stamp (passport_id), registry_hashscorerlink (address) and
-- (hash, community_id).
-- p_others: nullifiers of the stamps that the address does not hold; whoever holds them, or that nobody does, counts too.
-- links is NULL where the address has 400 links or more: nothing is kept of it.
CREATE OR REPLACE FUNCTION scorer_fast_versions_1(
    IN p_address text, IN p_community_id bigint, IN p_passport_id bigint, IN p_others text[],
    OUT live_ids bigint[], OUT live text[], OUT providers text[], OUT copies text[], OUT links text[]
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
BEGIN
    SELECT l.ids, l.versions, l.providers,
           ARRAY(
               SELECT concat_ws(',', r.id, r.xmin, r.ctid)
               FROM registry_stamp AS r
               WHERE r.passport_id = p_passport_id
               ORDER BY r.id),
           (SELECT CASE WHEN count(*) < 400 THEN
                       COALESCE(array_agg(concat_ws(',', o.id, o.xmin, o.ctid) ORDER BY o.id)
                                    FILTER (WHERE o.community_id = p_community_id), '{}')
                   END
            FROM (
                SELECT h.id, h.xmin, h.ctid, h.community_id
                FROM registry_hashscorerlink AS h
                WHERE h.address = p_address
                LIMIT 400
            ) AS o)
    INTO live_ids, live, providers, copies, links
    FROM scorer_fast_live_1(p_address, '{}') AS l;
    IF p_others <> '{}' THEN
        links := links || ARRAY(
            SELECT concat_ws(',', h.id, h.xmin, h.ctid)
            FROM registry_hashscorerlink AS h
            WHERE h.community_id = p_community_id
              AND h.hash = ANY (p_others)
              AND h.address <> p_address
            ORDER BY h.id);
    END IF;
END
$function$;
