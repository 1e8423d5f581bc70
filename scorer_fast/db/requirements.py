"""What the statements of this package need of the host's database: columns, and the indexes they rely on.

A column no statement names any more, or one it names that is missing here, fails a test.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from .connection import fetch_all, fetch_one, run

COLUMNS: dict[str, tuple[str, ...]] = {
    "account_accountapikey": (
        "account_id",
        "embed_rate_limit",
        "expiry_date",
        "hashed_key",
        "hashed_key_sha256",
        "id",
        "prefix",
        "rate_limit",
        "read_scores",
        "revoked",
    ),
    "account_accountapikeyanalytics": (
        "api_key_id",
        "created_at",
        "error",
        "headers",
        "path",
        "path_segments",
        "payload",
        "query_params",
        "response",
        "response_skipped",
        "status_code",
    ),
    "account_addresslist": ("id", "name"),
    "account_addresslistmember": ("address", "id", "list_id"),
    "account_allowlist": ("address_list_id", "customization_id", "id", "weight"),
    "account_community": (
        "account_id",
        "deleted_at",
        "external_scorer_id",
        "human_points_program",
        "id",
        "name",
        "scorer_id",
    ),
    "account_customcredential": ("customization_id", "id", "ruleset_id", "weight"),
    "account_customcredentialruleset": ("definition", "id", "name", "provider_id"),
    "account_customization": ("id", "scorer_id"),
    "ceramic_cache_ban": ("address", "end_time", "hash", "id", "provider", "reason", "type"),
    "ceramic_cache_ceramiccache": (
        "address",
        "compose_db_save_status",
        "compose_db_stream_id",
        "created_at",
        "deleted_at",
        "expiration_date",
        "id",
        "issuance_date",
        "proof_value",
        "provider",
        "source_app",
        "source_scorer_id",
        "stamp",
        "type",
        "updated_at",
    ),
    "ceramic_cache_revocation": ("ceramic_cache_id", "id", "proof_value"),
    "cgrants_contribution": ("id", "success"),
    "cgrants_grantcontributionindex": ("amount", "contribution_id", "contributor_address", "grant_id", "id"),
    "cgrants_protocolcontributions": ("amount", "contributor", "id", "project", "round"),
    "cgrants_roundmapping": ("id", "round_eth_address", "round_number"),
    "cgrants_squelchedaccounts": ("address", "id", "round_number"),
    "registry_event": ("action", "address", "community_id", "created_at", "data", "id"),
    "registry_gtcstakeevent": (
        "address",
        "amount",
        "block_number",
        "event_type",
        "id",
        "round_id",
        "staked",
        "staker",
        "tx_hash",
    ),
    "registry_hashscorerlink": ("address", "community_id", "expires_at", "hash", "id"),
    "registry_humanpoints": ("action", "address", "chain_id", "id", "provider", "timestamp", "tx_hash"),
    "registry_humanpointscommunityqualifiedusers": ("address", "community_id", "id"),
    "registry_humanpointsconfig": ("action", "active", "id", "points"),
    "registry_humanpointsmultiplier": ("address", "multiplier"),
    "registry_passport": ("address", "community_id", "id"),
    "registry_score": (
        "error",
        "evidence",
        "expiration_date",
        "id",
        "last_score_timestamp",
        "passport_id",
        "score",
        "stamp_scores",
        "stamps",
        "status",
    ),
    "registry_stamp": ("credential", "id", "passport_id", "provider"),
    "scorer_weighted_binaryweightedscorer": ("scorer_ptr_id", "threshold", "weights"),
    "scorer_weighted_scorer": ("id", "type"),
    "scorer_weighted_weightedscorer": ("scorer_ptr_id", "threshold", "weights"),
    "stake_stake": (
        "chain",
        "current_amount",
        "id",
        "last_updated_in_block",
        "lock_time",
        "stakee",
        "staker",
        "unlock_time",
    ),
}


class Index(NamedTuple):
    """An index some statement relies on: any that begins with its columns will do, if unique just these."""

    table: str
    columns: tuple[str, ...]
    unique: bool = False
    where: str = ""

    @property
    def name(self) -> str:
        """The name it is made under; at most 63 characters, as PostgreSQL keeps them."""
        words = "_".join(self.columns)
        return f"sf_{self.table}_{words}"[:54] + f"_{zlib.crc32(f'{self.table} {words}'.encode()):08x}"

    @property
    def remedy(self) -> str:
        """The statement that makes it without locking anybody out."""
        unique = "UNIQUE " if self.unique else ""
        columns = ", ".join(self.columns)
        return f"CREATE {unique}INDEX CONCURRENTLY IF NOT EXISTS {self.name} ON {self.table} ({columns}){self.where};"


INDEXES: tuple[Index, ...] = (
    Index("account_accountapikey", ("prefix",), unique=True),
    Index("account_addresslist", ("name",)),
    Index("account_addresslistmember", ("address", "list_id")),
    Index("account_allowlist", ("customization_id",)),
    Index("account_community", ("id",), unique=True),
    Index("account_community", ("external_scorer_id",), unique=True),
    Index("account_customcredential", ("customization_id",)),
    Index("account_customcredentialruleset", ("provider_id",)),
    Index("account_customization", ("scorer_id",)),
    Index("ceramic_cache_ban", ("address",)),
    Index("ceramic_cache_ban", ("hash",)),
    Index("ceramic_cache_ceramiccache", ("address",)),
    Index("ceramic_cache_ceramiccache", ("id",), unique=True),
    Index("ceramic_cache_ceramiccache", ("type", "address", "provider"), True, " WHERE deleted_at IS NULL"),
    Index("ceramic_cache_revocation", ("ceramic_cache_id",)),
    Index("ceramic_cache_revocation", ("proof_value",)),
    Index("cgrants_grantcontributionindex", ("contributor_address",)),
    Index("cgrants_protocolcontributions", ("contributor",)),
    Index("cgrants_roundmapping", ("round_number",)),
    Index("cgrants_squelchedaccounts", ("address",)),
    Index("registry_event", ("action", "address", "community_id", "created_at")),
    Index("registry_gtcstakeevent", ("round_id", "staker")),
    Index("registry_gtcstakeevent", ("round_id", "address", "staker")),
    Index("registry_hashscorerlink", ("address",)),
    Index("registry_hashscorerlink", ("hash", "community_id"), unique=True),
    Index("registry_humanpoints", ("action",)),
    Index("registry_humanpoints", ("address",)),
    Index("registry_humanpoints", ("address", "action", "chain_id", "provider", "tx_hash"), unique=True),
    Index("registry_humanpointscommunityqualifiedusers", ("address", "community_id"), unique=True),
    Index("registry_humanpointsmultiplier", ("address",)),
    Index("registry_passport", ("address", "community_id"), unique=True),
    Index("registry_score", ("passport_id",), unique=True),
    Index("registry_stamp", ("passport_id",)),
    Index("scorer_weighted_binaryweightedscorer", ("scorer_ptr_id",)),
    Index("scorer_weighted_weightedscorer", ("scorer_ptr_id",)),
    Index("stake_stake", ("staker",)),
    Index("stake_stake", ("stakee",)),
)


LIST_COLUMNS = """
-- the columns of some tables as this connection's search path finds them; catalogue
SELECT c.relname::text, a.attname::text
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relname = ANY (%(tables)s::text[])
  AND c.relkind IN ('r', 'p', 'v', 'f')
  AND pg_table_is_visible(c.oid)
  AND a.attnum > 0
  AND NOT a.attisdropped
