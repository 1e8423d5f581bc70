"""Which indexes each operation reads on a large database, and whether anything is read from end to end.

PostgreSQL's own counts are compared before and after a request: that sees into the functions too, where EXPLAIN
shows only the call.

    python -m bench.plans < {"operation state": [request, …]}
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from bench.database import ROOT
from bench.server_environment import environment

LARGE = 5000  # rows from which on a table read from end to end is told

COUNTS = """
SELECT i.indexrelname, i.relname, pg_get_indexdef(i.indexrelid), i.idx_scan
FROM pg_stat_user_indexes AS i
"""
WHOLE = """
SELECT t.relname, t.seq_scan, c.reltuples
FROM pg_stat_user_tables AS t JOIN pg_class AS c ON c.oid = t.relid
"""


def plans(url: str) -> dict[str, Any]:
    """Per operation its indexes, and the large tables it read from end to end (there should be none)."""
    from bench import traffic

    requests = traffic.Requests({})
    asked = {}
    for name in traffic.OPERATIONS:
        if name in traffic.POSTING or name == "cache_delete_stamps":
            continue  # they read what scoring reads
        asked[name] = requests.steady(name, 2)
    done = subprocess.run(
        [sys.executable, "-m", "bench.plans"],
        cwd=ROOT,
        env=environment(url, LOG_LEVEL="ERROR"),
        input=json.dumps(asked).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    import django

    django.setup()
    from django.db import connection
    from django.test import Client

    from bench.statements import ask

    def read(sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(sql)
            return cursor.fetchall()

    client, found = Client(), {}
    for name, requests in json.load(sys.stdin).items():
        ask(client, requests[0])
        indexes, tables = {row[0]: row for row in read(COUNTS)}, {row[0]: row[1] for row in read(WHOLE)}
        ask(client, requests[1])
        used = {
            index: {"table": table, "definition": definition.partition(" USING ")[2]}
            for index, table, definition, scans in read(COUNTS)
            if scans > indexes[index][3]
        }
        whole = [table for table, scans, rows in read(WHOLE) if scans > tables[table] and rows >= LARGE]
        found[name] = {"indexes": used, "read_whole": whole}
    json.dump(found, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # didkit's threads outlive the interpreter


if __name__ == "__main__":
    main()
