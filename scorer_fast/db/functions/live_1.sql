-- Which stamps of an address are live: type V1, not deleted, not revoked, by id; and which version of its row each is.
-- The one place of this rule. A version is `id,xmin,ctid`: a row that is written again, by whomever, has another.
-- Indexes: ceramic_cache_ceramiccache (type, address, provider) where live, ceramic_cache_revocation (ceramic_cache_id).
-- p_without: rows that are left out, those that the caller has just inserted.
CREATE OR REPLACE FUNCTION scorer_fast_live_1(
    IN p_address text, IN p_without bigint[],
    OUT ids bigint[], OUT versions text[], OUT providers text[]
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
AS $function$
BEGIN
    -- Revocations are looked up for all stamps together: one walk down the index.
    WITH there AS MATERIALIZED (
        SELECT c.id, c.provider, concat_ws(',', c.id, c.xmin, c.ctid) AS version
        FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = p_address
          AND c.type = 1
          AND c.deleted_at IS NULL
          AND c.id <> ALL (p_without)
    )
    SELECT COALESCE(array_agg(t.id ORDER BY t.id), '{}'),
           COALESCE(array_agg(t.version ORDER BY t.id), '{}'),
           COALESCE(array_agg(t.provider::text ORDER BY t.id), '{}')
    INTO ids, versions, providers
    FROM there AS t
    WHERE t.id <> ALL (ARRAY(
        SELECT r.ceramic_cache_id
        FROM ceramic_cache_revocation AS r
        WHERE r.ceramic_cache_id = ANY (ARRAY(SELECT each.id FROM there AS each))));
END
$function$;
