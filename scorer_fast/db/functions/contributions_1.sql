-- What an address gave to grants and to the protocol, whose squelched rounds are left out.
-- Indexes: cgrants_grantcontributionindex (contributor_address), cgrants_contribution pkey,
-- cgrants_protocolcontributions (contributor), cgrants_squelchedaccounts (address), cgrants_roundmapping (round_number).
CREATE OR REPLACE FUNCTION scorer_fast_contributions_1(
    IN p_address text, OUT grants bigint, OUT amount numeric, OUT projects bigint, OUT contributed numeric
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '2s'
AS $function$
#variable_conflict use_column
BEGIN
    SELECT count(DISTINCT i.grant_id), COALESCE(sum(i.amount), 0)
    INTO grants, amount
    FROM cgrants_grantcontributionindex AS i
    JOIN cgrants_contribution AS c ON c.id = i.contribution_id
    WHERE i.contributor_address = p_address
      AND c.success;
    SELECT count(DISTINCT x.project), COALESCE(sum(x.amount), 0)
    INTO projects, contributed
    FROM cgrants_protocolcontributions AS x
    WHERE x.contributor = p_address
      AND x.amount >= 0.95
      AND NOT EXISTS (
          SELECT
          FROM cgrants_squelchedaccounts AS q
          JOIN cgrants_roundmapping AS m ON m.round_number = q.round_number
          WHERE q.address = p_address
            AND m.round_eth_address = x.round);
END
$function$;
