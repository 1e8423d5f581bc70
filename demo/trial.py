"""Rollouts in compressed time on a real server with real traffic: `make rollout-trial`, twenty minutes.

Four operations are rolled out side by side, from shadow to 100 % of the addresses. At 25 % the fast path of three of
them breaks, each in its way: they must be rolled back within two windows of a minute. The fourth must arrive. No client
may see an error, and `scorer_fast status --json` must say what the clients measured. Exits with 1 otherwise.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

STEPS, BREAKS_AT = "shadow,1,5,25,50,100", "25"
HOLD_SECONDS = 20
FAULTS = {"v2_score": "throw", "gtc_stake": "slow", "contributor_statistics": "wrong", "allow_list": "none"}
SHARES = {"v2_score": 0.12, "gtc_stake": 0.2, "contributor_statistics": 0.2, "allow_list": 0.2}
ADDRESSES, OFTEN = 3000, 10  # those of the first step ask so many times as often: it would take an hour otherwise
WINDOW_SECONDS = 60.0  # the guard counts full minutes: the one in which something breaks is none
LATE_SECONDS = 15.0  # for figures to be stored, judged, and known to every process
MOST_SECONDS = 40 * 60
BUCKET = 1.1  # the widest bucket of the figures


class Watch:
    """The rollouts as they go on: steps, faults, ends."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.faults = faults
        self.injected: dict[str, float] = {}
        self.ended: dict[str, tuple[float, Any]] = {}
        self._said: dict[str, str] = {}

    def look(self) -> bool:
        """Break what has come to its step; whether all rollouts have ended."""
        from demo import fault
        from scorer_fast.cutover import rollout, rollout_queries

        for row in rollout_queries.list_rollouts("default"):
            if self._said.get(row.target) != (text := f"{row.state}, step {row.steps[row.step]}"):
                self._said[row.target] = text
                print(f"{datetime.now(UTC):%H:%M:%S} {rollout.said(row, datetime.now(UTC))}", flush=True)
            if row.state not in rollout.UNDER_WAY:
                self.ended.setdefault(row.target, (time.time(), row))
            elif row.steps[row.step] == BREAKS_AT and row.target not in self.injected:
                self.injected[row.target] = time.time()
                fault.inject({name: self.faults[name] for name in self.injected})
                if self.faults[row.target] != "none":
                    print(f"{datetime.now(UTC):%H:%M:%S} {row.target} breaks: {fault.KINDS[self.faults[row.target]]}")
        return len(self.ended) == len(self.faults)

    def report(self) -> list[str]:
        """What did not go as it should; prints a table."""
        wrong = []
        print("\n| operation | fault at 25 % | ended | after | by |\n|---|---|---|---|---|")
        for name, kind in self.faults.items():
            if name not in self.ended:
                wrong.append(f"{name}: the rollout has not ended: {self._said.get(name)}")
                continue
            at, row = self.ended[name]
            seconds = at - self.injected.get(name, at)
            print(f"| `{name}` | {kind} | {row.state.replace('_', ' ')} | {seconds:.0f} s | {row.note} |")
            if kind == "none":
                if row.state != "done":
                    wrong.append(f"{name} is healthy and ended {row.state}")
            elif row.state != "rolled_back" or row.steps[row.step] != BREAKS_AT:
                wrong.append(f"{name}: {kind} ended {row.state} at {row.steps[row.step]}")
            elif seconds > WINDOW_SECONDS - self.injected[name] % WINDOW_SECONDS + 2 * WINDOW_SECONDS + LATE_SECONDS:
                wrong.append(f"{name}: {kind} was rolled back after {seconds:.0f} s only")
        return wrong


class Way:
    """How long the way to the server and back takes under the same load: what its figures do not hold."""

    def __init__(self, port: int) -> None:
        self.seconds: list[float] = []
        self._url = f"http://127.0.0.1:{port}/scorer-fast/health"
        self._ending = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._ending.wait(0.25):
            started = time.perf_counter()
            with suppress(OSError):
                urllib.request.urlopen(self._url, timeout=30).read()
            self.seconds.append(time.perf_counter() - started)

    def end(self) -> None:
        self._ending.set()


