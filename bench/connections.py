"""What a connection costs, kept in four ways: through one server each, interleaved."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import Any

import psycopg

from bench import database, operations, traffic
from bench.load import Load
from bench.measure import Bench, Cell, Size
from bench.servers import GTHREAD, Kind, Server

WAYS = {
    "a connection per request": (("CONN_MAX_AGE", "0"),),
    "persistent, checked before each request": (("CONN_MAX_AGE", "600"),),
    "persistent, not checked": (("CONN_MAX_AGE", "600"), ("CONN_HEALTH_CHECKS", "false")),
    "persistent, checked, nothing prepared": (("CONN_MAX_AGE", "600"), ("PREPARE_THRESHOLD", "0")),
    "persistent, checked, parameters written by psycopg": (("CONN_MAX_AGE", "600"), ("SERVER_SIDE_BINDING", "false")),
    "psycopg's pool of 4, checked": (("DB_POOL", "4"),),
}
POOLER = (("CONN_MAX_AGE", "600"), ("DISABLE_SERVER_SIDE_CURSORS", "true"), ("PREPARE_THRESHOLD", "0"))
POOLED = "through PgBouncer (transaction mode), persistent, checked"


def measure(url: str, load: Load, *, rounds: int, pgbouncer: str = "") -> dict[str, Any]:
    """Figures of the floor, a look-up and a score for each way; connect and query time apart."""
    ways = {name: (url, more) for name, more in WAYS.items()}
    if pgbouncer:
        ways[POOLED] = (pgbouncer, POOLER)
    asked = (traffic.FLOOR, "allow_list", "v2_score")
    give = operations.giver(traffic.Requests({}))
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(Server(Kind(name, GTHREAD, more=more), of)) for name, (of, more) in ways.items()
        }
        bench = Bench(load, servers, database.cluster(), give)
        cells = [
            (Cell(name, operation, "steady", c), Size(operations.SECONDS[c], 2000), "")
            for name in ways
            for operation in asked
            for c in operations.CONCURRENCIES
        ]
        for cell, size, _ in cells:
            bench.measure(cell, Size(0.2, size.count))
        bench.rounds(cells, [], rounds)
    results: dict[str, Any] = {
        "apart_ms": {name: apart(of) for name, of in {"direct": url, "PgBouncer": pgbouncer}.items() if of}
    }
    for name in ways:
        for operation in asked:
            for c in operations.CONCURRENCIES:
                cell = Cell(name, operation, "steady", c)
                results.setdefault(name, {}).setdefault(operation, {})[f"c{c}"] = operations.shown(bench.figures, cell)
    return results


def apart(url: str) -> dict[str, float]:
    """Milliseconds of connecting (to the first answer), and of one ``SELECT 1`` on a connection that is there."""
    connect, query = [], []
    for _ in range(60):
        started = time.perf_counter()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT 1")
            connected = time.perf_counter()
            connection.execute("SELECT 1")
            query.append((time.perf_counter() - connected) * 1000)
        connect.append((connected - started) * 1000)
    return {"connect": round(statistics.median(connect), 3), "query": round(statistics.median(query), 3)}
