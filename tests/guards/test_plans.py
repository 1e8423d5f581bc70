"""No request reads a host's table from end to end, by the indexes of either revision.

PostgreSQL's own counts are compared before and after: they see into the functions, where EXPLAIN shows the call alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from pytest_django import Settings

from api.account.models import Community
from scorer_fast import revision
from scorer_fast.http.catalogue import OPERATIONS
from tests.factories import rows
from tests.factories.operations import TABLE
from tests.factories.requests import good

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 5000
# A handful of rows in any host: read whole, and rightly so.
SMALL = {"registry_humanpointsconfig", "cgrants_roundmapping"}
LIVE_STAMPS = {  # the index that each revision reads an address's stamps by, as the contract's two schemas have it
    "2025-12": "(address, deleted_at, id DESC)",
    "2026-07": "(address, id DESC) WHERE deleted_at IS NULL",
}

COLUMNS = """
    -- columns of a table that nobody fills by himself, with the room in them
    SELECT column_name, data_type, COALESCE(character_maximum_length, 1000)
    FROM information_schema.columns
    WHERE table_schema = current_schema()
      AND table_name = %(table)s
      AND is_identity = 'NO'
"""
WHOLE = """
    -- how often each large table was read from end to end
    SELECT t.relname, t.seq_scan
    FROM pg_stat_user_tables AS t
    JOIN pg_class AS c ON c.oid = t.relid
    WHERE c.reltuples >= %(rows)s
"""
VALUES = {
    "boolean": "FALSE",
    "jsonb": "'{}'::jsonb",
    "date": "CURRENT_DATE",
    "timestamp with time zone": "NOW()",
    "ARRAY": "'{}'",
}


def fill(table: str) -> None:
    """``ROWS`` rows of nobody; of the columns that tell rows apart no value comes twice."""
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, {"table": table})
        given = {name: value(name, kind, room) for name, kind, room in cursor.fetchall() if name != "deleted_at"}
        names = ", ".join(map(connection.ops.quote_name, given))
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(given.values())} "
            f"FROM generate_series(1000001, {1_000_000 + ROWS}) AS n ON CONFLICT DO NOTHING"
        )
        cursor.execute(f"ANALYZE {table}")


def value(name: str, kind: str, room: int) -> str:
    if kind in ("text", "character varying"):
        return f"left(md5('{name}' || n) || md5(n::text), {room})"
    if kind == "numeric":
        return "(n % 1000)::numeric"
    return VALUES.get(kind, "n" if kind in ("bigint", "integer") else "n % 1000")


@contextmanager
def stamps_indexed(columns: str) -> Iterator[None]:
    """The live stamps of an address indexed by ``columns`` alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'ceramic_cache_ceramiccache' "
            "AND indexdef LIKE '%(address, id DESC)%'"
        )
        [(name, definition)] = cursor.fetchall()
        cursor.execute(f"DROP INDEX {name}")
        cursor.execute(f"CREATE INDEX by_address ON ceramic_cache_ceramiccache {columns}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX by_address")
            cursor.execute(definition)


def read_whole() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(WHOLE, {"rows": ROWS * 0.9})
        return dict(cursor.fetchall())


@pytest.mark.parametrize("name", sorted(LIVE_STAMPS))
def test_nothing_is_read_from_end_to_end(name: str, one: Community, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CONTRACT": name, "PRUNE_EVERY_SECONDS": 0}
    rows.ruleset("Custom", {"all": True})
    rows.stamps(rows.OWNER, "Google")
    with stamps_indexed(LIVE_STAMPS[name]):
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")  # keys of nobody refer to nobody
        try:
            for table in sorted(revision.BY_NAME[name].tables - SMALL):
                fill(table)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET session_replication_role")
        before = read_whole()
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM registry_score WHERE evidence = '{}'")
        after = read_whole()
        assert len(after) > 30
        assert [table for table, scans in after.items() if scans > before[table]] == ["registry_score"]  # it is seen
        found = {}
        for operation in OPERATIONS:
            if operation.is_there:
                for when in ("first", "again"):
                    before = read_whole()
                    status = good(operation.id).send().status_code
                    after = read_whole()
                    assert status in (TABLE[operation.id].status, TABLE[operation.id].then), operation.id
                    whole = {table for table, scans in after.items() if scans > before[table]}
                    if whole:
                        found[f"{operation.id}, {when}"] = whole
    assert not found