def compare(state: dict[str, Any], seen: dict[str, Any], way: Sequence[float], at: datetime) -> list[str]:
    """What status says of the last minutes beside what the clients measured; prints a table."""
    from demo.traffic import percentile
    from scorer_fast.cutover.state import RECENT

    since = (at - RECENT).replace(second=0, microsecond=0).timestamp()
    there_and_back = percentile(way, 99)
    wrong = []
    print(f"\nThe way there and back: p50 {percentile(way, 50) * 1000:.1f}, p99 {there_and_back * 1000:.1f} ms\n")
    print("| operation | side | requests, status | clients | p50, status | clients | p95, status | clients |")
    print("|---|---|---|---|---|---|---|---|")
    for one in state["operations"]:
        answers = [answer for answer in seen.get(one["operation"], ()) if answer.at >= since]
        total = round(one["per_minute"] * RECENT.total_seconds() / 60)
        by_fast = round((one["share"] or 0) * total / 100)
        for side, name, requests in (("fast", "fast", by_fast), ("host", "legacy", total - by_fast)):
            of_side = [answer for answer in answers if answer.side == name]
            if abs(requests - len(of_side)) > 2:  # some were asked in one minute and answered in the next
                wrong.append(f"{one['operation']} {side}: {requests} requests by status, {len(of_side)} by the clients")
            seconds = [answer.seconds for answer in of_side if answer.is_served]  # which percentiles are of
            if len(seconds) < 100:
                continue
            cells = []
            for percent in (50, 95):
                shown, measured = one[side][f"p{percent}_ms"] / 1000, percentile(seconds, percent)
                cells += [f"{shown * 1000:.1f} ms", f"{measured * 1000:.1f} ms"]
                if not (measured - there_and_back) / BUCKET <= shown <= measured * BUCKET:
                    text = f"{one['operation']} {side} p{percent}: status {shown:.4f} s, clients {measured:.4f} s"
                    wrong.append(text)
            print(f"| `{one['operation']}` | {side} | {requests} | {len(of_side)} | {' | '.join(cells)} |")
    return wrong


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="demo.trial", description=__doc__)
    parser.add_argument("--port", type=int, default=8453)
    parser.add_argument("--rate", type=float, default=30.0, help="requests a second (30)")
    options = parser.parse_args(arguments)
    os.environ["DJANGO_SETTINGS_MODULE"] = "demo.settings"
    with tempfile.TemporaryDirectory(prefix="scorer-fast-trial-") as folder:
        os.environ["DEMO_FAULT_FILE"] = str(Path(folder) / "fault")
        return trial(options.port, options.rate)


def addresses(operation: str) -> list[str]:
    """Who asks for an operation, as often as each stands here."""
    from scorer_fast.cutover import split
    from scorer_fast.http.catalogue import BY_ID
    from scorer_fast.settings import conf
    from tests.host import world

    everybody = [world.address(0xDE40000 + number) for number in range(ADDRESSES)]
    first = split.BUCKETS // 100
    group = BY_ID[operation].group
    moved = [each for each in everybody if split.bucket(conf.split_salt, group, f"address:{each}") < first]
    return everybody + moved * (OFTEN - 1)


def trial(port: int, rate: float) -> int:
    import django

    from demo import __main__ as demo

    demo.make_database()
    django.setup()
    demo.seed()
    from demo.traffic import Traffic
    from scorer_fast.cutover import rollout

    server = demo.serve(port)
    clients = Traffic(port, rate=rate, shares=SHARES, addresses={name: addresses(name) for name in FAULTS})
    watch, began = Watch(FAULTS), time.monotonic()
    try:
        demo.wait_for(port, server)
        way = Way(port)
        clients.start()
        time.sleep(5)
        for name in FAULTS:
            rollout.start(name, STEPS, HOLD_SECONDS, reason="a trial", by="trial", now=datetime.now(UTC))
        while not watch.look() and time.monotonic() - began < MOST_SECONDS and server.poll() is None:
            time.sleep(0.5)
        time.sleep(5)  # the last ones too are the host's now
        clients.end()
        way.end()
        time.sleep(3)  # every process has stored its figures
        at = datetime.now(UTC)
        said = subprocess.run(
            [sys.executable, "manage.py", "scorer_fast", "status", "--json"],
            cwd=demo.ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        wrong = watch.report() + compare(json.loads(said), clients.seen, way.seconds, at)
    finally:
        clients.end()
        server.terminate()
        server.wait(10)
        for text in clients.failures:
            print(text)
    asked = sum(map(len, clients.seen.values()))
    took = timedelta(seconds=round(time.monotonic() - began))
    print(f"\n{asked} requests in {took}, {len(clients.failures)} failed.")
    for text in wrong:
        print(text)
    return 1 if clients.failures or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
