"""account_accountapikey and its analytics."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from .. import deadline
from ..db.connection import fetch_all, fetch_one, run


class ApiKeyRow(NamedTuple):
    """A key by its prefix; the hashes never leave this app."""

    id: str
    prefix: str
    account_id: int
    hashed_key: str
    hashed_key_sha256: str | None
    revoked: bool
    expiry_date: datetime | None
    rate_limit: str | None
    embed_rate_limit: str | None
    read_scores: bool


GET_API_KEY = """
-- the key of a prefix, as text: a prepared plan outlives a wider column; account_accountapikey (prefix)
SELECT k.id::text, k.prefix::text, k.account_id, k.hashed_key::text, k.hashed_key_sha256::text,
       k.revoked, k.expiry_date, k.rate_limit::text, k.embed_rate_limit::text, k.read_scores
FROM account_accountapikey AS k
WHERE k.prefix = %(prefix)s
"""


def get_api_key(alias: str, prefix: str) -> ApiKeyRow | None:
    """The key whose prefix is ``prefix``, usable or not."""
    row = fetch_one(alias, GET_API_KEY, {"prefix": prefix}, repeatable=True)
    return None if row is None else ApiKeyRow(*row)


LIST_UNREADABLE_RATES = """
-- keys whose rate limit is not a number per period, as 125/15m; a sequential scan of the keys
SELECT k.prefix::text
FROM account_accountapikey AS k
WHERE k.rate_limit <> ''
  AND k.rate_limit !~ '^[0-9]+/([1-9][0-9]*)?[smhd]$'
  AND NOT k.revoked
ORDER BY k.prefix
LIMIT 20
"""


def list_unreadable_rates(alias: str) -> list[str]:
    """Prefixes of keys that are not limited, for nobody can read their rate; twenty at most."""
    return [prefix for (prefix,) in fetch_all(alias, LIST_UNREADABLE_RATES, {})]


UPDATE_KEY_HASH = """
-- gives a verified key its SHA-256, once, and waits for no lock that is held long; account_accountapikey pkey
UPDATE account_accountapikey AS k
SET hashed_key_sha256 = %(hashed_key_sha256)s
WHERE set_config('lock_timeout', %(lock_timeout)s, TRUE) IS NOT NULL
  AND k.id = %(id)s
  AND COALESCE(k.hashed_key_sha256, '') = ''
"""


def update_key_hash(alias: str, key_id: str, hashed_key_sha256: str) -> int:
    """Fill in the SHA-256 of a key that was good by an older hash."""
    given = {"id": key_id, "hashed_key_sha256": hashed_key_sha256, "lock_timeout": deadline.current().lock_timeout()}
    return run(alias, UPDATE_KEY_HASH, given)


INSERT_ANALYTICS = """
-- one call of an API key; its foreign key is checked at the end, and waits for no lock that is held long
INSERT INTO account_accountapikeyanalytics (
    created_at, path, api_key_id, error, headers, path_segments, query_params,
    response, response_skipped, status_code, payload)
SELECT %(created_at)s, %(path)s, %(api_key_id)s, %(error)s, %(headers)s::jsonb, %(path_segments)s::jsonb,
       %(query_params)s::jsonb, to_jsonb(%(response)s::text), FALSE, %(status_code)s, %(payload)s::jsonb
WHERE set_config('lock_timeout', %(lock_timeout)s, TRUE) IS NOT NULL
"""


def insert_analytics(alias: str, row: dict[str, Any]) -> int:
    """Store one call; ``response`` is text or None.

    ``headers``, ``path_segments``, ``query_params`` and, where it is not None, ``payload`` are JSON text.
    """
    return run(alias, INSERT_ANALYTICS, row | {"lock_timeout": deadline.current().lock_timeout()})
