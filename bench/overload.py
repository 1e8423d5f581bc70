"""Goodput beyond capacity: clients that ask for first scores and give up after a second, and what comes after them.

Requests arrive at one, two and five times the capacity, whether others are answered or not; then 200 clients ask as
fast as they can, as browsers do that try again. Good is an answer of 200 that comes within the second.

python -m bench.overload     # the clients: a job as JSON on standard input, a result on standard output
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import psycopg

from bench import traffic
from bench.addresses import address
from bench.database import ROOT
from bench.load import Job, Load
from bench.server_environment import environment
from bench.servers import GTHREAD, UVICORN, Kind, Server

PATIENCE = 1.0  # seconds, after which a client gives up
TIMES = (1, 2, 5)
CLIENTS = 200
SECONDS = 8.0
SHED = (("SHED_AFTER_SECONDS", "0.5"),)  # as delivered
NOT_SHED = (("SHED_AFTER_SECONDS", "0"), ("MAX_IN_PROGRESS", "0"))
LOWER = f"{GTHREAD} --worker-connections 64 --backlog 64"
KINDS = [
    Kind("nothing is shed", GTHREAD, more=NOT_SHED),
    Kind("nothing is shed, gunicorn's limits lower", LOWER, more=NOT_SHED),
    Kind("shed, as delivered", GTHREAD, more=SHED),
    Kind("shed, gunicorn's limits lower", LOWER, more=SHED),
    replace(UVICORN, name="uvicorn, shed, as delivered", settings="bench.settings", more=SHED),
    replace(UVICORN, name="uvicorn, in the host by its middleware, shed", more=SHED),
]
FORGET = """
TRUNCATE registry_passport, registry_event, registry_hashscorerlink, scorer_fast_verifiedcredential,
    scorer_fast_keptreading CASCADE
"""


def measure(url: str, load: Load, *, quick: bool) -> dict[str, Any]:
    """By kind of server: capacity and what came of each load, a second; and the seconds until it is well again."""
    asked = [traffic.ASKED["v2_score"](address(owner), owner) for owner in traffic.UNSEEN]
    results: dict[str, Any] = {}
    for kind in KINDS:
        with Server(kind, url) as server:
            load.run(Job(server.port, 2, asked, 2.0, 2000))  # what it loads with its first requests
            _forget(url)
            best = load.run(Job(server.port, 4, asked, SECONDS / 2, len(asked)))
            capacity = best.statuses.get("200", 0) / best.seconds
            found: dict[str, Any] = {"capacity": round(capacity, 1)}
            for times in TIMES:
                found[f"{times}x"] = _loaded(url, server.port, asked, capacity * times, 0, quick)
            found[f"{CLIENTS} clients"] = _loaded(url, server.port, asked, 0, CLIENTS, quick)
            results[kind.name] = found
            print(f"{kind.name}: {json.dumps(found)}", flush=True)
    return results


def _forget(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FORGET)


def _loaded(url: str, port: int, asked: list[str], rate: float, clients: int, quick: bool) -> dict[str, float]:
    _forget(url)
    seconds = SECONDS / 2 if quick else SECONDS
    job = {"port": port, "requests": asked, "rate": rate, "clients": clients, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "bench.overload"],
        cwd=ROOT, env=environment(""), input=json.dumps(job), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


# ---- the clients


class Clients:
    def __init__(self, job: dict[str, Any]) -> None:
        self.port = job["port"]
        self._requests = iter([request.encode("latin-1") for request in job["requests"]])
        self._given = job["requests"]
        self.ends: Counter[str] = Counter()

    def _next(self) -> bytes:
        try:
            return next(self._requests)
        except StopIteration:
            self._requests = iter([request.encode("latin-1") for request in self._given])
            return next(self._requests)

    async def ask(self) -> str:
        """What came of one request: its status, or that the client gave up, or was hung up on."""
        writer = None
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(self._next().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                status = (await reader.readline())[9:12].decode()
                await reader.read()
            end = status or "hung up"
        except TimeoutError:
            end = "gave up"
        except OSError:
            end = "hung up"
        finally:
            if writer is not None:
                writer.close()
        self.ends[end] += 1
        return end

    async def arriving(self, rate: float, seconds: float) -> None:
        """Requests at random moments, so many a second, whoever is answered."""
        tasks, started, due = set(), time.monotonic(), 0.0
        draw = random.Random(1)
        while due < seconds:
            due += draw.expovariate(rate)
            await asyncio.sleep(max(started + due - time.monotonic(), 0))
            task = asyncio.create_task(self.ask())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def insisting(self, clients: int, seconds: float) -> None:
        """So many clients, each of which asks again at once."""
        ends = time.monotonic() + seconds

        async def go() -> None:
            while time.monotonic() < ends:
                if await self.ask() == "503":
                    await asyncio.sleep(0.1)  # nobody is quicker than that, whatever Retry-After says

        await asyncio.gather(*(go() for _ in range(clients)))

    async def recovered(self) -> float:
        """Seconds until three requests in a row are answered well."""
        started, well = time.monotonic(), 0
        while well < 3 and time.monotonic() - started < 60:
            well = well + 1 if await self.ask() == "200" else 0
        return time.monotonic() - started


async def _run(job: dict[str, Any]) -> dict[str, float]:
    clients = Clients(job)
    if job["rate"]:
        await clients.arriving(job["rate"], job["seconds"])
    else:
        await clients.insisting(job["clients"], job["seconds"])
    ends = clients.ends.copy()
    recovered = await clients.recovered()
    shown = {
        "asked": sum(ends.values()),
        "good": ends["200"],
        "told 503": ends["503"],
        "gave up": ends["gave up"],
        "otherwise": sum(ends.values()) - ends["200"] - ends["503"] - ends["gave up"],
    }
    per_second = {name: round(count / job["seconds"], 1) for name, count in shown.items()}
    return {**per_second, "well after s": round(recovered, 1)}


if __name__ == "__main__":
    json.dump(asyncio.run(_run(json.load(sys.stdin))), sys.stdout)
