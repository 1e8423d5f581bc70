"""What shadow asks of the host's tables: to tell a race from a fault, and what the contract treats unlike the host."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ...db.connection import fetch_all, fetch_one

LIMIT_READING = """
-- until its end this transaction writes nothing, and no statement of it runs longer
SELECT set_config('transaction_read_only', 'on', true),
       set_config('statement_timeout', %(milliseconds)s, true)
"""


def limit_reading(alias: str, seconds: float) -> None:
    """Make the transaction read-only, and no statement longer than ``seconds`` (0: no limit)."""
    fetch_one(alias, LIMIT_READING, {"milliseconds": str(int(seconds * 1000))})


LIST_TOUCHED = """
-- per address how often it was scored between two instants, and whose stamps of it came or went;
-- registry_event (action, address, community_id, created_at), ceramic_cache_ceramiccache (address)
SELECT a.address,
       (SELECT count(*) FROM registry_event AS e
        WHERE e.action = 'SCU' AND e.address = a.address
          AND e.created_at BETWEEN %(since)s AND %(until)s),
       (SELECT coalesce(array_agg(c.provider::text), '{}') FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = a.address AND c.updated_at BETWEEN %(since)s AND %(until)s)
FROM unnest(%(addresses)s::text[]) AS a (address)
"""


class TouchedRow(NamedTuple):
    """What happened to an address between two instants: scorings, and the provider of each cache row written."""

    address: str
    scorings: int
    providers: list[str]


def list_touched(alias: str, addresses: Sequence[str], since: datetime, until: datetime) -> list[TouchedRow]:
    """What anybody did to ``addresses`` from ``since`` to ``until``."""
    rows = fetch_all(alias, LIST_TOUCHED, {"addresses": list(addresses), "since": since, "until": until})
    return [TouchedRow(*row) for row in rows]


class KeyState(NamedTuple):
    """What the contract treats unlike the host, of one API key."""

    expired: bool
    revoked: bool
    sha512: bool
    cannot_read: bool


GET_KEY_STATE = """
-- in which of the ways an API key is special that the contract treats unlike the host; prefix unique
SELECT k.expiry_date IS NOT NULL AND k.expiry_date < %(now)s,
       k.revoked,
       k.hashed_key LIKE 'sha512$$%%',
       NOT k.read_scores
FROM account_accountapikey AS k
WHERE k.prefix = %(prefix)s
"""


def get_key_state(alias: str, prefix: str, now: datetime) -> KeyState | None:
    """The key's state as at ``now``; None for an unknown prefix."""
    row = fetch_one(alias, GET_KEY_STATE, {"prefix": prefix, "now": now})
    return None if row is None else KeyState(*row)


LIST_LIVE_CREDENTIALS = """
-- the credentials of an address's stamps that are not deleted, as text;
-- ceramic_cache_ceramiccache (type, address, provider) where live
SELECT c.stamp::text
FROM ceramic_cache_ceramiccache AS c
WHERE c.address = %(address)s
  AND c.type = 1
  AND c.deleted_at IS NULL
"""


def list_live_credentials(alias: str, address: str) -> list[str]:
    """What scoring may have been given of an address."""
    return [text for (text,) in fetch_all(alias, LIST_LIVE_CREDENTIALS, {"address": address})]
