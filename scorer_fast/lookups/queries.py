"""Look-ups of one statement each: bans, revocations, lists, rulesets, weights, stakes, contributions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ..db.connection import fetch_all, fetch_one, fetch_value, instant, text_array
from ..domain.bans import Ban

LIST_BANS = """
-- bans that still run for an address or any of some hashes, by id; ceramic_cache_ban (address), (hash)
SELECT b.type, b.provider, b.hash, b.address, b.end_time::text, b.reason
FROM ceramic_cache_ban AS b
WHERE (b.address = ANY (%(addresses)s::text[]) OR b.hash = ANY (%(hashes)s::text[]))
  AND (b.end_time IS NULL OR b.end_time > %(now)s)
ORDER BY b.id
"""


def list_bans(alias: str, addresses: Sequence[str], hashes: Sequence[str], now: datetime) -> list[Ban]:
    """Bans still running for any spelling of an address or any of ``hashes``; an empty text matches nothing."""
    parameters = {
        "addresses": text_array(filter(None, addresses)),
        "hashes": text_array(filter(None, hashes)),
        "now": now,
    }
    return [
        Ban(type_, provider, hash_, address, instant(end_time), reason)
        for type_, provider, hash_, address, end_time, reason in fetch_all(
            alias, LIST_BANS, parameters, repeatable=True
        )
    ]


LIST_REVOKED = """
-- which proof values are revoked; ceramic_cache_revocation (proof_value)
SELECT DISTINCT r.proof_value
FROM ceramic_cache_revocation AS r
WHERE r.proof_value = ANY (%(proof_values)s::text[])
"""


def list_revoked(alias: str, proof_values: Sequence[str]) -> set[str]:
    """Those of ``proof_values`` that are revoked."""
    return {
        row[0] for row in fetch_all(alias, LIST_REVOKED, {"proof_values": text_array(proof_values)}, repeatable=True)
    }


IS_LISTED = """
-- whether an address is on a list; account_addresslist (name), account_addresslistmember (address, list_id)
SELECT EXISTS (
    SELECT
    FROM account_addresslistmember AS m
    JOIN account_addresslist AS l ON l.id = m.list_id
    WHERE l.name = %(name)s
      AND m.address = %(address)s
)
"""


def is_listed(alias: str, name: str, address: str) -> bool:
    """Whether ``address`` (lower-cased) is a member of the list called ``name``; an unknown list has none."""
    return bool(fetch_value(alias, IS_LISTED, {"name": name, "address": address}, repeatable=True))


GET_RULESET = """
-- the definition of a custom credential; account_customcredentialruleset (provider_id)
SELECT r.definition::text
FROM account_customcredentialruleset AS r
WHERE r.provider_id = %(provider_id)s
"""


def get_ruleset(alias: str, provider_id: str) -> str | None:
    """The ruleset's definition as JSON text."""
    value: str | None = fetch_value(alias, GET_RULESET, {"provider_id": provider_id}, repeatable=True)
    return value


GET_WEIGHTS = """
-- the weights of a community's scorer, customization left out;
-- account_community pkey, db/functions/weights_1.sql
SELECT w.weights AS weights
FROM account_community AS c
CROSS JOIN scorer_fast_weights_1(c.scorer_id) AS w
WHERE c.id = %(community_id)s
"""


def get_weights(alias: str, community_id: int) -> tuple[str | None] | None:
    """The weights as JSON text (None where the scorer has none); None when there is no such community."""
    return fetch_one(alias, GET_WEIGHTS, {"community_id": community_id}, repeatable=True)


