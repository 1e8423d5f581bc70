"""The functions of this app in the database, one `.sql` file each: PostgreSQL plans them once a session.

A function's name ends in its version. What has been released is never changed: a new version is a new file with a new
name, and a migration that carries its text; the old one stays for one release, so that old and new processes run side
by side.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.db import transaction

from ..connection import fetch_all, run

FOLDER = Path(__file__).parent
# In the order in which they are made: a function stands behind those that it calls.
NAMES = (
    "live_1",
    "versions_1",
    "token_1",
    "digest_1",
    "links_1",
    "weights_1",
    "points_1",
    "stamps_listed_1",
    "reading_1",
    "read_scoring_1",
    "claim_1",
    "award_1",
    "remember_1",
    "keep_1",
    "queue_1",
    "write_scoring_1",
    "write_batch_1",
    "stored_score_1",
    "contributions_1",
    "flags_1",
)

# What a caller's search_path is must not matter: `SET search_path FROM CURRENT` takes what this sets.
FIX_SEARCH_PATH = """
-- names, for this transaction, the schemas that are searched now
SELECT set_config('search_path', (SELECT string_agg(quote_ident(s.name), ', ')
                                  FROM unnest(current_schemas(FALSE)) AS s (name)), TRUE)
"""

LIST_FUNCTIONS = """
-- which functions of this app the database has, where it has the app's tables
SELECT p.proname::text
FROM pg_proc AS p
WHERE starts_with(p.proname::text, 'scorer_fast_')
  AND pg_function_is_visible(p.oid)
  AND to_regclass('scorer_fast_verifiedcredential') IS NOT NULL
"""

HAS_TABLES = """
-- whether this app's tables are there
SELECT 1
WHERE to_regclass('scorer_fast_verifiedcredential') IS NOT NULL
"""


@cache
def text(name: str) -> str:
    """The statement that makes a function, from its file."""
    return (FOLDER / f"{name}.sql").read_text()


def list_missing(alias: str) -> list[str]:
    """The functions that the database does not have."""
    there = {row[0] for row in fetch_all(alias, LIST_FUNCTIONS, {})}
    return [name for name in NAMES if f"scorer_fast_{name}" not in there]


def has_tables(alias: str) -> bool:
    """Whether this app is migrated in the database, and was not taken out again."""
    return bool(fetch_all(alias, HAS_TABLES, {}))


def create_missing(alias: str) -> int:
    """Make the functions that are not there, where this app's tables are; how many were missing.

    For a test database that was made without migrations; else the migrations make them.
    """
    missing = list_missing(alias) if has_tables(alias) else []
    with transaction.atomic(using=alias):
        if missing:
            fetch_all(alias, FIX_SEARCH_PATH, {})
        for name in missing:
            run(alias, text(name), None)
    return len(missing)