"""


def list_columns(alias: str, tables: Sequence[str]) -> dict[str, set[str]]:
    """Per table that is there, its columns."""
    found: dict[str, set[str]] = {}
    for table, column in fetch_all(alias, LIST_COLUMNS, {"tables": list(tables)}):
        found.setdefault(table, set()).add(column)
    return found


LIST_UNFILLED = """
-- columns of some tables that must have a value and get none by themselves; catalogue
SELECT c.relname::text, a.attname::text
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relname = ANY (%(tables)s::text[])
  AND pg_table_is_visible(c.oid)
  AND a.attnum > 0
  AND NOT a.attisdropped
  AND a.attnotnull
  AND NOT a.atthasdef
  AND a.attidentity = ''
ORDER BY c.relname, a.attnum
"""


def list_unfilled(alias: str, tables: Sequence[str]) -> list[tuple[str, str]]:
    """Columns of ``tables`` that need a value and that no statement names: table and column."""
    return [
        (table, column)
        for table, column in fetch_all(alias, LIST_UNFILLED, {"tables": list(tables)})
        if column not in COLUMNS.get(table, ())
    ]


LIST_INDEXES = """
-- the valid indexes of some tables, their columns in order; catalogue
SELECT c.relname::text,
       i.indisunique,
       ARRAY(
           SELECT a.attname::text
           FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
           JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
           ORDER BY k.place)
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indrelid
WHERE c.relname = ANY (%(tables)s::text[])
  AND pg_table_is_visible(c.oid)
  AND i.indisvalid
"""


def list_indexes(alias: str, tables: Sequence[str]) -> list[Index]:
    """The valid indexes of ``tables``."""
    rows = fetch_all(alias, LIST_INDEXES, {"tables": list(tables)})
    return [Index(table, tuple(columns), unique) for table, unique, columns in rows]


def missing_indexes(alias: str, among: Sequence[Index] = INDEXES) -> list[Index]:
    """Those of ``among`` that the database has no equal of; tables that are missing count as whole."""
    named = sorted({index.table for index in among})
    tables = list_columns(alias, named)
    there = list_indexes(alias, named)
    return [wanted for wanted in among if wanted.table in tables and not any(_serves(index, wanted) for index in there)]


def create_index(alias: str, index: Index) -> int:
    """Make ``index`` while the table is read and written; outside any transaction."""
    return run(alias, index.remedy, {})


def _serves(index: Index, wanted: Index) -> bool:
    if wanted.unique:
        return index[:3] == wanted[:3]
    return index.table == wanted.table and index.columns[: len(wanted.columns)] == wanted.columns


POSTGRES = (15, 18)  # the oldest and the newest major version that the suite runs on

GET_SERVER_VERSION = """
-- which PostgreSQL it is
SHOW server_version
"""


def get_server_version(alias: str) -> str:
    """The server's version as it writes it."""
    row = fetch_one(alias, GET_SERVER_VERSION, {})
    return "" if row is None else str(row[0])
