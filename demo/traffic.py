"""Real traffic to every operation: some of it wrong, half of it to `v2_score`; and what it saw from outside."""

import http.client
import json
import math
import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from scorer_fast.cutover.outcomes import OVERLOADS, REFUSALS
from scorer_fast.http.catalogue import OPERATIONS, Operation, find
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


class Answer(NamedTuple):
    """What a client saw of a request: when it was answered (seconds since 1970), how long that took, by which side."""

    at: float
    seconds: float
    side: str
    status: int  # 0: there was none

    @property
    def is_failure(self) -> bool:
        return self.status == 0 or self.status >= 500

    @property
    def is_served(self) -> bool:
        """Whether it was worked on, as far as a client can tell."""
        return self.status not in {0, *REFUSALS, *OVERLOADS}


class Traffic:
    """Clients that ask at a common rate until they are ended; ``seen`` is by operation.

    Nobody asks twice at once: two posts of one address at the same time make the host's own views fail now and then.

    ``shares``: part of the requests that an operation gets; the others have the rest in equal parts. ``addresses``:
    whose an operation's requests are, where they are not those of all.
    """

    def __init__(
        self, port: int, *, rate: float, clients: int = 8, bad_share: float = 0.05, seed: int = 7,
        shares: Mapping[str, float] = {MOST: 0.5}, addresses: Mapping[str, Sequence[str]] = {},
    ) -> None:  # fmt: skip
        self.port, self.rate, self.bad_share = port, rate, bad_share
        self.seen: dict[str, list[Answer]] = {}
        self.failures: list[str] = []
        self._asking: set[str] = set()
        self._lock = threading.Lock()
        self._chosen = random.Random(seed)
        self._ending = threading.Event()
        self._next = time.monotonic()
        self._prepared = {
            operation.id: self._prepare(operation, addresses.get(operation.id, ADDRESSES))
            for operation in OPERATIONS
            if operation.is_there
        }
        rest = (1 - sum(shares.values())) / (len(self._prepared) - len(shares))
        self._weights = [shares.get(name, rest) for name in self._prepared]
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def take(self) -> dict[str, list[Answer]]:
        """What was seen since the last call."""
        with self._lock:
            seen, self.seen = self.seen, {}
        return seen

    def _prepare(self, operation: Operation, addresses: Sequence[str]) -> list[tuple[str, Request]]:
        """Signing takes its time, so requests are made before they are sent."""
        if operation.id in ("embed_add_stamps", "cache_add_stamps", "cache_patch_stamps"):
            addresses = addresses[STAMPED : STAMPED + 40]
        return [(owner, good(operation.id, owner)) for owner in addresses]

    def _pick(self) -> tuple[str, Request]:
        with self._lock:
            while True:
                (name,) = self._chosen.choices(list(self._prepared), self._weights)
                owner, request = self._chosen.choice(self._prepared[name])
                if owner not in self._asking:
                    break
            self._asking.add(owner)
            return owner, bad(request, self._chosen) if self._chosen.random() < self.bad_share else request

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._ending.is_set():
            with self._lock:
                self._next = max(self._next, time.monotonic() - 1) + 1 / self.rate
                wait = self._next - time.monotonic()
            if wait > 0 and self._ending.wait(wait):
                break
            owner, request = self._pick()
            self._ask(connection, request)
            with self._lock:
                self._asking.remove(owner)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, request: Request) -> None:
        content = request.raw or (None if request.body is None else json.dumps(request.body).encode())
        headers = {"Content-Type": "application/json", **request.headers}
        started = time.perf_counter()
        try:
            connection.request(request.method, request.path, content, headers)
            response = connection.getresponse()
            said = response.read()
            status, side = response.status, (response.getheader("X-Scorer-Path") or "legacy").partition(";")[0]
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            status, side, said = 0, "none", repr(error).encode()
        answer = Answer(time.time(), time.perf_counter() - started, side, status)
        found = find(request.method, request.path.partition("?")[0])
        with self._lock:
            self.seen.setdefault(found[0].id if found else "none", []).append(answer)
            if answer.is_failure:
                self.failures.append(
                    f"{time.strftime('%H:%M:%S')} {request.method} {request.path}: {status} by {side}, {said[:300]!r}"
                )


def line(seen: Mapping[str, Sequence[Answer]]) -> str:
    """What clients saw, in a line."""
    answers = [answer for of in seen.values() for answer in of]
    text = f"{len(answers)} requests, {sum(answer.is_failure for answer in answers)} failed"
    for side in ("fast", "legacy"):
        seconds = [answer.seconds for answer in seen.get(MOST, ()) if answer.side == side]
        if seconds:
            text += f"; {MOST} {side}: {len(seconds)}, p95 {percentile(seconds, 95) * 1000:.1f} ms"
    return text


def percentile(seconds: Iterable[float], percent: float) -> float:
    """The seconds within which so many percent were answered; some there must be."""
    ordered = sorted(seconds)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]