GET_EMBED_CONFIG = """
-- the weights of a community's scorer, and the sections its widget shows, as JSON; account_community pkey,
-- account_customization (scorer_id), account_embedsectionorder and account_embedstampplatform (customization_id)
SELECT COALESCE(w.weights, b.weights)::text,
       (SELECT json_agg(
                   json_build_object(
                       'title', h.name,
                       'order', o."order",
                       'items', COALESCE(
                           (SELECT json_agg(
                                       json_build_object('platform_id', m.platform_id, 'order', p."order")
                                       ORDER BY p."order", p.id)
                            FROM account_embedstampplatform AS p
                            JOIN registry_platformmetadata AS m ON m.id = p.platform_id
                            WHERE p.customization_id = o.customization_id
                              AND p.section_id = o.section_id),
                           '[]'))
                   ORDER BY o."order", o.id)::text
        FROM account_customization AS z
        JOIN account_embedsectionorder AS o ON o.customization_id = z.id
        JOIN account_embedsectionheader AS h ON h.id = o.section_id
        WHERE z.scorer_id = c.id)
FROM account_community AS c
LEFT JOIN scorer_weighted_scorer AS s ON s.id = c.scorer_id
LEFT JOIN scorer_weighted_weightedscorer AS w ON w.scorer_ptr_id = s.id AND s.type = 'WEIGHTED'
LEFT JOIN scorer_weighted_binaryweightedscorer AS b ON b.scorer_ptr_id = s.id AND s.type = 'WEIGHTED_BINARY'
WHERE c.id = %(community_id)s
"""


def get_embed_config(alias: str, community_id: int) -> tuple[str | None, str | None] | None:
    """The weights as JSON text (None where the scorer has none) and the sections as JSON text (None without any)."""
    return fetch_one(alias, GET_EMBED_CONFIG, {"community_id": community_id}, repeatable=True)


class StakeRow(NamedTuple):
    """A stake; ``amount`` with 18 decimals and ``last_updated_in_block`` as their digits."""

    chain: int
    lock_time: datetime
    unlock_time: datetime
    staker: str
    stakee: str
    amount: str
    last_updated_in_block: str


LIST_STAKES = """
-- stakes by or on an address, by id; stake_stake (staker), (stakee)
SELECT s.chain, s.lock_time::text, s.unlock_time::text, s.staker, s.stakee, s.current_amount::text,
       s.last_updated_in_block::text
FROM stake_stake AS s
WHERE s.staker = %(address)s
   OR s.stakee = %(address)s
ORDER BY s.id
"""


def list_stakes(alias: str, address: str) -> list[StakeRow]:
    """Stakes in which ``address`` (lower-cased) is staker or stakee."""
    return [
        StakeRow(chain, datetime.fromisoformat(lock_time), datetime.fromisoformat(unlock_time), *more)
        for chain, lock_time, unlock_time, *more in fetch_all(alias, LIST_STAKES, {"address": address}, repeatable=True)
    ]


class StakeEventRow(NamedTuple):
    """A legacy stake event, all columns."""

    id: int
    event_type: str
    round_id: int
    staker: str
    address: str | None
    amount: Decimal
    staked: bool
    block_number: int
    tx_hash: str


LIST_STAKE_EVENTS = """
-- legacy stake events of a round by or on an address, by id;
-- registry_gtcstakeevent (round_id, staker), (round_id, address, staker)
SELECT e.id, e.event_type, e.round_id, e.staker, e.address, e.amount, e.staked, e.block_number, e.tx_hash
FROM registry_gtcstakeevent AS e
WHERE e.round_id = %(round_id)s
  AND (e.staker = %(address)s OR e.address = %(address)s)
ORDER BY e.id
"""


def list_stake_events(alias: str, address: str, round_id: int) -> list[StakeEventRow]:
    """Stake events of ``round_id`` whose staker or address is ``address`` (lower-cased)."""
    return [
        StakeEventRow(*row)
        for row in fetch_all(alias, LIST_STAKE_EVENTS, {"address": address, "round_id": round_id}, repeatable=True)
    ]


class ContributionsRow(NamedTuple):
    """Distinct grants and projects an address gave to, and the exact sums."""

    grants: int
    grants_amount: Decimal
    projects: int
    projects_amount: Decimal


GET_CONTRIBUTIONS = """
-- what an address gave, squelched rounds of the protocol left out; db/functions/contributions_1.sql
SELECT f.grants, f.amount, f.projects, f.contributed
FROM scorer_fast_contributions_1(%(address)s::text) AS f
"""


def get_contributions(alias: str, address: str) -> ContributionsRow:
    """What ``address`` (lower-cased) contributed to grants and to the protocol."""
    row = fetch_one(alias, GET_CONTRIBUTIONS, {"address": address}, repeatable=True)
    return ContributionsRow(0, Decimal(0), 0, Decimal(0)) if row is None else ContributionsRow(*row)
