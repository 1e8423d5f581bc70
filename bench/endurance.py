"""Memory over a hundred thousand requests, and the time from nothing to the first scored answer."""

from __future__ import annotations

import itertools
import random
import statistics
import subprocess
import sys
import time
from typing import Any

from bench import database, traffic
from bench.addresses import SCORER, address
from bench.load import Job, Load
from bench.server_environment import environment
from bench.servers import GUNICORN, Server

REQUESTS = 100_000
MIX = ("v2_score", *traffic.LOOKUPS)
WAYPOINTS = 20


def memory(url: str, load: Load, *, wanted: int = REQUESTS) -> dict[str, Any]:
    """Resident MB of the worker after ``wanted`` requests of a mix at concurrency 8, and on the way there."""
    requests = traffic.Requests({})
    mix = list(itertools.chain.from_iterable(requests.steady(name, 200) for name in MIX))
    mix += [traffic.FLOOR_REQUEST] * 200
    random.Random(1).shuffle(mix)
    resident: list[float] = []
    sent = 0
    with Server(GUNICORN, url) as server:
        # didkit is loaded at the first signature to verify, be it the one in ten thousand that is verified again.
        unseen = traffic.http("GET", f"/v2/stamps/{SCORER}/score/{address(traffic.UNSEEN[-1])}", traffic.KEY)
        load.run(Job(server.port, 1, [unseen], 60, 1))
        started = server.resident_mb()
        seconds = 0.0
        for _ in range(WAYPOINTS):
            result = load.run(Job(server.port, 8, mix, 600, wanted // WAYPOINTS))
            sent += len(result.milliseconds)
            seconds += result.seconds
            resident.append(round(server.resident_mb(), 2))
    half = resident[WAYPOINTS // 2 :]
    return {
        "requests": sent,
        "rps": round(sent / seconds, 1),
        "at_start_mb": round(started, 2),
        "resident_mb": resident,
        "growth_mb_last_half": round(half[-1] - half[0], 2),
        "mix": [*MIX, traffic.FLOOR],
    }


# Parts of a start, each measured in its own fresh interpreter: what the interpreter does itself, imports, Django's
# set-up, and the URLs with the API's schemas.
PARTS = {
    "interpreter": "pass",
    "django": "import django.core.handlers.wsgi",
    "setup": "import django; django.setup()",
    "application": "import bench.wsgi",
    "urls": "import bench.wsgi; from django.urls import get_resolver; get_resolver().url_patterns",
}


def cold_start(url: str, *, rounds: int = 7) -> dict[str, Any]:
    """Seconds from starting the server's process to its first scored answer, the database up; and the parts."""
    whole = []
    path = f"/v2/stamps/{SCORER}/score/{address(4999)}"
    for _ in range(rounds):
        started = time.perf_counter()
        server = Server(GUNICORN, url)
        try:
            server.wait(path, traffic.KEY)
            whole.append(time.perf_counter() - started)
        finally:
            server.__exit__()
    parts = {name: round(_took(url, code, rounds), 3) for name, code in PARTS.items()}
    return {"seconds": round(statistics.median(whole), 3), "until_each_is_done_s": parts}


def _took(url: str, code: str, rounds: int) -> float:
    took = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=database.ROOT, env=environment(url), check=True)
        took.append(time.perf_counter() - started)
    return statistics.median(took)
