"""Where the CPU time of a steady ``v2_score`` goes, step by step: this process's and its database backend's.

CPU time, not time on the clock, so that a busy machine does not change the picture; the least of many small
batches. On a Linux that has /proc/PID/schedstat:

    make bench ARGS="--only profile"
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.database import ROOT
from bench.server_environment import environment

BATCH, BATCHES = 5, 40
OWNERS = 20


class Spent(NamedTuple):
    """CPU ms a call."""

    here: float
    database: float

    def less(self, *others: Spent) -> Spent:
        return Spent(
            max(self.here - sum(other.here for other in others), 0.0),
            max(self.database - sum(other.database for other in others), 0.0),
        )


def measure(url: str) -> dict[str, Any]:
    """Per step the CPU ms here and in the database."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.profile"],
        cwd=ROOT,
        env=environment(url),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"The profile failed:\n{done.stderr[-4000:]}")
    steps: dict[str, Any] = json.loads(done.stdout)
    return steps


def spent(call: Callable[[], Any], backend: int) -> Spent:
    schedstat = Path(f"/proc/{backend}/schedstat")
    here, database = [], []
    for _ in range(BATCHES):
        before, mine = int(schedstat.read_text().split()[0]), time.process_time_ns()
        for _ in range(BATCH):
            call()
        here.append(time.process_time_ns() - mine)
        database.append(int(schedstat.read_text().split()[0]) - before)
    return Spent(min(here) / BATCH / 1e6, min(database) / BATCH / 1e6)


def steps() -> dict[str, Spent]:
    import io

    from django.db import connection

    from bench.addresses import API_KEY, SCORER, address
    from bench.wsgi import application  # sets Django up
    from scorer_fast.lookups.api_key_queries import get_api_key
    from scorer_fast.run import Run
    from scorer_fast.scoring import operations
    from scorer_fast.scoring import service as scoring

    turn = iter(range(10**9))

    def owner() -> str:
        return address(4000 + next(turn) % OWNERS)

    def request(path: str) -> None:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_X_API_KEY": API_KEY,
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
        }
        answer = application(environ, lambda *_: None)
        b"".join(answer)
        answer.close()

    key = get_api_key("default", API_KEY.partition(".")[0])
    assert key is not None

    def question(of: str) -> scoring.Question:
        return operations.v2_score(key.account_id, SCORER, of)

    for _ in range(3 * OWNERS):
        scoring.answer(Run(), question(owner()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]

    known = scoring.read(Run(), question(address(4000)))
    read_step = spent(lambda: scoring.read(Run(), question(owner())), backend)
    decide = spent(lambda: scoring.decide(Run(), question(address(4000)), known), backend)
    operation = spent(lambda: scoring.answer(Run(), question(owner())), backend)
    key_step = spent(lambda: get_api_key("default", API_KEY.partition(".")[0]), backend)
    whole = spent(lambda: request(f"/v2/stamps/{SCORER}/score/{owner()}"), backend)
    floor = spent(lambda: request("/bench/select-1"), backend)
    return {
        "key": key_step,
        "read": read_step,
        "decide": decide,
        "write": operation.less(read_step, decide),
        "Django, Ninja, span, log line, connection check": whole.less(operation, key_step),
        "whole": whole,
        "floor": floor,
    }


if __name__ == "__main__":
    json.dump({name: step._asdict() for name, step in steps().items()}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # didkit's threads outlive the interpreter
