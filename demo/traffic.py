"""Real traffic to every operation: some of it wrong, half of it to `v2_score`; and what it saw from outside."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from scorer_fast.http.catalogue import OPERATIONS, find
from tests.factories.requests import Request, good
from tests.host import world

ADDRESSES = [world.address(0xDE30000 + number) for number in range(200)]
STAMPED = 60  # of them have stamps
MOST = "v2_score"  # gets every other request


def bad(request: Request, chosen: random.Random) -> Request:
    """A request that is refused: by its key, its address or its body."""
    kind = chosen.randrange(3)
    if kind == 0:
        return request.with_(headers=dict.fromkeys(request.headers, "wrong"))
    if kind == 1:
        return request.with_(path=request.path.replace("0x", "0xzz"))
    return request.with_(raw=b"{no json")


@dataclass
class Seen:
    """What clients saw of one operation."""

    sides: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)


class Traffic:
    """Clients that ask at a common rate until they are ended; ``seen`` is by operation."""

    def __init__(self, port: int, *, rate: float, clients: int = 8, bad_share: float = 0.05, seed: int = 7) -> None:
        self.port, self.rate, self.bad_share = port, rate, bad_share
        self.seen: dict[str, Seen] = {}
        self._lock = threading.Lock()
        self._chosen = random.Random(seed)
        self._ending = threading.Event()
        self._next = time.monotonic()
        self._prepared = self._prepare()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(10)

    def take(self) -> dict[str, Seen]:
        """What was seen since the last call."""
        with self._lock:
            seen, self.seen = self.seen, {}
        return seen

    def _prepare(self) -> dict[str, list[Request]]:
        """Signing takes its time, so requests are made before they are sent."""
        prepared = {}
        for operation in OPERATIONS:
            try:
                writes = operation.id in ("embed_add_stamps", "cache_add_stamps", "cache_patch_stamps")
                owners = ADDRESSES[STAMPED : STAMPED + 40] if writes else ADDRESSES
                prepared[operation.id] = [good(operation.id, owner) for owner in owners]
            except LookupError:  # a newer operation than this generator knows
                continue
        return prepared

    def _pick(self) -> Request:
        with self._lock:
            name = MOST if self._chosen.random() < 0.5 else self._chosen.choice(list(self._prepared))
            request = self._chosen.choice(self._prepared[name])
            return bad(request, self._chosen) if self._chosen.random() < self.bad_share else request

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._ending.is_set():
            with self._lock:
                self._next = max(self._next, time.monotonic() - 1) + 1 / self.rate
                wait = self._next - time.monotonic()
            if wait > 0 and self._ending.wait(wait):
                break
            request = self._pick()
            started = time.perf_counter()
            try:
                body = request.raw or (None if request.body is None else json.dumps(request.body).encode())
                headers = {"Content-Type": "application/json", **request.headers}
                connection.request(request.method, request.path, body, headers)
                response = connection.getresponse()
                response.read()
                status, side = response.status, response.getheader("X-Scorer-Path") or "legacy"
            except (OSError, http.client.HTTPException):
                connection.close()
                status, side = 0, "none"
            self._note(request, status, side, time.perf_counter() - started)
        connection.close()

    def _note(self, request: Request, status: int, side: str, seconds: float) -> None:
        found = find(request.method, request.path.partition("?")[0])
        with self._lock:
            seen = self.seen.setdefault(found[0].id if found else "none", Seen())
            seen.sides[side] += 1
            seen.statuses[status] += 1
            seen.seconds.setdefault(side, []).append(seconds)


def line(seen: dict[str, Seen]) -> str:
    """What clients saw, in a line."""
    statuses: Counter[int] = Counter()
    for one in seen.values():
        statuses.update(one.statuses)
    failed = sum(count for status, count in statuses.items() if status == 0 or status >= 500)
    text = f"{sum(statuses.values())} requests, {failed} failed"
    if MOST in seen:
        for side, seconds in sorted(seen[MOST].seconds.items()):
            text += f"; {MOST} {side}: {len(seconds)}, p95 {percentile(seconds, 95) * 1000:.1f} ms"
    return text


def percentile(seconds: list[float], percent: float) -> float:
    return sorted(seconds)[min(int(len(seconds) * percent / 100), len(seconds) - 1)]
