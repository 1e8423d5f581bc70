-- What is known of an address's human points, as JSON; scoring/read.py (read_points) is the other end.
-- Indexes: registry_humanpoints (address), (action), registry_humanpointscommunityqualifiedusers (address, community_id),
-- account_addresslistmember (address, list_id).
CREATE OR REPLACE FUNCTION scorer_fast_points_1(p_address text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
BEGIN
    RETURN (SELECT json_build_object(
               'rows', mine.rows,
               'communities', (SELECT json_agg(q.community_id)
                               FROM registry_humanpointscommunityqualifiedusers AS q WHERE q.address = p_address),
               'lists', listed.names,
               'metamask', CASE WHEN 'MetaMaskOG2' = ANY (listed.names) AND NOT mine.has_metamask
                               THEN (SELECT count(*) FROM registry_humanpoints AS p WHERE p.action = 'MM2')
                           END,
               'config', (SELECT json_object_agg(g.action, g.points)
                          FROM registry_humanpointsconfig AS g WHERE g.active),
               'multiplier', (SELECT x.multiplier FROM registry_humanpointsmultiplier AS x WHERE x.address = p_address)
           )
    FROM (
        SELECT json_agg(json_build_array(p.action, p.provider, p.tx_hash, p.chain_id) ORDER BY p.id) AS rows,
               COALESCE(bool_or(p.action = 'MM2'), FALSE) AS has_metamask
        FROM registry_humanpoints AS p
        WHERE p.address = p_address
    ) AS mine
    CROSS JOIN (
        SELECT array_agg(n.name) AS names
        FROM account_addresslistmember AS m
        JOIN account_addresslist AS n ON n.id = m.list_id
        WHERE m.address = p_address
    ) AS listed);
END
$function$;
