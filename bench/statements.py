"""How many statements a request makes: counted in a process of its own, through Django's test client.

python -m bench.statements < {"operation state": [request, …]} > {"operation state": {"statements", "round_trips"}}
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from bench.database import ROOT
from bench.server_environment import environment

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


def count(database_url: str, requests: dict[str, list[str]], settings: str = "bench.settings") -> dict[str, Any]:
    """Statements (without BEGIN and COMMIT) and round trips (with them), the median over a key's requests."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.statements"],
        cwd=ROOT,
        env=environment(database_url, settings=settings, LOG_LEVEL="ERROR"),
        input=json.dumps(requests).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    counted: dict[str, Any] = json.loads(done.stdout)
    return counted


def ask(client: Any, request: str) -> None:
    """Send a request of bench/traffic.py through Django's test client."""
    head, _, body = request.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split()
    headers = dict(line.split(": ", 1) for line in lines if not line.startswith("Content-"))
    answer = client.generic(
        method, path, body, content_type="application/json", headers=headers | {"Host": "127.0.0.1"}
    )
    if answer.status_code >= 300:
        raise SystemExit(f"{method} {path}: {answer.status_code} {answer.content[:300]!r}")


def _made(client: Any, request: str) -> tuple[int, int]:
    from django.db import connection, reset_queries

    reset_queries()
    ask(client, request)
    made = [query["sql"] for query in connection.queries_log]
    return sum(not sql.startswith(CONTROL) for sql in made), len(made)


def main() -> None:
    import django

    django.setup()
    from django.db import connection
    from django.test import Client

    connection.force_debug_cursor = True
    client, counted = Client(), {}
    for key, requests in json.load(sys.stdin).items():
        made = [_made(client, request) for request in requests]
        counted[key] = {
            "statements": statistics.median_high(one for one, _ in made),
            "round_trips": statistics.median_high(one for _, one in made),
        }
    json.dump(counted, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # didkit's threads outlive the interpreter


if __name__ == "__main__":
    main()
